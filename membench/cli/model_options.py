"""The options that name a model of the user's own, for every command that takes a network."""

import inspect
from collections.abc import Collection, Mapping
from typing import Annotated, Any

import typer

from membench.arguments import parse_argument
from membench.errors import UsageError
from membench.model_spec import ModelSpec
from membench.spec import NetworkSpec

_NAMED = "package.module:name"


def _several(option: str, metavar: str, words: str) -> Any:
    return Annotated[list[str] | None, typer.Option(option, metavar=metavar, help=words, show_default=False)]


def _one(option: str, metavar: str, words: str) -> Any:
    return Annotated[str, typer.Option(option, metavar=metavar, help=words, show_default=False)]


_OPTIONS: dict[str, Any] = {
    "model": _one("--model", _NAMED, "A network of your own: the function or class that makes it."),
    "model_arg": _several("--model-arg", "NAME=VALUE", "Argument for it (or for --step); repeat it for several."),
    "model_input": _several(
        "--input", "SHAPE[:DTYPE]", "What it is called with, such as 1x4x{volume} or ids=4x{seq}:int64; repeatable."
    ),
    "target": _several("--target", "SHAPE[:DTYPE]", "What the loss is called with after the output; repeatable."),
    "loss": _one("--loss", _NAMED, "The loss; otherwise the output's own, or the mean of the outputs."),
    "step": _one("--step", _NAMED, "Instead of a model: a function of your own that runs a whole training step."),
    "model_set": _several("--set", "NAME=N", "Value of a {name} in shapes and arguments; repeatable."),
}
MODEL_OPTIONS = [
    inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default="" if kind.__origin__ is str else None, annotation=kind
    )
    for name, kind in _OPTIONS.items()
]
# Options that mean nothing to a model of the user's, and those that mean nothing to a whole step of the user's either.
_OF_OUR_NETWORKS = (*NetworkSpec.__struct_fields__, "slices")
_OF_OUR_STEPS = ("optimizer", "optimizer_implementation", "precision")


def read_model(values: Mapping[str, Any], said: Collection[str]) -> ModelSpec | None:
    """The model that the options name; None where they name none. ``said`` are the options that were given.

    Raises:
        UsageError: options are given that do not go together, or cannot be read.
    """
    given = [name for name in _OPTIONS if name in said]
    if not given:
        return None
    if not (values["model"] or values["step"]):
        raise UsageError(f"{_written(given[0])} is for a model of your own; name it with --model or --step")
    for name in said:
        if name in _OF_OUR_NETWORKS or (values["step"] and name in _OF_OUR_STEPS):
            whose = "--step does that itself" if name in _OF_OUR_STEPS else "a model of your own has no such setting"
            raise UsageError(f"{_written(name)} is not for {'--step' if values['step'] else '--model'}: {whose}")
    return ModelSpec(
        factory=values["model"],
        step=values["step"],
        arguments=dict(map(parse_argument, values["model_arg"] or ())),
        inputs=tuple(values["model_input"] or ()),
        targets=tuple(values["target"] or ()),
        loss=values["loss"],
        values=dict(map(_read_value, values["model_set"] or ())),
    )


def _read_value(text: str) -> tuple[str, int]:
    name, equals, number = text.partition("=")
    if not (equals and name.isidentifier() and number.isascii() and number.isdigit()):
        raise UsageError(f"{text!r} sets nothing; write for example seq=128")
    return name, int(number)


def _written(name: str) -> str:
    return f"--{name.removeprefix('model_') if name in ('model_input', 'model_set') else name}".replace("_", "-")
