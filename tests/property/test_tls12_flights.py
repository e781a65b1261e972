"""TLS 1.2 at a door, with one octet changed on the way: nobody is judged by what the client's key did not sign."""

import ssl
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbound.edge.context import Context
from dnsbound.errors import DnsboundError
from machines.native_pairs import SERVER
from machines.shim_pairs import Pair, client, credential, door

FLIGHTS = ("hello", "answer", "last")


@cache
def ends() -> tuple[Context, Context]:
    near = client(credential(), profiles=["cid07"], clear_name_to=[SERVER])
    near.maximum_version = ssl.TLSVersion.TLSv1_2
    return near, door(profiles=["ca13", "cid07"])


def record_versions(octets: bytes) -> set[int]:
    """Where a record says its version, which is signed and authenticated by nobody before the keys are there."""
    places, start = set(), 0
    while start < len(octets):
        places |= {start + 1, start + 2}
        start += 5 + int.from_bytes(octets[start + 3 : start + 5], "big")
    return places


@settings(max_examples=200, deadline=None)
@given(flight=st.sampled_from(FLIGHTS), at=st.integers(0, 4000), bits=st.integers(1, 255))
def test_one_octet_changed_anywhere_is_no_claim(flight: str, at: int, bits: int) -> None:
    pair = Pair.of(*ends())
    harmless = False
    turns = ((pair.near, pair.to_far), (pair.far, pair.to_near), (pair.near, pair.to_far))
    try:
        for name, (end, out) in zip(FLIGHTS, turns, strict=True):
            step(end)
            octets = out.read()
            if octets and name == flight:
                place = at % len(octets)
                harmless = place in record_versions(octets)
                octets = octets[:place] + bytes((octets[place] ^ bits,)) + octets[place + 1 :]
            out.write(octets)
        step(pair.far)
    except ssl.SSLError as error:
        if not isinstance(error, DnsboundError):
            raise
    claim = pair.far.pending_claim
    assert claim is None or harmless
    assert claim is None or pair.to_near.pending == 0, "the last flight waits for the verdict"


def step(end: ssl.SSLObject) -> None:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return
