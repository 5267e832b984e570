"""The pytest plugin: `--ulp-report` lists the worst margin of each tolerance check of `stability.testing`.

It imports nothing of the project before a test does, so that it costs other runs of pytest nothing.
"""

from __future__ import annotations

import sys


def pytest_addoption(parser) -> None:
    parser.getgroup("stability").addoption(
        "--ulp-report", action="store_true", help="list the worst error of each stability.testing check, in ulps"
    )


def _checks() -> list:
    testing = sys.modules.get("stability.testing")
    return testing.CHECKS if testing else []


def pytest_sessionstart(session) -> None:
    session.config.ulp_checks_before = len(_checks())


def pytest_terminal_summary(terminalreporter, exitstatus, config) -> None:
    """Writes a line a check, the narrowest margin first: worst error, bound, its share of the bound, where."""
    if not config.getoption("--ulp-report"):
        return
    terminalreporter.section("worst errors [ulps of the true value]")
    checks = _checks()[config.ulp_checks_before :]
    for c in sorted(checks, key=lambda c: -c.worst / c.max_ulp if c.max_ulp else -c.worst):
        used = f"{c.worst / c.max_ulp:7.1%}" if c.passed and c.max_ulp else " exact " if c.passed else " failed"
        kind = "" if c.kind in ("ok", "inaccurate") else f" {c.kind}"
        terminalreporter.write_line(
            f"{c.worst:10.4g} of {c.max_ulp:<8g} {used}  {c.name} {c.dtype}{kind} at {c.at}, {c.points} points  "
            f"{c.test}"
        )
    if not checks:
        terminalreporter.write_line("no check was made")
