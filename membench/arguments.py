"""Arguments of the user's functions as texts, and ``{name}`` in texts, which stands for a value."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from membench.errors import UsageError

_NAME = re.compile(r"\{([A-Za-z_]\w*)\}", re.ASCII)


def parse_argument(text: str) -> tuple[str, Any]:
    """Read ``name=value``: the value is a JSON or TOML literal, or else a text. One with a ``{name}`` stays a text.

    Raises:
        UsageError: there is no name.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"{text!r} is no argument; write for example in_channels=4")
    return name, value if _NAME.search(value) else _literal(value)


def write_argument(name: str, value: Any) -> str:
    """What `parse_argument` reads as this argument."""
    bare = isinstance(value, str) and (_NAME.search(value) or _literal(value) == value)
    return f"{name}={value if bare else json.dumps(value, ensure_ascii=False)}"


def names_in(value: Any) -> Iterator[str]:
    """Every ``{name}`` in the texts of a value, in order."""
    if isinstance(value, str):
        yield from _NAME.findall(value)
    elif isinstance(value, dict):
        yield from (name for each in value.values() for name in names_in(each))
    elif isinstance(value, list | tuple):
        yield from (name for each in value for name in names_in(each))


def fill_text(text: str, values: Mapping[str, Any]) -> str:
    """The text with each ``{name}`` replaced by its value; names without one stay."""
    return _NAME.sub(lambda match: str(values.get(match[1], match[0])), text)


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """The value with all texts in it that have a ``{name}`` filled, and then read as literals."""
    if isinstance(value, dict):
        return {name: fill(each, values) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [fill(each, values) for each in value]
    return _literal(fill_text(value, values)) if isinstance(value, str) and _NAME.search(value) else value


def _literal(text: str) -> Any:
    words = {"None": None, "True": True, "False": False}
    if text in words:
        return words[text]
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        pass
    try:
        value = tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
        json.dumps(value, allow_nan=False)  # what JSON does not hold, dates among it, stays a text
    except (TypeError, ValueError):
        return text
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
