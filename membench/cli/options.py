"""Command-line options made from the records: every field of a network and a probe is declared once, there."""

import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from membench.cli.model_options import MODEL_OPTIONS, read_model
from membench.device import use_cards
from membench.errors import UsageError
from membench.spec import NetworkSpec, ProbeSpec, Volume
from membench.units import format_volume, parse_bytes, parse_volume

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on standard output.")]
HELP = {
    "in_channels": "Modalities of the input.",
    "out_channels": "Regions of the output.",
    "base_channels": "Channels of the first stage.",
    "stages": "Resolutions, the full one included.",
    "blocks": "Blocks per stage, in the encoder and again in the decoder.",
    "channel_multiplier": "Channels of a stage over those of the one before.",
    "max_channels": "No stage gets more channels than this.",
    "block": "mbconv: mobile inverted bottleneck; conv: two full convolutions.",
    "expansion": "Channels inside an mbconv block over those outside.",
    "kernel_size": "Side of the spatial convolutions, odd.",
    "squeeze_excitation": "Add squeeze-and-excitation to mbconv blocks.",
    "coupling": "additive: each block couples two halves; none: x + F(x), full width.",
    "norm": "Normalisation.",
    "norm_groups": "Groups of the group normalisation.",
    "upsampling": "How the decoder doubles the resolution.",
    "skip": "How the encoder's features join the decoder's.",
    "dropout": "Probability of dropping a channel in each block.",
    "volume": "Voxels of the input; one number is a cube.",
    "batch": "Samples in a step.",
    "strategy": "How activations are kept: plain, checkpoint, reversible, …; one, one per stage (A:B:…), or auto.",
    "slices": "Parts of a block's hidden channels that reversible-sliced runs one at a time.",
    "precision": "fp32, or autocast to bf16 or fp16.",
    "tf32": "Allow TF32 in fp32 convolutions and products, or forbid it.",
    "optimizer": "Optimizer, with its states.",
    "optimizer_implementation": "Which of PyTorch's implementations of it.",
    "steps": "Full training steps, at least 2.",
    "device": "A card of the catalog (membench devices), or cuda, cuda:N for a GPU of this machine.",
    "budget": "What the allocator may reserve, such as 16GiB.",
    "allocator": "PyTorch's allocator settings, such as expandable_segments:True.",
    "timeout": "Seconds after which a probe is given up.",
    "patch": "Voxels cut from a case for each sample; whole takes all of it.",
    "accumulate": "Batches before the weights change.",
    "learning_rate": "At the first step; it falls to 0 along half a cosine.",
    "held_out": "Part of the cases to evaluate on, never trained on.",
    "loss": "What is minimised: MONAI's DiceLoss, alone or with PyTorch's binary cross-entropy. dice-bce-slabs is "
    "their sum, computed slab by slab: less memory where a sample is a whole volume.",
    "parallel": "PyTorch's way over several ranks. ddp: each holds the whole network; fsdp2: each holds a part of "
    "parameters, gradients and optimizer states.",
    "overlap": "Of neighbouring windows when a case is evaluated.",
    "evaluate_every": "Steps between evaluations; 0 evaluates at the end alone.",
    "checkpoint_every": "Steps between checkpoints, at most; there is one each minute too.",
    "augment": "Flip samples and change their brightness.",
    "seed": "Decides initial weights, split, order and augmentation.",
}


def _parse_slices(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{text!r} is not a number of slices; write for example 4, or auto")
    return int(text)


def _parse_patch(text: str) -> Volume | None:
    return None if text == "whole" else parse_volume(text)


# Fields that a person writes otherwise than the record holds them: metavar, reader, writer of the default.
_WRITTEN: dict[str, tuple[str, Callable[[str], Any], Callable[[Any], str]]] = {
    "volume": ("DxHxW", parse_volume, format_volume),
    "patch": ("DxHxW|whole", _parse_patch, format_volume),
    "budget": ("SIZE", parse_bytes, str),
    "slices": ("N|auto", _parse_slices, str),
}
_DEFAULTS_IN_WORDS = {
    "device": "the GPU of this machine, else a100-40gb",
    "budget": "all that a process can allocate on the device",
    "slices": "auto",
    "tf32": "as PyTorch does",
    "max_channels": "no limit",
    "allocator": "none",
}
DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help=HELP["device"],
        show_default=f"the preset's, else {_DEFAULTS_IN_WORDS['device']}",
    ),
]


def _use_cards(path: Path | None) -> Path | None:
    use_cards(path)
    return path


# Reading it is all there is to do: its cards are then in the catalog, and the first of them is the default device.
DeviceFile = Annotated[
    Path | None,
    typer.Option(
        "--device-file",
        metavar="FILE.toml",
        help="Cards of one's own; the first is the device unless --device names another (devices --template).",
        show_default=False,
        is_eager=True,
        callback=_use_cards,
    ),
]
_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
PLAIN = "plain"  # the strategy of a model of the user's, unless it is told otherwise
_FIRST = ("device", "budget", "strategy", "volume")


def probe_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command every field of a probe and its network as an option, and those that name a model of the user's.

    The command gets them as the argument ``probe``, a `ProbeSpec` whose device is the name given, or empty. A parameter
    of its own that has a field's name takes the place of that field's option.
    """
    own = [parameter for name, parameter in inspect.signature(command).parameters.items() if name != "probe"]
    taken = {parameter.name for parameter in own}
    made = [option for option in (*_options(ProbeSpec), *_options(NetworkSpec)) if option.name not in taken]
    file = inspect.Parameter("device_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=DeviceFile)

    @functools.wraps(command)
    def run(**values: Any) -> int:
        del values["device_file"]
        said = _said(values.pop("context"))
        model = read_model({option.name: values.pop(option.name) for option in MODEL_OPTIONS}, said)
        given = {option.name: _read(option.name, values.pop(option.name)) for option in made}
        network = NetworkSpec(**{name: given.pop(name) for name in NetworkSpec.__struct_fields__ if name in given})
        if model and "strategy" not in said:
            given["strategy"] = PLAIN
            values |= {"strategy": [PLAIN]} if values.get("strategy") else {}
        return command(probe=ProbeSpec(network=model or network, **given), **values)

    return _declared(run, (*made, file, *MODEL_OPTIONS, *own, _CONTEXT))


def record_options(argument: str, record: type[msgspec.Struct], command: Callable[..., int]) -> Callable[..., int]:
    """Give a command every field of a record and of its network as an option, and the record as an argument.

    A parameter of the command's own that has a field's name takes the place of that field's option.
    """
    own = [parameter for name, parameter in inspect.signature(command).parameters.items() if name != argument]
    taken = {parameter.name for parameter in own}
    made = [option for option in (*_options(record), *_options(NetworkSpec)) if option.name not in taken]

    @functools.wraps(command)
    def run(**values: Any) -> int:
        given = {option.name: _read(option.name, values.pop(option.name)) for option in made}
        network = NetworkSpec(**{name: given.pop(name) for name in NetworkSpec.__struct_fields__ if name in given})
        return command(**{argument: record(network=network, **given)}, **values)

    return _declared(run, (*made, *own))


def _declared(run: Callable[..., int], options: Iterable[inspect.Parameter]) -> Callable[..., int]:
    """The function with these options for typer to read."""
    signature = inspect.Signature([option.replace(kind=option.KEYWORD_ONLY) for option in options])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in signature.parameters.values()}
    return run


def _said(context: typer.Context) -> set[str]:
    """The names of the options that were given on the command line."""
    return {
        name for name in context.params if (source := context.get_parameter_source(name)) and source.name != "DEFAULT"
    }


def parse_ratio(text: str) -> tuple[int, int, int]:
    """Read a shape of volumes such as ``240:240:155``.

    Raises:
        UsageError: the text is not three positive whole numbers.
    """
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"{text!r} is not a ratio; write for example 240:240:155")
    depth, height, width = map(int, parts)
    return depth, height, width


def _options(record: type[msgspec.Struct]) -> Iterator[inspect.Parameter]:
    kinds = typing.get_type_hints(record)
    for field in sorted(msgspec.structs.fields(record), key=lambda field: field.name not in _FIRST):
        if field.name != "network":
            yield _option(field.name, kinds[field.name], field.default)


def _option(name: str, kind: Any, default: Any) -> inspect.Parameter:
    metavar = None
    if name in _WRITTEN:
        metavar, _, write = _WRITTEN[name]
        kind, default = str | None, None if default is None else write(default)
    if name == "device":
        metavar, default = "NAME", ""  # which one is the default, this machine decides
    option = f"--{name.replace('_', '-')}"
    flag = kind is bool or bool in typing.get_args(kind)
    declared = typer.Option(
        f"{option}/--no-{name.replace('_', '-')}" if flag else option,
        help=HELP[name],
        metavar=metavar,
        show_default=_DEFAULTS_IN_WORDS.get(name, True),
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, declared]
    )


def _read(name: str, text: Any) -> Any:
    return _WRITTEN[name][1](text) if name in _WRITTEN and text is not None else text
