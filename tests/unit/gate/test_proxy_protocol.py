"""The PROXY protocol: HAProxy's doc/proxy-protocol.txt, version 1 read, version 2 read and written."""

import pytest

from dnsbound.door_limits import PROXY_HEADER_OCTETS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.protocols.proxy_protocol import (
    MAX_UNIQUE_ID,
    SIGNATURE,
    Command,
    ProxyHeader,
    SslClient,
    SslTlv,
    TlvType,
    crc32c,
    tls_tlv,
)

FOUR = ProxyHeader(source=("192.0.2.1", 40000), destination=("192.0.2.2", 8883))
SIX = ProxyHeader(source=("2001:db8::1", 1), destination=("2001:db8::2", 65535))


def binary(body: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


TCP4 = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + (40000).to_bytes(2, "big") + (8883).to_bytes(2, "big")


# --- version 2


def test_pp_01_the_octets_of_a_header_over_ipv4() -> None:
    assert FOUR.to_wire() == binary(TCP4)
    assert ProxyHeader.from_wire(binary(TCP4) + b"hello") == (FOUR, 16 + 12)


def test_pp_01_the_octets_of_a_header_over_ipv6() -> None:
    body = bytes.fromhex("20010db8000000000000000000000001 20010db8000000000000000000000002 0001 ffff")
    assert SIX.to_wire() == binary(body, family=0x21)
    assert ProxyHeader.from_wire(SIX.to_wire()) == (SIX, 16 + 36)


def test_pp_02_an_end_of_each_family_is_written_as_ipv6() -> None:
    mixed = ProxyHeader(source=("192.0.2.1", 1), destination=("2001:db8::2", 2))
    found = ProxyHeader.from_wire(mixed.to_wire())
    assert found is not None
    assert found[0].source == ("::ffff:c000:201", 1)
    assert mixed.to_wire()[13] == 0x21


def test_pp_03_a_local_connection_has_no_client_whatever_its_block_says() -> None:
    assert ProxyHeader(command=Command.LOCAL).to_wire() == binary(b"", command=0x20, family=0)
    found = ProxyHeader.from_wire(binary(TCP4 + b"\x02\x00\x01a", command=0x20))
    assert found == (ProxyHeader(command=Command.LOCAL), 32)


@pytest.mark.parametrize(("family", "octets"), [(0x00, 9), (0x31, 216), (0x32, 216)])
def test_pp_03_families_without_an_address_for_us_are_skipped(family: int, octets: int) -> None:
    found = ProxyHeader.from_wire(binary(bytes(octets), family=family))
    assert found is not None
    assert (found[0].source, found[0].destination, found[1]) == (None, None, 16 + octets)


@pytest.mark.parametrize("command", [0x11, 0x31, 0x22, 0x2F, 0x01])
def test_pp_04_another_version_or_command_is_dropped(command: int) -> None:
    with pytest.raises(Malformed):
        ProxyHeader.from_wire(binary(TCP4, command=command))


@pytest.mark.parametrize("family", [0x10, 0x13, 0x41, 0xFF, 0x01])
def test_pp_04_another_family_or_transport_is_dropped(family: int) -> None:
    with pytest.raises(Malformed):
        ProxyHeader.from_wire(binary(TCP4, family=family))


def test_pp_05_a_header_is_read_once_it_is_whole() -> None:
    wire = ProxyHeader(source=FOUR.source, destination=FOUR.destination, tlvs=((0xE0, b"a.b"),)).to_wire(checksum=True)
    assert all(ProxyHeader.from_wire(wire[:length]) is None for length in range(len(wire)))
    found = ProxyHeader.from_wire(wire)
    assert found is not None
    assert found[0].first(TlvType.VERIFIED_NAME) == b"a.b"


def test_pp_05_addresses_that_do_not_fit_their_length() -> None:
    with pytest.raises(Malformed):
        ProxyHeader.from_wire(binary(TCP4[:-1]))


@pytest.mark.parametrize("tlvs", [b"\x02", b"\x02\x00", b"\x02\x00\x02a", b"\x02\x00\x00\x05\x00"])
def test_pp_06_tlvs_that_do_not_fit_are_malformed(tlvs: bytes) -> None:
    with pytest.raises(Malformed):
        ProxyHeader.from_wire(binary(TCP4 + tlvs))


def test_pp_06_tlvs_come_back_as_they_were_in_their_order() -> None:
    tlvs = ((0x02, b"api.cars.example"), (0xE0, b"x"), (0xE0, b""), (0xEF, bytes(300)))
    header = ProxyHeader(source=FOUR.source, destination=FOUR.destination, tlvs=tlvs)
    assert ProxyHeader.from_wire(header.to_wire()) == (header, len(header.to_wire()))


def test_pp_07_the_checksum_is_that_of_rfc_4960_appendix_b() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720 appendix B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def test_pp_07_a_header_with_another_checksum_is_dropped() -> None:
    wire = FOUR.to_wire(checksum=True)
    assert ProxyHeader.from_wire(wire) == (FOUR, len(wire))
    for position in (16, 20, 25, len(wire) - 1):
        broken = wire[:position] + bytes([wire[position] ^ 1]) + wire[position + 1 :]
        with pytest.raises(Malformed):
            ProxyHeader.from_wire(broken)


@pytest.mark.parametrize("tlvs", [b"\x03\x00\x03abc", b"\x03\x00\x04abcd" * 2, b"\x03\x00\x00"])
def test_pp_07_a_checksum_has_four_octets_and_is_alone(tlvs: bytes) -> None:
    with pytest.raises(Malformed):
        ProxyHeader.from_wire(binary(TCP4 + tlvs))


def test_pp_08_padding_is_passed_over() -> None:
    assert ProxyHeader.from_wire(binary(TCP4 + b"\x04\x00\x02ab"))[0] == FOUR  # type: ignore[index] # it is whole


def test_pp_09_a_unique_id_has_128_octets_at_most() -> None:
    fits = b"\x05\x00\x80" + bytes(MAX_UNIQUE_ID)
    assert ProxyHeader.from_wire(binary(TCP4 + fits)) is not None
    with pytest.raises(Malformed):
        ProxyHeader.from_wire(binary(TCP4 + b"\x05\x00\x81" + bytes(MAX_UNIQUE_ID + 1)))


def test_pp_10_what_is_told_of_a_verified_client_in_tls() -> None:
    kind, value = tls_tlv(name="car54._device.cars.example", version="TLSv1.3", cipher="X", resumed=False)
    assert kind == TlvType.SSL
    told = SslTlv.from_wire(value)
    assert told.to_wire() == value
    assert (told.client, told.verify) == (SslClient.SSL | SslClient.CERT_CONN | SslClient.CERT_SESS, 0)
    assert dict(told.entries) == {
        TlvType.SSL_VERSION: b"TLSv1.3",
        TlvType.SSL_CN: b"car54._device.cars.example",
        TlvType.SSL_CIPHER: b"X",
    }


def test_pp_10_a_resumed_session_showed_its_certificate_before() -> None:
    _, value = tls_tlv(name="a.b", version="TLSv1.3", cipher=None, resumed=True, certificate=b"DER")
    told = SslTlv.from_wire(value)
    assert told.client == SslClient.SSL | SslClient.CERT_SESS
    assert dict(told.entries)[TlvType.SSL_CLIENT_CERT] == b"DER"


@pytest.mark.parametrize("value", [b"", b"\x01\x00\x00\x00", b"\x01\x00\x00\x00\x00\x21\x00"])
def test_pp_10_what_is_no_tlv_of_tls(value: bytes) -> None:
    with pytest.raises(Malformed):
        SslTlv.from_wire(value)


def test_a_header_longer_than_we_read() -> None:
    with pytest.raises(LimitExceeded):
        ProxyHeader.from_wire(SIGNATURE + b"\x21\x11" + (PROXY_HEADER_OCTETS.default).to_bytes(2, "big"))


def test_a_header_longer_than_can_be_said() -> None:
    with pytest.raises(LimitExceeded):
        ProxyHeader(tlvs=((0xE0, bytes(70_000)),)).to_wire()
    with pytest.raises(LimitExceeded):
        ProxyHeader(tlvs=((0xE0, bytes(40_000)), (0xE1, bytes(40_000)))).to_wire()


# --- version 1


def test_pp_11_the_example_of_the_document() -> None:
    line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    header = ProxyHeader(source=("192.168.0.1", 56324), destination=("192.168.0.11", 443))
    assert ProxyHeader.from_wire(line + b"GET / HTTP/1.1\r\n") == (header, len(line))
    assert all(ProxyHeader.from_wire(line[:length]) is None for length in range(len(line)))


def test_pp_11_ipv6() -> None:
    found = ProxyHeader.from_wire(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n")
    assert found is not None
    assert found[0] == SIX


@pytest.mark.parametrize("rest", [b"", b" ", b" TCP4 1 2 3 4", b" ffff:f...f:ffff ffff 65535 65535"])
def test_pp_11_unknown_is_taken_whatever_follows(rest: bytes) -> None:
    found = ProxyHeader.from_wire(b"PROXY UNKNOWN" + rest + b"\r\n")
    assert found is not None
    assert found[0].source is None


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX",
        b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        b"PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY " + b"A" * 101,
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_pp_12_whatever_is_not_exactly_the_protocol_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        ProxyHeader.from_wire(line)
