"""Dynamic updates (RFC 2136) as octets: single records added and removed, conditions, and what a response means.

Written here are additions and removals of exact records and nothing else: there is no way to say "this RRset" or "this
name", so that what others put beside our records cannot be hit by mistake. Removals come first in a message, so that a
name can stop being an alias and get records in one step (RFC 2136 section 3.4.2.2 passes over additions beside a CNAME
without a word, which the conditions are for).

Not here: signing (`dnsbound.dns.tsig`), sending.

Sections: RFC 2136 sections 2.2 (header), 2.4.2 and 2.4.3 (conditions on RRsets), 2.5.1 and 2.5.4 (additions, removals),
3 (what a server does), RFC 8945 section 5.3.2.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from dns.rcode import Rcode

from dnsbound.errors import Malformed, Misuse

MAX_OCTETS: Final = 65_535
"""RFC 1035 section 4.2.2: a message over TCP."""
OF_TSIG: Final = 512
"""Octets kept free for the record that signs the message: two names and the longest MAC."""

_HEADER: Final = struct.Struct("!HHHHHH")
_ZONE: Final = struct.Struct("!HH")
_RR_FIXED: Final = struct.Struct("!HHIH")
_UPDATE: Final = 5 << 11
_QR: Final = 0x8000
_OPCODE: Final = 0x7800
_IN: Final = int(dns.rdataclass.IN)
_NONE: Final = int(dns.rdataclass.NONE)
_ANY: Final = int(dns.rdataclass.ANY)
_POINTER_TO_ZONE: Final = (0xC000 | _HEADER.size).to_bytes(2, "big")


class Update:
    """One message to one zone while it is put together."""

    __slots__ = ("_additions", "_conditions", "_counts", "_origin", "_owner", "_removals", "_zone")

    def __init__(self, zone: dns.name.Name) -> None:
        self._origin = zone
        self._zone = zone.to_digestable() + _ZONE.pack(dns.rdatatype.SOA, _IN)
        self._conditions = bytearray()
        self._removals = bytearray()
        self._additions = bytearray()
        self._counts = [0, 0]
        self._owner: tuple[dns.name.Name, bytes] | None = None

    def add(self, owner: dns.name.Name, rdtype: int, ttl: int, rdata: bytes) -> None:
        """A record that shall stand; one that does gets the TTL, and with it its whole RRset."""
        self._additions += self._record(owner, rdtype, _IN, ttl, rdata)
        self._counts[1] += 1

    def remove(self, owner: dns.name.Name, rdtype: int, rdata: bytes) -> None:
        """A record that shall be gone; it need not be there."""
        self._removals += self._record(owner, rdtype, _NONE, 0, rdata)
        self._counts[1] += 1

    def require_absent(self, owner: dns.name.Name, rdtype: int) -> None:
        """Nothing of the message is done if the name has a record of the type."""
        self._conditions += self._record(owner, rdtype, _NONE, 0, b"")
        self._counts[0] += 1

    def require_only(self, owner: dns.name.Name, rdtype: int, rdata: bytes) -> None:
        """Nothing of the message is done unless this is the name's one record of the type."""
        self._conditions += self._record(owner, rdtype, _IN, 0, rdata)
        self._counts[0] += 1

    @property
    def octets(self) -> int:
        """Length of the message without the signature."""
        return _HEADER.size + len(self._zone) + len(self._conditions) + len(self._removals) + len(self._additions)

    def to_wire(self, ident: int) -> bytes:
        """The message. Misuse when it would not fit one."""
        if self.octets > MAX_OCTETS - OF_TSIG:
            raise Misuse(f"an update of {self.octets} octets does not fit a message")
        header = _HEADER.pack(ident, _UPDATE, 1, *self._counts, 0)
        return b"".join((header, self._zone, self._conditions, self._removals, self._additions))

    def _record(self, owner: dns.name.Name, rdtype: int, rdclass: int, ttl: int, rdata: bytes) -> bytes:
        # Records of one name come one behind the other.
        if self._owner is None or self._owner[0] is not owner:
            self._owner = owner, self._compressed(owner)
        return self._owner[1] + _RR_FIXED.pack(rdtype, rdclass, ttl, len(rdata)) + rdata

    def _compressed(self, owner: dns.name.Name) -> bytes:
        depth = len(owner.labels) - len(self._origin.labels)
        if depth < 0 or not owner.is_subdomain(self._origin):
            raise Misuse(f"{owner} does not lie in the zone {self._origin}")
        labels = [bytes((len(label),)) + label.lower() for label in owner.labels[:depth]]
        return b"".join(labels) + _POINTER_TO_ZONE


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResponse:
    """The header of a response to an update; the rest says nothing."""

    ident: int
    rcode: Rcode

    @classmethod
    def from_wire(cls, wire: bytes) -> Self:
        """Malformed for what is no response to an update at all."""
        if len(wire) < _HEADER.size:
            raise Malformed("the DNS message is shorter than its header")
        ident, flags, *_ = _HEADER.unpack_from(wire)
        if not flags & _QR or flags & _OPCODE != _UPDATE:
            raise Malformed("the DNS message is no response to an update")
        return cls(ident=ident, rcode=Rcode(flags & 0xF))


class Meaning(StrEnum):
    """What a response code says about a whole update: a server does all of it or nothing."""

    ACCEPTED = "accepted"
    FAILED = "failed"
    """The server could not; it may be asked again."""
    ONE_IS_WRONG = "one-is-wrong"
    """At least one record or condition of the message is at fault; others may be fine by themselves."""
    ALL_IS_WRONG = "all-is-wrong"
    """The key, the zone or the server is the wrong one, whatever the message asks for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response code's meaning, and a sentence for people."""

    meaning: Meaning
    words: str


_NO_UPDATE_CODE: Final = Answer(Meaning.FAILED, "a code that fits no update")

ANSWERS: Final[Mapping[Rcode, Answer]] = MappingProxyType(
    {
        Rcode.NOERROR: Answer(Meaning.ACCEPTED, "done"),
        Rcode.FORMERR: Answer(Meaning.ONE_IS_WRONG, "it could not read the update"),
        Rcode.SERVFAIL: Answer(Meaning.FAILED, "it failed to make the change; its log says why"),
        Rcode.NXDOMAIN: Answer(Meaning.ONE_IS_WRONG, "a name that must exist does not"),
        Rcode.NOTIMP: Answer(Meaning.ALL_IS_WRONG, "it takes no updates"),
        Rcode.REFUSED: Answer(Meaning.ONE_IS_WRONG, "this key may not change this name and type here"),
        Rcode.YXDOMAIN: Answer(Meaning.ONE_IS_WRONG, "a name that must not exist does"),
        Rcode.YXRRSET: Answer(Meaning.ONE_IS_WRONG, "somebody else's alias (CNAME) stands at the name"),
        Rcode.NXRRSET: Answer(Meaning.ONE_IS_WRONG, "the alias (CNAME) at the name was changed by somebody else"),
        Rcode.NOTAUTH: Answer(Meaning.ALL_IS_WRONG, "it is not the primary of this zone"),
        Rcode.NOTZONE: Answer(Meaning.ONE_IS_WRONG, "the name does not lie in the zone it keeps"),
        Rcode.DSOTYPENI: _NO_UPDATE_CODE,
        Rcode.BADVERS: _NO_UPDATE_CODE,
        Rcode.BADKEY: Answer(Meaning.ALL_IS_WRONG, "it knows no TSIG key of this name and algorithm"),
        Rcode.BADTIME: Answer(Meaning.FAILED, "its clock and ours differ too much for TSIG"),
        Rcode.BADMODE: _NO_UPDATE_CODE,
        Rcode.BADNAME: _NO_UPDATE_CODE,
        Rcode.BADALG: _NO_UPDATE_CODE,
        Rcode.BADTRUNC: _NO_UPDATE_CODE,
        Rcode.BADCOOKIE: _NO_UPDATE_CODE,
    }
)
"""All response codes there are (RFC 2136 section 2.2, RFC 6895 section 2.3); those above 15 come in TSIG records."""
