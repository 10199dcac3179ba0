"""Plans and data sets of nnU-Net v2, as its planner writes them (``nnUNetPlans.json``, ``dataset.json``)."""

from math import prod
from pathlib import Path
from typing import Any

import msgspec

from membench.errors import UsageError

Patch = tuple[int, ...]


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """The class of the network by its full name, and what it is called with; ``imported`` arguments are names too."""

    network_class_name: str
    arch_kwargs: dict[str, Any]
    imported: tuple[str, ...] = msgspec.field(name="_kw_requires_import", default=())


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """One network to train. ``patch_size`` is in voxels, two or three sides; of a cascade it is the second stage."""

    name: str
    patch_size: Patch
    batch_size: int
    architecture: Architecture
    normalization_schemes: tuple[str, ...] = ()
    batch_dice: bool = False
    previous_stage: str | None = None

    @property
    def divisors(self) -> Patch:
        """What every side must be a multiple of: the strides of all stages multiplied."""
        return tuple(prod(strides) for strides in zip(*self.architecture.arch_kwargs["strides"], strict=True))

    @property
    def units(self) -> int:
        """The longest side of the planned patch, in multiples of its divisor: what `patch_of` makes the patch of."""
        longest = max(range(len(self.patch_size)), key=lambda side: self.patch_size[side])
        return max(1, self.patch_size[longest] // self.divisors[longest])

    def patch_of(self, units: int) -> Patch:
        """The patch of the planned one's shape whose longest side is ``units`` multiples of its divisor.

        Every other side is in proportion, to the nearest multiple of its own divisor; the planned patch is that of
        `units`.
        """
        return tuple(
            max(1, round(side // divisor * units / self.units)) * divisor
            for side, divisor in zip(self.patch_size, self.divisors, strict=True)
        )


class Plans(msgspec.Struct, frozen=True, kw_only=True):
    """The configurations of a plans file, with what they inherit put in."""

    dataset_name: str
    configurations: tuple[Configuration, ...]


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """What a network gets and gives: channels of the image, outputs, and labels of the foreground.

    ``regions`` tells whether outputs are overlapping regions, each with a sigmoid of its own.
    """

    channels: int
    outputs: int
    foreground: int
    regions: bool = False

    def channels_of(self, configuration: Configuration) -> int:
        """The second stage of a cascade is also given the first one's segmentation, a channel for each label."""
        return self.channels + (self.foreground if configuration.previous_stage else 0)


def read_plans(file: Path) -> Plans:
    """Read a plans file.

    Raises:
        UsageError: it cannot be read, or is none of nnU-Net v2's; the message names what is wrong with it.
    """
    content = _read_json(file)
    found = content.get("configurations")
    if not isinstance(found, dict) or not found:
        raise UsageError(f"{file} is not a plans file of nnU-Net v2: it has no configurations")
    configurations = tuple(_configuration(file, name, _inherited(file, found, name)) for name in found)
    return Plans(dataset_name=str(content.get("dataset_name", "")), configurations=configurations)


def read_dataset(file: Path) -> Dataset:
    """Read what nnU-Net's ``dataset.json`` says of channels and labels.

    Raises:
        UsageError: it cannot be read, or lacks channels or labels.
    """
    content = _read_json(file)
    channels, labels = content.get("channel_names", content.get("modality")), content.get("labels")
    if not isinstance(channels, dict) or not isinstance(labels, dict) or not channels or not labels:
        raise UsageError(f"{file} is not a dataset.json of nnU-Net v2: it needs channel_names and labels")
    kept = {name: value for name, value in labels.items() if name != "ignore"}
    regions = any(isinstance(value, list) and len(value) > 1 for value in kept.values())
    numbers = {int(number) for value in kept.values() for number in (value if isinstance(value, list) else [value])}
    foreground = len(numbers - {0})
    outputs = sum(name != "background" for name in kept) if regions else len(kept)
    return Dataset(channels=len(channels), outputs=outputs, foreground=foreground, regions=regions)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(file.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"there is no file {file}") from None
    except OSError as error:
        raise UsageError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file} holds no JSON object")
    return content


def _inherited(file: Path, found: dict[str, Any], name: str) -> dict[str, Any]:
    """A configuration with those that it inherits from under it."""
    layers: list[dict[str, Any]] = []
    wanted: Any = name
    seen = []
    while wanted is not None:
        if wanted in seen:
            raise UsageError(f"{file}: configuration {name} inherits from itself")
        if not isinstance(found.get(wanted), dict):
            raise UsageError(f"{file}: configuration {name} inherits from {wanted}, which there is not")
        seen.append(wanted)
        layers.append(found[wanted])
        wanted = found[wanted].get("inherits_from")
    return {key: value for layer in reversed(layers) for key, value in layer.items()}


def _configuration(file: Path, name: str, fields: dict[str, Any]) -> Configuration:
    if "architecture" not in fields and "UNet_class_name" in fields:
        raise UsageError(f"{file} has the format of nnU-Net before 2.4; plan the data set again with a newer one")
    try:
        made = msgspec.convert(fields | {"name": name}, Configuration)
        sides = len(made.patch_size)
        if made.batch_size < 1 or sides not in (2, 3) or len(made.divisors) != sides or min(made.divisors) < 1:
            raise ValueError("patch_size, batch_size and strides do not go together")
    except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
        words = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{file}: configuration {name} cannot be read: {words}") from error
    if any(side % divisor or side < 1 for side, divisor in zip(made.patch_size, made.divisors, strict=True)):
        patch, divisors = ("x".join(map(str, numbers)) for numbers in (made.patch_size, made.divisors))
        raise UsageError(f"{file}: configuration {name} has a patch of {patch}, which its strides need in {divisors}")
    return made
