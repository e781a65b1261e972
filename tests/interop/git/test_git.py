"""Real Git with `dnsbound-git-ssh`: commits and tags signed by DNS names, judged by `git` itself and by our hook."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from dnsbound.edge.credential_files import save_credential
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Device
from interop.daemon import program, run

if TYPE_CHECKING:
    from subprocess import CompletedProcess

pytestmark = [pytest.mark.peer("git"), pytest.mark.peer("ssh-keygen")]
CAR: Final = "car54._device.cars.example"
MALLORY: Final = "mallory._device.cars.example"


@dataclass
class Workshop:
    """Repositories, and the names that sign in them. Each test has a repository of its own."""

    place: Path
    world: World
    car: Device
    mallory: Device
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def access(self) -> Path:
        return self.place / "access.toml"

    def git(self, repository: Path, *arguments: str, text: str = "") -> "CompletedProcess[str]":
        return run([program("git"), *arguments], cwd=repository, env=self.environment, text=text)

    def done(self, repository: Path, *arguments: str) -> str:
        done = self.git(repository, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def dnsbound(self, repository: Path, *arguments: str) -> "CompletedProcess[str]":
        return run([sys.executable, "-m", "dnsbound", *arguments], cwd=repository, env=self.environment)

    def repository(self, name: str, signer: str = "car", *, email: str = "fleet@example.org") -> Path:
        made = self.place / name
        made.mkdir()
        self.done(made, "init", "-q", "-b", "main")
        for key, value in {
            "user.name": "Fleet",
            "user.email": email,
            "gpg.format": "ssh",
            "gpg.ssh.program": str(self.place / "dnsbound-git-ssh"),
            "gpg.ssh.allowedSignersFile": str(self.access),
            "user.signingkey": str(self.place / f"{signer}.pem"),
        }.items():
            self.done(made, "config", key, value)
        return made

    def commit(self, repository: Path, message: str = "route", *more: str) -> None:
        self.done(repository, "commit", "-q", "--allow-empty", "-m", message, *(more or ("-S",)))

    def signer(self, repository: Path) -> tuple[str, str]:
        """What Git makes of the last commit: its word, and whom it names."""
        word, _, name = self.done(repository, "log", "-1", "--format=%G?|%GS").strip().partition("|")
        return word, name


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    place = tmp_path_factory.mktemp("git")
    with World() as world:
        cars = world.organisation("cars.example")
        car, mallory = cars.device("car54"), cars.device("mallory")
        found = Workshop(place, world, car, mallory)
        for name, device in (("car", car), ("mallory", mallory)):
            save_credential(device.credential, place / f"{name}.pem")
        found.access.write_text(
            f'[door.git]\nallow = ["{CAR}", "car55._device.cars.example"]\n[door.other]\nallow = []\n'
        )
        wrapper = place / "dnsbound-git-ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m dnsbound.cli.git_ssh "$@"\n')
        wrapper.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DNSBOUND_"))}
        found.environment = {
            **kept,
            **world.trust_env(),
            "HOME": str(place),
            "GIT_CONFIG_NOSYSTEM": "1",
            "DNSBOUND_CONFIG": str(place / "dnsbound.toml"),
        }
        (place / "dnsbound.toml").write_text("")
        yield found


def test_sh_07_git_says_that_a_commit_is_good_and_whose(workshop: Workshop) -> None:
    made = workshop.repository("good")
    workshop.commit(made)
    assert workshop.signer(made) == ("G", CAR)
    checked = workshop.git(made, "verify-commit", "HEAD")
    assert checked.returncode == 0
    assert f'Good "git" signature for {CAR} with ECDSA key SHA256:' in checked.stderr


def test_sh_07_a_tag_is_good_and_judged_by_our_own_command(workshop: Workshop) -> None:
    made = workshop.repository("tagged")
    workshop.commit(made)
    workshop.done(made, "tag", "-s", "-m", "release", "v1")
    assert workshop.git(made, "verify-tag", "v1").returncode == 0
    told = workshop.dnsbound(made, "git", "verify", "HEAD", "v1", "--access", str(workshop.access))
    assert told.returncode == 0, told.stderr
    assert [line.split(": ")[1] for line in told.stdout.splitlines()] == [CAR, CAR]
    assert [line.split(" ")[0] for line in told.stdout.splitlines()] == ["commit", "tag"]


def test_sh_07_the_committers_address_names_the_signer_of_a_pattern(workshop: Workshop, tmp_path: Path) -> None:
    made = workshop.repository("claimed", email=f"fleet@{CAR}")
    workshop.commit(made)
    patterns = tmp_path / "patterns.toml"
    patterns.write_text('[door.git]\nallow = ["*._device.cars.example"]\n')
    told = workshop.dnsbound(made, "git", "verify", "HEAD", "--access", str(patterns), "--json")
    assert told.returncode == 0, told.stderr
    assert f'"name": "{CAR}"' in told.stdout
    # Mallory has a key in the DNS as well, and cannot sign as the car.
    forged = workshop.repository("forged", "mallory", email=f"fleet@{CAR}")
    workshop.commit(forged)
    told = workshop.dnsbound(forged, "git", "verify", "HEAD", "--access", str(patterns), "--json")
    assert (told.returncode, '"reason": "tlsa-mismatch"' in told.stdout) == (1, True)


def test_sh_08_who_is_not_on_the_list_is_not_good(workshop: Workshop) -> None:
    made = workshop.repository("stranger", "mallory")
    workshop.commit(made)
    word, name = workshop.signer(made)
    assert (word != "G", name) == (True, "")
    assert workshop.git(made, "verify-commit", "HEAD").returncode != 0
    assert f"{MALLORY}" not in {query.name for query in workshop.world.queries}


def test_sh_08_another_door_another_content_and_no_signature_are_not_good(workshop: Workshop) -> None:
    made = workshop.repository("changed")
    workshop.commit(made)
    workshop.done(made, "config", "dnsbound.door", "other")
    assert workshop.git(made, "verify-commit", "HEAD").returncode != 0
    workshop.done(made, "config", "dnsbound.door", "git")
    octets = workshop.done(made, "cat-file", "commit", "HEAD").replace("\nroute", "\nrout3")
    digest = workshop.git(made, "hash-object", "-t", "commit", "-w", "--stdin", text=octets).stdout.strip()
    told = workshop.dnsbound(made, "git", "verify", digest, "--access", str(workshop.access), "--json")
    assert (told.returncode, '"reason": "bad-signature"' in told.stdout) == (1, True)
    workshop.commit(made, "plain", "--no-gpg-sign")
    told = workshop.dnsbound(made, "git", "verify", "HEAD", "--access", str(workshop.access), "--json")
    assert (told.returncode, '"reason": "no-credential"' in told.stdout) == (1, True)


def test_sh_08_revoked_and_undecided_are_not_good(workshop: Workshop) -> None:
    made = workshop.repository("revoked")
    workshop.commit(made)
    workshop.car.revoke()
    try:
        told = workshop.dnsbound(made, "git", "verify", "HEAD", "--access", str(workshop.access))
        assert told.returncode == 1
    finally:
        workshop.car.publish()
    workshop.world.fault(CAR, Fault.SERVFAIL)
    try:
        assert workshop.git(made, "verify-commit", "HEAD").returncode != 0
        told = workshop.dnsbound(made, "git", "verify", "HEAD", "--access", str(workshop.access))
        assert told.returncode == 3, told.stderr
    finally:
        workshop.world.heal(CAR)


def test_sh_08_a_signature_for_files_is_none_for_git(workshop: Workshop) -> None:
    made = workshop.repository("namespace")
    workshop.commit(made)
    (made / "message").write_text("x")
    wrapper = str(workshop.place / "dnsbound-git-ssh")
    sign = run([wrapper, "-Y", "sign", "-n", "file", "-f", str(workshop.place / "car.pem"), str(made / "message")])
    assert sign.returncode == 2
    assert not (made / "message.sig").exists()


class TestPush:
    def bare(self, workshop: Workshop, name: str) -> Path:
        made = workshop.place / name
        workshop.done(workshop.place, "init", "-q", "--bare", "-b", "main", str(made))
        hook = made / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\nexec {sys.executable} -m dnsbound git receive --access {workshop.access}\n")
        hook.chmod(0o755)
        return made

    def push(self, workshop: Workshop, source: Path, target: Path, *refs: str) -> "CompletedProcess[str]":
        return workshop.git(source, "push", "-q", str(target), *(refs or ("main",)))

    def test_sh_09_signed_commits_and_tags_come_in(self, workshop: Workshop) -> None:
        target, source = self.bare(workshop, "bare"), workshop.repository("pushing")
        for message in ("one", "two"):
            workshop.commit(source, message)
        workshop.done(source, "tag", "-s", "-m", "release", "v1")
        pushed = self.push(workshop, source, target, "main", "v1")
        assert pushed.returncode == 0, pushed.stderr
        assert len(workshop.done(target, "log", "--format=%H", "main").split()) == 2
        # What is there is not judged again.
        workshop.car.revoke()
        try:
            assert self.push(workshop, source, target, "main:other").returncode == 0
            workshop.commit(source, "three")
            assert self.push(workshop, source, target).returncode != 0
        finally:
            workshop.car.publish()

    @pytest.mark.parametrize("case", ["stranger", "unsigned below", "tag of an unsigned", "undecided"])
    def test_sh_09_nothing_else_does(self, workshop: Workshop, case: str) -> None:
        label = f"pushed-{case.replace(' ', '-')}"
        target = self.bare(workshop, f"{label}.git")
        source = workshop.repository(label, "mallory" if case == "stranger" else "car")
        workshop.commit(source, "first", *(["--no-gpg-sign"] if case not in ("stranger", "undecided") else []))
        refs = ["main"]
        if case == "unsigned below":
            workshop.commit(source, "second")
        if case.startswith("tag"):
            workshop.done(source, "tag", "-s", "-m", "signed", "v1")
            refs = ["v1"]
        if case == "undecided":
            workshop.world.fault(CAR, Fault.SERVFAIL)
        try:
            pushed = self.push(workshop, source, target, *refs)
        finally:
            workshop.world.heal(CAR)
        assert pushed.returncode != 0
        assert "pre-receive hook declined" in pushed.stderr
        assert workshop.done(target, "for-each-ref") == ""


def test_sh_10_the_file_of_allowed_signers_satisfies_plain_ssh_keygen(workshop: Workshop, tmp_path: Path) -> None:
    made = workshop.repository("plain")
    workshop.commit(made)
    command = ("git", "allowed-signers", "--access", str(workshop.access))
    # A digest has no key in it.
    told = workshop.dnsbound(made, *command)
    assert (told.returncode, told.stdout) == (1, "")
    record = TLSA(3, 1, 0, workshop.car.credential.spki)
    workshop.world.organisation("cars.example").publish("car54._device", record)
    told = workshop.dnsbound(made, *command)
    assert told.stdout.startswith(f'{CAR} namespaces="git" ecdsa-sha2-nistp256 ')
    assert "car55" in told.stderr
    (tmp_path / "allowed").write_text(told.stdout)
    workshop.done(made, "config", "gpg.ssh.allowedSignersFile", str(tmp_path / "allowed"))
    workshop.done(made, "config", "--unset", "gpg.ssh.program")
    assert workshop.signer(made) == ("G", CAR)
