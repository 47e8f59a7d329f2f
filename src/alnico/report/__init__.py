"""One self-contained page of a run folder."""

from __future__ import annotations

from alnico.report.build import page as page
from alnico.report.build import write_report as write_report
