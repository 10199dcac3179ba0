"""Which searches to run, in parallel and resumably, and what they say about the paper's claims."""

from membench.sweep.claims import Ratio, claims, extent_ratio, ratios
from membench.sweep.plan import Plan, PlannedClaim, PricedProbe, plan
from membench.sweep.preset import Preset
from membench.sweep.preset_file import load_preset, presets
from membench.sweep.result import SweepResult, load
from membench.sweep.run import Event, OpenProbe, Probe, ProbeFinished, ProbeStarted, SearchFinished, SearchStarted, run

__all__ = [
    "Event",
    "OpenProbe",
    "Plan",
    "PlannedClaim",
    "Preset",
    "PricedProbe",
    "Probe",
    "ProbeFinished",
    "ProbeStarted",
    "Ratio",
    "SearchFinished",
    "SearchStarted",
    "SweepResult",
    "claims",
    "extent_ratio",
    "load",
    "load_preset",
    "plan",
    "presets",
    "ratios",
    "run",
]
