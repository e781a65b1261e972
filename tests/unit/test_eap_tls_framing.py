"""EAP-TLS packets and their fragments (RFC 5216 sections 2.1.5 and 3; RFC 9190 section 2.1.9)."""

from itertools import pairwise

import pytest

from dnsbound.errors import LimitExceeded, Malformed, Misuse, PeerError
from dnsbound.limits import EAP_FRAGMENT_OCTETS, EAP_TLS_MESSAGE_OCTETS
from dnsbound.protocols.eap_tls_framing import BEGIN, EMPTY, Incoming, Outgoing, TlsFragment, fragment_octets_of

HEADER = 6
"""Octets of an EAP packet before the data: code, identifier, length, type, flags."""


def joined(incoming: Incoming, *fragments: TlsFragment) -> bytes:
    *before, last = fragments
    assert [incoming.take(fragment) for fragment in before] == [None] * len(before)
    message = incoming.take(last)
    assert message is not None
    return message


@pytest.mark.parametrize(
    ("octets", "fragment"),
    [
        (b"\x20", BEGIN),
        (b"\x00", EMPTY),
        (b"\x00abc", TlsFragment(data=b"abc")),
        (b"\x40abc", TlsFragment(more=True, data=b"abc")),
        (b"\x80\x00\x00\x00\x03abc", TlsFragment(total=3, data=b"abc")),
        (b"\xc0\x00\x01\x00\x00abc", TlsFragment(total=65_536, more=True, data=b"abc")),
    ],
    ids=["start", "empty", "whole", "more", "length", "first"],
)
def test_et_02_fragments_in_the_octets_of_the_section(octets: bytes, fragment: TlsFragment) -> None:
    assert TlsFragment.from_wire(octets) == fragment
    assert fragment.to_wire() == octets


@pytest.mark.parametrize("reserved", range(1, 0x20))
def test_et_05_reserved_flags_are_passed_over(reserved: int) -> None:
    assert TlsFragment.from_wire(bytes((reserved,)) + b"abc") == TlsFragment(data=b"abc")


@pytest.mark.parametrize("octets", [b"", b"\x80", b"\x80\x00\x00\x00"], ids=bytes.hex)
def test_a_fragment_that_is_cut_short_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        TlsFragment.from_wire(octets)


@pytest.mark.parametrize("packet_octets", [100, 101, 500, 1400])
@pytest.mark.parametrize("length", [1, 90, 94, 95, 180, 4000])
def test_et_02_messages_are_cut_announced_and_put_together(length: int, packet_octets: int) -> None:
    message = bytes(number % 251 for number in range(length))
    outgoing, fragments = Outgoing(message, packet_octets=packet_octets), []
    while not outgoing.is_done:
        fragments.append(outgoing.take())
    assert max(HEADER - 1 + len(fragment.to_wire()) for fragment in fragments) <= packet_octets
    assert [fragment.more for fragment in fragments] == [True] * (len(fragments) - 1) + [False]
    first, *others = fragments
    # RFC 9190 section 2.1.9: no length in a message that is not fragmented.
    assert first.total == (length if others else None)
    assert {fragment.total for fragment in others} <= {None}
    # Every fragment but the last is full: none is sent that needs not be.
    assert all(HEADER - 1 + len(one.to_wire()) == packet_octets for one, _ in pairwise(fragments))
    assert joined(Incoming(), *fragments) == message


def test_an_empty_message_is_one_empty_fragment() -> None:
    outgoing = Outgoing(b"", packet_octets=100)
    assert outgoing.take() == EMPTY
    assert outgoing.is_done


@pytest.mark.parametrize("total", [None, 3])
def test_et13_14_unfragmented_messages_with_and_without_the_length(total: int | None) -> None:
    assert joined(Incoming(), TlsFragment(total=total, data=b"abc")) == b"abc"


def test_et_02_the_length_may_be_said_again() -> None:
    incoming = Incoming()
    for _ in range(2):
        assert (
            joined(incoming, TlsFragment(total=6, more=True, data=b"abc"), TlsFragment(total=6, data=b"def"))
            == b"abcdef"
        )


@pytest.mark.parametrize(
    "fragments",
    [
        [TlsFragment(more=True, data=b"abc")],
        [TlsFragment(total=4, data=b"abc")],
        [TlsFragment(total=2, data=b"abc")],
        [TlsFragment(total=0, data=b"abc")],
        [TlsFragment(total=3, more=True, data=b"abc")],
        [TlsFragment(total=2, more=True, data=b"abc")],
        [TlsFragment(total=6, more=True, data=b"abc"), TlsFragment(data=b"de")],
        [TlsFragment(total=6, more=True, data=b"abc"), TlsFragment(data=b"defg")],
        [TlsFragment(total=6, more=True, data=b"abc"), TlsFragment(more=True, data=b"def")],
        [TlsFragment(total=6, more=True, data=b"abc"), TlsFragment(total=7, data=b"defg")],
        [TlsFragment(total=6, more=True, data=b"abc"), TlsFragment(total=3, data=b"def")],
        [TlsFragment(total=6, more=True, data=b"abc"), EMPTY],
        [TlsFragment(total=6, more=True)],
        [TlsFragment(total=6, more=True, data=b"abc"), TlsFragment(more=True)],
        [BEGIN],
        [TlsFragment(total=6, more=True, data=b"abc"), BEGIN],
        [TlsFragment(start=True, data=b"abc")],
    ],
    ids=[
        *("unannounced", "early end", "too much", "nothing announced", "more of nothing", "more than announced"),
        *("cut", "overflow", "more when complete", "grown", "shrunk", "given up"),
        *("empty first", "empty middle", "start", "start within", "start with data"),
    ],
)
def test_et_03_fragments_that_contradict_each_other_are_refused(fragments: list[TlsFragment]) -> None:
    incoming = Incoming()
    *before, last = fragments
    assert [incoming.take(fragment) for fragment in before] == [None] * len(before)
    with pytest.raises(PeerError):
        incoming.take(last)


def test_et_04_a_message_above_the_limit_is_refused_when_it_is_announced() -> None:
    incoming = Incoming(message_octets=4096)
    with pytest.raises(LimitExceeded) as caught:
        incoming.take(TlsFragment(total=4097, more=True, data=b"a"))
    assert caught.value.limit == EAP_TLS_MESSAGE_OCTETS.name
    with pytest.raises(LimitExceeded):
        Incoming(message_octets=4096).take(TlsFragment(data=bytes(4097)))
    assert joined(Incoming(message_octets=4096), TlsFragment(total=4096, data=bytes(4096))) == bytes(4096)


def test_et_04_the_limit_is_within_what_the_rfc_allows() -> None:
    assert EAP_TLS_MESSAGE_OCTETS.maximum == 64 * 1024
    with pytest.raises(Misuse):
        Incoming(message_octets=65_537)


def test_fragment_octets_have_a_range() -> None:
    assert fragment_octets_of(None) == EAP_FRAGMENT_OCTETS.default
    assert fragment_octets_of(100) == 100
    for outside in (EAP_FRAGMENT_OCTETS.minimum - 1, EAP_FRAGMENT_OCTETS.maximum + 1):
        with pytest.raises(Misuse):
            fragment_octets_of(outside)
