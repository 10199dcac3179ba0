"""What ran, in words for people."""

from membench.device import Device
from membench.result import DeviceInfo
from membench.spec import ProbeSpec
from membench.units import format_bytes


def step_words(spec: ProbeSpec) -> str:
    """``2 steps, batch 1, fp32, adam (foreach)``; slices and the allocator's settings where they are set."""
    allocator = f", allocator {spec.allocator}" if spec.allocator else ""
    if spec.network.whole_step:
        return f"{spec.steps} steps of your own{allocator}"
    tf32 = "" if spec.tf32 is None else (" with TF32" if spec.tf32 else " without TF32")
    slices = "" if spec.slices is None else f", {spec.slices} slices"
    optimizer = f"{spec.optimizer} ({spec.optimizer_implementation})"
    return f"{spec.steps} steps, batch {spec.batch}, {spec.precision}{tf32}, {optimizer}{slices}{allocator}"


def device_words(device: Device) -> str:
    """``NVIDIA A100 40 GB (SXM4), emulated, 39.00 GiB usable``."""
    return f"{info_words(device.info)}, {usable_words(device)}"


def usable_words(device: Device) -> str:
    """``39.00 GiB usable``; of a real device only all of its memory is known."""
    return f"{format_bytes(device.usable_bytes)} {'usable' if device.info.kind == 'emulated' else 'in all'}"


def info_words(info: DeviceInfo) -> str:
    return f"{info.title}, emulated" if info.kind == "emulated" else f"{info.title} ({info.name})"


def versions_words(versions: dict[str, str]) -> str:
    """``membench 0.1.0, torch 2.14.1, …``."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
