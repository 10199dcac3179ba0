"""What fits in a CUDA memory budget, answered before you own the GPU."""

__version__ = "0.1.0"
