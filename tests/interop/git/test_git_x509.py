"""Real Git with `dnsbound-git-x509`: commits and tags with CMS signatures, judged by `git` itself."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from dnsbound.edge.credential_files import save_credential
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Organisation
from interop.daemon import program, run

if TYPE_CHECKING:
    from subprocess import CompletedProcess

pytestmark = pytest.mark.peer("git")
CAR: Final = "car54._device.cars.example"


@dataclass
class Workshop:
    """One repository, and the names that sign in it."""

    place: Path
    cars: Organisation
    environment: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> "CompletedProcess[str]":
        return run([program("git"), *arguments], cwd=self.place, env=self.environment)

    def done(self, *arguments: str) -> str:
        done = self.git(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def commit(self, signer: str) -> None:
        key = str(self.place / f"{signer}.pem")
        self.done("-c", f"user.signingkey={key}", "commit", "-q", "--allow-empty", "-m", "route", "-S")

    def signer(self, revision: str = "HEAD") -> tuple[str, str]:
        """What Git makes of a commit: its word, and whom it names."""
        word, _, name = self.done("log", "-1", "--format=%G?|%GS", revision).strip().partition("|")
        return word, name

    def verifies(self, revision: str = "HEAD") -> bool:
        return self.git("verify-commit", revision).returncode == 0


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    place = tmp_path_factory.mktemp("git-x509")
    with World() as world:
        cars = world.organisation("cars.example")
        for name, kind in (("car54", "x509"), ("car55", "raw"), ("mallory", "x509")):
            save_credential(cars.device(name, kind=kind).credential, place / f"{name}.pem")  # type: ignore[arg-type]
        (place / "access.toml").write_text(f'[door.git]\nallow = ["{CAR}", "car55._device.cars.example"]\n')
        (place / "dnsbound.toml").write_text("")
        wrapper = place / "dnsbound-git-x509"
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m dnsbound.cli.git_x509 "$@"\n')
        wrapper.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DNSBOUND_"))}
        environment = {
            **kept,
            **world.trust_env(),
            "HOME": str(place),
            "GIT_CONFIG_NOSYSTEM": "1",
            "DNSBOUND_CONFIG": str(place / "dnsbound.toml"),
        }
        found = Workshop(place, cars, environment)
        found.done("init", "-q", "-b", "main")
        for key, value in {
            "user.name": "Fleet",
            "user.email": "fleet@example.org",
            "gpg.format": "x509",
            "gpg.x509.program": str(wrapper),
            "dnsbound.access": str(place / "access.toml"),
        }.items():
            found.done("config", key, value)
        yield found


@pytest.mark.parametrize("signer", ["car54", "car55"], ids=["certificate", "bare-key"])
def test_cm_22_git_says_that_a_commit_is_good_and_whose(workshop: Workshop, signer: str) -> None:
    workshop.commit(signer)
    assert workshop.signer() == ("G", f"{signer}._device.cars.example")
    checked = workshop.git("verify-commit", "HEAD")
    assert checked.returncode == 0
    assert f"Good signature for {signer}._device.cars.example" in checked.stderr
    assert "BEGIN SIGNED MESSAGE" in workshop.done("cat-file", "commit", "HEAD")


def test_cm_22_a_tag_is_good(workshop: Workshop) -> None:
    workshop.commit("car54")
    key = str(workshop.place / "car54.pem")
    workshop.done("-c", f"user.signingkey={key}", "tag", "-s", "-m", "release", "v1")
    assert workshop.git("verify-tag", "v1").returncode == 0


def test_cm_22_who_is_not_on_the_list_is_not_good(workshop: Workshop) -> None:
    workshop.commit("mallory")
    assert workshop.signer()[0] == "E"
    assert not workshop.verifies()


def test_cm_22_a_changed_commit_is_bad(workshop: Workshop) -> None:
    workshop.commit("car54")
    original = workshop.done("cat-file", "commit", "HEAD")
    (workshop.place / "forged").write_text(original.replace("route", "rouge"))
    forged = workshop.done("hash-object", "-t", "commit", "-w", "forged").strip()
    assert workshop.signer(forged)[0] == "B"
    assert not workshop.verifies(forged)


def test_cm_22_removed_records_and_silence_are_two_things(workshop: Workshop) -> None:
    workshop.commit("car54")
    workshop.cars.fault(Fault.SERVFAIL)
    try:
        assert workshop.signer()[0] == "E"
        assert not workshop.verifies()
    finally:
        workshop.cars.heal()
    assert workshop.verifies()
    records = workshop.cars
    device = workshop.place / "car54.pem"
    assert device.exists()
    records.remove(CAR)
    assert workshop.signer() == ("R", CAR)
    assert not workshop.verifies()


def test_cm_22_without_an_access_list_nobody_is_good(workshop: Workshop) -> None:
    workshop.commit("car55")
    assert workshop.verifies()
    shown = workshop.git("-c", "dnsbound.access=", "verify-commit", "HEAD")
    assert shown.returncode != 0
    assert "dnsbound.access" in shown.stderr
