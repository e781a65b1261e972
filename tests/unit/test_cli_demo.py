"""The demonstration: every step as expected, and an exit status that tells when one is not."""

import json
import os
import subprocess
import sys

import pytest

from dnsbound.cli import demo_scenario
from dnsbound.cli.app import run
from dnsbound.cli.exit_codes import ExitCode

STEPS = 13


def steps_of(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.peer("curl")
def test_the_whole_story_goes_as_expected() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "dnsbound", "demo", "--json"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )
    steps = steps_of(ended.stdout)
    assert (ended.returncode, ended.stderr, len(steps)) == (ExitCode.YES, "", STEPS)
    assert all(set(step) == {"step", "expected", "outcome", "reason", "ms"} for step in steps)
    assert [step["step"] for step in steps if step["outcome"] != step["expected"]] == []
    assert [step["outcome"] for step in steps].count("admitted") == 4


def test_a_step_that_goes_otherwise_is_shown_and_ends_with_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the car denied from the start, every login that was to be admitted is refused."""
    monkeypatch.setattr(demo_scenario, "ACCESS", demo_scenario.ACCESS.replace("car99", "car54"))
    assert run(["demo", "--json"]) == ExitCode.NO
    wrong = [step for step in steps_of(capsys.readouterr().out) if step["outcome"] != step["expected"]]
    assert {step["outcome"] for step in wrong} >= {"refused not-permitted"}
    assert len(wrong) >= 4
