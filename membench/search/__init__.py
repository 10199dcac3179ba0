"""Searching an axis for the edge of what fits; knows only probes and their measurements."""

from membench.search.axis import Axis, Candidate
from membench.search.edge import search, walk
from membench.search.mix import Choice, Mix, Tried, cheapest, mixes

__all__ = ["Axis", "Candidate", "Choice", "Mix", "Tried", "cheapest", "mixes", "search", "walk"]
