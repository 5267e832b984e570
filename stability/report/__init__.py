"""The report of a sweep: summary, tables, page and pictures."""

from stability.report.writer import write as write
