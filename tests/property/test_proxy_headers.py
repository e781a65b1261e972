"""PROXY headers: what is written is read again; whatever is read causes an error of ours or a header, at any length."""

from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import DnsboundError
from dnsbound.protocols.proxy_protocol import SIGNATURE, V1_PREFIX, ProxyHeader, SslTlv, TlvType

PORTS = st.integers(0, 0xFFFF)
HOSTS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
PLAIN = st.integers(0, 0xFF).filter(lambda kind: kind not in {TlvType.CRC32C, TlvType.NOOP, TlvType.UNIQUE_ID})
TLVS = st.lists(st.tuples(PLAIN, st.binary(max_size=64)), max_size=8).map(tuple)


@given(st.tuples(HOSTS, PORTS), st.tuples(HOSTS, PORTS), TLVS, st.booleans(), st.binary(max_size=32))
def test_what_is_written_is_read(source, destination, tlvs, checksum, after):
    wire = ProxyHeader(source=source, destination=destination, tlvs=tlvs).to_wire(checksum=checksum)
    header, length = ProxyHeader.from_wire(wire + after)
    assert length == len(wire)
    assert header.tlvs == tlvs
    assert (header.source[1], header.destination[1]) == (source[1], destination[1])
    assert header.to_wire(checksum=checksum) == wire


@given(
    st.sampled_from([b"", SIGNATURE, SIGNATURE + b"\x21\x11\x00", SIGNATURE + b"\x21\x21\x00", V1_PREFIX + b"TCP4 "]),
    st.binary(max_size=300),
)
def test_any_octets_are_a_header_or_an_error_of_ours(prefix, octets):
    try:
        found = ProxyHeader.from_wire(prefix + octets)
    except DnsboundError:
        return
    if found is not None:
        assert 0 < found[1] <= len(prefix + octets)
        for kind, value in found[0].tlvs:
            if kind == TlvType.SSL:
                try:
                    assert SslTlv.from_wire(value).to_wire() == value
                except DnsboundError:
                    continue


@given(st.binary(max_size=200))
def test_a_verdict_on_octets_does_not_change_with_more_of_them(octets):
    """None is said of beginnings alone: nobody waits for more of what can be none any more."""
    try:
        found = ProxyHeader.from_wire(SIGNATURE + octets)
    except DnsboundError:
        return
    if found is not None:
        assert ProxyHeader.from_wire(SIGNATURE + octets + b"more") == found
