"""RADIUS over a stream: where one packet ends and the next begins.

A packet's own Length field is the only boundary there is, so one wrong length spoils everything behind it: the stream
is then at its end, and whoever owns the connection closes it (RFC 6613 section 2.6.4). Octets of at most one packet are
kept. What the packets say is `dnsbound.protocols.radius`'s to read. Sections: RFC 6613 sections 2.1 and 2.6.4; RFC 6614
section 3.4 (1).
"""

from typing import Final

from dnsbound.errors import Malformed

SHORTEST: Final = 20
"""Octets of a packet without attributes (RFC 2865 section 3)."""
LONGEST: Final = 4096
"""Octets of a packet at most (RFC 2865 section 3)."""
_LENGTH_ENDS: Final = 4
"""Code, Identifier and Length come first."""


class PacketStream:
    """Cuts one direction of a stream into packets."""

    __slots__ = ("_broken", "_kept")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._broken: Malformed | None = None

    def receive(self, octets: bytes) -> list[bytes]:
        """The packets that these octets complete, in order. What a wrong length stands behind is still given out; the
        next call, and every later one, raises the Malformed that `broken` shows."""
        if self._broken is not None:
            raise self._broken
        kept = self._kept
        kept += octets
        packets: list[bytes] = []
        start = 0
        while len(kept) - start >= _LENGTH_ENDS:
            length = int.from_bytes(kept[start + 2 : start + _LENGTH_ENDS], "big")
            if not SHORTEST <= length <= LONGEST:
                self._broken = Malformed(f"a RADIUS packet of {length} octets in a stream")
                kept.clear()
                return packets
            if len(kept) - start < length:
                break
            packets.append(bytes(kept[start : start + length]))
            start += length
        del kept[:start]
        return packets

    @property
    def broken(self) -> Malformed | None:
        """Why nothing more can be read; None while there is no reason."""
        return self._broken

    @property
    def kept(self) -> int:
        """Octets of a packet that is not complete."""
        return len(self._kept)

    def finish(self) -> None:
        """The stream ended; Malformed where it did so inside a packet."""
        if self._broken is not None:
            raise self._broken
        if self._kept:
            raise Malformed("the stream ended inside a RADIUS packet", len(self._kept))
