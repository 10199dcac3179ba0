"""What the tests of profiles share."""

from collections.abc import Callable
from pathlib import Path

from membench.profile import Analysis
from membench.spec import NetworkSpec, ProbeSpec

Snapshot = Callable[[ProbeSpec], tuple[Analysis, Path]]
Record = Callable[[ProbeSpec], Analysis]
SMALL = ProbeSpec(network=NetworkSpec(base_channels=16, stages=3, blocks=1), volume=(32, 32, 32), strategy="plain")
