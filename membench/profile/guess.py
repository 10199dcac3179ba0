"""What a block is by the stack that led to it, where nothing else is known of it: in snapshots from elsewhere."""

from collections.abc import Callable, Iterable

from membench.probe.recording import Category, Phase
from membench.snapshot import Frame, Stack

_OPTIMIZERS = ("/optim/", "optimizer.py", "/optimizers/")


def guess_phase(stack: Stack) -> Phase | None:
    """The phase that an allocation was made in. The thread of the backward pass runs no Python code."""
    frames = stack.frames
    if not frames:
        return None
    if _any(frames, _is_optimizers_step):
        return "optimizer"
    if _any(frames, _is_backward):
        return "backward"
    if _any(frames, _is_move):
        return "build"
    if _any(frames, lambda frame: frame.name in ("forward", "_call_impl") or "loss" in frame.name.lower()):
        return "forward"
    return None


def guess_category(stack: Stack, *, lasts: bool) -> tuple[Category, str]:
    """The category, and what it is in words. ``lasts``: the block is still in use when the recording ends."""
    frames = stack.frames
    if _any(frames, lambda frame: "workspace" in frame.name.lower()):
        return "workspace", "by its stack"
    phase = guess_phase(stack)
    if phase == "optimizer":
        return (
            ("optimizer state", "by its stack") if lasts else ("other", "temporaries of the optimizer, by their stack")
        )
    if phase == "backward":
        return "gradient", "made in the backward pass, by its stack"
    if phase == "build":
        return "parameter", "moved to the device, by its stack"
    if phase == "forward":
        return "activation", "made in the forward pass, by its stack"
    return "other", "unknown" if frames else "without a stack"


def _any(frames: Iterable[Frame], test: Callable[[Frame], bool]) -> bool:
    return any(map(test, frames))


def _is_optimizers_step(frame: Frame) -> bool:
    return any(part in frame.filename for part in _OPTIMIZERS) and frame.name in ("step", "_init_group", "wrapper")


def _is_backward(frame: Frame) -> bool:
    return "torch::autograd::Engine" in frame.name or frame.name in ("_engine_run_backward", "backward")


def _is_move(frame: Frame) -> bool:
    return frame.filename.endswith("torch/nn/modules/module.py") and frame.name in ("to", "cuda", "_apply", "convert")
