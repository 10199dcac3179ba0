"""How far a measurement can be trusted: what made it inexact, and which settings it depends on."""

from collections.abc import Iterator

from membench.probe.log import EmulatorLog
from membench.spec import ProbeSpec

# Answered by a model, and nothing that is allocated depends on the answer.
_WITHOUT_MEMORY = frozenset({"cudaEventElapsedTime"})
_NOTABLE_FRAGMENTATION = 0.01  # of what is reserved


def inexact_because(spec: ProbeSpec, log: EmulatorLog) -> Iterator[str]:
    """Each reason why a real card could come to other peaks than the emulated one, in words; none on a real one.

    A value read from the emulated device is zero. Each step under fp16 reads one that is accounted for: whether a
    gradient overflowed. It says no, so that every step is taken; see `sensitivities`.
    """
    reads = (log.device_to_host_reads or 0) - (spec.steps if spec.precision == "fp16" else 0)
    if reads > 0:
        yield (
            f"{reads} {'value was' if reads == 1 else 'values were'} read from the emulated device, as zero; "
            "memory may depend on what is computed"
        )
    modelled = [call for call in log.modelled if call not in _WITHOUT_MEMORY]
    if modelled:
        yield f"answered by a model, not by the library: {', '.join(modelled)}"


def sensitivities(spec: ProbeSpec, *, allocated: int, reserved: int, convolves: bool, has_tf32: bool) -> Iterator[str]:
    """The names of the settings with which the same step could come to other peaks.

    ``allocated`` and ``reserved`` are the peaks in bytes; ``convolves`` says whether cuDNN chose plans for the step,
    ``has_tf32`` whether the card has TF32.
    """
    if convolves:
        yield "cudnn.benchmark"  # tries plans, and takes the fastest instead of the one that is foreseen to be
        yield "cudnn.deterministic"  # leaves out plans
    if has_tf32 and spec.precision == "fp32" and spec.tf32 is None:
        yield "tf32"
    if spec.precision == "fp16":
        yield "overflow"  # a step in which a gradient overflows is left out, and here none does
    if "expandable_segments" not in spec.allocator and reserved - allocated > _NOTABLE_FRAGMENTATION * reserved:
        yield "expandable_segments"
