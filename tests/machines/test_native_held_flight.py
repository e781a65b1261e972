"""The last flight of a TLS 1.2 server, held until somebody has spoken about the client.

RFC 5246 section 7.3: a full handshake ends with the server's ChangeCipherSpec and Finished; without them a client knows
that it is not in, and still reads in clear.
"""

import pytest

from adversary.hostile_client import ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE
from dnsbound import _native
from machines.native_pairs import (
    CLIENT_NAME,
    RAW,
    TLS12,
    TLS13,
    X509,
    client_config,
    flow,
    server_config,
    shake,
)


def held(
    own: int = X509, *, versions: tuple[int, int] = (TLS12, TLS12)
) -> tuple[_native.Connection, _native.Connection]:
    """(client, server) with the server's handshake complete and its last flight kept back."""
    config = server_config(versions=versions, peer=[RAW, X509])
    config.set_held_flight(True)
    near, far = _native.Connection(client_config(own=[own]), client_name=CLIENT_NAME), _native.Connection(config)
    near.do_handshake()
    flow(near, far)
    assert not far.do_handshake()
    flow(near, far)
    assert near.do_handshake() == (versions[1] == TLS13)
    flow(near, far)
    assert far.do_handshake()
    return near, far


def record_types(octets: bytes) -> list[int]:
    kinds = []
    while octets:
        kinds.append(octets[0])
        octets = octets[5 + int.from_bytes(octets[3:5], "big") :]
    return kinds


@pytest.mark.parametrize("own", [X509, RAW])
def test_nothing_leaves_before_the_release(own: int) -> None:
    near, far = held(own)
    assert far.handshake_complete
    assert far.flight_held
    assert far.pending_out() == 0
    assert far.drain() == b""
    assert (far.peer_raw_public_key() is not None) == (own == RAW)
    far.release_flight()
    assert not far.flight_held
    flight = far.drain()
    assert record_types(flight) == [CHANGE_CIPHER_SPEC, HANDSHAKE]
    near.feed(flight)
    assert near.do_handshake()
    far.write(b"welcome")
    flow(near, far)
    assert near.read(100) == b"welcome"
    assert near.session() is None, "a ticket would outlive the verdict"


def test_what_was_not_yet_taken_stays_in_front() -> None:
    """Octets that were produced earlier and still wait for the transport are not held."""
    config = server_config(versions=(TLS12, TLS12))
    config.set_held_flight(True)
    near, far = _native.Connection(client_config()), _native.Connection(config)
    near.do_handshake()
    far.feed(near.drain())
    far.do_handshake()
    hellos = far.pending_out()
    assert hellos > 0
    assert not far.flight_held


@pytest.mark.parametrize("use", ["read", "write", "shutdown"])
def test_it_is_used_for_nothing_while_held(use: str) -> None:
    _, far = held()
    calls = {"read": lambda: far.read(1), "write": lambda: far.write(b"early"), "shutdown": far.shutdown}
    with pytest.raises(RuntimeError, match="held"):
        calls[use]()
    assert far.drain() == b""
    far.release_flight()
    calls[use]()


def test_facts_are_told_while_held() -> None:
    near, far = held()
    assert far.version() == TLS12
    assert far.peer_chain()
    assert len(far.export_keying_material(b"EXPORTER-test", 32, b"")) == 32
    assert not near.handshake_complete


@pytest.mark.parametrize("description", [40, 42, 49])
def test_a_refusal_is_an_alert_in_clear(description: int) -> None:
    near, far = held()
    far.send_alert(description)
    octets = far.drain()
    assert octets == bytes((ALERT, 3, 3, 0, 2, 2, description))
    assert not far.flight_held
    near.feed(octets)
    with pytest.raises(_native.TlsError) as told:
        near.do_handshake()
    assert told.value.alert_received == description
    assert not near.handshake_complete
    for call in (far.release_flight, lambda: far.read(1), lambda: far.write(b"x"), lambda: far.send_alert(40)):
        with pytest.raises(_native.TlsError) as after:
            call()
        assert after.value.alert_sent == description
    assert far.drain() == b""


def test_early_data_waits() -> None:
    """A client with false start (RFC 7918) may write before it has seen our Finished."""
    _, far = held()
    far.feed(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert far.pending_in() == 37
    assert far.drain() == b""


def test_tls13_has_no_such_flight() -> None:
    near, far = held(versions=(TLS13, TLS13))
    assert not far.flight_held
    far.release_flight()
    far.write(b"welcome")
    flow(near, far)
    assert near.read(100) == b"welcome"


def test_off_by_default() -> None:
    near, far = _native.Connection(client_config()), _native.Connection(server_config(versions=(TLS12, TLS12)))
    shake(near, far)
    assert not far.flight_held


@pytest.mark.parametrize("missing", ["extended master secret", "certificate type"])
def test_what_the_engine_itself_refuses_is_in_clear_too(missing: str) -> None:
    no_extended_master_secret = 1
    config = server_config(versions=(TLS12, TLS12), peer=[RAW] if missing == "certificate type" else [X509])
    config.set_held_flight(True)
    if missing == "extended master secret":
        config.set_options(set_bits=no_extended_master_secret)
    near, far = _native.Connection(client_config()), _native.Connection(config)
    with pytest.raises(_native.TlsError) as refused:
        shake(near, far)
    expected = 40 if missing == "extended master secret" else 43
    assert refused.value.alert_sent == expected
    near.feed(far.drain())
    with pytest.raises(_native.TlsError) as told:
        near.do_handshake()
    assert told.value.alert_received == expected


def test_only_a_server_holds_and_only_before_its_first_connection() -> None:
    with pytest.raises(RuntimeError):
        client_config().set_held_flight(True)
    config = server_config()
    _native.Connection(config)
    with pytest.raises(RuntimeError):
        config.set_held_flight(True)


def test_release_before_the_handshake_is_a_mistake() -> None:
    with pytest.raises(RuntimeError):
        _native.Connection(server_config()).release_flight()
