"""Searching an axis for the edge of what fits; knows only probes and their measurements."""

from membench.search.axis import Axis, Candidate
from membench.search.edge import search, walk

__all__ = ["Axis", "Candidate", "search", "walk"]
