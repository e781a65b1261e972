"""Keying material, Finished, key log, names: what both sides agree on."""

import re

import pytest

from dnsbound import _native
from machines.native_pairs import SERVER, TLS12, TLS13, client_config, connect, server_config

versions = pytest.mark.parametrize("version", [TLS12, TLS13])


@versions
def test_keying_material_is_the_same_on_both_sides(version: int) -> None:
    near, far = connect(server_config(versions=(version, version)), client_config())
    label = b"EXPORTER-dnsbound-test"
    seen = set()
    for length, context in ((32, None), (32, b"context"), (64, b"context"), (1, b"x"), (8160, b"y")):
        ours = near.export_keying_material(label, length, context)
        assert len(ours) == length
        assert ours == far.export_keying_material(label, length, context)
        seen.add(ours[:1] if length == 1 else ours[:32])
    assert len(seen) == 5 if version == TLS13 else len(seen) >= 4
    absent, empty = near.export_keying_material(label, 32, None), near.export_keying_material(label, 32, b"")
    # RFC 9846 section 7.5 makes them the same, RFC 5705 section 4 does not.
    assert (absent == empty) == (version == TLS13)
    assert near.export_keying_material(b"EXPORTER-other", 32, None) != absent


def test_keying_material_has_limits() -> None:
    near, _ = connect(server_config(), client_config())
    for length in (0, 8161):
        with pytest.raises(ValueError, match="octets"):
            near.export_keying_material(b"EXPORTER-x", length, None)
    with pytest.raises(_native.TlsError):
        near.export_keying_material(b"x" * 300, 32, None)
    assert near.export_keying_material(b"EXPORTER-x", 32, None)


@versions
def test_keying_material_differs_between_connections(version: int) -> None:
    materials = set()
    for _ in range(2):
        near, _far = connect(server_config(versions=(version, version)), client_config())
        materials.add(near.export_keying_material(b"EXPORTER-x", 32, None))
    assert len(materials) == 2


@versions
def test_finished(version: int) -> None:
    near, far = connect(server_config(versions=(version, version)), client_config())
    own, peer = near.finished()
    assert (peer, own) == far.finished()
    assert len(own) == len(peer) == (12 if version == TLS12 else 48)
    assert own != peer


def test_the_key_log_is_off() -> None:
    near, far = connect(server_config(), client_config())
    assert near.take_keylog() == far.take_keylog() == []


@versions
def test_the_key_log(version: int) -> None:
    server, client = server_config(versions=(version, version)), client_config()
    server.set_keylog(True)
    client.set_keylog(True)
    near, far = connect(server, client)
    lines = near.take_keylog()
    assert sorted(lines) == sorted(far.take_keylog())
    assert near.take_keylog() == []
    labels = {line.split()[0] for line in lines}
    assert ("CLIENT_RANDOM" in labels) == (version == TLS12)
    assert ("CLIENT_TRAFFIC_SECRET_0" in labels) == (version == TLS13)
    assert all(re.fullmatch(r"[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]+", line) for line in lines)


def test_the_key_log_can_be_switched_off_again() -> None:
    client = client_config()
    client.set_keylog(True)
    client.set_keylog(False)
    near, _ = connect(server_config(), client)
    assert near.take_keylog() == []


@versions
def test_the_facts_of_a_connection(version: int) -> None:
    near, far = connect(server_config(versions=(version, version)), client_config())
    for connection in (near, far):
        assert connection.handshake_complete
        assert connection.version() == version
        name, protocol, bits = connection.cipher() or ("", "", 0)
        assert name.startswith(("TLS_", "ECDHE-"))
        assert protocol == ("TLSv1.3" if version == TLS13 else "TLSv1.2")
        assert bits in {128, 256}
        assert connection.server_name() == SERVER
        assert connection.pending_in() == connection.pending_plain() == 0
        assert connection.certificate_types() == (0, 0)
        assert not connection.session_reused()
    assert far.verify_result() == 0
    assert far.verified_chain() == []
    assert near.client_names() == []
