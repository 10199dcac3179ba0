"""What `measure` and `search` share."""

import msgspec

from membench.device import Device, resolve
from membench.spec import ProbeSpec


def on_device(probe: ProbeSpec) -> tuple[Device, ProbeSpec]:
    """The device that the probe names (or this machine's default), and the probe with the device's full name.

    Raises:
        UsageError: there is no such device, or it has less memory than the budget.
        MembenchError: the device cannot be used on this machine.
    """
    device = resolve(probe.device or None)
    device.check_budget(probe.budget)
    return device, msgspec.structs.replace(probe, device=device.info.name)
