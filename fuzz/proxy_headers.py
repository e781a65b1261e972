"""Where the gate reads what a load balancer, or somebody in its place, says before TLS."""

from dnsbound.errors import DnsboundError
from dnsbound.protocols.proxy_protocol import ProxyHeader, SslTlv, TlvType, tls_tlv
from fuzz.target import Target


def read(octets: bytes) -> object:
    """A header, which is written as it was read wherever it has no padding; and what it says of TLS."""
    found = ProxyHeader.from_wire(octets)
    if found is None:
        return None
    header, length = found
    assert 0 < length <= len(octets)
    again = ProxyHeader.from_wire(header.to_wire(checksum=True))
    assert again is not None
    assert header.source is None or again[0].tlvs == header.tlvs
    tls = header.first(TlvType.SSL)
    try:
        return header if tls is None else SslTlv.from_wire(tls)
    except DnsboundError:
        return header


def seeds() -> list[bytes]:
    name = (int(TlvType.VERIFIED_NAME), b"car54._device.cars.example")
    tls = tls_tlv(name="car54._device.cars.example", version="TLSv1.3", cipher="X", resumed=False)
    four = ProxyHeader(source=("192.0.2.1", 1), destination=("192.0.2.2", 2), tlvs=(name, tls))
    six = ProxyHeader(source=("2001:db8::1", 1), destination=("2001:db8::2", 2), tlvs=(name,))
    lines = [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello",
        b"PROXY TCP6 2001:db8::1 ::2 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
    ]
    return [four.to_wire(), four.to_wire(checksum=True), six.to_wire() + b"hello", *lines]


PROXY_HEADER_TARGETS: dict[str, Target] = {"proxy-header": Target(read, seeds)}
