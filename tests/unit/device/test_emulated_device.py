"""PyTorch's real CUDA build on the emulated device: what it reports and allocates."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from membench.device import Device, ascending, find_card, resolve

RunEmulated = Callable[..., Any]


def test_torch_sees_the_described_card(run_emulated: RunEmulated) -> None:
    found = run_emulated(
        """
import torch
p = torch.cuda.get_device_properties(0)
result = [torch.cuda.device_count(), p.name, p.total_memory, p.major, p.minor, p.multi_processor_count,
          p.max_threads_per_multi_processor, p.L2_cache_size, torch.cuda.mem_get_info()[0]]
""",
        card="rtx-4090",
    )
    card = find_card("rtx-4090")[1]
    assert found == [1, card.name, card.total_bytes, 8, 9, 128, 1536, card.l2_bytes, card.usable_bytes]


@pytest.mark.parametrize(("driver", "sign"), [((lambda device: device), -1), (ascending, 1)])
def test_new_memory_lies_below_the_old_or_above(driver: Callable[[Device], Device], sign: int) -> None:
    script = "import torch; print(*(torch.empty(n << 20, device='cuda').data_ptr() for n in (16, 24)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=driver(resolve("t4")).child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = map(int, done.stdout.split())
    assert (second > first) == (sign > 0)


def test_a_convolution_peaks_as_published(run_emulated: RunEmulated) -> None:
    """PyTorch issue 95024, on a real 80 GB card: 12.874233344 GB allocated, 12.880707584 GB reserved."""
    found = run_emulated(
        """
import torch
x = torch.randn(1, 64, 361, 370, 251, device="cuda", dtype=torch.half)
convolution = torch.nn.Conv3d(64, 32, 3, padding=1).cuda().half()
with torch.no_grad():
    y = convolution(x)
result = [torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()]
""",
        card="a100-80gb",
    )
    assert found == [12_874_233_344, 12_880_707_584]


def test_memory_runs_out_as_on_a_card(run_emulated: RunEmulated) -> None:
    free, held, message, after = run_emulated(
        """
import torch
free, total = torch.cuda.mem_get_info()
blocks = []
try:
    while True:
        blocks.append(torch.empty(1 << 30, dtype=torch.uint8, device="cuda"))
except torch.OutOfMemoryError as error:
    message = str(error)
held = len(blocks)
blocks.clear()
torch.cuda.empty_cache()
result = [free, held, message, torch.cuda.mem_get_info()[0]]
""",
        card="t4",
    )
    assert held == free >> 30
    assert after == free
    assert "CUDA out of memory. Tried to allocate 1024.00 MiB" in message
    assert "14.56 GiB" in message


def test_reading_the_device_gives_zeros_and_is_counted(run_emulated: RunEmulated) -> None:
    values, before, after = run_emulated(
        """
import torch
from membench.probe.log import read_log
x = torch.full((4,), 7.0, device="cuda")
before = read_log().device_to_host_reads
result = [x.cpu().tolist(), before, read_log().device_to_host_reads]
"""
    )
    assert values == [0.0] * 4
    assert (before, after) == (0, 1)


def test_a_call_that_is_not_modelled_is_refused_by_name(run_emulated: RunEmulated) -> None:
    message, refused = run_emulated(
        """
import torch
from membench.probe.log import read_log
try:
    torch.fft.fft(torch.randn(64, device="cuda"))
except RuntimeError as error:
    message = str(error)
result = [message, read_log().refused]
"""
    )
    assert "cuFFT" in message
    assert any(name.startswith("cufft") for name in refused)


def test_expandable_segments_map_pages(run_emulated: RunEmulated) -> None:
    reserved, after = run_emulated(
        """
import torch
x = torch.empty(50 << 20, dtype=torch.uint8, device="cuda")
reserved = torch.cuda.memory_reserved()
del x
torch.cuda.empty_cache()
result = [reserved, torch.cuda.memory_reserved()]
""",
        PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True",
    )
    assert reserved == 60 << 20, "three pages of 20 MiB"
    assert after == 0


def test_a_matrix_product_takes_the_workspace_of_its_generation(run_emulated: RunEmulated) -> None:
    """cuBLAS's workspace: 8,519,680 bytes before Hopper, 32 MiB on it.

    PyTorch gives it back after each product from 2.15 on (pull request 194311), unless told to keep it as before.
    """
    code = """
import torch
a = torch.zeros(64, 64, device="cuda")
b = a @ a
result = [take() - a.nbytes - b.nbytes for take in (torch.cuda.max_memory_allocated, torch.cuda.memory_allocated)]
"""
    assert run_emulated(code, card="a100-40gb")[0] == 8_519_680
    assert run_emulated(code, card="h100-80gb")[0] == 33_554_432
    kept = run_emulated(code, card="a100-40gb", TORCH_CUBLAS_WORKSPACE_CACHE="1")
    assert kept == [8_519_680, 8_519_680]


def test_what_a_newer_release_asks_by_another_name_is_answered_the_same(run_emulated: RunEmulated) -> None:
    """What PyTorch 2.15 and its Triton ask for beside the calls of earlier releases."""
    pinned, freed, capturing, idle, launched, destroyed = run_emulated(
        """
import ctypes
import torch

device = ctypes.CDLL("libcuda.so.1")
block, executable, status = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int(-1)
x = torch.zeros(4, device="cuda")
assert device.cudaMallocHost(ctypes.byref(block), ctypes.c_size_t(4096)) == 0
result = [torch.frombuffer((ctypes.c_uint8 * 4096).from_address(block.value), dtype=torch.uint8).is_pinned(),
          device.cudaFreeHost(block)]

def capturing():
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    return device.cuStreamIsCapturing(stream, ctypes.byref(status)), status.value

graph = torch.cuda.CUDAGraph(keep_graph=True)
with torch.cuda.graph(graph):
    y = x + 1
    result.append(capturing())
result.append(capturing())
captured = ctypes.c_void_p(graph.raw_cuda_graph())
assert device.cudaGraphInstantiate(ctypes.byref(executable), captured, ctypes.c_ulonglong(0)) == 0
result += [device.cudaGraphLaunch(executable, None), device.cudaGraphExecDestroy(executable)]
graph.replay()
"""
    )
    assert (pinned, freed) == (True, 0)
    assert (capturing, idle) == ([0, 1], [0, 0])
    assert (launched, destroyed) == (0, 0)


def test_kernels_compiled_at_run_time_are_loaded_and_not_run(run_emulated: RunEmulated) -> None:
    """What Triton asks of the driver, in its order."""
    answers = run_emulated(
        """
import ctypes
driver = ctypes.CDLL("libcuda.so.1")
module, function, blocks = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
result = [
    driver.cuModuleLoadData(ctypes.byref(module), b"image"),
    driver.cuModuleGetFunction(ctypes.byref(function), module, b"kernel"),
    driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(ctypes.byref(blocks), function, 256, ctypes.c_size_t(0)),
    blocks.value,
    driver.cuLaunchKernel(function, 1, 1, 1, 256, 1, 1, 0, None, None, None),
    driver.cuModuleUnload(module),
]
"""
    )
    assert answers == [0, 0, 0, 2048 // 256, 0, 0]


def test_pinned_memory_reads_zeros_and_is_not_touched(run_emulated: RunEmulated) -> None:
    """Gigabytes of activations are copied to the host; they must not take gigabytes of it."""
    pinned, plain, zeros, around, grown = run_emulated(
        """
import torch

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

size = 1 << 30
target = torch.empty(size, dtype=torch.uint8, pin_memory=True)
small = torch.empty(100_000, dtype=torch.uint8, pin_memory=True).fill_(7)
source = torch.empty(size, dtype=torch.uint8, device="cuda")
target[:8] = 7
before = resident()
target.copy_(source, non_blocking=True)
small[1000:99_000].copy_(source[:98_000])
grown = resident() - before
result = [target.is_pinned(), torch.empty(4).is_pinned(), int(target[:4096].sum()) + int(target[-4096:].sum()),
          [int((small == 7).sum()), int(small[1000:99_000].sum())], grown]
"""
    )
    assert (pinned, plain, zeros) == (True, False, 0)
    assert around == [2000, 0], "what is copied, and not a byte around it"
    assert grown < 1 << 26


def test_pinned_memory_is_given_back(run_emulated: RunEmulated) -> None:
    before, held, after, peak = run_emulated(
        """
import torch

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

torch.cuda.init()
before = resident()
block = torch.empty(1 << 28, dtype=torch.uint8, pin_memory=True).fill_(1)
held = resident()
del block
torch._C._host_emptyCache()
result = [before, held, resident(), torch.cuda.host_memory_stats()["allocated_bytes.peak"]]
"""
    )
    assert held - before > 1 << 27
    assert after - before < 1 << 26
    assert peak == 1 << 28


def test_a_card_runs_the_newest_code_that_its_generation_has(run_emulated: RunEmulated) -> None:
    """CUB sorts by a policy for the code that runs: PyTorch is not compiled for 8.9, which runs the code for 8.6."""
    sort = """
import torch
torch.randn(1 << 20, device="cuda").sort()
result = torch.cuda.max_memory_allocated()
"""
    assert run_emulated(sort, card="rtx-4090") == run_emulated(sort, card="rtx-3090") > 0


def test_what_was_copied_is_known_until_something_is_computed(run_emulated: RunEmulated) -> None:
    same, moved, part, computed, freed, reads = run_emulated(
        """
import torch
from membench.probe.log import read_log
source = torch.arange(6)
x = source.cuda()
y = torch.empty_like(x)
y.copy_(x)
result = [x.tolist(), y.tolist(), y[2:4].tolist()]
assert read_log().device_to_host_reads == 0
x.add_(1)
result.append(x.tolist())
z = source.cuda()
z.copy_(torch.empty(6, dtype=torch.long, device="cuda"))
result += [z.tolist(), read_log().device_to_host_reads]
"""
    )
    assert same == moved == [0, 1, 2, 3, 4, 5]
    assert part == [2, 3]
    assert computed == freed == [0] * 6
    assert reads == 2


def test_capture_is_told_as_on_a_card(run_emulated: RunEmulated) -> None:
    capturing, joined, after, waiting, event, default = run_emulated(
        """
import torch

def refused(call):
    try:
        call()
    except RuntimeError as error:
        return str(error).splitlines()[0]

origin, other = torch.cuda.Stream(), torch.cuda.Stream()
x = torch.zeros(4, device="cuda")
graph = torch.cuda.CUDAGraph()
with torch.cuda.stream(origin):
    graph.capture_begin(capture_error_mode="relaxed")
    capturing = torch.cuda.is_current_stream_capturing()
    y = x + 1
    other.wait_stream(origin)
    with torch.cuda.stream(other):
        joined = torch.cuda.is_current_stream_capturing()
    waiting = refused(origin.synchronize)
    recorded = origin.record_event()
    event = refused(recorded.query)
    origin.wait_stream(other)
    graph.capture_end()
    after = torch.cuda.is_current_stream_capturing()
graph.replay()
default = refused(lambda: torch.cuda.CUDAGraph().capture_begin())
result = [capturing, joined, after, waiting, event, default]
"""
    )
    assert (capturing, joined, after) == (True, True, False)
    assert waiting == "CUDA error: operation not permitted when stream is capturing"
    assert event == "CUDA error: operation not permitted on an event last recorded in a capturing stream"
    assert "capture" in default


def test_a_graphs_memory_is_its_pools(run_emulated: RunEmulated) -> None:
    held, after = run_emulated(
        """
import torch
x = torch.zeros(1 << 20, device="cuda")
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    y = torch.cat([x] * 8).sum()
held = torch.cuda.memory_reserved()
graph.reset()
del y, graph
torch.cuda.empty_cache()
result = [held, torch.cuda.memory_reserved()]
"""
    )
    assert held > 32 << 20, "the 32 MiB that were made and freed in the capture stay the graph's"
    assert after == 20 << 20


def test_a_plan_that_was_chosen_by_time_is_told(run_emulated: RunEmulated) -> None:
    foreseen, timed, repeated = run_emulated(
        """
import threading
import torch
from membench.probe.log import read_log

def peak():
    torch.cuda.reset_peak_memory_stats()
    torch.nn.functional.conv3d(x, w, padding=1)
    return torch.cuda.max_memory_allocated(), "cudaEventElapsedTime_of_cudnn_plan" in read_log().modelled

x, w = torch.zeros(2, 32, 64, 64, 64, device="cuda"), torch.zeros(64, 32, 3, 3, 3, device="cuda")
result = []
first = threading.Thread(target=lambda: result.append(peak()))  # plans are kept by thread
first.start()
first.join()
torch.backends.cudnn.benchmark = True
result += [peak(), peak()]
"""
    )
    assert [told for _, told in (foreseen, timed, repeated)] == [False, True, True]
    assert timed[0] > repeated[0], "the trial allocates the largest workspace of all plans"
    assert repeated[0] == foreseen[0], "the plan that is kept is the first that was foreseen"


def test_management_library_counts_the_same_memory(run_emulated: RunEmulated) -> None:
    driver, nvml, newer, process = run_emulated(
        """
import os
import pynvml
import torch
block = torch.zeros(100 << 20, dtype=torch.uint8, device="cuda")
pynvml.nvmlInit()
card = pynvml.nvmlDeviceGetHandleByIndex(0)
memory = pynvml.nvmlDeviceGetMemoryInfo(card)
newer = pynvml.nvmlDeviceGetMemoryInfo(card, version=pynvml.nvmlMemory_v2)
(process,) = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
assert process.pid == os.getpid()
result = [torch.cuda.mem_get_info(), [memory.free, memory.total], [newer.free, newer.total], process.usedGpuMemory]
"""
    )
    assert driver == nvml == newer
    assert process == driver[1] - driver[0]
