"""What a recomputation must get right beyond the values: autograd's promises."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from membench.models import get_strategy, strategies
from membench.models.blocks import AdditiveCoupling
from membench.models.strategies import randomness, reversible

pytestmark = pytest.mark.parametrize("strategy", [name for name in strategies() if name != "plain"])


def test_dropout_is_drawn_again(strategy, small, network_of, step, assert_same):
    spec = small(dropout=0.4)
    results, after = [], []
    for name in ("plain", strategy):
        network = network_of(spec, name)
        torch.manual_seed(7)
        results.append(step(network))
        after.append(torch.rand(3))
    assert_same(results[1], results[0])
    assert torch.equal(after[0], after[1]), "the recomputation must not disturb what is drawn later"
    torch.manual_seed(8)
    assert not torch.equal(step(network_of(spec, strategy))["loss"], step(network)["loss"])


def test_dropout_is_off_in_evaluation(strategy, small, network_of, step, assert_same):
    assert_same(
        step(network_of(small(dropout=0.4), strategy).eval()), step(network_of(small(dropout=0.4), "plain").eval())
    )


def test_random_state_is_not_read_without_dropout(strategy, small, network_of, step, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("random state was read")

    network, random_network = network_of(small(), strategy), network_of(small(dropout=0.1), strategy)
    for module in (torch, torch.random, randomness.torch, reversible.torch):
        monkeypatch.setattr(module, "get_rng_state", refuse)
    assert step(network)
    if strategy == "offload":
        assert step(random_network), "nothing is computed again"
        return
    with pytest.raises(AssertionError, match="was read"):
        step(random_network)


def test_gradients_accumulate(strategy, small, network_of, step, assert_same):
    network, plain = network_of(small(), strategy), network_of(small())
    for _ in range(3):
        actual, expected = step(network), step(plain)
    assert_same(actual, expected)
    once = step(network_of(small(), strategy))
    torch.testing.assert_close(actual["head.weight"], 3 * once["head.weight"])


class _Convolutions(TorchDispatchMode):
    """Notes the dtype of every convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: list[torch.dtype] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation is torch.ops.aten.convolution.default:
            self.dtypes.append(args[0].dtype)
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("norm", ["group", "none"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(strategy, norm, dtype, small, network_of, step):
    exact = _flat(step(network_of(small(norm=norm), "plain", torch.float32)))
    errors = []
    for name in ("plain", strategy):
        network = network_of(small(norm=norm), name, torch.float32)
        with _Convolutions() as seen, torch.autocast("cpu", dtype=dtype):
            errors.append((_flat(step(network)) - exact).norm().item())
        assert set(seen.dtypes) == {dtype}
    # The sums are in float32, so that what is reconstructed mostly rounds to the same half-precision numbers.
    # Over a dozen seeds the ratio of slices, whose sums are in another order, is 1.0 in the mean and 0.6 to 1.4.
    assert 0 < errors[1] <= 1.5 * errors[0], "no farther from float32 than the half precision of plain"


def _flat(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
    """All gradients, each in proportion to its largest value."""
    return torch.cat([(gradient / gradient.abs().max()).flatten() for gradient in gradients.values()])


@pytest.mark.parametrize("forward", [False, True])
def test_backward_takes_autocast_from_forward(strategy, forward, small, network_of):
    network = network_of(small(), strategy, torch.float32)
    with _Convolutions() as seen:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=forward):
            y = network(torch.randn(1, 4, 4, 4, 4))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not forward):
            y.square().sum().backward()
    assert set(seen.dtypes) == {torch.bfloat16 if forward else torch.float32}


def test_weights_cast_without_gradients_are_not_cached(strategy, small, network_of):
    network = network_of(small(), strategy, torch.float32)
    x = torch.randn(1, 4, 4, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(x)
        network.use_strategy("plain")
        network(x).float().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_no_grad_builds_no_graph(strategy, small, network_of):
    network, plain = network_of(small(), strategy), network_of(small())
    x = torch.randn(1, 4, 4, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        y = network(x)
        expected = plain(x)
    assert not y.requires_grad
    torch.testing.assert_close(y, expected)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), expected)


def test_deepcopy_after_use(strategy, small, network_of, step, assert_same):
    network = network_of(small(), strategy)
    step(network)
    network.zero_grad()
    twin = copy.deepcopy(network)
    assert_same(step(twin), step(network))
    assert all(a is not b for a, b in zip(twin.parameters(), network.parameters(), strict=True))


def test_double_use_in_one_graph(strategy, small, network_of, assert_same):
    first, second = torch.randn(2, 1, 4, 4, 4, 4, dtype=torch.float64)
    results = []
    for name in ("plain", strategy):
        network = network_of(small(), name)
        stage = network.encoder[0]
        inner = stage(stage(network.stem(second)))
        (network(first) * network(second)).sum().add(inner.square().sum()).backward()
        results.append({name: p.grad for name, p in network.named_parameters()})
    assert_same(results[1], results[0])


def test_retained_graph(strategy, small, network_of, assert_same):
    network = network_of(small(), strategy)
    loss = network(torch.randn(1, 4, 4, 4, 4, dtype=torch.float64)).square().sum()
    loss.backward(retain_graph=True)
    once = {name: p.grad.clone() for name, p in network.named_parameters()}
    if strategy == "selective":
        with pytest.raises(RuntimeError, match="only allowed to backward once"):  # PyTorch's own limit
            loss.backward()
        return
    loss.backward()
    assert_same({name: p.grad / 2 for name, p in network.named_parameters()}, once)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_frozen_parameters_and_inputs(strategy, small, network_of, step, assert_same):
    results = []
    for name in ("plain", strategy):
        network = network_of(small(), name)
        for index, parameter in enumerate(network.parameters()):
            parameter.requires_grad_(index % 3 == 0)
        results.append(step(network))
    assert_same(results[1], results[0])
    network.requires_grad_(False).zero_grad()
    assert step(network).keys() == {"input", "loss"}
    assert not network(torch.randn(1, 4, 4, 4, 4, dtype=torch.float64)).requires_grad


def test_only_parameters_want_gradients(strategy, coupling):
    x = torch.randn(3, 4, dtype=torch.float64)
    results = []
    for name in ("plain", strategy):
        y = get_strategy(name).run([coupling], x)
        results.append(torch.autograd.grad(y.square().sum(), list(coupling.parameters())))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


def test_functions_may_share_parameters(strategy, coupling):
    shared = [coupling, AdditiveCoupling(coupling.g, coupling.f), coupling]
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    results = []
    for name in ("plain", strategy):
        y = get_strategy(name).run(shared, x)
        results.append(torch.autograd.grad(y.square().sum(), [x, *coupling.parameters()]))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


def test_hooks_on_parameters_run_once(strategy, coupling):
    seen: list[str] = []
    for name, parameter in coupling.named_parameters():
        parameter.register_hook(lambda gradient, name=name: seen.append(name) or gradient * 2)
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: seen.append(f"{name} is there"))
    x = torch.randn(3, 4, dtype=torch.float64)
    y = get_strategy(strategy).run([coupling], x)
    y.sum().backward()
    names = [name for name, _ in coupling.named_parameters()]
    assert sorted(seen) == sorted([*names, *(f"{name} is there" for name in names)])
    hooked = [p.grad for p in coupling.parameters()]
    twin = copy.deepcopy(coupling)
    for p in twin.parameters():
        p._backward_hooks = None
    expected = torch.autograd.grad(get_strategy("plain").run([twin], x).sum(), list(twin.parameters()))
    for actual, gradient in zip(hooked, expected, strict=True):
        torch.testing.assert_close(actual, gradient * 2)


def test_distributed_data_parallel(strategy, small, network_of, step, assert_same, tmp_path):
    expected = step(network_of(small()))
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(network_of(small(), strategy))
        actual = step(wrapped)
    finally:
        torch.distributed.destroy_process_group()
    assert_same({name.removeprefix("module."): gradient for name, gradient in actual.items()}, expected)
