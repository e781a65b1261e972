"""Postfix asks by its policy protocol who a client with STARTTLS is: by key digest and EHLO name."""

import os
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.testing.organisation import Device
from interop.authz_processes import authz_processes, becomes, decisions, open_place, write_pem
from interop.daemon import Daemon, free_port, program

pytestmark = pytest.mark.peer("postfix")
NAME: Final = "mx1.cars.example"
STRANGER: Final = "mx9.cars.example"
FORGED: Final = "mx5.cars.example"
MAIN: Final = """
compatibility_level = 3.6
queue_directory = {place}/spool
data_directory = {place}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = localhost
mydestination = server.isp.example
mynetworks = 192.0.2.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
local_transport = discard:
relay_transport = discard:
default_transport = discard:
maillog_file = {place}/spool/log
maillog_file_prefixes = {place}
smtpd_tls_security_level = may
smtpd_tls_cert_file = {place}/server.crt
smtpd_tls_key_file = {place}/server.key
smtpd_tls_ask_ccert = yes
smtpd_tls_fingerprint_digest = sha256
smtpd_tls_session_cache_database =
smtpd_relay_restrictions = check_policy_service unix:{place}/relay.sock, reject_unauth_destination
smtpd_recipient_restrictions = permit
smtpd_data_restrictions = check_policy_service unix:{place}/written.sock
defer_transports = discard
smtpd_policy_service_timeout = 10s
"""
MASTER: Final = """
{port} inet n - n - - smtpd
{strict} inet n - n - - smtpd
  -o smtpd_relay_restrictions=permit
  -o smtpd_recipient_restrictions=check_policy_service,unix:{place}/strict.sock,reject_unauth_destination
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
pickup unix n - n 60 1 pickup
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
"""
FRONT: Final = """
[front.{use}]
protocol = "postfix"
listen = "unix:{place}/{use}.sock"
users = ["postfix"]
door = "mx"
claim_from = ["stated"]
use = "{word}"
"""


@dataclass(kw_only=True)
class Site:
    place: Path
    world: World
    mx: Device
    port: int
    strict: int
    service: Daemon

    def code(
        self,
        credential: Credential | None,
        *,
        port: int,
        name: str = NAME,
        to: str = "anybody@server.isp.example",
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> int:
        """Of the answer to RCPT."""
        with self.client(credential, port=port, name=name, version=version) as client:
            client.mail("somebody@cars.example")
            return client.rcpt(to)[0]

    def first_names_told(self, credential: Credential | None, *, name: str = NAME) -> list[str]:
        """Of a message that claims to come from somebody admitted: what its fields say, as it lies in the queue."""
        with self.client(credential, port=self.port, name=name) as client:
            client.mail("somebody@cars.example")
            client.rcpt("anybody@server.isp.example")
            code, said = client.data(f"Dnsbound-Name: {FORGED}\r\nSubject: hello\r\n\r\nhello\r\n")
        assert code == 250, said
        queued = said.decode().split()[-1]
        command = ["postcat", "-c", str(self.place / "etc"), "-qh", queued]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        return [line.partition(": ")[2] for line in shown.splitlines() if line.startswith("Dnsbound-Name:")]

    @contextmanager
    def client(
        self,
        credential: Credential | None,
        *,
        port: int,
        name: str = NAME,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> Iterator[smtplib.SMTP]:
        """Behind STARTTLS and its EHLO."""
        context = ssl.create_default_context(cadata=self.world.web_root_pem.decode())
        context.minimum_version = context.maximum_version = version
        if credential is not None:
            chain, key = write_pem(self.place, "client", credential)
            context.load_cert_chain(chain, key)
        with smtplib.SMTP("localhost", port, local_hostname=name, timeout=20) as client:
            client.starttls(context=context)
            client.ehlo()
            yield client


@contextmanager
def postfix(place: Path, port: int, strict: int) -> Iterator[None]:
    for directory, owner in (("etc", None), ("spool", None), ("data", "postfix")):
        (place / directory).mkdir()
        if owner is not None:
            subprocess.run(["chown", owner, str(place / directory)], check=True)
    (place / "etc/main.cf").write_text(MAIN.format(place=place))
    (place / "etc/master.cf").write_text(MASTER.format(place=place, port=port, strict=strict))
    command = [program("postfix"), "-c", str(place / "etc")]
    started = subprocess.run([*command, "start"], capture_output=True, text=True, timeout=60, check=False)
    assert started.returncode == 0, started.stderr
    try:
        becomes(lambda: _answers(port) and _answers(strict), "Postfix does not answer")
        yield
    finally:
        subprocess.run([*command, "stop"], capture_output=True, timeout=60, check=False)
        becomes(lambda: not (place / "spool/pid/master.pid").exists() or not _lives(place), "Postfix does not end")


def _lives(place: Path) -> bool:
    with suppress(OSError, ValueError):
        os.kill(int((place / "spool/pid/master.pid").read_text()), 0)
        return True
    return False


def _answers(port: int) -> bool:
    with suppress(OSError, smtplib.SMTPException), smtplib.SMTP("localhost", port, timeout=5) as client:
        return client.noop()[0] == 250
    return False


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("Postfix starts as root")
    with open_place() as place, World() as world:
        write_pem(place, "server", world.web_credential("localhost"))
        mx = world.organisation("cars.example").identity("mx1")
        words = {"strict": "require", "relay": "relay", "written": "header"}
        authz = "".join(FRONT.format(use=use, word=word, place=place) for use, word in words.items())
        port, strict = free_port(), free_port()
        with (
            authz_processes(place, world, authz=authz, access=f'[door.mx]\nallow = ["{NAME}"]\n') as service,
            postfix(place, port, strict),
        ):
            yield Site(place=place, world=world, mx=mx, port=port, strict=strict, service=service)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_name_with_its_key_may_send(site: Site, version: ssl.TLSVersion) -> None:
    assert site.code(site.mx.credential, port=site.strict, version=version) == 250
    told = decisions(site.service)[-1]
    assert (told["verdict"], told["name"], told["possession"]) == ("admitted", NAME, "asserted by strict")
    assert str(told["protocol"]).startswith("SMTP RCPT TLSv1.")


def test_others_may_not(site: Site) -> None:
    other = site.world.organisation("cars.example").identity("mx9").credential
    assert site.code(other, port=site.strict) == 554
    assert decisions(site.service)[-1]["reason"] == "tlsa-mismatch"
    assert site.code(other, port=site.strict, name=STRANGER) == 554
    assert decisions(site.service)[-1]["reason"] == "not-permitted"
    assert site.code(None, port=site.strict) == 554
    assert decisions(site.service)[-1]["reason"] == "no-credential"


def test_relaying_is_permitted_by_name_alone(site: Site) -> None:
    elsewhere = "anybody@elsewhere.example"
    assert site.code(site.mx.credential, port=site.port, to=elsewhere) == 250
    other = site.world.organisation("cars.example").identity("mx8").credential
    assert site.code(other, port=site.port, to=elsewhere) == 554
    assert site.code(None, port=site.port, to=elsewhere) == 554
    assert site.code(None, port=site.port) == 250, "mail for this server is everybody's to send"


def test_the_first_name_in_a_message_is_ours(site: Site) -> None:
    assert site.first_names_told(site.mx.credential) == [NAME, FORGED]
    assert site.first_names_told(None) == ["none", FORGED]
    assert site.first_names_told(site.mx.credential, name=STRANGER) == ["none", FORGED]


def test_a_removed_record_ends_it_and_silence_defers(site: Site) -> None:
    site.world.fault(NAME, Fault.SERVFAIL)
    becomes(lambda: site.code(site.mx.credential, port=site.strict) == 450, "silence is not deferred")
    site.world.heal()
    becomes(lambda: site.code(site.mx.credential, port=site.strict) == 250, "it does not come back")
    site.mx.revoke()
    becomes(lambda: site.code(site.mx.credential, port=site.strict) == 554, "a removed record still sends")
    site.mx.publish()
