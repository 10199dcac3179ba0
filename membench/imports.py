"""Functions of the user's own, by name: from the working folder, from ``PYTHONPATH``, or installed."""

import importlib
import traceback
from collections.abc import Callable
from typing import Any

from membench.errors import UsageError


def import_function(name: str) -> Callable[..., Any]:
    """The function or class called ``package.module:name``.

    Raises:
        UsageError: it cannot be imported, or it cannot be called; the message says what failed, and where.
    """
    module_name, _, path = name.partition(":")
    found: Any = _import(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UsageError(f"{module_name} has no {path}") from None
        except Exception as error:  # modules that import their parts when these are asked for
            raise UsageError(f"{name} cannot be imported: {_reason(error)}") from error
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}, which cannot be called")
    function: Callable[..., Any] = found
    return function


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"{name} cannot be imported: {_reason(error)}") from error
        raise UsageError(
            f"there is no module {error.name} in the working folder, in PYTHONPATH, or installed"
        ) from None
    except (Exception, SystemExit) as error:
        raise UsageError(f"{name} cannot be imported: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = (
        "" if isinstance(error, SyntaxError) or "importlib" in frame.filename else f", {frame.filename}:{frame.lineno}"
    )
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
