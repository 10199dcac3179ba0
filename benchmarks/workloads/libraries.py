"""Libraries that have no planner without a device: refused by name."""

import torch

from workloads import workload
from workloads.steps import image, labels


@workload(refuses="cufft")
def fft() -> None:
    """torch.fft (cuFFT)."""
    torch.fft.fftn(image(8, 64, 64, dtype=torch.complex64))


@workload(refuses="cusolver")
def cholesky() -> None:
    """torch.linalg.cholesky (cuSOLVER)."""
    torch.linalg.cholesky(image(256, 256))


@workload(refuses="cu")
def solve() -> None:
    """torch.linalg.solve (cuSOLVER)."""
    torch.linalg.solve(image(256, 256), image(256, 1))


@workload(refuses="cusolver")
def svd() -> None:
    """torch.linalg.svd (cuSOLVER)."""
    torch.linalg.svd(image(256, 256))


@workload(refuses="cusolver")
def eigen() -> None:
    """torch.linalg.eigh (cuSOLVER)."""
    torch.linalg.eigh(image(256, 256))


@workload(refuses="cusparse")
def sparse() -> None:
    """Sparse matrix products (cuSPARSE)."""
    rows, columns = torch.arange(257, device="cuda"), labels(256)
    torch.sparse.mm(torch.sparse_csr_tensor(rows, columns, image(256), (256, 256)), image(256, 256))


@workload()
def runtime_compiled() -> None:
    """Jiterator kernels (NVRTC)."""
    torch.special.bessel_j0(image(1 << 20))
