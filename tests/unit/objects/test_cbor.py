"""CBOR read strictly and written deterministically."""

import cbor2
import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse
from dnsbound.object_limits import CBOR_DEPTH, CBOR_ITEMS
from dnsbound.objects.cbor import byte_string, from_cbor, to_cbor

KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=8)
LEAVES = st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=20) | st.text(max_size=20) | st.booleans() | st.none()
ITEMS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@given(ITEMS)
def test_what_is_written_is_read_back(item: object) -> None:
    octets = to_cbor(item)
    assert from_cbor(octets, "item") == item
    assert cbor2.loads(octets) == item


@given(st.binary(max_size=64))
def test_any_octets_give_an_item_or_an_error_of_ours(octets: bytes) -> None:
    try:
        from_cbor(octets, "item")
    except DnsboundError:
        return
    cbor2.loads(octets)  # what is read here is CBOR to others


@given(ITEMS, st.binary(min_size=1, max_size=4))
def test_octets_behind_the_item_are_refused(item: object, more: bytes) -> None:
    with pytest.raises(Malformed):
        from_cbor(to_cbor(item) + more, "item")


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "a201020103",  # a key twice
        "a2616101616102",  # a text key twice
        "a1f501",  # a key that is true
        "a14101f6",  # a key of octets
        "a1820102f6",  # a key that is an array
        "5f4101ff",  # indefinite lengths
        "7f6161ff",
        "9f01ff",
        "bf0102ff",
        "1c",  # reserved
        "ff",
        "f7",  # undefined
        "e0",
        "f820",
        "61ff",  # not UTF-8
        "9bffffffffffffffff",  # a length that nothing is behind
        "bb7fffffffffffffff",
        "5bffffffffffffffff00",
        "1900",
        "f97e",
    ],
)
def test_what_is_refused(octets: str) -> None:
    with pytest.raises(Malformed):
        from_cbor(bytes.fromhex(octets), "item")


def test_a_tag_is_a_number_beside_a_value() -> None:
    """A general decoder would compile a stranger's regular expression, or parse his mail."""
    assert from_cbor(bytes.fromhex("d8236128"), "item") == CBORTag(35, "(")
    assert from_cbor(to_cbor(CBORTag(0, "no date")), "item") == CBORTag(0, "no date")


def test_floating_point_is_read_and_not_written() -> None:
    assert from_cbor(bytes.fromhex("f93e00"), "item") == 1.5
    with pytest.raises(Misuse):
        to_cbor(1.5)


def test_depth_and_number_of_parts_are_limited() -> None:
    deep = b"\x81" * (CBOR_DEPTH.default + 1) + b"\x00"
    with pytest.raises(LimitExceeded) as caught:
        from_cbor(deep, "item")
    assert caught.value.limit == CBOR_DEPTH.name
    wide = b"\x99\xff\xff" + bytes(0xFFFF)
    with pytest.raises(LimitExceeded) as caught:
        from_cbor(wide, "item")
    assert caught.value.limit == CBOR_ITEMS.name


def test_keys_are_in_the_order_of_rfc_8949() -> None:
    """Section 4.2.1: bytewise, not by length first."""
    assert to_cbor({-1: 0, 100: 0, 10: 0, "z": 0, "aa": 0}).hex() == "a50a001864002000617a0062616100"


@pytest.mark.parametrize("item", [{b"": 1}, {True: 1}, {1.5: 1}, object(), {1: object()}, [1.5]])
def test_what_is_not_written(item: object) -> None:
    with pytest.raises(Misuse):
        to_cbor(item)


@pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 65_535, 65_536])
def test_a_byte_string_is_written_alike(length: int) -> None:
    assert byte_string(bytes(length)) == to_cbor(bytes(length)) == cbor2.dumps(bytes(length))
