"""Networks of others run as models of the user's own: those of the README and of benchmarks/examples, made small."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from membench.device import resolve
from membench.probe import Prober
from membench.spec import ModelSpec, ProbeSpec

EXAMPLES = Path(__file__).parents[2] / "benchmarks" / "examples"
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "monai": (
        "monai.networks.nets:SegResNet",
        {"arguments": {"in_channels": 4, "out_channels": 3, "init_filters": 8}, "inputs": ("1x4x{volume}",)},
    ),
    "dynamic_network_architectures": (
        "networks:residual_encoder_unet",
        {"arguments": {"features": [8, 16, 32]}, "inputs": ("1x4x{volume}",)},
    ),
    "torchvision": (
        "torchvision.models:resnet18",
        {"inputs": ("{batch}x3x64x64",), "targets": ("{batch}:int64",), "loss": "torch.nn.functional:cross_entropy"},
    ),
    "transformers": (
        "networks:gpt2",
        {
            "arguments": {"layers": 2, "width": 64, "heads": 2},
            "inputs": ("input_ids=2x{seq}:int64", "labels=2x{seq}:int64"),
            "values": {"seq": 32},
        },
    ),
}


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(EXAMPLES), prepend=":")
        with Prober(resolve("rtx-3090")) as prober:
            yield prober


@pytest.mark.slow
@pytest.mark.parametrize("package", SMALL)
def test_networks_of_others_are_measured(prober: Prober, package: str) -> None:
    pytest.importorskip(package)
    factory, fields = SMALL[package]
    model = ModelSpec(factory=factory, **fields)
    volume = {"volume": (32, 32, 32)} if "volume" in model.axes else {}
    probe = ProbeSpec(network=model, strategy="plain", precision="bf16", device="rtx-3090-24gb", **volume)
    found = prober(probe)
    assert found.fits, found.message
    # Parameters, gradients and two states of Adam, in float32.
    assert found.peak_allocated_bytes > 16 * found.parameters > 16 * 50_000
    assert found.unmodelled_calls == ()
    assert prober(probe).peak_reserved_bytes == found.peak_reserved_bytes
