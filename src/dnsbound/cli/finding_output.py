"""Findings as lines for people, as they are found, or as one JSON object; and the exit code that follows from them."""

from collections.abc import Iterable
from typing import Final

from dnsbound.cli.checks import Finding, Level, exit_code_of
from dnsbound.cli.exit_codes import ExitCode, printable
from dnsbound.cli.output import console, emit

_STYLE: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red", Level.UNKNOWN: "yellow"}


def tell_findings(findings: Iterable[Finding], *, as_json: bool) -> ExitCode:
    """Print them; what the command ends with."""
    found: list[Finding] = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            _tell(finding)
    code = exit_code_of(found)
    if as_json:
        lines = [
            {
                "check": finding.check,
                "level": finding.level.value,
                "found": finding.found,
                "remedy": finding.remedy or None,
            }
            for finding in found
        ]
        emit({"outcome": {0: "yes", 1: "no"}.get(code, "undecided"), "checks": lines})
    return code


def _tell(finding: Finding) -> None:
    from rich.text import Text

    line = Text.assemble(
        (f"{finding.level.value:<8}", _STYLE[finding.level]), printable(f"{finding.check}: {finding.found}")
    )
    console().print(line)
    if finding.remedy:
        console().print(f"        remedy: {printable(finding.remedy)}")
