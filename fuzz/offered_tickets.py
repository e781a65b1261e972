"""Tickets that a hostile client offers: octets in the place of the ticket, in an otherwise honest ClientHello.

Whoever changes a ticket gets a full handshake, and never a session, not even one that says less: what was sealed comes
out whole or not at all. The client's end is OpenSSL's own, which computes the binder over whatever it offers.
"""

from contextlib import suppress
from functools import cache

from dnsbound import _native
from dnsbound.credential import der
from dnsbound.iana import TLS_1_3
from fuzz.handshakes import credential
from fuzz.target import Target

_TICKET = 0xAA
"""[10] EXPLICIT OCTET STRING in OpenSSL's form of a session."""
KEYS = _native.TicketKeys([bytes((number,)) * 16 + bytes(64) for number in (2, 1)])
SEALED = b"what was sealed"


@cache
def server() -> _native.Config:
    config = _native.Config(server_side=True)
    config.set_versions(TLS_1_3, TLS_1_3)
    config.set_credential(credential().chain, credential().private_key_der())
    config.set_peer_verification("accept")
    config.set_tickets(lifetime=604_800, context=b"fuzz", keys=KEYS)
    return config


@cache
def client() -> _native.Config:
    config = _native.Config(server_side=False)
    config.set_credential(credential().chain, credential().private_key_der())
    config.set_peer_verification("none")
    return config


def connect(session: bytes | None) -> tuple[_native.Connection, _native.Connection]:
    near, far = _native.Connection(client(), session=session), _native.Connection(server())
    for _ in range(4):
        near.do_handshake()
        far.feed(near.drain())
        far.do_handshake()
        near.feed(far.drain())
    return near, far


@cache
def session() -> bytes:
    near, far = connect(None)
    far.send_ticket(604_800, SEALED)
    near.feed(far.drain())
    near.read(1)
    made = near.session()
    assert made is not None
    return made


@cache
def parts() -> tuple[bytes, bytes, bytes]:
    """Of the session: what stands before the ticket, the ticket, and what stands behind."""
    start, end = der.expect(session(), 0, len(session()), der.SEQUENCE, "session")
    at = start
    while session()[at] != _TICKET:
        _, _, at = der.read_element(session(), at, end)
    _, inner, behind = der.read_element(session(), at, end)
    first, last = der.expect(session(), inner, behind, der.OCTET_STRING, "ticket")
    return session()[start:at], session()[first:last], session()[behind:end]


def _element(tag: int, content: bytes) -> bytes:
    return bytes((tag, 0x83)) + len(content).to_bytes(3, "big") + content


def offer(octets: bytes) -> object:
    """A session that offers these octets as its ticket."""
    before, ticket, behind = parts()
    changed = _element(der.SEQUENCE, before + _element(_TICKET, _element(der.OCTET_STRING, octets)) + behind)
    with suppress(_native.TlsError):
        near, far = connect(changed)
        if far.session_reused() != near.session_reused() or far.session_reused() != (octets == ticket):
            raise AssertionError("another ticket than the one that was given resumed")
        if far.ticket_application_data() not in {None, SEALED}:
            raise AssertionError("what was sealed came out changed")
        return far.session_reused()
    return None


TICKET_TARGETS = {"ticket-offered": Target(offer, lambda: [parts()[1]])}
