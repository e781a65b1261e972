"""XCLIENT says what the server offers to hear, and insists on what matters."""

import pytest

from dnsbound.protocols.xclient import missing_attributes, xclient, xtext

ALL = frozenset({b"NAME", b"ADDR", b"PORT", b"PROTO", b"HELO", b"LOGIN", b"DESTADDR", b"DESTPORT"})
CLIENT, SERVER = ("192.0.2.54", 51234), ("198.51.100.1", 25)


def test_everything_that_is_offered() -> None:
    assert xclient(ALL, client=CLIENT, server=SERVER, login=b"car54._device.cars.example") == (
        b"XCLIENT ADDR=192.0.2.54 PORT=51234 DESTADDR=198.51.100.1 DESTPORT=25 NAME=[UNAVAILABLE]"
        b" LOGIN=car54._device.cars.example"
    )


def test_a_stranger_is_nobody() -> None:
    assert b"LOGIN=[UNAVAILABLE]" in xclient(ALL, client=CLIENT, server=SERVER, login=None)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("2001:db8::54", b"IPV6:2001:db8::54"),
        ("fe80::1%eth0", b"IPV6:fe80::1"),
        ("::ffff:192.0.2.1", b"192.0.2.1"),
        ("", b"[UNAVAILABLE]"),
        ("192.0.2.1 LOGIN=admin", b"[UNAVAILABLE]"),
    ],
)
def test_addresses(host: str, told: bytes) -> None:
    assert xclient(frozenset({b"ADDR"}), client=(host, 1), server=SERVER, login=None) == b"XCLIENT ADDR=" + told


@pytest.mark.parametrize(
    ("offered", "named", "missing"),
    [
        (frozenset(), True, {b"ADDR", b"LOGIN"}),
        (ALL - {b"ADDR"}, True, {b"ADDR"}),
        (ALL - {b"LOGIN"}, True, {b"LOGIN"}),
        (ALL - {b"LOGIN"}, False, set()),
        (ALL, True, set()),
    ],
)
def test_what_a_server_must_let_itself_be_told(offered: frozenset[bytes], missing: set[bytes], *, named: bool) -> None:
    assert missing_attributes(offered, named=named) == missing


def test_xtext() -> None:
    assert xtext(b"a+b=c d\r\n\xc3\xa4") == b"a+2Bb+3Dc+20d+0D+0A+C3+A4"
