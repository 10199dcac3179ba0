"""Measuring and searching in a line of Python: `membench.measure` and `membench.find_largest`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from membench.device import Device, resolve
from membench.errors import UsageError
from membench.imports import import_function
from membench.probe import Prober
from membench.result import Measurement, SearchResult
from membench.search import Axis
from membench.search import search as walk
from membench.spec import ModelSpec, NetworkSpec, ProbeSpec, SearchSpec
from membench.units import Volume, parse_bytes, parse_volume

Network = NetworkSpec | ModelSpec | str | Callable[..., Any]
Texts = str | Sequence[str]


def measure(
    network: Network | None = None,
    *,
    input: Texts = (),  # noqa: A002
    target: Texts = (),
    loss: str | Callable[..., Any] = "",
    arguments: Mapping[str, Any] | None = None,
    step: str | Callable[..., Any] = "",
    values: Mapping[str, int] | None = None,
    device: str | None = None,
    budget: str | int | None = None,
    volume: Volume | int | str | None = None,
    **settings: Any,
) -> Measurement:
    """Run training steps of a network on a device under a budget, and say what came of them.

    ``network`` is a record of one of membench's own, or what makes a model of the user's: a function or class that can
    be imported, or its name, ``package.module:name``. For a model, ``arguments``, ``input``, ``target``, ``loss``,
    ``step`` and ``values`` are as in `ModelSpec`; texts may come alone or in a list. ``budget`` is in bytes or a text
    such as ``16GiB``. ``settings`` are the other fields of `ProbeSpec`: batch, strategy, precision, optimizer, …

    Raises:
        UsageError: the probe cannot be run as asked.
        MembenchError: the device cannot be used on this machine.
    """
    model = _network(network, input, target, loss, arguments, step, values)
    found, probe = _probe(model, device, budget, volume, settings)
    with Prober(found) as prober:
        return prober(probe)


def find_largest(
    network: Network | None = None,
    axis: str = "volume",
    *,
    input: Texts = (),  # noqa: A002
    target: Texts = (),
    loss: str | Callable[..., Any] = "",
    arguments: Mapping[str, Any] | None = None,
    step: str | Callable[..., Any] = "",
    values: Mapping[str, int] | None = None,
    device: str | None = None,
    budget: str | int | None = None,
    volume: Volume | int | str | None = None,
    ratio: tuple[int, int, int] = (1, 1, 1),
    start: int | None = None,
    limit: int | None = None,
    multiple: int | None = None,
    **settings: Any,
) -> SearchResult:
    """Find the largest value on an axis that fits, and measure that the next one does not.

    The axis is one of `AxisName` for membench's own networks, or a ``{name}`` in the shapes and arguments of a model;
    ``ratio``, ``start``, ``limit`` and ``multiple`` are as in `SearchSpec`, all else as in `measure`.

    Raises:
        UsageError: the search cannot be made as asked.
        MembenchError: the device cannot be used on this machine.
    """
    model = _network(network, input, target, loss, arguments, step, values)
    found, probe = _probe(model, device, budget, volume, settings)
    search = SearchSpec(axis=axis, probe=probe, ratio=ratio, start=start, limit=limit, multiple=multiple)
    Axis(search)  # refuses what cannot be searched before anything is started
    with Prober(found) as prober:
        return walk(search, prober)


def _network(
    network: Network | None,
    inputs: Texts,
    targets: Texts,
    loss: str | Callable[..., Any],
    arguments: Mapping[str, Any] | None,
    step: str | Callable[..., Any],
    values: Mapping[str, int] | None,
) -> NetworkSpec | ModelSpec:
    if isinstance(network, NetworkSpec | ModelSpec) or (network is None and not step):
        if inputs or targets or loss or arguments or step or values:
            raise UsageError("input, target, loss, arguments, step and values are for a function that makes a model")
        return network or NetworkSpec()
    return ModelSpec(
        factory=_name(network or ""),
        step=_name(step),
        arguments=dict(arguments or {}),
        inputs=_texts(inputs),
        targets=_texts(targets),
        loss=_name(loss),
        values=dict(values or {}),
    )


def _probe(
    network: NetworkSpec | ModelSpec,
    device: str | None,
    budget: str | int | None,
    volume: Volume | int | str | None,
    settings: dict[str, Any],
) -> tuple[Device, ProbeSpec]:
    found = resolve(device)
    if volume is not None:
        settings = settings | {"volume": volume if isinstance(volume, tuple) else parse_volume(str(volume))}
    if isinstance(network, ModelSpec):
        settings = {"strategy": "plain"} | settings
    try:
        probe = msgspec.convert(settings, ProbeSpec, strict=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"these are no settings of a probe: {error}") from None
    limit = parse_bytes(budget) if isinstance(budget, str) else budget
    return found, msgspec.structs.replace(probe, network=network, device=found.info.name, budget=limit)


def _texts(texts: Texts) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _name(function: str | Callable[..., Any]) -> str:
    """The name by which the probing process can import the function."""
    if isinstance(function, str):
        return function
    module, path = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    name = f"{module}:{path}"
    if not path or "<" in path or module == "__main__" or import_function(name) is not function:
        raise UsageError(
            f"a probe runs in a process of its own, which cannot import {path or function!r}; put it into a module, "
            "as a function with a name"
        )
    return name
