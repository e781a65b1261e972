"""What octets of TLS and DTLS become on an IPv6 network: headers, segments, fragments. Arithmetic alone.

Counted: packets that carry octets of the handshake. Not counted: TCP's own handshake and acknowledgements, options of
TCP and IPv6, and the link's frames. Lengths are those of RFC 8200 (sections 3 and 4.5), RFC 768 and RFC 9293.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dnsbound.errors import Misuse

IPV6_HEADER: Final = 40
UDP_HEADER: Final = 8
TCP_HEADER: Final = 20
FRAGMENT_HEADER: Final = 8
FRAGMENT_UNIT: Final = 8
"""Every fragment but the last carries a multiple of this."""
MINIMUM_MTU: Final = 1280
"""RFC 8200 section 5: what every IPv6 link carries. Smaller ones need an adaptation below IPv6."""
SMALLEST: Final = IPV6_HEADER + FRAGMENT_HEADER + 2 * FRAGMENT_UNIT
LARGEST: Final = 65_535


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets of one direction, and their octets with all headers."""

    count: int
    octets: int

    def __add__(self, other: "Packets") -> "Packets":
        return Packets(self.count + other.count, self.octets + other.octets)


NONE: Final = Packets(0, 0)


def datagrams(sizes: Iterable[int], mtu: int) -> Packets:
    """UDP datagrams with these payloads, each fragmented where it exceeds the link's mtu."""
    check_mtu(mtu)
    total = NONE
    for size in sizes:
        whole = UDP_HEADER + size
        if IPV6_HEADER + whole <= mtu:
            total += Packets(1, IPV6_HEADER + whole)
            continue
        room = (mtu - IPV6_HEADER - FRAGMENT_HEADER) // FRAGMENT_UNIT * FRAGMENT_UNIT
        count = -(-whole // room)
        total += Packets(count, whole + count * (IPV6_HEADER + FRAGMENT_HEADER))
    return total


def segments(flights: Iterable[int], mtu: int) -> Packets:
    """TCP segments of flights of these sizes; a flight begins a segment of its own."""
    check_mtu(mtu)
    total = NONE
    headers = IPV6_HEADER + TCP_HEADER
    for size in flights:
        count = -(-size // (mtu - headers))
        total += Packets(count, size + count * headers)
    return total


def check_mtu(mtu: int) -> None:
    """Misuse for a link that carries no fragment of IPv6."""
    if not SMALLEST <= mtu <= LARGEST:
        raise Misuse(f"an MTU is from {SMALLEST} to {LARGEST} octets, not {mtu}")
