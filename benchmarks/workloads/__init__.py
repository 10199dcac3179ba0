"""What people run: small declarative workloads, one function each, for benchmarks/coverage.py.

A workload's name is that of its function, after its module's; its docstring is what the table calls it. It takes a few
training steps (or whatever it shows) on ``cuda`` and returns nothing, or one line worth telling.
"""

import ast
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

Function = Callable[[], str | None]
HERE = Path(__file__).parent
GROUPS = (
    "convolutions", "norms", "operators", "attention", "recurrent", "training", "allocator", "graphs", "parallel",
    "libraries", "medical", "nnunet", "vision", "language",
)  # fmt: skip


class Workload(NamedTuple):
    """One row: ``group.function``, and what it is called for people."""

    name: str
    title: str


def workload(*, refuses: str = "", environment: dict[str, str] | None = None) -> Callable[[Function], Function]:
    """Marks a function as a workload.

    ``refuses`` is the beginning of the name of the call that the emulated device is known not to model; the workload
    must then end with that call's name. ``environment`` is what PyTorch must find when it is imported: such a workload
    runs in a process of its own instead of a fork.
    """

    def mark(function: Function) -> Function:
        function.refuses, function.environment = refuses, environment or {}  # type: ignore[attr-defined]
        return function

    return mark


def workloads(groups: Sequence[str] = GROUPS) -> list[Workload]:
    """All workloads in the order of the table. The modules are read and not imported: they import PyTorch."""
    found = []
    for group in groups:
        for node in ast.parse((HERE / f"{group}.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and any("workload" in ast.unparse(d) for d in node.decorator_list):
                found.append(Workload(f"{group}.{node.name}", (ast.get_docstring(node) or "").rstrip(".")))
    return found
