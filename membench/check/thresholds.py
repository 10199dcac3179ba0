"""How much more memory than the baseline's is a regression: ``peak:5%``, ``reserved:64MiB``."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from membench.errors import UsageError
from membench.units import parse_bytes

Metric = Literal["peak", "reserved", "requested"]
METRICS: dict[Metric, str] = {"peak": "peak allocated", "reserved": "peak reserved", "requested": "peak requested"}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)


class Threshold(msgspec.Struct, frozen=True):
    """``metric`` may grow by as much as ``allowed`` says, a share (``5%``) or a size (``64MiB``), and no byte more."""

    metric: Metric
    allowed: str

    def __str__(self) -> str:
        return f"{self.metric}:{self.allowed}"

    def permits(self, baseline: int, current: int) -> bool:
        """Whether the step from ``baseline`` to ``current`` bytes is within the threshold; exact, without rounding."""
        percent = _PERCENT.fullmatch(self.allowed)
        if percent:
            return current - baseline <= baseline * Fraction(Decimal(percent[1])) / 100
        return current - baseline <= parse_bytes(self.allowed)


DEFAULT_THRESHOLDS = (Threshold("peak", "0%"), Threshold("reserved", "0%"))


def parse_threshold(text: str) -> Threshold:
    """Read ``METRIC:SHARE%`` or ``METRIC:SIZE``.

    Raises:
        UsageError: the text is neither; the message says what is.
    """
    name, colon, allowed = (part.strip() for part in text.partition(":"))
    metric = next((known for known in METRICS if known == name.lower()), None)
    if not colon or metric is None:
        raise UsageError(
            f"{text!r} is not a threshold; write for example peak:0% or reserved:64MiB, of {', '.join(METRICS)}"
        )
    if not _PERCENT.fullmatch(allowed):
        try:
            parse_bytes(allowed)
        except UsageError:
            raise UsageError(
                f"threshold {text!r}: {allowed!r} is neither a share such as 5% nor a size such as 64MiB"
            ) from None
    return Threshold(metric, allowed)
