"""The network itself, its strategies by name, and what it refuses."""

import time

import pytest
import torch
from torch import nn

from membench.errors import UsageError
from membench.models import build, get_strategy, parameter_count, register, strategies
from membench.models.strategies import _REGISTERED
from membench.models.strategies.plain import Plain
from membench.spec import NetworkSpec, ProbeSpec


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
    with pytest.raises(UsageError, match="plain, checkpoint, selective"):
        network.use_strategy("hopeful")
    assert all(stage.strategy is get_strategy(name) for stage in network.stages()), "a refusal changes nothing"


@pytest.mark.parametrize("slices", [None, 2])
@pytest.mark.parametrize("name", ["reversible:plain:checkpoint", "plain:reversible-sliced:reversible-sliced"])
def test_each_resolution_may_have_its_own_strategy(name, slices, small, network_of, step, assert_same):
    spec = small(stages=3, blocks=3)
    if slices and "sliced" not in name:
        with pytest.raises(UsageError, match="does not run in slices"):
            get_strategy(name, slices=slices)
        return
    network = network_of(spec, get_strategy(name, slices=slices))
    assert_same(step(network, (4, 4, 8)), step(network_of(spec), (4, 4, 8)))
    finest, middle, lowest = (type(get_strategy(each)) for each in name.split(":"))
    assert [type(stage.strategy) for stage in network.stages()] == [finest, middle, lowest, middle, finest]
    assert {getattr(stage.strategy, "slices", 1) for stage in network.stages()} <= {1, slices}


def test_the_same_strategy_for_every_stage_is_that_of_the_network(small):
    network = build(small(stages=3), get_strategy("reversible-sliced:reversible-sliced:reversible-sliced", slices=2))
    network.encoder[0].forward = None  # the network is taken in hand as a whole
    assert network(torch.ones(1, 4, 4, 4, 4)).shape == (1, 3, 4, 4, 4)


def test_strategies_by_stage_are_counted(small):
    for stages in (1, 2, 4):
        with pytest.raises(UsageError, match=f"3 strategies for {stages} stages; .* full resolution down"):
            build(small(stages=stages), "plain:plain:reversible")
        with pytest.raises(UsageError, match=f"3 strategies for {stages} stages"):
            ProbeSpec(network=small(stages=stages), strategy="plain:plain:reversible").validate()
    with pytest.raises(UsageError, match="no inverse"):
        build(small(coupling="none"), "plain:reversible")
    with pytest.raises(UsageError, match="no strategy ''"):
        get_strategy("plain:")
    with pytest.raises(UsageError, match="whole network"):
        get_strategy("plain:plain").run([], torch.ones(1))


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
    with pytest.raises(UsageError, match="colon"):
        register("a:b", mine)


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
