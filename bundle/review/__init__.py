"""One HTML page for a finished run: what to distrust, figures and volumes of the cases, and their review."""

from .report_page import write_report

__all__ = ["write_report"]
