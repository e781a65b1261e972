"""DTLS 1.2 records and messages that no library sends, at the native engine with its last flight held.

Over datagrams whatever is not understood is dropped, because anybody can put it there: so what is asserted is that
nothing is learnt, nothing grows, and an honest client that is being disturbed still gets through.
"""

import os
import random
import resource
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adversary.hostile_client import (
    ALERT,
    APPLICATION_DATA,
    CERTIFICATE,
    CHANGE_CIPHER_SPEC,
    CLIENT_HELLO,
    FINISHED,
    HANDSHAKE,
    client_name,
    extension,
)
from adversary.hostile_client_12 import CLIENT_KEY_EXCHANGE
from adversary.hostile_datagrams import HostileDatagramClient, fragment, record
from dnsbound import _native
from machines.datagram_pairs import ADDRESS, KEYS, datagram_server
from machines.native_pairs import CLIENT_NAME, CODE_POINT, RAW, X509, client_identity

WARNING, FATAL = 1, 2
HANDSHAKE_FAILURE, NO_RENEGOTIATION = 40, 100
NAME = extension(CODE_POINT, client_name(CLIENT_NAME))


def config() -> _native.Config:
    made = datagram_server(peer=[RAW, X509])
    made.set_peer_verification("accept")
    made.set_clientid(CODE_POINT, profiles=["cid07"])
    made.set_held_flight(True)
    return made


def key() -> ec.EllipticCurvePrivateKey:
    made = client_identity().key
    assert isinstance(made, ec.EllipticCurvePrivateKey)
    return made


class Conversation:
    """A hostile client and the engine, joined in memory."""

    def __init__(self, client: HostileDatagramClient | None = None) -> None:
        self.client = client or HostileDatagramClient(extra_extensions=NAME)
        self.listener = _native.CookieListener(config())
        request = self.listener.receive(self.client.client_hello(), address=ADDRESS, keys=KEYS)
        assert isinstance(request, bytes)
        self.client.receive(request)
        met = self.listener.receive(self.client.client_hello(), address=ADDRESS, keys=KEYS)
        assert isinstance(met, _native.Connection)
        self.server = met
        assert not self.step()
        assert self.client.hello_done

    def step(self) -> bool:
        try:
            return self.server.do_handshake()
        finally:
            for datagram in self.server.take_datagrams():
                self.client.receive(datagram)

    def say(self, *datagrams: bytes) -> bool:
        """Whether the engine's handshake is complete."""
        done = False
        for datagram in datagrams:
            self.server.feed_datagram(datagram)
            done = self.step()
        return done

    def flight(self) -> list[bytes]:
        client = self.client
        own = client_identity()
        shown = client.raw_key(own.spki) if client.raw_public_key else client.certificate(own.chain)
        return [
            shown,
            client.client_key_exchange(),
            client.certificate_verify(key()),
            client.change_cipher_spec(),
            client.finished(),
        ]

    def gets_through(self, *datagrams: bytes) -> None:
        """What the honest flight still does, after all that was said."""
        assert self.say(*datagrams)
        assert self.server.flight_held
        assert self.server.client_names() == [(0, CLIENT_NAME)]
        self.server.release_flight()
        for datagram in self.server.take_datagrams():
            self.client.receive(datagram)
        assert self.client.server_finished
        self.server.feed_datagram(self.client.data(b"report"))
        assert self.server.read(100) == b"report"


@pytest.mark.parametrize("raw", [False, True], ids=["x509", "raw"])
@pytest.mark.parametrize("joined", [False, True], ids=["apart", "in one datagram"])
def test_an_honest_flight(raw: bool, joined: bool) -> None:
    talk = Conversation(HostileDatagramClient(extra_extensions=NAME, raw_public_key=raw))
    flight = talk.flight()
    talk.gets_through(*([b"".join(flight)] if joined else flight))


# --- pieces


@pytest.mark.parametrize("size", [1, 7, 100])
def test_small_pieces_in_any_order(size: int) -> None:
    talk = Conversation()
    talk.client.fragment_octets = size
    flight = talk.flight()
    *clear, change, finished = flight
    pieces = [datagram for message in clear for datagram in split(message)]
    rng, near = random.Random(size), 30
    # Records further behind the newest than the window of 64 are taken for repetitions.
    groups = [pieces[at : at + near] for at in range(0, len(pieces), near)]
    shuffled = [piece for group in groups for piece in rng.sample(group, len(group))]
    talk.gets_through(*shuffled, *shuffled[: len(shuffled) // 2], change, *split(finished))


def split(records: bytes) -> list[bytes]:
    """Each record in a datagram of its own."""
    found = []
    while records:
        size = 13 + int.from_bytes(records[11:13], "big")
        found.append(records[:size])
        records = records[size:]
    return found


def room_for(client: HostileDatagramClient, count: int) -> int:
    """Numbers for the records of a stranger, below those that the client is going to use: what is in clear moves the
    window as well, so that a stranger who chose higher ones would shut out the client."""
    client.sequences[0] += count
    return client.sequences[0] - count


BODY = os.urandom(200)


def disturbing_pieces(number: int) -> dict[str, list[bytes]]:
    """Handshake fragments from a stranger, around message `number` that is being waited for."""
    return {
        "a piece past its end": [fragment(CERTIFICATE, number, 100, 90, BODY[:20])],
        "a piece longer than the record": [fragment(CERTIFICATE, number, 200, 0, BODY)[:-50]],
        "a total beyond all limits": [fragment(CERTIFICATE, number, 0xFFFFFF, 0, BODY)],
        "a piece beyond all limits": [fragment(CERTIFICATE, number, 0xFFFFFF, 0xFFFF00, BODY[:255])],
        "a message far ahead": [fragment(CERTIFICATE, number + 500, 200, 0, BODY)],
        "the last message there can be": [fragment(CERTIFICATE, 0xFFFF, 200, 0, BODY)],
        "one that was heard already": [fragment(CLIENT_HELLO, 1, 200, 0, BODY)],
        "half a header": [fragment(CERTIFICATE, number, 200, 0, BODY)[:7]],
        "nothing": [b""],
    }


@pytest.mark.parametrize("case", disturbing_pieces(2))
def test_a_strangers_pieces_before_the_honest_flight(case: str) -> None:
    """What cannot be part of an honest message is dropped, or ends a handshake that anybody could have ended so: it
    never becomes somebody's claim."""
    talk = Conversation()
    pieces = disturbing_pieces(2)[case]
    sequence = room_for(talk.client, len(pieces))
    try:
        for number, piece in enumerate(pieces):
            talk.say(record(HANDSHAKE, 0, sequence + number, piece))
    except _native.TlsError:
        assert not talk.server.handshake_complete
        assert talk.server.client_names() == []
        return
    talk.gets_through(*talk.flight())


def test_pieces_that_contradict_each_other() -> None:
    """Overlapping pieces with other octets, of another total, of another kind: one message at most comes of them, and
    it is not the client's unless it is signed as the client's."""
    rng = random.Random(1)
    for _ in range(200):
        talk = Conversation()
        body = b"".join(talk.flight()[:1])[25:]
        for sequence in range(100, 130):
            at = rng.randrange(len(body))
            size = rng.randrange(len(body) - at)
            total = rng.choice([len(body), len(body), len(body) + 1, 10])
            kind = rng.choice([CERTIFICATE, CERTIFICATE, CLIENT_KEY_EXCHANGE, FINISHED])
            piece = rng.choice([body[at : at + size], rng.randbytes(size)])
            try:
                assert not talk.say(record(HANDSHAKE, 0, sequence, fragment(kind, 2, total, at, piece)))
            except _native.TlsError:
                break
        assert not talk.server.handshake_complete
        assert talk.server.client_names() == []


def resident_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("what", ["messages ahead", "pieces of one", "records of the next epoch", "later epochs"])
def test_a_flood_is_not_kept(what: str) -> None:
    """100,000 datagrams that an attacker's one hello with a cookie allows; the memory for them is bounded."""
    talk = Conversation()
    large = os.urandom(1000)
    begin = room_for(talk.client, 100_000)
    makers = {
        "messages ahead": lambda n: record(
            HANDSHAKE, 0, begin + n, fragment(CERTIFICATE, 3 + n % 60_000, 50_000, 0, large)
        ),
        "pieces of one": lambda n: record(
            HANDSHAKE, 0, begin + n, fragment(CERTIFICATE, 2, 0x19000, n * 7 % 90_000, large)
        ),
        "records of the next epoch": lambda n: record(HANDSHAKE, 1, n, large),
        "later epochs": lambda n: record(APPLICATION_DATA, 2 + n % 60_000, n, large),
    }
    before = resident_kib()
    for number in range(100_000):
        assert not talk.say(makers[what](number))
    assert talk.server.pending_in() == 0
    assert resident_kib() - before < 8_192
    assert talk.server.client_names() == []


# --- records


def test_records_of_no_epoch_of_ours() -> None:
    talk = Conversation()
    flight = talk.flight()
    for epoch in (1, 2, 3, 255, 0xFFFF):
        for kind in (HANDSHAKE, ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC):
            assert not talk.say(record(kind, epoch, 7, os.urandom(60)))
    talk.gets_through(*flight)


NO_KINDS = (0, 19, 24, 25, 26, 255)


@pytest.mark.parametrize("kind", NO_KINDS)
def test_a_record_of_no_kind_of_ours_in_clear(kind: int) -> None:
    """OpenSSL ends the handshake, as it does for an alert: before there are keys, who can put datagrams there can end
    what is there. The claim is never his."""
    talk = Conversation()
    with pytest.raises(_native.TlsError):
        talk.say(record(kind, 0, room_for(talk.client, 1), b"\x01" * 40))
    assert not talk.server.handshake_complete
    assert talk.server.client_names() == []


def test_after_the_handshake_nothing_in_clear_counts() -> None:
    talk = Conversation()
    talk.gets_through(*talk.flight())
    client, server = talk.client, talk.server
    for kind in (*NO_KINDS, ALERT, HANDSHAKE, CHANGE_CIPHER_SPEC, APPLICATION_DATA):
        for body in (b"\x02\x28", os.urandom(60)):
            server.feed_datagram(record(kind, 0, room_for(client, 1), body))
            assert server.read(100) is None
    assert server.take_datagrams() == []
    server.feed_datagram(client.data(b"still here"))
    assert server.read(100) == b"still here"


def test_records_of_other_versions_and_lengths() -> None:
    talk = Conversation()
    begin = room_for(talk.client, 20)
    piece = fragment(CERTIFICATE, 2, 500, 0, bytes(50))
    for number, version in enumerate((0x0303, 0x0304, 0xFEFC, 0xFEFF, 0x0000, 0xFFFF)):
        assert not talk.say(record(HANDSHAKE, 0, begin + number, piece, version=version))
    for broken in (b"\x16", record(HANDSHAKE, 0, begin + 10, piece)[:-1], os.urandom(4000), bytes(65_000)):
        assert not talk.say(broken)
    assert not talk.say(record(HANDSHAKE, 0, begin + 11, b"")[:11] + struct.pack("!H", 0xFFFF) + bytes(100))
    talk.gets_through(*talk.flight())


def test_an_empty_datagram_is_nothing() -> None:
    """UDP has them, and anybody can send one: it is not the end of anything."""
    talk = Conversation()
    assert not talk.say(b"")
    talk.gets_through(*talk.flight())
    talk.server.feed_datagram(b"")
    assert talk.server.read(100) is None
    talk.server.feed_datagram(talk.client.data(b"still here"))
    assert talk.server.read(100) == b"still here"


def test_a_replayed_record_is_read_once() -> None:
    talk = Conversation()
    talk.gets_through(*talk.flight())
    datagram = talk.client.data(b"once")
    for _ in range(3):
        talk.server.feed_datagram(datagram)
    assert talk.server.read(100) == b"once"
    assert talk.server.read(100) is None


def test_a_record_from_far_ahead_shuts_out_those_behind_only() -> None:
    """RFC 6347 section 4.1.2.6: the window moves with what is authentic, and by nothing else."""
    talk = Conversation()
    talk.gets_through(*talk.flight())
    client, server = talk.client, talk.server
    server.feed_datagram(record(APPLICATION_DATA, 1, 2**40, os.urandom(60)))
    server.feed_datagram(client.data(b"next"))
    assert server.read(100) == b"next"
    server.feed_datagram(client.sealed(APPLICATION_DATA, b"far", sequence=2**40))
    assert server.read(100) == b"far"
    server.feed_datagram(client.sealed(APPLICATION_DATA, b"late", sequence=10))
    assert server.read(100) is None
    server.feed_datagram(client.sealed(APPLICATION_DATA, b"last", sequence=2**48 - 1))
    assert server.read(100) == b"last"


# --- the held flight, and after it


def test_nothing_that_is_sent_meanwhile_moves_a_held_flight() -> None:
    talk = Conversation()
    flight = talk.flight()
    assert talk.say(*flight)
    client, server = talk.client, talk.server
    spoofed = record(ALERT, 0, room_for(client, 1), bytes((FATAL, HANDSHAKE_FAILURE)))
    for datagram in (*flight, client.data(b"early"), spoofed, client.alert(FATAL, 80), os.urandom(200), *flight):
        server.feed_datagram(datagram)
        assert server.take_datagrams() == []
    assert server.flight_held
    assert server.client_names() == [(0, CLIENT_NAME)]
    server.release_flight()
    for datagram in server.take_datagrams():
        client.receive(datagram)
    assert client.server_finished


def test_a_strangers_hello_after_finished_begins_nothing() -> None:
    """It comes in clear: a new association is the listener's to begin, and needs a cookie."""
    talk = Conversation()
    talk.gets_through(*talk.flight())
    client, server = talk.client, talk.server
    body = client.hello_body()
    for number in range(3):
        server.feed_datagram(
            record(HANDSHAKE, 0, room_for(client, 1), fragment(CLIENT_HELLO, number, len(body), 0, body))
        )
        assert server.read(100) is None
    assert server.take_datagrams() == []
    server.feed_datagram(client.data(b"still here"))
    assert server.read(100) == b"still here"


def test_renegotiation_is_declined_each_time() -> None:
    """An honest one, which begins to count its messages again."""
    talk = Conversation()
    talk.gets_through(*talk.flight())
    client, server = talk.client, talk.server
    client.renegotiation_info = client.verify_data
    client.message_number = 0
    for _ in range(3):
        server.feed_datagram(client.aside(CLIENT_HELLO, client.hello_body()))
        assert server.read(100) is None
        for datagram in server.take_datagrams():
            client.receive(datagram)
        server.feed_datagram(client.data(b"still here"))
        assert server.read(100) == b"still here"
    assert client.protected_alerts == [(WARNING, NO_RENEGOTIATION)] * 3
    assert server.client_names() == [(0, CLIENT_NAME)]


@pytest.mark.parametrize("number", [1, 6, 7, 0xFFFF])
def test_a_message_of_no_handshake_ends_the_clients_own_connection(number: int) -> None:
    """Sealed by the client itself, so it is nobody else's to send."""
    talk = Conversation()
    talk.gets_through(*talk.flight())
    client, server = talk.client, talk.server
    client.message_number = number
    server.feed_datagram(client.aside(CLIENT_HELLO, client.hello_body()))
    assert server.read(100) is None
    server.feed_datagram(client.data(b"data"))
    with pytest.raises(_native.TlsError):
        server.read(100)
    assert server.client_names() == [(0, CLIENT_NAME)]


def test_the_master_secret_must_be_extended() -> None:
    talk = Conversation(HostileDatagramClient(extended_master_secret=False))
    with pytest.raises(_native.TlsError):
        talk.say(*talk.flight())
    assert talk.client.alerts == [(FATAL, HANDSHAKE_FAILURE)]
    assert talk.client.protected_alerts == []
    assert not talk.client.server_finished


# --- after the handshake


@pytest.mark.parametrize("kind", [CLIENT_HELLO, CERTIFICATE, 24])
def test_what_is_said_meanwhile_to_one_that_begins_a_message_is_lost(kind: int) -> None:
    """Nothing can be written to it then, and nothing is kept for it."""
    talk = Conversation()
    talk.gets_through(*talk.flight())
    client, server = talk.client, talk.server
    server.feed_datagram(client._record(HANDSHAKE, fragment(kind, client.message_number, 100, 0, b"begun")))
    assert server.read(10) is None
    for _ in range(2000):
        assert server.write(bytes(1000)) == 1000
    assert (server.parked(), server.pending_out(), server.take_datagrams()) == (0, 0, [])
