"""Which key exchange is agreed on, and what it costs on the wire."""

import ssl
from typing import Any

import pytest

from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.key_exchange import KeyExchange
from dnsbound.tls.errors import TLSAlertReceived, TLSMisuse, TLSPeerError
from machines.shim_pairs import Pair, client, credential, door

HYBRID, CLASSICAL = "X25519MLKEM768", "x25519"
HYBRID_CLIENT_SHARE, HYBRID_SERVER_SHARE, X25519_SHARE = 1216, 1120, 32


def flights(near: Any, far: Any) -> tuple[Pair, int, int]:
    """The pair after its handshake, and the octets of the client's first flight and of the server's."""
    pair = Pair.of(near, far)
    with pytest.raises(ssl.SSLWantReadError):
        pair.near.do_handshake()
    first = pair.to_far.pending
    with pytest.raises(ssl.SSLWantReadError):
        pair.far.do_handshake()
    second = pair.to_near.pending
    pair.shake()
    return pair, first, second


@pytest.mark.parametrize(
    ("near", "far", "agreed"),
    [
        ("default", "default", HYBRID),
        ("default", "hybrid-only", HYBRID),
        ("hybrid-only", "default", HYBRID),
        ("hybrid-only", "hybrid-only", HYBRID),
        ("default", "x25519", CLASSICAL),
        ("x25519", "default", CLASSICAL),
        ("x25519", "x25519", CLASSICAL),
    ],
)
def test_the_group_that_is_agreed_on(near: str, far: str, agreed: str) -> None:
    pair = Pair.of(client(credential(), key_exchange=near), door(key_exchange=far))
    assert pair.shake() == (True, False)
    assert pair.near.group() == pair.far.group() == agreed


@pytest.mark.parametrize(("near", "far"), [("hybrid-only", "x25519"), ("x25519", "hybrid-only")])
def test_no_group_in_common_is_no_connection(near: str, far: str) -> None:
    pair = Pair.of(client(credential(), key_exchange=near), door(key_exchange=far))
    with pytest.raises(TLSPeerError):
        pair.shake()
    with pytest.raises(TLSAlertReceived):
        pair.near.do_handshake()


def test_what_each_choice_costs() -> None:
    """The default sends both shares; X25519 alone saves the client 1216 octets and more, the server 1088."""
    _, hybrid_hello, hybrid_answer = flights(client(credential()), door())
    _, only_hello, only_answer = flights(client(credential(), key_exchange="hybrid-only"), door())
    _, small_hello, small_answer = flights(client(credential(), key_exchange="x25519"), door())
    saved = HYBRID_SERVER_SHARE - X25519_SHARE
    # One record more or less, and the lengths of two signatures.
    assert abs(hybrid_answer - small_answer - saved) <= 22 + 8
    assert abs(only_answer - hybrid_answer) <= 22 + 8
    # Beside the share go the four octets before it and the groups that are named no more.
    assert HYBRID_CLIENT_SHARE <= hybrid_hello - small_hello <= HYBRID_CLIENT_SHARE + 40
    assert abs(only_hello - small_hello - (HYBRID_CLIENT_SHARE - X25519_SHARE)) <= 40
    assert small_hello < 512
    assert only_hello > 1400


def test_hybrid_only_never_falls_back_to_an_older_version() -> None:
    near = client(key_exchange="hybrid-only")
    assert near.minimum_version is ssl.TLSVersion.TLSv1_3
    near.minimum_version = ssl.TLSVersion.TLSv1_2
    far = door()
    far._set(maximum=0x0303, minimum=0x0303, groups="X25519:P-256")
    pair = Pair.of(near, far)
    with pytest.raises(TLSPeerError):
        pair.shake()


@pytest.mark.parametrize("make", [client, door])
def test_choices_that_cannot_be_kept(make: Any) -> None:
    own = () if make is door else (credential(),)
    with pytest.raises(TLSMisuse, match="key_exchange is"):
        make(*own, key_exchange="kyber")
    told = {} if make is door else {"clear_name_to": ["localhost"]}
    with pytest.raises(TLSMisuse, match=r"TLS 1\.3 alone"):
        make(*own, key_exchange=KeyExchange.HYBRID_ONLY, profiles=("ca13", "cid07"), **told)
    with pytest.raises(TLSMisuse, match=r"TLS 1\.3 alone"):
        make(*own, key_exchange="hybrid-only", datagram=True, **told)
    with pytest.raises(TLSMisuse, match="constrained"):
        make(*own, key_exchange="x25519", datagram=Datagrams(constrained=True), **told)
