import pytest

from membench.profile.guess import guess_category, guess_phase
from membench.snapshot import Frame, Stack

MODULE = "/site-packages/torch/nn/modules/module.py"


def stack(*frames: tuple[str, str]) -> Stack:
    return Stack(tuple(Frame(filename=filename, line=1, name=name) for filename, name in frames))


@pytest.mark.parametrize(
    ("frames", "phase", "category"),
    [
        ([("/me/net.py", "forward"), (MODULE, "_call_impl"), ("/me/train.py", "main")], "forward", "activation"),
        ([(MODULE, "convert"), (MODULE, "_apply"), (MODULE, "to"), ("/me/train.py", "main")], "build", "parameter"),
        ([("/torch/optim/adam.py", "_init_group"), ("/torch/optim/adam.py", "step")], "optimizer", "optimizer state"),
        ([("/me/own/optimizer.py", "step"), ("/me/train.py", "main")], "optimizer", "optimizer state"),
        ([("??", "torch::autograd::Engine::thread_main()")], "backward", "gradient"),
        ([("??", "at::cuda::getCUDABlasLtWorkspace()"), ("/me/net.py", "forward")], "forward", "workspace"),
        ([("/me/train.py", "main")], None, "other"),
        ([], None, "other"),
    ],
)
def test_what_a_stack_tells(frames: list[tuple[str, str]], phase: str | None, category: str) -> None:
    assert guess_phase(stack(*frames)) == phase
    assert guess_category(stack(*frames), lasts=True)[0] == category


def test_what_an_optimizer_gives_back_is_no_state() -> None:
    assert guess_category(stack(("/torch/optim/adam.py", "step")), lasts=False)[0] == "other"
