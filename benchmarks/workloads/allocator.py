"""The caching allocator: its settings, streams, pools, and what it tells."""

import os

import torch

from workloads import workload
from workloads.convolutions import plain_3d
from workloads.steps import image


def configured(settings: str, name: str = "PYTORCH_CUDA_ALLOC_CONF") -> None:
    os.environ[name] = settings  # read when CUDA is initialised
    plain_3d()
    for megabytes in (3, 70, 30, 70):
        image(megabytes << 20, dtype=torch.uint8)


@workload()
def expandable_segments() -> None:
    """expandable_segments:True."""
    configured("expandable_segments:True")


@workload()
def alloc_conf() -> None:
    """PYTORCH_ALLOC_CONF."""
    configured("expandable_segments:True", "PYTORCH_ALLOC_CONF")


@workload()
def max_split_size() -> None:
    """max_split_size_mb:64."""
    configured("max_split_size_mb:64")


@workload()
def garbage_collection() -> None:
    """garbage_collection_threshold:0.6."""
    os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "garbage_collection_threshold:0.6"
    torch.cuda.set_per_process_memory_fraction(0.01)
    for size in range(10, 200, 10):
        image(size << 20, dtype=torch.uint8)


@workload()
def roundup() -> None:
    """roundup_power2_divisions:4."""
    configured("roundup_power2_divisions:4")


@workload()
def pinned_settings() -> None:
    """pinned_use_cuda_host_register:True."""
    os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "pinned_use_cuda_host_register:True,pinned_num_register_threads:2"
    torch.empty(1 << 24, pin_memory=True).cuda(non_blocking=True)


@workload()
def no_caching() -> None:
    """PYTORCH_NO_CUDA_MEMORY_CACHING=1."""
    os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"
    plain_3d()


@workload(refuses="cudaDeviceGetDefaultMemPool", environment={"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"})
def malloc_async() -> None:
    """backend:cudaMallocAsync."""
    plain_3d()
    torch.cuda.empty_cache()


@workload()
def fraction() -> str:
    """set_per_process_memory_fraction, out of memory."""
    torch.cuda.set_per_process_memory_fraction(0.1)
    try:
        torch.empty(8 << 30, dtype=torch.uint8, device="cuda")
    except torch.OutOfMemoryError as error:
        return " ".join(str(error).split()[:8])
    raise AssertionError("8 GiB were given out of 4")


@workload()
def streams() -> None:
    """Streams, events, record_stream."""
    side = torch.cuda.Stream()
    for _ in range(3):
        x = image(1 << 20)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            y = x * 2
            x.record_stream(side)
        torch.cuda.current_stream().wait_event(side.record_event())
        del x, y


@workload()
def mem_pool() -> None:
    """MemPool, use_mem_pool."""
    pool = torch.cuda.MemPool()
    with torch.cuda.use_mem_pool(pool):
        image(1 << 20)


@workload()
def history() -> str:
    """Memory history and snapshot."""
    torch.cuda.memory._record_memory_history(max_entries=10_000)
    plain_3d()
    snapshot = torch.cuda.memory._snapshot()
    return f"{len(snapshot['device_traces'][0])} events, {len(snapshot['segments'])} segments"


@workload()
def free_memory() -> str:
    """mem_get_info, memory_stats, memory_summary."""
    before = torch.cuda.mem_get_info()[0]
    block = image(100 << 20, dtype=torch.uint8)
    torch.cuda.memory_summary()
    assert (
        before - torch.cuda.mem_get_info()[0] == block.nbytes == torch.cuda.memory_stats()["reserved_bytes.all.current"]
    )
    return f"{before:,} bytes free before the first tensor"


@workload()
def nvidia_ml() -> str:
    """nvidia-ml-py and torch.cuda's own queries of NVML."""
    import pynvml

    block = image(100 << 20, dtype=torch.uint8)
    pynvml.nvmlInit()
    card = pynvml.nvmlDeviceGetHandleByIndex(0)
    memory = pynvml.nvmlDeviceGetMemoryInfo(card)
    newer = pynvml.nvmlDeviceGetMemoryInfo(card, version=pynvml.nvmlMemory_v2)
    free, total = torch.cuda.mem_get_info()
    assert (memory.free, memory.total, newer.free) == (free, total, free)
    assert pynvml.nvmlDeviceGetName(card) == torch.cuda.get_device_name()
    (process,) = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
    assert (process.pid, process.usedGpuMemory) == (os.getpid(), memory.used)
    assert torch.cuda.device_memory_used() == memory.used
    assert str(os.getpid()) in torch.cuda.list_gpu_processes()
    del block
    return f"{memory.used:,} bytes used by one process"
