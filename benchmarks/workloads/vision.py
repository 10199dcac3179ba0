"""torchvision's networks."""

import torch
from torch import nn
from torchvision.models import convnext_tiny, resnet50, vit_b_16
from torchvision.models.detection import maskrcnn_resnet50_fpn

from workloads import workload
from workloads.steps import STEPS, image, labels, mean, train


def classify(network: nn.Module) -> None:
    loss = nn.CrossEntropyLoss()
    train(
        network, image(16, 3, 224, 224), loss=lambda y: loss(y, labels(16)), optimizer=torch.optim.AdamW,
        precision=torch.bfloat16,
    )  # fmt: skip


@workload()
def resnet() -> None:
    """torchvision ResNet-50, 16×224²."""
    classify(resnet50())


@workload()
def convnext() -> None:
    """torchvision ConvNeXt-T, 16×224²."""
    classify(convnext_tiny())


@workload()
def vit() -> None:
    """torchvision ViT-B/16, 16×224²."""
    classify(vit_b_16())


@workload()
def mask_rcnn() -> str:
    """torchvision Mask R-CNN, 2×512²."""
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).cuda().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    boxes = torch.tensor([[10.0, 10.0, 200.0, 200.0]], device="cuda")
    target = {"boxes": boxes, "labels": labels(1), "masks": image(1, 512, 512, dtype=torch.uint8)}
    for _ in range(STEPS):
        mean(network([image(3, 512, 512)] * 2, [target] * 2)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return "proposals are computed values, read as zeros: not what a card would hold"
