"""Ticket keys given from outside: rotation with overlap, shared by Configs, and no ticket across session contexts."""

import os
import threading
from pathlib import Path

import pytest

from dnsbound import _native
from machines.native_pairs import client_config, connect, flow, server_config

OLD, NEW, OTHER = (bytes((number,)) * 16 + os.urandom(64) for number in (1, 2, 3))


def door(keys: _native.TicketKeys | None, *, context: bytes | None = None, lifetime: int = 600) -> _native.Config:
    config = server_config()
    config.set_tickets(lifetime=lifetime, context=context, keys=keys)
    return config


def issue(server: _native.Config, client: _native.Config) -> bytes:
    near, far = connect(server, client)
    far.send_ticket(600, b"sealed")
    near.feed(far.drain())
    assert near.read(1) is None
    session = near.session()
    assert session is not None
    return session


def resumes(server: _native.Config, client: _native.Config, session: bytes) -> bool:
    """Whether a handshake with this session resumes; it succeeds in any case."""
    near, far = connect(server, client, session=session)
    assert near.session_reused() == far.session_reused()
    near.write(b"data")
    flow(near, far)
    assert far.read(9) == b"data"
    return far.session_reused()


def test_the_first_key_seals_and_every_key_opens() -> None:
    keys, client = _native.TicketKeys([OLD]), client_config()
    server = door(keys)
    session = issue(server, client)
    assert OLD[:16] in session, "the key's name is in the ticket"
    keys.replace([NEW, OLD])
    assert resumes(server, client, session)
    newer = issue(server, client)
    assert NEW[:16] in newer
    assert OLD[:16] not in newer
    keys.replace([NEW])
    assert not resumes(server, client, session)
    assert resumes(server, client, newer)


def test_configs_that_share_keys_know_each_others_tickets() -> None:
    """As two worker processes that were given the same file."""
    client = client_config()
    session = issue(door(_native.TicketKeys([OLD])), client)
    assert resumes(door(_native.TicketKeys([NEW, OLD])), client, session)
    assert not resumes(door(_native.TicketKeys([NEW])), client, session)
    assert not resumes(door(None), client, session)
    same_name = OLD[:16] + NEW[16:]
    assert not resumes(door(_native.TicketKeys([same_name])), client, session)


def test_a_ticket_of_one_context_is_a_full_handshake_in_another() -> None:
    """Everything else is the same: keys, certificate, settings."""
    keys, client = _native.TicketKeys([OLD]), client_config()
    session = issue(door(keys, context=b"door a"), client)
    assert resumes(door(keys, context=b"door a"), client, session)
    assert not resumes(door(keys, context=b"door b"), client, session)
    assert not resumes(door(keys), client, session)
    assert not resumes(door(keys, context=bytes(32)), client, session)


def test_a_changed_ticket_is_a_full_handshake() -> None:
    keys, client = _native.TicketKeys([OLD]), client_config()
    server = door(keys)
    session = issue(server, client)
    start = session.index(OLD[:16])
    for place in (start, start + 16, start + 40, start + 90):
        changed = bytearray(session)
        changed[place] ^= 1
        assert not resumes(server, client, bytes(changed)), place


def test_no_ticket_allows_early_data() -> None:
    """RFC 9846 section 4.3.10: a ticket without early_data. It would be field 15 of OpenSSL's serialised session."""
    session = issue(door(_native.TicketKeys([OLD])), client_config())
    assert 15 not in fields(session)
    assert 10 in fields(session), "the fields are read as they stand: 10 is the ticket"


def test_nothing_in_the_crate_can_allow_early_data() -> None:
    """OpenSSL's default is none, and every way to change it has these words in its name."""
    sources = list(Path(__file__).parents[2].glob("native/src/**/*.rs"))
    assert len(sources) > 20
    assert [file.name for file in sources if "early_data" in file.read_text().lower()] == []


def test_a_resumption_without_a_key_exchange_cannot_be_allowed() -> None:
    """psk_ke would let whoever gets a ticket key later read what was said (RFC 9846 section 2.2)."""
    allow_no_dhe_kex = 1 << 10
    for config in (server_config(), client_config()):
        assert not config.set_options(set_bits=allow_no_dhe_kex) & allow_no_dhe_kex
    server, client = server_config(), client_config()
    for config in (server, client):
        config.set_options(set_bits=allow_no_dhe_kex)
    server.set_tickets(lifetime=600, keys=_native.TicketKeys([OLD]))
    near, far = connect(server, client, session=issue(server, client))
    assert far.session_reused()
    assert near.group() is not None, "a group was agreed on again"


def fields(session: bytes) -> set[int]:
    """Context-specific tags of an SSL_SESSION's outermost elements."""
    found, at = set(), 1
    at += 1 + (session[at] & 0x7F if session[at] & 0x80 else 0)
    while at < len(session):
        tag, length = session[at], session[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(session[at : at + octets], "big")
            at += octets
        if tag & 0xC0 == 0x80:
            found.add(tag & 0x1F)
        at += length
    assert at == len(session)
    return found


def test_keys_may_change_while_others_use_them() -> None:
    keys, client = _native.TicketKeys([OLD]), client_config()
    server, over = door(keys), threading.Event()

    def turn() -> None:
        while not over.is_set():
            keys.replace([NEW, OLD])
            keys.replace([OLD, NEW])

    turning = threading.Thread(target=turn)
    turning.start()
    try:
        for _ in range(50):
            assert resumes(server, client, issue(server, client))
    finally:
        over.set()
        turning.join(10)


@pytest.mark.parametrize("keys", [[], [b""], [OLD[:79]], [OLD + b"x"], [OLD, OLD], [OLD, OLD[:16] + NEW[16:]]])
def test_what_is_no_set_of_keys(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="ticket key"):
        _native.TicketKeys(keys)
    good = _native.TicketKeys([OTHER])
    with pytest.raises(ValueError, match="ticket key"):
        good.replace(keys)
    client = client_config()
    server = door(good)
    assert OTHER[:16] in issue(server, client), "the keys in force stay"


def test_a_context_too_long() -> None:
    with pytest.raises(ValueError, match="32 octets"):
        server_config().set_tickets(lifetime=1, context=bytes(33))
