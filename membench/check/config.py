"""What is checked: the cases of ``membench.toml``, or of ``[tool.membench]`` in ``pyproject.toml``."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from membench.check.thresholds import DEFAULT_THRESHOLDS, Threshold, parse_threshold
from membench.errors import UsageError
from membench.spec import AUTO, ModelSpec, NetworkSpec, ProbeSpec
from membench.units import parse_bytes, parse_volume

OWN_FILE, SHARED_FILE = "membench.toml", "pyproject.toml"
BASELINE, HISTORY = "membench-baseline.json", "membench-history.jsonl"
# How a case names the fields of a `ModelSpec`.
MODEL_KEYS = {
    "model": "factory",
    "step": "step",
    "arguments": "arguments",
    "input": "inputs",
    "target": "targets",
    "loss": "loss",
    "values": "values",
}
T = TypeVar("T", bound=msgspec.Struct)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement that is compared. ``limit`` is of peak reserved bytes, ``line`` where the case is in the file."""

    name: str
    probe: ProbeSpec
    limit: int | None = None
    fail_on: tuple[Threshold, ...] | None = None
    line: int = 1


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All cases of a file, in its order; paths are resolved against its folder.

    ``baseline_stated``: the file names its baseline, so that one has to be there.
    """

    path: Path
    baseline: Path
    history: Path
    fail_on: tuple[Threshold, ...]
    cases: tuple[Case, ...]
    device_file: Path | None = None
    baseline_stated: bool = False


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tables as they are written; ``defaults`` are fields of every case that does not state them."""

    case: list[dict[str, Any]]
    defaults: dict[str, Any] = {}
    baseline: str | None = None
    history: str = HISTORY
    device_file: str | None = None
    fail_on: list[str] | None = None


class _Own(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a case that are not of its probe."""

    name: str
    limit: str | None = None
    fail_on: list[str] | None = None


def find_config(folder: Path) -> Path:
    """``membench.toml`` in the folder, else ``pyproject.toml`` with a ``[tool.membench]`` table.

    Raises:
        UsageError: there is neither.
    """
    if (folder / OWN_FILE).is_file():
        return folder / OWN_FILE
    shared = folder / SHARED_FILE
    if shared.is_file() and "membench" in _parsed(shared).get("tool", {}):
        return shared
    raise UsageError(f"there is no {OWN_FILE} here, and no [tool.membench] in {SHARED_FILE}; name one with --config")


def load_config(path: Path) -> Config:
    """Read the cases of a file.

    Raises:
        UsageError: it cannot be read, or something in it is wrong; the message names file, case and key.
    """
    document = _parsed(path)
    if path.name == SHARED_FILE:
        document = document.get("tool", {}).get("membench")
        if document is None:
            raise UsageError(f"{path}: there is no [tool.membench] table")
    try:
        return _config(path, document)
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"{path}: {error}") from error


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


def _config(path: Path, document: Any) -> Config:
    file = msgspec.convert(document, _File)
    if not file.case:
        raise UsageError("there is no [[case]]")
    lines = _lines(path, len(file.case))
    cases = tuple(
        _case(table, file.defaults, number, line)
        for number, (table, line) in enumerate(zip(file.case, lines, strict=True))
    )
    for number, case in enumerate(cases):
        if case.name in (earlier.name for earlier in cases[:number]):
            raise UsageError(f"two cases are named {case.name!r}")
    return Config(
        path=path,
        baseline=path.parent / (file.baseline or BASELINE),
        baseline_stated=file.baseline is not None,
        history=path.parent / file.history,
        fail_on=DEFAULT_THRESHOLDS if file.fail_on is None else tuple(map(parse_threshold, file.fail_on)),
        cases=cases,
        device_file=None if file.device_file is None else path.parent / file.device_file,
    )


def _lines(path: Path, count: int) -> list[int]:
    """The line of each ``[[case]]``; the first line for all where they are written in another way."""
    header = re.compile(r"\s*\[\[\s*(?:tool\s*\.\s*membench\s*\.\s*)?case\s*\]\]")
    text = path.read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(text, 1) if header.match(line)]
    return found if len(found) == count else [1] * count


def _case(table: dict[str, Any], defaults: dict[str, Any], number: int, line: int) -> Case:
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"case {number + 1}: name must be a text that is not empty")
    try:
        return _read_case(_with_defaults(table, defaults), line)
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"case {name!r}: {error}") from error


def _with_defaults(table: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The table with the fields that it does not state, as far as they are for its kind of network."""
    if not (defaults | table).keys() & {"model", "step"}:
        return defaults | table
    others = {key: value for key, value in defaults.items() if key not in (*NetworkSpec.__struct_fields__, "strategy")}
    return {"strategy": "plain", **others, **table}


def _read_case(table: dict[str, Any], line: int) -> Case:
    own = {key: table.pop(key) for key in _Own.__struct_fields__ if key in table}
    stated = _converted(own, _Own)
    probe = _probe(table)
    probe.validate()
    if probe.strategy == AUTO:
        raise UsageError(f"strategy: {AUTO} is chosen by measuring and may change; name the strategy to check")
    return Case(
        name=stated.name,
        probe=probe,
        limit=None if stated.limit is None else _keyed("limit", parse_bytes, stated.limit),
        fail_on=None
        if stated.fail_on is None
        else tuple(_keyed("fail_on", parse_threshold, t) for t in stated.fail_on),
        line=line,
    )


def _probe(table: dict[str, Any]) -> ProbeSpec:
    """A probe from the fields of a network and of the step, side by side as on the command line."""
    fields = (
        MODEL_KEYS if "model" in table or "step" in table else {name: name for name in NetworkSpec.__struct_fields__}
    )
    known = [*(field for field in ProbeSpec.__struct_fields__ if field != "network"), *fields]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, (*known, *MODEL_KEYS, *_Own.__struct_fields__), n=1)
            raise UsageError(f"{key}: there is no such key{f'; did you mean {near[0]}?' if near else ' here'}")
    written = {"volume": parse_volume, "budget": parse_bytes}
    for key in written.keys() & table.keys():
        if not isinstance(table[key], str):
            raise UsageError(f"{key}: write it as text, such as {'16GiB' if key == 'budget' else '128x128x128'}")
        table[key] = _keyed(key, written[key], table[key])
    network = {key: table.pop(key) for key in fields if key in table}
    step = _converted(table, ProbeSpec)
    return msgspec.structs.replace(step, network=_network(network))


def _network(table: dict[str, Any]) -> NetworkSpec | ModelSpec:
    if not table.keys() & {"model", "step"}:
        return _converted(table, NetworkSpec)
    for key in ("input", "target"):  # one text, or several
        if isinstance(table.get(key), str):
            table[key] = [table[key]]
    kinds = get_type_hints(ModelSpec)
    for key, value in table.items():
        _check(key, value, kinds[MODEL_KEYS[key]])
    return msgspec.convert({MODEL_KEYS[key]: value for key, value in table.items()}, ModelSpec)


def _converted(table: dict[str, Any], record: type[T]) -> T:
    """The record of these fields; the error of a field begins with its name."""
    kinds = get_type_hints(record)
    for key, value in table.items():
        _check(key, value, kinds[key])
    return msgspec.convert(table, record)


def _check(key: str, value: Any, kind: Any) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{key}: {str(error)[:1].lower()}{str(error)[1:]}") from error


def _keyed(key: str, read: Any, text: str) -> Any:
    try:
        return read(text)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from error
