"""Small phantoms in every layout, written once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from membench.train.layouts import LAYOUTS
from membench.train.phantom import write_phantoms

SHAPE = (24, 20, 16)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of three heads for each layout, the same heads in all."""
    folder = tmp_path_factory.mktemp("phantoms")
    for name, layout in LAYOUTS.items():
        assert len(list(write_phantoms(folder / name, layout, 3, SHAPE, seed=1))) == 3
    return {name: folder / name for name in LAYOUTS}
