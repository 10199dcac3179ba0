"""Made-up cases and measurements for the tests of checks."""

from pathlib import Path
from typing import Any

import msgspec

from membench.check import Case, Config, parse_threshold
from membench.check.thresholds import DEFAULT_THRESHOLDS
from membench.result import DeviceInfo, Measurement
from membench.spec import ProbeSpec

A100 = DeviceInfo(
    name="a100-40gb",
    kind="emulated",
    title="An A100",
    total_bytes=40 * 2**30,
    compute_capability="8.0",
    multiprocessors=108,
)
VERSIONS = {"torch": "2.14.1", "cuda": "13.0", "cudnn": "9.24.0", "membench": "0.1.0", "python": "3.13.1"}
MIB = 2**20
# A name that means something to each of the formats, and to a terminal.
HOSTILE = "a|b`c`<img src=x>\r\n::error::%0A,[x](y)]]>\x1b[31m\x00\u202e&*_@team #1"


def made_case(name: str, limit: int | None = None, fail_on: tuple[str, ...] | None = None, **probe: Any) -> Case:
    thresholds = None if fail_on is None else tuple(map(parse_threshold, fail_on))
    return Case(name=name, probe=ProbeSpec(**probe), limit=limit, fail_on=thresholds, line=7)


def made_config(*cases: Case) -> Config:
    return Config(
        path=Path("membench.toml"),
        baseline=Path("membench-baseline.json"),
        history=Path("membench-history.jsonl"),
        fail_on=DEFAULT_THRESHOLDS,
        cases=cases,
    )


def measured(case: Case, peak: int = 100 * MIB, reserved: int | None = None, **changes: Any) -> Measurement:
    found = Measurement(
        spec=case.probe,
        status="fits",
        peak_allocated_bytes=peak,
        peak_reserved_bytes=reserved or peak + 10 * MIB,
        peak_requested_bytes=peak - 1,
        device=A100,
        versions=VERSIONS,
    )
    return msgspec.structs.replace(found, **changes)
