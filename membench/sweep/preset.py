"""Presets: what a sweep is about, as a TOML file that can be copied and changed."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from membench.errors import UsageError
from membench.result import ClaimName
from membench.spec import AxisName, Coupling, NetworkSpec, Optimizer, OptimizerImplementation, Precision
from membench.units import parse_bytes, parse_volume

Parameter = Literal["budget", "expansion", "blocks"]
T = TypeVar("T", bound=msgspec.Struct)


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is compared on every axis. Ratios are given against each ``baseline``.

    In the file a strategy for each stage may also be a table, by the stage's number from full resolution down:
    ``{ 1 = "reversible-sliced", 2 = "reversible", others = "plain" }`` is ``reversible-sliced:reversible:plain:plain``.
    """

    strategy: str
    coupling: Coupling = "additive"
    baseline: bool = False

    @property
    def name(self) -> str:
        """The same as `ProbeSpec.variant`."""
        return self.strategy if self.coupling == "additive" else f"{self.strategy} (uncoupled)"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of every probe that are neither searched nor compared; see `ProbeSpec`."""

    volume: str = "128x128x128"
    batch: int = 1
    precision: Precision = "fp32"
    tf32: bool | None = None
    optimizer: Optimizer = "adam"
    optimizer_implementation: OptimizerImplementation = "foreach"
    steps: int = 2
    allocator: str = ""
    timeout: float = 300.0


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One axis, searched for every variant, or for ``variants`` alone.

    ``network`` and ``probe`` change fields of the preset's own. ``start`` is the extent probed first, one for all or by
    the name of the variant, at the preset's first budget.
    """

    axis: AxisName
    ratio: tuple[int, int, int] = (1, 1, 1)
    variants: tuple[str, ...] | None = None
    start: int | dict[str, int] | None = None
    limit: int | None = None
    network: dict[str, Any] = {}
    probe: dict[str, Any] = {}


class ClaimTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim of the paper: the candidate's extent on the axis is ``paper_ratio`` times the reference's."""

    claim: ClaimName
    axis: AxisName
    paper_ratio: float
    reference: str = "plain"
    candidate: str = "reversible"


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first search of ``axis`` again, for some variants, with one parameter set to each of ``values``."""

    parameter: Parameter
    values: tuple[int | str, ...]
    variants: tuple[str, ...]
    axis: AxisName = "volume"
    start: int | dict[str, int] | None = None


class Tradeoff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Memory against recomputation: one probe of each strategy at one volume, with all of the device for a budget.

    A strategy is written as in `Variant`, so it may be one for each stage.
    """

    strategies: tuple[str, ...]
    volume: str = "128x128x128"
    network: dict[str, Any] = {}


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All searches, claims and studies of a sweep. ``assumptions`` gives the reason for each value that is assumed.

    Without a ``device`` the sweep is made on the default device of the machine.
    """

    title: str
    description: str = ""
    device: str | None = None
    budgets: tuple[str, ...]
    assumptions: dict[str, str] = {}
    network: NetworkSpec = NetworkSpec()
    probe: Settings = Settings()
    variant: tuple[Variant, ...]
    search: tuple[Search, ...]
    claim: tuple[ClaimTemplate, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    tradeoff: tuple[Tradeoff, ...] = ()


def presets() -> tuple[str, ...]:
    """The names of the presets that come with membench."""
    files = resources.files("membench.presets").iterdir()
    return tuple(sorted(Path(file.name).stem for file in files if file.name.endswith(".toml")))


def load_preset(name: str) -> Preset:
    """Read a preset by its name, or from a TOML file by its path.

    Raises:
        UsageError: there is no such preset, or the file is not one; the message names file and field.
    """
    if name in presets():
        text = resources.files("membench.presets").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    else:
        text = _read(name)
    try:
        preset = msgspec.convert(_with_joined_strategies(tomllib.loads(text)), Preset)
        _check_names(preset)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"preset {name}: {error}") from error
    return preset


def overridden(record: T, changes: dict[str, Any], where: str) -> T:
    """The record with fields changed as a preset says.

    Raises:
        UsageError: there is no such field, or the value is not one of its kind.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(record) | changes, type(record))
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error


def _with_joined_strategies(document: dict[str, Any]) -> dict[str, Any]:
    """The document with tables of strategies by stage as the text that they stand for; what is no table stays."""
    network = document.get("network")
    stages = network.get("stages", NetworkSpec().stages) if isinstance(network, dict) else NetworkSpec().stages
    if not isinstance(stages, int):
        return document  # is refused when it is converted
    for number, variant in enumerate(document.get("variant", ())):
        if isinstance(variant, dict) and isinstance(variant.get("strategy"), dict):
            variant["strategy"] = _joined(variant["strategy"], stages, f"variant[{number}].strategy")
    for number, study in enumerate(document.get("tradeoff", ())):
        if isinstance(study, dict) and isinstance(study.get("strategies"), list):
            where = f"tradeoff[{number}].strategies"
            study["strategies"] = [
                _joined(one, stages, where) if isinstance(one, dict) else one for one in study["strategies"]
            ]
    return document


def _joined(by_stage: dict[str, Any], stages: int, where: str) -> str:
    """Strategies by the number of their stage, or ``others``, joined by colons."""
    numbers = [str(stage) for stage in range(1, stages + 1)]
    for key, name in by_stage.items():
        if key not in (*numbers, "others"):
            raise UsageError(f"{where}: there is no stage {key!r}; the stages are {', '.join(numbers)}, or others")
        if not isinstance(name, str):
            raise UsageError(f"{where}: stage {key} is to have the name of a strategy, not {name!r}")
    missing = [number for number in numbers if number not in by_stage]
    if missing and "others" not in by_stage:
        raise UsageError(f"{where}: stage {missing[0]} has no strategy; name one for it, or for others")
    return ":".join(by_stage.get(number) or by_stage["others"] for number in numbers)


def _read(name: str) -> str:
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"there is no preset {name!r}; choose {', '.join(presets())} or give the path of a TOML file")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"preset {name} cannot be read: {error}") from error


def _check_names(preset: Preset) -> None:
    """Names that refer to nothing would silently leave out what was asked for."""
    for field in ("budgets", "variant", "search"):
        if not getattr(preset, field):
            raise UsageError(f"{field} must not be empty")
    _check_sizes(preset)
    axes = tuple(search.axis for search in preset.search)
    variants = tuple(variant.name for variant in preset.variant)
    for number, claim in enumerate(preset.claim):
        _check_known((claim.axis,), axes, f"claim[{number}].axis")
        _check_known((claim.reference, claim.candidate), variants, f"claim[{number}]")
    for number, study in enumerate(preset.sensitivity):
        _check_known((study.axis,), axes, f"sensitivity[{number}].axis")
        _check_known(study.variants, variants, f"sensitivity[{number}].variants")
        _check_known(_named(study), variants, f"sensitivity[{number}].start")
    for number, search in enumerate(preset.search):
        _check_known(search.variants or (), variants, f"search[{number}].variants")
        _check_known(_named(search), variants, f"search[{number}].start")


def _check_sizes(preset: Preset) -> None:
    """What a preset writes as text is read here once, so that the error names the file."""
    for budget in preset.budgets:
        parse_bytes(budget)
    for study in preset.sensitivity:
        for value in study.values if study.parameter == "budget" else ():
            parse_bytes(str(value))
    for volume in (preset.probe.volume, *(search.probe.get("volume") for search in preset.search)):
        if isinstance(volume, str):
            parse_volume(volume)


def _named(template: Search | Sensitivity) -> tuple[str, ...]:
    return tuple(template.start) if isinstance(template.start, dict) else ()


def _check_known(names: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"{where}: there is no {name!r} in the preset; it has {', '.join(dict.fromkeys(known))}")
