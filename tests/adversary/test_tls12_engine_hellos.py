"""What a ClientHello of TLS 1.2 may say to the native engine, and what may come when the handshake is over."""

import pytest

from adversary.hostile_client import (
    ALERT,
    CLIENT_HELLO,
    FINISHED,
    SERVER_HELLO,
    client_name,
    extension,
)
from adversary.hostile_client_12 import DOWNGRADE_SENTINEL, HostileClient12
from adversary.tls12_conversation import (
    BAD_RECORD_MAC,
    DECODE_ERROR,
    FATAL,
    HANDSHAKE_FAILURE,
    ILLEGAL_PARAMETER,
    NO_RENEGOTIATION,
    PROTOCOL_VERSION,
    SESSION_TICKET,
    WARNING,
    Conversation,
    chain,
    config,
    in_order,
    key,
)
from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    CODE_POINT,
    TLS12,
    TLS13,
)

# --- what the hello says


def test_the_master_secret_must_be_extended() -> None:
    """RFC 7627 section 5.2: without it two connections can be made to share their keys."""
    talk = Conversation(HostileClient12(extended_master_secret=False))
    talk.greet()
    talk.breaks(HANDSHAKE_FAILURE, *talk.flight())


def test_saying_that_it_is_extended_and_not_extending_it() -> None:
    talk = Conversation()
    client = talk.greet()
    client.extended_master_secret = False
    wire = [client.certificate(chain()), client.client_key_exchange(), client.certificate_verify(key())]
    talk.breaks(BAD_RECORD_MAC, *wire, client.change_cipher_spec(), client.finished())


HELLO_NAMES = {
    "twice": (extension(CODE_POINT, client_name(CLIENT_NAME)) * 2, ILLEGAL_PARAMETER),
    "an octet behind it": (extension(CODE_POINT, client_name(CLIENT_NAME) + b"!"), DECODE_ERROR),
    "a length past the end": (extension(CODE_POINT, b"\x1b" + CLIENT_NAME), DECODE_ERROR),
    "the form of ca13's request": (extension(CODE_POINT, b"\0"), DECODE_ERROR),
}


@pytest.mark.parametrize("case", HELLO_NAMES)
def test_a_malformed_name_in_the_hello(case: str) -> None:
    wire, alert = HELLO_NAMES[case]
    talk = Conversation(HostileClient12(extra_extensions=wire))
    talk.breaks(alert, talk.client.client_hello())


def test_a_name_and_no_certificate() -> None:
    """The engine lets it through, with nothing anybody could take for a proof of possession."""
    talk = Conversation()
    client = talk.greet()
    assert talk.say(*in_order(client, "no certificate", "exchange", "change", "finished"))
    assert talk.server.peer_chain() == []
    assert talk.server.peer_raw_public_key() is None
    assert client.handshake.get(FINISHED) is None


def test_a_choice_of_less_is_marked() -> None:
    """RFC 9846 section 4.2.3: a client of TLS 1.3 that was talked down sees it in the server's random."""
    talk = Conversation(made=config(versions=(TLS12, TLS13)))
    assert talk.greet().server_random.endswith(DOWNGRADE_SENTINEL)
    talk = Conversation(made=config())
    assert not talk.greet().server_random.endswith(b"DOWNGRD\x01")


@pytest.mark.parametrize(
    ("version", "alerts"),
    [
        (0x0302, [(FATAL, PROTOCOL_VERSION)]),
        (0x0301, [(FATAL, PROTOCOL_VERSION)]),
        (0x0300, [(FATAL, HANDSHAKE_FAILURE)]),
        (0x0200, []),  # no record that an alert could answer
    ],
)
def test_older_versions(version: int, alerts: list[tuple[int, int]]) -> None:
    client = HostileClient12()
    client.version = version
    talk = Conversation(client)
    with pytest.raises(_native.TlsError):
        talk.say(client.client_hello())
    assert client.alerts == alerts
    talk.learnt_nothing()


def test_a_hello_for_a_server_without_tls_1_2() -> None:
    talk = Conversation(made=config(versions=(TLS13, TLS13)))
    talk.breaks(PROTOCOL_VERSION, talk.client.client_hello())


def test_no_ticket_is_given_to_one_who_asks() -> None:
    """A ticket would outlive the verdict, and TLS 1.2's goes out before it."""
    name = extension(CODE_POINT, client_name(CLIENT_NAME))
    talk = Conversation(HostileClient12(extra_extensions=name + extension(SESSION_TICKET, b"")))
    client = talk.greet()
    assert SESSION_TICKET not in client.hello_extensions()
    assert client.handshake[SERVER_HELLO][34] == 0, "and no session to come back to"
    assert talk.say(*talk.flight())
    talk.server.release_flight()
    client.receive(talk.server.drain())
    assert (client.server_finished, client.tickets) == (True, 0)


# --- after the handshake


def admitted() -> Conversation:
    talk = Conversation()
    talk.greet()
    assert talk.say(*talk.flight())
    talk.server.release_flight()
    talk.client.receive(talk.server.drain())
    assert talk.client.server_finished
    return talk


def test_renegotiation_is_declined_each_time() -> None:
    """An honest one, which names this handshake's Finished, by somebody who would now be somebody else."""
    talk = admitted()
    client, server = talk.client, talk.server
    client.renegotiation_info = client.verify_data
    client.extra_extensions = extension(CODE_POINT, client_name(b"car55._device.cars.example"))
    for _ in range(3):
        server.feed(client.aside(CLIENT_HELLO, client.hello_body()))
        assert server.read(100) is None
        client.receive(server.drain())
    assert client.alerts == [(WARNING, NO_RENEGOTIATION)] * 3
    assert server.client_names() == [(0, CLIENT_NAME)]
    server.feed(client.data(b"still here"))
    assert server.read(100) == b"still here"


def test_renegotiation_while_the_verdict_is_awaited() -> None:
    talk = Conversation()
    client = talk.greet()
    flight = talk.flight()
    client.renegotiation_info = client.verify_data
    assert talk.say(*flight, client.aside(CLIENT_HELLO, client.hello_body()))
    assert talk.server.client_names() == [(0, CLIENT_NAME)]
    talk.server.release_flight()
    assert talk.server.read(100) is None
    client.receive(talk.server.drain())
    assert client.server_finished
    assert client.alerts == [(WARNING, NO_RENEGOTIATION)]


def test_asking_for_ever_costs_the_asker_more() -> None:
    """Each hello is answered by a warning, which is shorter, and nothing is kept of it."""
    talk = admitted()
    client, server = talk.client, talk.server
    client.renegotiation_info = client.verify_data
    for _ in range(200):
        asked = client.aside(CLIENT_HELLO, client.hello_body())
        server.feed(asked)
        assert server.read(100) is None
        assert server.pending_in() == 0
        assert len(server.drain()) < len(asked) / 4


@pytest.mark.parametrize("what", ["alerts", "empty records"])
def test_a_flood_of_what_means_nothing_ends(what: str) -> None:
    """Each costs work and moves nothing: a peer cannot go on with it for ever."""
    talk = admitted()
    client, server = talk.client, talk.server
    endless = {
        "alerts": lambda: client.alert(WARNING, 90),
        "empty records": lambda: client.data(b""),
    }[what]

    def flood() -> None:
        for _ in range(100):
            server.feed(endless())
            assert server.read(100) is None

    with pytest.raises(_native.TlsError):
        flood()


def test_a_record_sealed_twice_is_not_read_twice() -> None:
    talk = admitted()
    record = talk.client.data(b"once")
    talk.server.feed(record)
    assert talk.server.read(100) == b"once"
    talk.server.feed(record)
    with pytest.raises(_native.TlsError):
        talk.server.read(100)
    assert talk.server.drain()[0] == ALERT
