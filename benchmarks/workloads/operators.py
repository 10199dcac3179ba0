"""Operators; those whose result depends on computed values read zeros."""

import torch
from torch import nn
from torch.nn import functional

from workloads import workload
from workloads.steps import image, labels, train


@workload()
def trilinear() -> None:
    """interpolate, trilinear."""
    functional.interpolate(
        image(2, 8, 32, 32, 32, requires_grad=True), scale_factor=2, mode="trilinear"
    ).sum().backward()


@workload()
def nearest() -> None:
    """interpolate, nearest."""
    functional.interpolate(image(2, 8, 32, 32, 32, requires_grad=True), scale_factor=2, mode="nearest").sum().backward()


@workload()
def bicubic() -> None:
    """interpolate, bicubic, antialiased."""
    x = image(2, 8, 64, 64, requires_grad=True)
    functional.interpolate(x, scale_factor=0.5, mode="bicubic", antialias=True).sum().backward()


@workload()
def pooling() -> None:
    """max_pool3d, avg_pool3d, adaptive_avg_pool3d."""
    x = image(2, 8, 32, 32, 32, requires_grad=True)
    pooled = (
        functional.max_pool3d(x, 2).sum()
        + functional.avg_pool3d(x, 2).sum()
        + functional.adaptive_avg_pool3d(x, 1).sum()
    )
    pooled.backward()


@workload()
def grid_sample() -> None:
    """grid_sample, affine_grid."""
    grid = functional.affine_grid(image(2, 3, 4), [2, 8, 32, 32, 32])
    functional.grid_sample(image(2, 8, 32, 32, 32, requires_grad=True), grid).sum().backward()


@workload(refuses="cudnnCreateSpatialTransformerDescriptor")
def grid_sample_2d() -> None:
    """grid_sample and affine_grid, 2-D (cuDNN's spatial transformer)."""
    grid = functional.affine_grid(image(2, 2, 3), [2, 8, 32, 32])
    functional.grid_sample(image(2, 8, 32, 32, requires_grad=True), grid, align_corners=True).sum().backward()


@workload()
def embedding() -> None:
    """Embedding."""
    train(nn.Embedding(50_000, 768), labels(8, 1024))


@workload()
def embedding_bag() -> None:
    """EmbeddingBag."""
    train(nn.EmbeddingBag(50_000, 768), labels(8, 1024))


@workload()
def cross_entropy() -> None:
    """cross_entropy, nll_loss, ctc_loss."""
    functional.cross_entropy(image(8, 1000, requires_grad=True), labels(8)).backward()
    lengths = torch.full((4,), 20, dtype=torch.long)
    functional.ctc_loss(image(50, 4, 30, requires_grad=True), labels(4, 20), lengths + 30, lengths).backward()


@workload()
def sort() -> None:
    """sort, argsort, topk."""
    x = image(1 << 22)
    x.sort()
    x.view(1024, -1).sort(dim=1)
    x.argsort()
    x.topk(100)


@workload()
def unique() -> str:
    """unique."""
    return f"{torch.unique(image(1 << 20)).numel()} values: counts are read from the device, as zeros"


@workload()
def nonzero() -> str:
    """nonzero, masked_select."""
    x = image(1 << 20)
    return f"{x.nonzero().shape[0]} + {x[x > 0].numel()} elements: counts are read from the device, as zeros"


@workload()
def index_put() -> None:
    """index_put, accumulating; scatter_add."""
    x = image(1 << 20)
    x.index_put((labels(1 << 16),), image(1 << 16), accumulate=True)
    x.scatter_add(0, labels(1 << 16), image(1 << 16))


@workload()
def boolean_index_put() -> None:
    """x[mask] = value."""
    x = image(1 << 20)
    x[x > 0] = 1.0
    x[x > 0] = image(1).expand(0)


@workload()
def scans() -> None:
    """cumsum, cumprod, logcumsumexp."""
    x = image(1 << 20)
    x.cumsum(0)
    x.cumprod(0)
    x.logcumsumexp(0)


@workload()
def random() -> None:
    """randn, randperm, dropout, multinomial."""
    torch.randn(1 << 20, device="cuda")
    torch.randperm(1 << 20, device="cuda")
    functional.dropout(image(1 << 20, requires_grad=True)).sum().backward()
    torch.bernoulli(image(1 << 20))


@workload()
def products() -> None:
    """matmul, bmm, baddbmm, einsum, addmm."""
    a = image(64, 256, 256, requires_grad=True)
    (a @ a + torch.bmm(a, a) + torch.einsum("bij,bjk->bik", a, a)).sum().backward()
    train(nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256)), image(64, 256))


@workload()
def complex_numbers() -> None:
    """Complex arithmetic and products."""
    a = image(256, 256, dtype=torch.complex64, requires_grad=True)
    (a @ a).abs().sum().backward()
