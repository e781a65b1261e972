"""OpenSSH: sshd asks which keys may log in, ssh asks which key a host has; both by curl and the verify service."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from dnsbound.credential.ssh_key import SshKey
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from interop.authz_processes import authz_processes, becomes, decisions, open_place, write_pem
from interop.daemon import Daemon, free_port, program, run, started

if TYPE_CHECKING:
    from subprocess import CompletedProcess

pytestmark = [pytest.mark.peer("sshd"), pytest.mark.peer("ssh"), pytest.mark.peer("curl")]
NAME: Final = "alice._user.cars.example"
HOST: Final = "host.cars.example"
CURL: Final = "/usr/bin/curl -sf --max-time 10 --unix-socket {socket} -G"
AUTHORIZED: Final = "--data-urlencode account=%u --data-urlencode type=%t --data-urlencode key=%k"
KNOWN: Final = (
    "--data-urlencode why=%I --data-urlencode host=%H --data-urlencode type=%t --data-urlencode key=%K"
    " http://localhost/ssh/known-hosts"
)


@dataclass(kw_only=True)
class Site:
    place: Path
    world: World
    user: Device
    port: int
    service: Daemon
    sshd: Daemon

    def login(self, key: Path, *, hosts: str = "no", known: str = "none") -> "CompletedProcess[str]":
        command = [
            *(program("ssh"), "-F", "none", "-i", str(key), "-p", str(self.port), "-l", "root"),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
            *("-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null"),
            *("-o", f"StrictHostKeyChecking={hosts}", "-o", f"HostKeyAlias=[{HOST}]:{self.port}"),
        ]
        if known != "none":
            command += ["-o", f"KnownHostsCommand={known}"]
        return run([*command, "127.0.0.1", "echo in"])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("sshd that changes users needs root")
    with open_place() as place, World() as world:
        cars = world.organisation("cars.example")
        user = cars.identity("alice._user")
        port = free_port()
        host_key = place / "host"
        run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(host_key)])
        socket = place / "ssh.sock"
        authz = (
            f'[front.sshd]\nprotocol = "ssh"\nlisten = "unix:{socket}"\nusers = ["nobody", "root"]\n'
            'door = "ssh"\nclaim_from = ["stated"]\n'
        )
        access = (
            f'[door.ssh]\nallow = [{{ names = ["{NAME}"], grants = {{ ssh_accounts = ["root"] }} }},'
            f' "_{port}._tcp.{HOST}"]\n'
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        (place / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nAuthorizedKeysFile none\n"
            f"AuthorizedKeysCommand {CURL.format(socket=socket)} {AUTHORIZED} http://localhost/ssh/authorized-keys\n"
            "AuthorizedKeysCommandUser nobody\nLogLevel VERBOSE\n"
        )
        command = [program("sshd"), "-D", "-e", "-f", str(place / "sshd_config")]
        with (
            authz_processes(place, world, authz=authz, access=access) as service,
            started(command, place / "sshd.log") as sshd,
        ):
            sshd.wait_for(lambda: "Server listening" in sshd.log.read_text(), "it listens")
            yield Site(place=place, world=world, user=user, port=port, service=service, sshd=sshd)


def test_the_key_of_the_tls_certificate_logs_in(site: Site) -> None:
    _, key = write_pem(site.place, "alice", site.user.credential)
    came = site.login(key)
    assert (came.returncode, came.stdout) == (0, "in\n"), site.sshd.log_tail()
    told = decisions(site.service)[-1]
    assert (told["verdict"], told["name"], told["possession"]) == ("admitted", NAME, "asserted by sshd")


def test_another_key_and_another_account_do_not(site: Site) -> None:
    stranger = site.world.organisation("cars.example").identity("mallory._user")
    _, key = write_pem(site.place, "mallory", stranger.credential)
    assert site.login(key).returncode == 255
    assert decisions(site.service)[-1]["reason"] == "tlsa-mismatch"


def test_a_host_is_known_by_its_record(site: Site) -> None:
    _, key = write_pem(site.place, "alice", site.user.credential)
    known = f"{CURL.format(socket=site.place / 'ssh.sock')} {KNOWN}"
    assert site.login(key, hosts="yes", known=known).returncode == 255
    kind, text = (site.place / "host.pub").read_text().split()[:2]
    record = TLSA(3, 1, 0, SshKey.from_text(kind, text).spki)
    site.world.organisation("cars.example").publish(f"_{site.port}._tcp.host", record)
    # That there was none is remembered for the negative TTL, a second or two.
    becomes(lambda: site.login(key, hosts="yes", known=known).returncode == 0, "the host is not known by its record")


def test_a_removed_record_closes_the_account(site: Site) -> None:
    _, key = write_pem(site.place, "alice", site.user.credential)
    site.user.revoke()
    becomes(lambda: site.login(key).returncode == 255, "a key without a record still logs in")
    site.user.publish()
    becomes(lambda: site.login(key).returncode == 0, "a key that is published again does not log in")


def test_nobody_comes_in_while_the_service_is_down(site: Site) -> None:
    _, key = write_pem(site.place, "alice", site.user.credential)
    (site.place / "ssh.sock").rename(site.place / "away.sock")
    try:
        assert site.login(key).returncode == 255
    finally:
        (site.place / "away.sock").rename(site.place / "ssh.sock")
