"""What fits in a CUDA memory budget, answered before you own the GPU.

import membench

membench.measure("nets:unet", input="1x4x{volume}", volume=(128, 128, 128), device="rtx-3090")
membench.find_largest("nets:unet", "volume", input="1x4x{volume}", device="rtx-3090", budget="16GiB")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from membench.api import find_largest, measure

__version__ = "0.1.0"
__all__ = ["find_largest", "measure"]


def __getattr__(name: str) -> Any:
    """What is imported when it is asked for, so that the package itself is light."""
    if name in __all__:
        from membench import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
