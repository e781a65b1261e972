"""OpenSSH: sshd asks which keys may log in, ssh asks which key a host has; both by curl and the verify service."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from dnsbound.credential.ssh_certificate import make
from dnsbound.credential.ssh_key import SshKey
from dnsbound.edge.credential_files import save_credential
from dnsbound.records.sshfp import SSHFP
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from interop.authz_processes import authz_processes, becomes, decisions, open_place, write_pem
from interop.daemon import Daemon, free_port, program, run, started

if TYPE_CHECKING:
    from subprocess import CompletedProcess

pytestmark = [pytest.mark.peer("sshd"), pytest.mark.peer("ssh"), pytest.mark.peer("curl")]
NAME: Final = "alice._user.cars.example"
CERTIFIED: Final = "bob._user.cars.example"
AUTHORITY: Final = "ssh-ca._service.cars.example"
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
    authority: Device
    port: int
    service: Daemon
    sshd: Daemon

    def login(
        self,
        key: Path | None,
        *,
        hosts: str = "no",
        known: str = "none",
        agent: Path | None = None,
        alias: str | None = None,
    ) -> "CompletedProcess[str]":
        """key: a file; None for those of the agent."""
        alone = ("-i", str(key), "-o", "IdentitiesOnly=yes") if key is not None else ()
        command = [
            *(program("ssh"), "-F", "none", *alone, "-p", str(self.port), "-l", "root"),
            *("-o", "BatchMode=yes", "-o", f"IdentityAgent={agent or 'none'}"),
            *("-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null"),
            *("-o", f"StrictHostKeyChecking={hosts}", "-o", f"HostKeyAlias={alias or f'[{HOST}]:{self.port}'}"),
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
        user, authority = cars.identity("alice._user"), cars.identity("ssh-ca._service")
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
            f' "_{port}._tcp.{HOST}", {{ names = ["*._user.cars.example"], grants = {{ ssh_accounts = ["root"] }} }},'
            f' {{ names = ["{AUTHORITY}"], grants = {{ ssh_authority = ["{CERTIFIED}"] }} }}]\n'
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
            yield Site(place=place, world=world, user=user, authority=authority, port=port, service=service, sshd=sshd)


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


def certificate(site: Site, tmp_path: Path, principal: str) -> Path:
    """A key that is in no record, with a certificate by the CA's key beside it."""
    key = tmp_path / "session"
    run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    now = time.time()
    public = SshKey.from_text(*(tmp_path / "session.pub").read_text().split()[:2])
    signer = site.authority.credential.signer
    line = make(public, signer, principals=[principal], valid_after=now - 60, valid_before=now + 3600)
    (tmp_path / "session-cert.pub").write_text(f"{line}\n")
    return key


def test_sh_15_a_certificate_by_a_ca_in_the_dns_logs_in(site: Site, tmp_path: Path) -> None:
    key = certificate(site, tmp_path, CERTIFIED)
    came = site.login(key)
    assert (came.returncode, came.stdout) == (0, "in\n"), site.sshd.log_tail()
    told = decisions(site.service)[-1]
    assert (told["verdict"], told["name"]) == ("admitted", AUTHORITY)


@pytest.mark.parametrize("principal", ["root", "eve._user.cars.example"])
def test_sh_16_a_certificate_for_another_principal_does_not(site: Site, tmp_path: Path, principal: str) -> None:
    assert site.login(certificate(site, tmp_path, principal)).returncode == 255


def test_sh_17_an_agent_logs_in(site: Site, tmp_path: Path) -> None:
    credential, socket = tmp_path / "alice.pem", tmp_path / "agent.sock"
    save_credential(site.user.credential, credential)
    command = ("-m", "dnsbound", "ssh", "agent", "--credential", str(credential), "--socket", str(socket))
    with started([sys.executable, *command], tmp_path / "agent.log") as agent:
        assert "SSH_AUTH_SOCK=" in agent.wait_for_line()
        came = site.login(None, agent=socket)
        assert (came.returncode, came.stdout) == (0, "in\n"), site.sshd.log_tail()
    assert not socket.exists()


def test_sh_13_a_host_is_known_by_its_fingerprint(site: Site, tmp_path: Path) -> None:
    _, key = write_pem(site.place, "alice", site.user.credential)
    environment = site.world.trust_env()
    asking = (
        f"{sys.executable} -m dnsbound ssh known-hosts --host %H --type %t --key %K --why %I"
        f" --resolver {environment['DNSBOUND_RESOLVER']} --anchors {environment['DNSBOUND_ANCHORS']}"
    )
    alias = f"[fingerprint.cars.example]:{site.port}"
    assert site.login(key, hosts="yes", known=asking, alias=alias).returncode == 255
    kind, text = (site.place / "host.pub").read_text().split()[:2]
    record = SSHFP.of(kind, SshKey.from_text(kind, text).blob)
    site.world.organisation("cars.example").publish("fingerprint", f"SSHFP {record.to_text()}")
    came = site.login(key, hosts="yes", known=asking, alias=alias)
    assert (came.returncode, came.stdout) == (0, "in\n"), came.stderr
