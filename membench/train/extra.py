"""The packages that training needs beside membench's own: the extra ``train``."""

import importlib.util

from membench.errors import MembenchError

PACKAGES = ("monai", "nibabel", "scipy", "tensorboard")


def require_extra() -> None:
    """Refuse to go on without the packages of the extra; none is imported.

    Raises:
        MembenchError: at least one is not installed.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MembenchError(f"training needs {', '.join(missing)}: pip install 'membench[train]'")
