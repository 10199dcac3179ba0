"""Who holds the peak of five networks: MONAI's, nnU-Net's, torchvision's, transformers' and ours.

The categories must add up to the peak of the unrecorded probe, to the byte. Exit code: 0 they do, 1 one does not.
Needs MONAI, dynamic-network-architectures, torchvision and transformers.
"""

import os
import sys
from pathlib import Path

from membench.device import resolve
from membench.probe import Prober
from membench.profile import attribute
from membench.profile.records import CATEGORIES
from membench.spec import ModelSpec, ProbeSpec
from membench.units import format_bytes

HERE = Path(__file__).parent
DEVICE = "a100-40gb"


def networks() -> dict[str, ProbeSpec]:
    segresnet = ModelSpec(
        factory="monai.networks.nets:SegResNet",
        arguments={"in_channels": 4, "out_channels": 3},
        inputs=("1x4x{volume}",),
    )
    unet = ModelSpec(factory="networks:residual_encoder_unet", inputs=("1x4x{volume}",))
    resnet = ModelSpec(factory="torchvision.models:resnet50", inputs=("8x3x224x224",))
    gpt2 = ModelSpec(factory="networks:gpt2", inputs=("2x128:int64", "labels=2x128:int64"))
    small = (64, 64, 64)
    return {
        "MONAI SegResNet, 64³": ProbeSpec(network=segresnet, strategy="plain", volume=small),
        "nnU-Net ResidualEncoderUNet, 64³": ProbeSpec(network=unet, strategy="plain", volume=small),
        "torchvision ResNet-50, 8×224², bf16": ProbeSpec(network=resnet, strategy="plain", precision="bf16"),
        "transformers GPT-2, 2×128": ProbeSpec(network=gpt2, strategy="plain", optimizer="adamw"),
        "ours, reversible, 64³": ProbeSpec(strategy="reversible", volume=small),
    }


def main() -> int:
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE / "examples"), os.environ.get("PYTHONPATH", "")])
    write = sys.stdout.write
    write(f"| network ({DEVICE}) | peak, bytes | sum of the categories | {' | '.join(CATEGORIES)} |\n")
    write("|---|--:|--:|" + "--:|" * len(CATEGORIES) + "\n")
    wrong = False
    with Prober(resolve(DEVICE)) as prober:
        for name, spec in networks().items():
            measured = prober(spec)
            categories = attribute(spec, prober, measured).peak.categories
            total = sum(categories.values())
            wrong |= total != measured.peak_allocated_bytes
            sizes = " | ".join(format_bytes(size) for size in categories.values())
            write(f"| {name} | {measured.peak_allocated_bytes:,} | {total:,} | {sizes} |\n")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
