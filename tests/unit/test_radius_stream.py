"""RADIUS packets in a stream: cut by their own lengths, and nothing is believed behind a wrong one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Malformed
from dnsbound.protocols.radius_stream import LONGEST, SHORTEST, PacketStream


def packet(length: int, *, code: int = 1) -> bytes:
    return bytes([code, 7]) + length.to_bytes(2, "big") + bytes(length - 4)


def test_rsec_11_packets_are_cut_by_their_length() -> None:
    stream = PacketStream()
    first, second = packet(SHORTEST), packet(LONGEST, code=4)
    assert stream.receive(first + second[:100]) == [first]
    assert stream.kept == 100
    assert stream.receive(second[100:]) == [second]
    stream.finish()


@given(st.lists(st.integers(SHORTEST, 300), max_size=8), st.lists(st.integers(1, 97), min_size=1, max_size=9))
def test_however_the_stream_is_cut_the_packets_are_the_same(lengths: list[int], pieces: list[int]) -> None:
    sent = [packet(length, code=index + 1) for index, length in enumerate(lengths)]
    stream, octets, received, turn = PacketStream(), b"".join(sent), [], 0
    while octets:
        size = pieces[turn % len(pieces)]
        received += stream.receive(octets[:size])
        octets, turn = octets[size:], turn + 1
    assert received == sent
    stream.finish()


@pytest.mark.parametrize("length", [0, 1, SHORTEST - 1, LONGEST + 1, 0xFFFF])
def test_rsec_12_a_wrong_length_ends_the_stream(length: int) -> None:
    stream = PacketStream()
    good = packet(SHORTEST)
    assert stream.receive(good + bytes([1, 1]) + length.to_bytes(2, "big") + good) == [good]
    assert isinstance(stream.broken, Malformed)
    assert stream.kept == 0
    with pytest.raises(Malformed):
        stream.receive(good)
    with pytest.raises(Malformed):
        stream.finish()


@pytest.mark.parametrize("kept", [1, 3, 4, SHORTEST - 1])
def test_an_end_inside_a_packet_is_told(kept: int) -> None:
    stream = PacketStream()
    assert stream.receive(packet(SHORTEST)[:kept]) == []
    with pytest.raises(Malformed):
        stream.finish()


@given(st.lists(st.binary(max_size=600), max_size=30))
def test_no_octets_keep_more_than_one_packet(pieces: list[bytes]) -> None:
    stream = PacketStream()
    for piece in pieces:
        try:
            given_out = stream.receive(piece)
        except Malformed:
            return
        assert all(SHORTEST <= len(each) <= LONGEST for each in given_out)
        assert stream.kept < LONGEST
