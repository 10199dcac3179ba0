"""Memory regression checks: the cases of a project against a committed baseline, to the byte."""

from membench.check.baseline import Baseline, Entry, Peaks, baseline_of, read_baseline, write_baseline
from membench.check.compare import compare
from membench.check.config import Case, Config, find_config, load_config
from membench.check.explain import explained
from membench.check.formats import FORMATS, Format
from membench.check.holders import Holders, holders_of
from membench.check.result import CheckResult, Growth, Outcome, Source
from membench.check.run import Measured, measure_cases
from membench.check.thresholds import Threshold, parse_threshold

__all__ = [
    "FORMATS",
    "Baseline",
    "Case",
    "CheckResult",
    "Config",
    "Entry",
    "Format",
    "Growth",
    "Holders",
    "Measured",
    "Outcome",
    "Peaks",
    "Source",
    "Threshold",
    "baseline_of",
    "compare",
    "explained",
    "find_config",
    "holders_of",
    "load_config",
    "measure_cases",
    "parse_threshold",
    "read_baseline",
    "write_baseline",
]
