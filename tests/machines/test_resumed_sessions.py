"""A client that resumes is judged by its record again, and while it stays: on event loops and in threads (CA-32)."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dnsbound import AccessFile, Authenticator, Context, Reason, VerifiedPeer, verified_peer
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.dns.cache import EvidenceCache
from dnsbound.edge.blocking_server import blocking_server
from dnsbound.edge.ticket_keys import OwnTicketKeys
from dnsbound.iana import Selector, Usage
from dnsbound.limits import SWEEP_SECONDS
from dnsbound.testing import Device, Fault, World
from dnsbound.tls.errors import TLSAlertReceived
from dnsbound.tls.session import Session
from machines.doors import LONGEST_STALL, LOOPS, PATIENCE, SERVER, Door, car, door, in_thread, run, serving

SERVERS = (*LOOPS, "threads")
TTL = 4
"""Seconds: a ticket ends with the evidence, and has to last until it is used on a busy machine."""


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        seen.append(transport.get_extra_info("verified_peer"))

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


seen: list[VerifiedPeer] = []
"""Who came in, in order."""


def echo(tls: ssl.SSLSocket) -> None:
    peer = verified_peer()
    assert peer is not None
    seen.append(peer)
    with suppress(OSError):
        while octets := tls.recv(4096):
            tls.sendall(octets)


@contextmanager
def in_threads(at: Door) -> Iterator[int]:
    with in_thread(blocking_server(echo, "127.0.0.1", 0, context=at.context)) as port:
        yield port
    asyncio.run(at.resolver.aclose())


def served(kind: str, at: Door, visit: Callable[[int], None]) -> None:
    """Serve at this door while `visit` runs, in a thread of its own where the server has a loop."""
    seen.clear()
    if kind == "threads":
        with in_threads(at) as port:
            visit(port)
        return

    async def main() -> None:
        async with serving(Echo, at) as port:
            await asyncio.to_thread(visit, port)

    run(kind, main)


def dial(port: int, context: Context, session: Session | None = None) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    return context.wrap_socket(plain, server_hostname=SERVER, session=session)


def said(tls: ssl.SSLSocket, octets: bytes = b"x") -> bytes:
    tls.sendall(octets)
    return tls.recv(100)


def first_session(port: int, context: Context) -> Session:
    with dial(port, context) as tls:
        assert said(tls) == b"x"
        assert not tls.session_reused
        session = tls.session
    assert isinstance(session, Session)
    return session


def forget(at: Door) -> None:
    """The evidence: as if its time had passed."""
    at.resolver._cache = EvidenceCache()


@pytest.mark.parametrize("kind", SERVERS)
def test_a_resumed_client_is_let_in_by_its_record(kind: str, world: World) -> None:
    device, at = car(world, ttl=60), door(world, ticket_lifetime=600)
    context = at.client(device)

    def visit(port: int) -> None:
        session = first_session(port, context)
        with dial(port, context, session) as tls:
            assert said(tls) == b"x"
            assert tls.session_reused

    served(kind, at, visit)
    full, resumed = seen
    assert (full.name, full.record) == (resumed.name, resumed.record)
    assert full.possession.is_fresh
    assert not resumed.possession.is_fresh
    assert resumed.possession.until == int(full.verified_at + 600)
    assert [decision.possession for decision in at.decisions] == [
        "proved by TLS CertificateVerify",
        "proved by TLS session resumption",
    ]


@pytest.mark.parametrize("kind", SERVERS)
def test_a_ticket_of_a_revoked_name_is_refused(kind: str, world: World) -> None:
    device, at = car(world, ttl=TTL), door(world, ticket_lifetime=600)
    context = at.client(device)

    def visit(port: int) -> None:
        session = first_session(port, context)
        device.revoke()
        forget(at)
        with dial(port, context, session) as tls, pytest.raises(TLSAlertReceived):
            said(tls)

    served(kind, at, visit)
    assert at.decisions[-1].reason is Reason.NO_TLSA
    assert at.decisions[-1].possession == "proved by TLS session resumption"
    assert len(seen) == 1


@pytest.mark.parametrize("kind", SERVERS)
def test_a_ticket_of_a_replaced_key_is_refused(kind: str, world: World) -> None:
    """The record set is there and secure, and names another key."""
    device, at = car(world, ttl=TTL), door(world, ticket_lifetime=600)
    context = at.client(device)

    def visit(port: int) -> None:
        session = first_session(port, context)
        device.renew()
        forget(at)
        with dial(port, context, session) as tls, pytest.raises(TLSAlertReceived):
            said(tls)

    served(kind, at, visit)
    assert at.decisions[-1].reason is Reason.TLSA_MISMATCH


@dataclass
class Listed:
    """A door whose list is a file."""

    at: Door
    device: Device
    file: Path

    @classmethod
    def of(cls, world: World, tmp_path: Path) -> "Listed":
        device, file, decisions = car(world, ttl=60), tmp_path / "access.toml", []
        file.write_text(f'[door.api]\nallow = ["{device.name}"]\n')
        resolver = world.resolver()
        authenticator = Authenticator(AccessFile(file, interval=0), resolver, door="api", on_decision=decisions.append)
        context = Context.server(world.web_credential(SERVER), authenticator=authenticator, ticket_lifetime=600)
        return cls(Door(world, context, authenticator, resolver, decisions), device, file)

    def strike_off(self) -> None:
        self.file.write_text('[door.api]\nallow = ["other._device.cars.example"]\n')


@pytest.mark.parametrize("kind", SERVERS)
def test_a_ticket_of_a_name_that_left_the_list_is_refused_without_a_lookup(
    kind: str, world: World, tmp_path: Path
) -> None:
    listed = Listed.of(world, tmp_path)
    mine = listed.at.client(listed.device)

    def visit(port: int) -> None:
        session = first_session(port, mine)
        listed.strike_off()
        forget(listed.at)
        asked = len(world.queries_for(str(listed.device.name)))
        with dial(port, mine, session) as tls, pytest.raises(TLSAlertReceived):
            said(tls)
        assert len(world.queries_for(str(listed.device.name))) == asked

    served(kind, listed.at, visit)
    reasons = [decision.reason for decision in listed.at.decisions if not decision.again]
    assert reasons == [None, Reason.NOT_PERMITTED]


@pytest.mark.parametrize("kind", SERVERS)
def test_a_resumed_client_is_cut_when_its_name_leaves_the_list(kind: str, world: World, tmp_path: Path) -> None:
    """Long before its evidence ends."""
    listed = Listed.of(world, tmp_path)
    mine = listed.at.client(listed.device)
    took: list[float] = []

    def visit(port: int) -> None:
        session = first_session(port, mine)
        with dial(port, mine, session) as tls:
            assert said(tls) == b"x"
            assert tls.session_reused
            listed.strike_off()
            began = time.monotonic()
            with suppress(OSError):
                assert tls.recv(100) == b""
            took.append(time.monotonic() - began)

    served(kind, listed.at, visit)
    assert took[0] < SWEEP_SECONDS.default + 3
    last = listed.at.decisions[-1]
    assert (last.reason, last.again) == (Reason.NOT_PERMITTED, True)


@pytest.mark.parametrize("kind", SERVERS)
def test_grace_keeps_a_resumed_client_a_little_longer(kind: str, world: World) -> None:
    device, at = car(world, ttl=TTL), door(world, ticket_lifetime=600, deadline=0.5, grace=2.0)
    context = at.client(device)
    ended: list[float] = []

    def visit(port: int) -> None:
        session = first_session(port, context)
        with dial(port, context, session) as tls:
            assert said(tls) == b"x"
            assert tls.session_reused
            world.fault(str(device.name), Fault.SERVFAIL)
            with suppress(OSError):
                tls.recv(100)
            ended.append(at.authenticator.now())

    served(kind, at, visit)
    assert 1.5 < ended[0] - seen[-1].valid_until < 4.5
    assert at.decisions[-1].reason is Reason.DNS_FAILED


@pytest.mark.parametrize("kind", SERVERS)
def test_a_resumed_client_is_cut_when_its_record_goes(kind: str, world: World) -> None:
    device, at = car(world, ttl=TTL), door(world, ticket_lifetime=600)
    context = at.client(device)

    def visit(port: int) -> None:
        session = first_session(port, context)
        with dial(port, context, session) as tls:
            assert said(tls) == b"x"
            assert tls.session_reused
            device.revoke()
            try:
                ended = tls.recv(100)
            except OSError:  # a blocking server's connection ends without close_notify
                ended = b""
            assert ended == b""

    served(kind, at, visit)
    last = at.decisions[-1]
    assert (last.reason, last.again) == (Reason.NO_TLSA, True)
    assert last.possession == "proved by TLS session resumption"


@pytest.mark.parametrize("kind", SERVERS)
def test_a_resolver_that_fails_keeps_a_resumed_client_until_its_evidence_ends(kind: str, world: World) -> None:
    device, at = car(world, ttl=TTL), door(world, ticket_lifetime=600, deadline=0.5, grace=0.0)
    context = at.client(device)
    ended: list[float] = []

    def visit(port: int) -> None:
        session = first_session(port, context)
        with dial(port, context, session) as tls:
            assert said(tls) == b"x"
            assert tls.session_reused
            world.fault(str(device.name), Fault.SERVFAIL)
            with suppress(OSError):
                tls.recv(100)
            ended.append(at.authenticator.now())

    served(kind, at, visit)
    assert -0.5 < ended[0] - seen[-1].valid_until < LONGEST_STALL
    assert at.decisions[-1].reason is Reason.DNS_FAILED


def test_usage_2_resumes_by_its_record_and_no_other(world: World) -> None:
    """The issuers' certificates are not in the ticket: a record of another form asks for a full handshake."""
    fleet, name = world.organisation("cars.example"), "car54._device.cars.example"
    own = CertificateAuthority.create("cars", now=world.now()).issue(name, now=world.now())
    fleet.publish(name, own.tlsa(Usage.DANE_TA, Selector.CERT), ttl=60)
    at = door(world, ticket_lifetime=600)
    context = Context.client(own)
    context.load_verify_locations(cadata=world.web_root_pem.decode())

    def visit(port: int) -> None:
        session = first_session(port, context)
        forget(at)
        with dial(port, context, session) as tls:
            assert said(tls) == b"x"
            assert tls.session_reused
        fleet.replace(name, own.tlsa(Usage.DANE_TA, Selector.SPKI), ttl=60)
        forget(at)
        with dial(port, context, session) as tls, pytest.raises(TLSAlertReceived):
            said(tls)
        with dial(port, context) as tls:
            assert said(tls) == b"x"

    served("asyncio", at, visit)
    reasons = [decision.reason for decision in at.decisions]
    assert reasons == [None, None, Reason.TLSA_MISMATCH, None]
    assert seen[0].chain_expires == seen[1].chain_expires is not None


def test_a_rotated_key_is_a_full_handshake_and_not_a_refusal(world: World) -> None:
    now = [0.0]
    keys = OwnTicketKeys(600, interval=10, monotonic=lambda: now[0])
    device, at = car(world, ttl=60), door(world, ticket_lifetime=600, ticket_keys=keys)
    context = at.client(device)

    def visit(port: int) -> None:
        session = first_session(port, context)
        for moment, reused in ((10.0, True), (615.0, False)):
            now[0] = moment
            with dial(port, context, session) as tls:
                assert said(tls) == b"x"
                assert tls.session_reused is reused

    served("asyncio", at, visit)
    assert at.reasons == ["admitted"] * 3
