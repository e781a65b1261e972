"""How a flight of TLS travels in EAP packets: cut, announced, acknowledged one by one, and put together again.

The flags octet of each packet of method EAP-TLS says whether the length of the whole message is in it, whether more of
it follows, and whether this is the start. Whatever contradicts an announcement ends the conversation: nothing is
guessed, and a peer can have no more kept than `EAP_TLS_MESSAGE_OCTETS`.

Sections: RFC 5216 2.1.5, 3.1, 3.2; RFC 9190 2.1.9.
"""

from typing import Final, Self

from dnsbound.errors import LimitExceeded, Malformed, PeerError
from dnsbound.hot_value import hot_value
from dnsbound.limits import EAP_FRAGMENT_OCTETS, EAP_TLS_MESSAGE_OCTETS
from dnsbound.protocols.eap import HEADER_OCTETS

LENGTH_INCLUDED: Final = 0x80
MORE_FRAGMENTS: Final = 0x40
START: Final = 0x20

_LENGTH_OCTETS: Final = 4
_OVERHEAD: Final = HEADER_OCTETS + 2
"""Header of EAP, type, flags."""


@hot_value
class TlsFragment:
    """What stands behind the type. total: octets of the whole message, where it is announced."""

    total: int | None = None
    more: bool = False
    start: bool = False
    data: bytes = b""

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Reserved flags are passed over (RFC 5216 section 3.1); Malformed without flags or half a length."""
        flags = octets[0] if octets else LENGTH_INCLUDED
        begin = 1 + _LENGTH_OCTETS if flags & LENGTH_INCLUDED else 1
        if len(octets) < begin:
            raise Malformed("EAP-TLS packet is cut short", len(octets))
        total = int.from_bytes(octets[1:begin], "big") if flags & LENGTH_INCLUDED else None
        return cls(total=total, more=bool(flags & MORE_FRAGMENTS), start=bool(flags & START), data=octets[begin:])

    def to_wire(self) -> bytes:
        flags = MORE_FRAGMENTS * self.more | START * self.start
        if self.total is None:
            return bytes((flags,)) + self.data
        return bytes((flags | LENGTH_INCLUDED,)) + self.total.to_bytes(_LENGTH_OCTETS, "big") + self.data

    @property
    def is_empty(self) -> bool:
        """An acknowledgement, or the answer of who has nothing to say."""
        return not (self.data or self.more or self.start) and self.total is None


EMPTY: Final = TlsFragment()
BEGIN: Final = TlsFragment(start=True)


class Incoming:
    """One message after another, from fragments in order."""

    __slots__ = ("_kept", "_limit", "_total")

    def __init__(self, *, message_octets: int | None = None) -> None:
        self._limit = EAP_TLS_MESSAGE_OCTETS.checked(message_octets)
        self._kept = bytearray()
        self._total: int | None = None

    def take(self, fragment: TlsFragment) -> bytes | None:
        """The message, complete; None when the fragment is to be acknowledged and more follows.

        PeerError for fragments that contradict each other; LimitExceeded for a message above the limit.
        """
        if fragment.start:
            raise PeerError("EAP-TLS starts once, by the server")
        total = self._announced(fragment)
        if total is not None and total > self._limit:
            raise LimitExceeded(EAP_TLS_MESSAGE_OCTETS.name, f"a TLS message of {total} octets is announced")
        self._total = total
        self._kept += fragment.data
        if total is not None:
            _check_progress(len(self._kept), total, more=fragment.more)
        elif len(self._kept) > self._limit:
            raise LimitExceeded(EAP_TLS_MESSAGE_OCTETS.name, f"a TLS message of {len(self._kept)} octets")
        if fragment.more:
            if not fragment.data:
                raise PeerError("an empty fragment with more to follow")
            return None
        message = bytes(self._kept)
        self._kept.clear()
        self._total = None
        return message

    def _announced(self, fragment: TlsFragment) -> int | None:
        if self._total is None:
            if fragment.more and fragment.total is None:
                raise PeerError("the first fragment of several does not announce the length of the message")
            return fragment.total
        if fragment.total not in {None, self._total}:
            raise PeerError(f"a message of {self._total} octets became one of {fragment.total}")
        return self._total


def _check_progress(kept: int, total: int, *, more: bool) -> None:
    if kept > total:
        raise PeerError(f"{kept} octets of a message of {total}")
    if more and kept == total:
        raise PeerError("more is to follow a message that is complete")
    if not more and kept < total:
        raise PeerError(f"the last fragment ends {total - kept} octets early")


class Outgoing:
    """One message to send. packet_octets: of an EAP packet at most."""

    __slots__ = ("_at", "_message", "_packet_octets")

    def __init__(self, message: bytes, *, packet_octets: int) -> None:
        self._message = message
        self._packet_octets = packet_octets
        self._at = 0

    @property
    def is_done(self) -> bool:
        return self._at == len(self._message)

    def take(self) -> TlsFragment:
        """The next fragment. The length is announced in the first of several, as RFC 5216 asks, and nowhere else."""
        message, begun = self._message, self._at > 0
        room = self._packet_octets - _OVERHEAD
        if begun or len(message) <= room:
            total = None
        else:
            total, room = len(message), room - _LENGTH_OCTETS
        data = message[self._at : self._at + room]
        self._at += len(data)
        return TlsFragment(total=total, more=not self.is_done, data=data)


def fragment_octets_of(value: int | None) -> int:
    """Octets of our own EAP packets: as configured, or the default; Misuse when out of range."""
    return EAP_FRAGMENT_OCTETS.checked(value)
