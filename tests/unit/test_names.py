"""Client names: what is one, what is none and why, and how they compare (CA-08, CA-09, CA-10, CA-29)."""

import string

import pytest

from dnsbound.errors import Malformed
from dnsbound.names import ClientName

LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    "text",
    [
        "car54._device.cars.example",
        "_smtp-client.device1.example.com",
        "device73.example.com",
        "xn--mnchen-3ya.example",
        "a.b",
        "-.-",
        "A.B",
        "0.1",
        LONGEST,
    ],
)
def test_a_name_is_kept_as_it_came(text: str) -> None:
    name = ClientName.parse(text)
    assert name.text == str(name) == text
    assert name.canonical == text.lower()
    assert ClientName.from_wire(name.to_wire()) == name
    assert name.labels == tuple(text.lower().split("."))


@pytest.mark.parametrize(
    ("text", "what", "offset"),
    [
        ("", "is empty", None),
        ("single", "single label", None),
        (".", "ends in a dot", 0),
        ("car54.example.", "ends in a dot", 13),
        (".example.com", "empty label", 0),
        ("a..b", "empty label", 2),
        ("*.example", "wildcard label", 0),
        ("a.*.example", "wildcard label", 2),
        ("a*.example", "outside letters", 0),
        ("a\\046b.example", "escape", 0),
        ("a b.example", "outside letters", 0),
        ("a.example\n", "outside letters", 2),
        ("a.exämple", "outside letters", 2),
        ("a.example\x00", "outside letters", 2),
        ("a" * 64 + ".example", "longer than 63", 0),
        (LONGEST + "d", "longer than 253", None),
    ],
)
def test_what_is_no_name_says_why_and_where(text: str, what: str, offset: int | None) -> None:
    with pytest.raises(Malformed, match=what) as caught:
        ClientName.parse(text)
    assert caught.value.offset == offset


def test_a_name_of_254_octets_is_too_long_and_one_of_253_is_not() -> None:
    assert len(LONGEST) == 253
    ClientName.parse(LONGEST)


def test_names_are_equal_whatever_their_case_and_hash_alike() -> None:
    upper, lower = ClientName.parse("CAR54._Device.cars.example"), ClientName.parse("car54._device.cars.example")
    assert upper == lower
    assert len({upper, lower}) == 1
    assert upper.to_wire() != lower.to_wire()
    assert upper != ClientName.parse("car55._device.cars.example")


def test_octets_that_are_not_ascii_are_no_name() -> None:
    with pytest.raises(Malformed, match="A-labels") as caught:
        ClientName.from_wire("m\N{LATIN SMALL LETTER U WITH DIAERESIS}nchen.example".encode())
    assert caught.value.offset == 1


@pytest.mark.parametrize("template", ["{}car.example", "c{}r.example", "car.ex{}mple", "car.example{}"])
def test_of_all_octets_these_64_may_stand_in_a_label(template: str) -> None:
    before, after = (part.encode() for part in template.split("{}"))
    taken = set()
    for octet in range(256):
        if octet == ord("."):
            continue
        try:
            ClientName.from_wire(before + bytes((octet,)) + after)
        except Malformed:
            continue
        taken.add(chr(octet))
    assert taken == {*string.ascii_letters, *string.digits, "-", "_"}
