"""The user's functions by name, and what is said of those that cannot be had."""

from pathlib import Path

import pytest

from membench.errors import UsageError
from membench.imports import import_function

MODULES = {
    "broken_syntax": "def f(:\n",
    "broken_import": "import not_there_at_all\n",
    "raising": "x = 1\nraise OSError('no such luck')\n",
    "leaving": "raise SystemExit(3)\n",
    "lazy": "def __getattr__(name):\n    raise RuntimeError('not now')\n",
    "sound": "number = 3\nclass A:\n    @staticmethod\n    def f(): return 5\n",
}


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in MODULES.items():
        (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)


def test_functions_of_modules_and_of_classes_are_found() -> None:
    assert import_function("sound:A.f")() == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("not_there_at_all:f", "there is no module not_there_at_all in the working folder"),
        ("sound.deeper:f", "sound.deeper"),
        ("sound:missing", "sound has no missing"),
        ("sound:number", "is a int, which cannot be called"),
        ("broken_syntax:f", "broken_syntax cannot be imported: SyntaxError: .*line 1"),
        (
            "broken_import:f",
            "broken_import cannot be imported: ModuleNotFoundError: No module named 'not_there_at_all'",
        ),
        ("raising:f", r"raising cannot be imported: OSError: no such luck, .*raising.py:2"),
        ("leaving:f", "leaving cannot be imported: SystemExit: 3"),
        ("lazy:f", "lazy:f cannot be imported: RuntimeError: not now"),
    ],
)
def test_what_cannot_be_had_is_named(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        import_function(name)
