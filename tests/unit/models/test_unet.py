"""The network itself, its strategies by name, and what it refuses."""

import time

import pytest
import torch
from torch import nn

from membench.errors import UsageError
from membench.models import build, get_strategy, parameter_count, register, strategies
from membench.models.strategies import _REGISTERED
from membench.models.strategies.plain import Plain
from membench.spec import NetworkSpec


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_logits_have_the_volume_of_the_input(stages, batch, small):
    network = build(small(stages=stages, in_channels=2, out_channels=5))
    assert network(torch.randn(batch, 2, 4, 8, 12)).shape == (batch, 5, 4, 8, 12)


@pytest.mark.parametrize("strategy", [name for name in strategies() if name != "plain"])
def test_state_is_exchanged_between_strategies(strategy, small):
    torch.manual_seed(0)
    plain = build(small())
    torch.manual_seed(0)
    seeded = build(small(), strategy)
    other = build(small(), strategy)
    assert plain.state_dict().keys() == seeded.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), seeded.parameters(), strict=True))
    x = torch.randn(1, 4, 4, 4, 4)
    assert not torch.allclose(other(x), plain(x))
    other.load_state_dict(seeded.state_dict())
    torch.testing.assert_close(other(x), plain(x))


def test_strategy_is_switched(small):
    network = build(small())
    for name in strategies():
        network.use_strategy(name)
        assert {id(stage.strategy) for stage in network.stages()} == {id(get_strategy(name))}
    with pytest.raises(UsageError, match="plain, checkpoint, reversible"):
        network.use_strategy("hopeful")
    assert all(stage.strategy is get_strategy(name) for stage in network.stages()), "a refusal changes nothing"


def test_each_stage_may_have_its_own_strategy(small, network_of, step, assert_same):
    expected = step(network_of(small(stages=3)), (4, 4, 8))
    network = network_of(small(stages=3), "reversible-sliced")
    for stage, name in zip(network.stages(), ["reversible", "plain", "checkpoint", "plain", "reversible"], strict=True):
        stage.strategy = get_strategy(name)
    assert_same(step(network, (4, 4, 8)), expected)


def test_a_stage_leaves_the_strategy_of_the_whole(small):
    ran = []

    class Noted(Plain):
        def run(self, blocks, x):
            ran.append(len(blocks))
            return super().run(blocks, x)

    network = build(small(blocks=3), "reversible-sliced")
    network.encoder[1].strategy = Noted()
    network(torch.ones(1, 4, 4, 4, 4))
    assert ran == [3]


def test_a_user_adds_a_strategy(small, monkeypatch):
    monkeypatch.setitem(_REGISTERED, "mine", None)  # so that it is taken out again afterwards
    del _REGISTERED["mine"]

    class Counting:
        blocks = 0

        def check(self, network: NetworkSpec) -> None:
            if network.block == "conv":
                raise UsageError("not for conv")

        def run(self, blocks, x):
            self.blocks += len(blocks)
            return get_strategy("plain").run(blocks, x)

    mine = Counting()
    register("mine", mine)
    assert strategies()[-1] == "mine"
    build(small(), "mine")(torch.randn(1, 4, 4, 4, 4))
    assert mine.blocks == 2 * 3
    with pytest.raises(UsageError, match="not for conv"):
        build(small(block="conv"), mine)
    with pytest.raises(UsageError, match="already"):
        register("plain", mine)


def test_parameters_are_counted(small):
    assert parameter_count(small()) == sum(p.numel() for p in build(small()).parameters())
    spec = NetworkSpec(base_channels=16, stages=1, blocks=1, expansion=6, norm_groups=4)
    function = (8 * 48 + 2 * 48) + (27 * 48 + 2 * 48) + (48 * 8 + 2 * 8)
    assert parameter_count(spec) == (4 * 27 * 16 + 16) + 2 * function + (16 * 3 + 3)
    residual = NetworkSpec(base_channels=16, stages=1, blocks=1, block="conv", norm_groups=4, coupling="none")
    assert parameter_count(residual) == (4 * 27 * 16 + 16) + 2 * (27 * 16 * 16 + 2 * 16) + (16 * 3 + 3)


def test_built_on_the_device_itself(small):
    network = build(small(upsampling="trilinear", skip="concat", squeeze_excitation=True), device="meta")
    assert {p.device.type for p in network.parameters()} == {"meta"}


def test_hundreds_of_blocks_are_built_quickly():
    started = time.process_time()
    build(NetworkSpec(blocks=60), device="meta")
    assert time.process_time() - started < 10


def test_concatenated_skip_is_a_convolution_of_the_concatenation(small):
    network = build(small(skip="concat"))
    x, kept = torch.randn(2, 2, 8, 4, 4, 4)
    skip = network.skip[0]
    torch.testing.assert_close(skip(x, kept), skip.reduce(torch.cat([x, kept], 1)), atol=1e-5, rtol=1e-5)


def test_no_normalisation_of_volume_by_dropout_zero(small):
    assert not any(isinstance(module, nn.Dropout) for module in build(small()).modules())
    assert any(isinstance(module, nn.Dropout) for module in build(small(dropout=0.1)).modules())


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (1, 3, 4, 4, 4), "takes"),
        ({}, (4, 4, 4, 4), "takes"),
        ({}, (1, 4, 4, 5, 4), "4x5x4 .* multiples of 2"),
        ({}, (1, 4, 0, 4, 4), "multiples of 2"),
        ({"norm": "instance"}, (1, 4, 2, 2, 2), "one value"),
        ({"norm_groups": 4, "channel_multiplier": 1.0}, (1, 4, 2, 2, 2), "one value"),
    ],
)
def test_unfit_volumes_are_refused(options, shape, message, small):
    with pytest.raises(UsageError, match=message):
        build(small(**options))(torch.randn(shape))


def test_smallest_volumes_are_taken(small):
    assert build(small())(torch.randn(1, 4, 2, 2, 2)).isfinite().all()


def test_networks_that_cannot_be_built_are_refused(small):
    with pytest.raises(UsageError, match="norm groups"):
        build(small(base_channels=6))
    with pytest.raises(UsageError, match="choose from plain"):
        build(small(), "hopeful")


@pytest.mark.parametrize("strategy", strategies())
def test_it_learns(strategy, small):
    from membench.models import segmentation_loss

    torch.manual_seed(0)
    network = build(small(), strategy)
    x = torch.randn(1, 4, 8, 8, 8)
    target = (x[:, :3] > 0.5).to(torch.uint8)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = segmentation_loss(network(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
