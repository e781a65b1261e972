"""The demonstration: every step as expected, and an exit status that tells when one is not."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dnsbound.cli import demo_scenario, demo_step
from dnsbound.cli.app import run
from dnsbound.cli.exit_codes import ExitCode
from interop.daemon import program as installed

README = Path(__file__).parents[2] / "README.md"
STEPS = 30
PROGRAM = "eapol_test"
OURS = "our own EAP-TLS peer (eapol_test is not installed)"


def steps_of(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def unexpected(step: dict[str, object]) -> bool:
    return step["outcome"] not in {step["expected"], demo_step.SKIPPED}


def the_whole_story(path: str, *options: str) -> str:
    """What the program prints, having found all as it expected."""
    ended = subprocess.run(
        [sys.executable, "-m", "dnsbound", "demo", *options],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={"PATH": path, "HOME": "/nonexistent"},
    )
    assert (ended.returncode, ended.stderr) == (ExitCode.YES, ""), ended.stdout
    return ended.stdout


def check_all_steps(steps: list[dict[str, object]], *, by: str) -> None:
    assert len(steps) == STEPS
    assert all(set(step) == {"step", "expected", "outcome", "reason", "ms"} for step in steps)
    assert [step["step"] for step in steps if step["outcome"] != step["expected"]] == []
    outcomes = [step["outcome"] for step in steps]
    assert outcomes.count("admitted") == 4
    assert outcomes.count("refused not-permitted, 0 DNS queries") == 4
    assert outcomes.count("refused tlsa-mismatch") == 3
    assert outcomes.count("refused no-tlsa") == 4
    assert outcomes.count("accepted, with a receipt") == outcomes.count("not taken again") == 1
    assert outcomes.count("verified") == outcomes.count("undecided bogus") - 1 == 1
    assert outcomes.count("disconnected") == 2
    assert outcomes.count("admitted, own topics alone") == 1
    assert outcomes.count("cut") == 2
    assert {step["step"]: step["outcome"] for step in steps if "EAP-TLS by" in str(step["step"])} == {
        f"public.isp.example: EAP-TLS by {by}": "admitted, VLAN visitors",
        f"wireless.cars.example: EAP-TLS by {by}": "admitted, VLAN 54",
    }


@pytest.mark.peer("curl", "mosquitto")
@pytest.mark.peer(PROGRAM)
def test_the_whole_story_goes_as_expected_and_as_the_readme_shows_it() -> None:
    steps = steps_of(the_whole_story(os.environ["PATH"], "--json"))
    check_all_steps(steps, by=PROGRAM)
    readme = README.read_text()
    shown = re.findall(r"^   ok  (.*)\n       (.*) as expected, \d+ ms$", readme, re.MULTILINE)
    assert len(shown) == 8
    assert set(shown) <= {(step["step"], step["outcome"]) for step in steps}
    assert f"Some of the {STEPS} steps of the demo" in readme


@pytest.mark.peer("curl", "mosquitto")
def test_without_eapol_test_our_own_peer_joins_the_networks(tmp_path: Path) -> None:
    for name in ("curl", "mosquitto"):
        (tmp_path / name).symlink_to(installed(name))
    check_all_steps(steps_of(the_whole_story(str(tmp_path), "--json")), by=OURS)


def test_people_are_told_the_list_each_step_and_how_long_it_took(tmp_path: Path) -> None:
    """With no program of others at all."""
    said = the_whole_story(str(tmp_path))
    assert all(line.strip() in said for line in demo_scenario.ACCESS.strip().splitlines())
    assert said.count("   ok  ") == STEPS - 3
    assert said.count(" skip  ") == 3
    assert said.count("Disconnect-Request to ap1.") == 2
    assert "until both networks had put the car out" in said


def test_a_step_that_goes_otherwise_is_shown_and_ends_with_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the car denied from the start, every login that was to be admitted is refused."""
    monkeypatch.setattr(demo_scenario, "ACCESS", demo_scenario.ACCESS.replace("car99", "car54"))
    assert run(["demo", "--json"]) == ExitCode.NO
    wrong = [step for step in steps_of(capsys.readouterr().out) if step["outcome"] != step["expected"]]
    assert {step["outcome"] for step in wrong} >= {"refused not-permitted"}
    assert len(wrong) >= 4


@pytest.mark.parametrize("program", [PROGRAM, "none"])
def test_a_network_that_does_not_admit_the_car_is_shown_as_wrong(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its list names another car, so there is no session to end either."""
    if program == "none" or shutil.which(program) is None:
        monkeypatch.setenv("PATH", "/nonexistent")
    access = demo_scenario.ACCESS.replace('["car54._device', '["car55._device')
    monkeypatch.setattr(demo_scenario, "ACCESS", access)
    assert run(["demo", "--json"]) == ExitCode.NO
    wrong = {step["step"]: step["outcome"] for step in steps_of(capsys.readouterr().out) if unexpected(step)}
    joined = next(step for step in wrong if "EAP-TLS by" in str(step))
    assert wrong == {
        joined: "refused not-permitted",
        "wireless.cars.example: a permitted name with another key": "refused not-permitted",
        "wireless.cars.example: car54._device.cars.example once more": "refused not-permitted",
        "wireless.cars.example: the session of car54._device.cars.example": "never there",
    }
