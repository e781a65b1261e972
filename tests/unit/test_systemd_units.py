"""The systemd units among the examples: systemd takes them, and they start commands and options that there are."""

import shlex
import subprocess
from pathlib import Path

import pytest
import typer.main

from dnsbound.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"
UNITS = sorted(EXAMPLES.glob("*.service"))
SECONDS = 60


def settings(unit: Path) -> dict[str, str]:
    lines = [line.partition("=") for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return {key: value for key, _, value in lines}


def test_the_units_are_found() -> None:
    assert [unit.name for unit in UNITS] == [
        "dnsbound-authz.service",
        "dnsbound-gate.service",
        "dnsbound-radius.service",
        "dnsbound-run.service",
    ]


@pytest.mark.peer("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace("/usr/local/bin/dnsbound", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    told = [line for line in (done.stdout + done.stderr).splitlines() if unit.stem in line]
    assert (done.returncode, told) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_starts_a_command_that_there_is(unit: Path) -> None:
    _, *words = shlex.split(settings(unit)["ExecStart"])
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    with command.make_context("dnsbound", words, resilient_parsing=False) as context:
        assert context.command is command


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_is_confined_and_watched(unit: Path) -> None:
    said = settings(unit)
    assert said["Type"] == "notify"
    assert "WatchdogSec" in said
    assert (said["User"], said["NoNewPrivileges"], said["ProtectSystem"]) == ("dnsbound", "yes", "strict")
    assert said["SystemCallFilter"] == "@system-service"
