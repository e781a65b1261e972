"""Whatever arrives, the shim asks for more, or raises an error that is ours and `ssl.SSLError`; and nobody gets in."""

import ssl
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbound.edge.context import Context
from dnsbound.errors import DnsboundError
from dnsbound.tls.server_shim import Authentication
from machines.native_pairs import SERVER
from machines.shim_pairs import Pair, admitted, client, credential, door


@cache
def near() -> Context:
    return client(credential())


@cache
def far() -> Context:
    return door()


def attempt(call: Any) -> None:
    """Any exception that is not both ours and Python's fails the test."""
    try:
        call()
    except ssl.SSLWantReadError:
        return
    except ssl.SSLError as error:
        if not isinstance(error, DnsboundError):
            raise


def damaged(octets: bytes, data: st.DataObject) -> bytes:
    position = data.draw(st.integers(0, 9999)) % len(octets)  # signatures vary in length from run to run
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "repeat"]))
    if kind == "flip":
        return octets[:position] + bytes([octets[position] ^ data.draw(st.integers(1, 255))]) + octets[position + 1 :]
    if kind == "cut":
        return octets[:position] + octets[position + 1 :]
    if kind == "insert":
        return octets[:position] + data.draw(st.binary(min_size=1, max_size=5)) + octets[position:]
    return octets + octets


@given(st.binary(max_size=2000))
def test_any_octets_at_either_end(octets: bytes) -> None:
    to_near, to_far = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (near().wrap_bio(to_near, to_far, server_hostname=SERVER), far().accept(to_near, to_far))
    for end in ends:
        to_near.write(octets)
        attempt(end.do_handshake)
        attempt(lambda: end.read(10))  # noqa: B023 (called at once)
        assert end.version() is None
        to_near.read()


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2), st.data())
def test_damaged_handshake_admits_nobody(flight: int, data: st.DataObject) -> None:
    """flight 0: ClientHello. 1: the server's answer. 2: the client's certificate, proof and Finished."""
    pair = Pair.of(near(), far())
    attempt(pair.near.do_handshake)
    if flight > 0:
        attempt(pair.far.do_handshake)
    if flight > 1:
        pair.near.do_handshake()
    bio = pair.to_near if flight == 1 else pair.to_far
    sent = bio.read()
    bio.write(damaged(sent, data))
    for end in (pair.far, pair.near, pair.far, pair.near, pair.far):
        attempt(end.do_handshake)
    # A repeated flight may leave the handshake whole; what was proved is then still only a claim.
    assert pair.far.authentication in {Authentication.PENDING, Authentication.REFUSED}
    attempt(lambda: pair.far.read(10))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_damaged_records_end_the_connection(data: st.DataObject) -> None:
    pair = admitted(near(), far())
    pair.near.write(b"hello")
    pair.to_far.write(damaged(pair.to_far.read(), data))
    received = b""
    for _ in range(3):
        try:
            received += pair.far.read(100)
        except ssl.SSLWantReadError:
            break
        except ssl.SSLError as error:
            if not isinstance(error, DnsboundError):
                raise
            break
    assert b"hello".startswith(received), "nothing arrives that was not sent"
