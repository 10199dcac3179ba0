"""Names, paths and numbers in the cells of a table."""

import io

import pytest
from rich.console import Console

from membench.cli.output import Folded, plain_table


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("decoder.0.blocks.0.f.depthwise_norm", 31, ["decoder.0.blocks.0.f.depthwise_", "norm"]),
        ("membench/strategies/reversible.py:51 (forward)", 28, ["membench/strategies/", "reversible.py:51 (forward)"]),
        ("forward 1.5 GiB, backward 367.25 MiB", 35, ["forward 1.5 GiB, backward", "367.25 MiB"]),
        ("model.layers.10.weight", 14, ["model.", "layers.10.", "weight"]),
        ("1x2\nthree four", 8, ["1x2", "three", "four"]),
        ("short", 5, ["short"]),
        ("unbreakable", 6, ["unbrea", "kable"]),
    ],
)
def test_a_cell_is_folded_where_a_reader_expects_it(text: str, width: int, lines: list[str]) -> None:
    console = Console(width=width, file=io.StringIO())
    assert ["".join(part.text for part in line).rstrip() for line in console.render_lines(Folded(text))] == lines


def test_a_long_name_leaves_numbers_whole() -> None:
    table = plain_table("Module", "Peak", "Share")
    table.add_row(Folded("model.layers." * 12), "104.13 MiB", "28.4%")
    console = Console(width=60, file=io.StringIO())
    console.print(table)
    assert "104.13 MiB  28.4%\n" in console.file.getvalue()
