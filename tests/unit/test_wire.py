"""Reader: never short, never past the end, every failure with its offset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Malformed, Misuse
from dnsbound.wire import Reader, prefixed


def test_reads_in_order_and_finishes() -> None:
    reader = Reader(bytes.fromhex("0102 0003 616263 ff"), "thing")
    assert (reader.uint(2), reader.prefixed(2), reader.rest()) == (0x0102, b"abc", b"\xff")
    reader.finish()


def test_short_input_names_the_structure_and_the_offset() -> None:
    reader = Reader(b"\x05abc", "thing")
    with pytest.raises(Malformed, match="thing is cut short") as caught:
        reader.prefixed(1)
    assert caught.value.offset == 1


def test_leftovers_are_an_error() -> None:
    reader = Reader(b"ab", "thing")
    reader.octets(1)
    with pytest.raises(Malformed, match="1 octets too many"):
        reader.finish()


def test_a_block_confines_and_must_be_read_out() -> None:
    reader = Reader(b"\x02abc", "thing")
    with reader.block(1):
        with pytest.raises(Malformed):
            reader.octets(3)
        assert reader.octets(2) == b"ab"
    assert reader.rest() == b"c"
    with pytest.raises(Malformed, match="too many"), Reader(b"\x02ab", "thing").block(1):
        pass


def test_a_block_longer_than_the_input_is_cut_short() -> None:
    with pytest.raises(Malformed, match="cut short"), Reader(b"\x05ab", "thing").block(1):
        pytest.fail("the block must not be entered")


@given(st.binary(max_size=255))
def test_prefixed_is_what_the_reader_reads(octets: bytes) -> None:
    reader = Reader(prefixed(octets, 1), "thing")
    assert reader.prefixed(1) == octets
    reader.finish()


def test_what_does_not_fit_its_length_is_the_callers_mistake() -> None:
    with pytest.raises(Misuse):
        prefixed(bytes(256), 1)
