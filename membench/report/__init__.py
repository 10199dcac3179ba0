"""Files out of finished searches: tables, figures, and a page that needs nothing else to be read."""

from membench.report.command import measure_command
from membench.report.data import ReportData

__all__ = ["ReportData", "measure_command"]
