"""Files out of a sweep's result: tables, figures, and a page that needs nothing else to be read."""

from membench.report.command import measure_command
from membench.report.summary import SummaryRow, left_out, summary_rows
from membench.report.write import write_report

__all__ = ["SummaryRow", "left_out", "measure_command", "summary_rows", "write_report"]
