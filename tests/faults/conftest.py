"""The counts of the fault suites, at the end of the session."""

import pytest

from tests.faults.counts import lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted = lines()
    if counted:
        terminalreporter.section("faults")
        for line in counted:
            terminalreporter.write_line(line)
