"""TSIG (RFC 8945): signing a message with a shared secret, and holding a response to it. The time is an argument.

A response that is not signed proves nothing, whatever it says. The errors by which a server says that the key, the
signature or the time of a request is wrong are told apart from everything else; the first two cannot be signed. A MAC
that is cut short is not accepted. MD5 and SHA-1 are not offered: no server in use needs them.

Not here: transfers, whose messages are signed in a row (section 5.3.1), and TKEY.

Sections: RFC 8945 sections 4.2 and 4.3 (record, what is digested), 5.2 and 5.3 (errors), 6 (algorithms), 10 (secrets).
"""

import base64
import binascii
import hmac
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

import dns.exception
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from dnsbound.dns.wire_names import read_name
from dnsbound.errors import Malformed
from dnsbound.times import Moment
from dnsbound.wire import Reader

FUDGE: Final = 300
"""Seconds by which the clocks of both sides may differ (RFC 8945 section 10)."""

_DIGESTS: Final[Mapping[str, str]] = MappingProxyType(
    {"hmac-sha256": "sha256", "hmac-sha384": "sha384", "hmac-sha512": "sha512"}
)
_LEAST_SECRET: Final = 16
"""Octets; less than 128 bits can be guessed."""
_HEADER: Final = struct.Struct("!HHHHHH")
_RR_FIXED: Final = struct.Struct("!HHIH")
_ANY: Final = int(dns.rdataclass.ANY)
_TSIG: Final = int(dns.rdatatype.TSIG)

_COMMENTS: Final = re.compile(r"/\*.*?\*/|(?:(?<=\s)|\A)//[^\n]*|#[^\n]*", re.DOTALL)
"""Two slashes begin one only behind a space: Base64 has slashes."""
_BIND: Final = re.compile(r'\s*key\s+"?([^\s"{]+)"?\s*\{([^{}]*)\}\s*;?\s*')
_BIND_ITEM: Final = re.compile(r'\s*(algorithm|secret)\s+"?([^\s";]+)"?\s*;')
_KNOT: Final = re.compile(
    r'\s*key:\s*-\s*id:\s*"?([^\s"]+)"?\s+algorithm:\s*"?([^\s"]+)"?\s+secret:\s*"?([^\s"]+)"?\s*'
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A message with its TSIG record at the end, and the MAC that the response's depends on."""

    wire: bytes
    mac: bytes


class Standing(StrEnum):
    """What the TSIG of a response says about it."""

    AUTHENTIC = "authentic"
    """Made by somebody with the secret, in answer to this request, now."""
    UNSIGNED = "unsigned"
    FORGED = "forged"
    """Signed with another key or for another request, or changed on its way."""
    OUT_OF_TIME = "out-of-time"
    """Signed rightly, at a time too far from now."""
    KEY_UNKNOWN = "key-unknown"
    """BADKEY: the server has no key of this name and algorithm."""
    SIGNATURE_REFUSED = "signature-refused"
    """BADSIG: the server has another secret under this name."""
    TIME_REFUSED = "time-refused"
    """BADTIME, signed: the clocks differ too much."""
    OTHER_ERROR = "other-error"
    """An error of TSIG that fits no request of ours."""


_UNSIGNED_ERRORS: Final[Mapping[int, Standing]] = MappingProxyType(
    {int(dns.rcode.BADKEY): Standing.KEY_UNKNOWN, int(dns.rcode.BADSIG): Standing.SIGNATURE_REFUSED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsigKey:
    """A shared secret. name: as both sides call it. algorithm: `hmac-sha256`, `hmac-sha384` or `hmac-sha512`."""

    name: dns.name.Name
    algorithm: str
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read BIND's `key NAME { algorithm A; secret S; };`, Knot's `key:` section with one key, or one line
        `ALGORITHM:NAME:SECRET` (also `NAME:ALGORITHM:SECRET`). Malformed, never with the secret in the message."""
        plain = _COMMENTS.sub(" ", text)
        bind = _BIND.fullmatch(plain)
        if bind is not None:
            items = dict(_BIND_ITEM.findall(bind[2]))
            if _BIND_ITEM.sub("", bind[2]).strip() or set(items) != {"algorithm", "secret"}:
                raise Malformed("the TSIG key has other statements than `algorithm` and `secret`")
            return cls._of_texts(bind[1], items["algorithm"], items["secret"])
        knot = _KNOT.fullmatch(plain)
        if knot is not None:
            return cls._of_texts(*knot.groups())
        parts = plain.strip().split(":")
        if len(parts) != 3:
            raise Malformed("a TSIG key is BIND's `key NAME { ... };`, Knot's `key:`, or ALGORITHM:NAME:SECRET")
        first, second, secret = parts
        if second.lower().rstrip(".") in _DIGESTS:
            first, second = second, first
        return cls._of_texts(second, first, secret)

    @classmethod
    def _of_texts(cls, name: str, algorithm: str, secret: str) -> Self:
        known = algorithm.lower().rstrip(".")
        if known not in _DIGESTS:
            raise Malformed(f"the TSIG algorithm {algorithm[:40]!r} is none of {', '.join(_DIGESTS)}")
        try:
            octets = base64.b64decode(secret, validate=True)
        except (binascii.Error, ValueError):
            raise Malformed("the TSIG secret is not Base64") from None
        if len(octets) < _LEAST_SECRET:
            raise Malformed(f"the TSIG secret has {len(octets)} octets: anybody guesses it below {_LEAST_SECRET}")
        try:
            parsed = dns.name.from_text(name, dns.name.root)
        except (dns.exception.DNSException, ValueError):
            raise Malformed(f"the TSIG key's name {name[:80]!r} is no domain name") from None
        return cls(name=parsed.canonicalize(), algorithm=known, secret=octets)

    def sign(self, wire: bytes, *, now: Moment) -> SignedRequest:
        """Put a TSIG record behind a message that has none."""
        timers = _timers(int(now), FUDGE)
        mac = self._mac(b"", wire, timers + _error(0, b""))
        ident = wire[:2]
        rdata = self._algorithm_wire + timers + len(mac).to_bytes(2, "big") + mac + ident + _error(0, b"")
        record = self._name_wire + _RR_FIXED.pack(_TSIG, _ANY, 0, len(rdata)) + rdata
        additional = int.from_bytes(wire[10:12], "big") + 1
        return SignedRequest(wire[:10] + additional.to_bytes(2, "big") + wire[12:] + record, mac)

    def standing(self, response: bytes, request: SignedRequest, *, now: Moment) -> Standing:
        """What a response to the request is worth. Malformed for octets that are no message."""
        found = _last_record(response)
        if found is None:
            return Standing.UNSIGNED
        start, name, rdata = found
        record = _Tsig.from_wire(rdata)
        if not record.mac and record.error in _UNSIGNED_ERRORS:
            return _UNSIGNED_ERRORS[record.error]
        if name != self._name_wire or record.algorithm != self._algorithm_wire:
            return Standing.FORGED
        additional = int.from_bytes(response[10:12], "big") - 1
        bare = record.original_id + response[2:10] + additional.to_bytes(2, "big") + response[12:start]
        signed = self._mac(request.mac, bare, record.timers + _error(record.error, record.other))
        return record.standing(now) if hmac.compare_digest(signed, record.mac) else Standing.FORGED

    def _mac(self, request_mac: bytes, message: bytes, variables: bytes) -> bytes:
        before = len(request_mac).to_bytes(2, "big") + request_mac if request_mac else b""
        fixed = self._name_wire + _ANY.to_bytes(2, "big") + bytes(4) + self._algorithm_wire
        return hmac.digest(self.secret, before + message + fixed + variables, _DIGESTS[self.algorithm])

    @property
    def _name_wire(self) -> bytes:
        return self.name.to_digestable()

    @property
    def _algorithm_wire(self) -> bytes:
        return dns.name.from_text(self.algorithm).to_digestable()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tsig:
    """The data of a TSIG record."""

    algorithm: bytes
    timers: bytes
    mac: bytes
    original_id: bytes
    error: int
    other: bytes

    @classmethod
    def from_wire(cls, rdata: bytes) -> Self:
        labels, at = read_name(rdata, 0)
        reader = Reader(rdata[at:], "TSIG record")
        record = cls(
            algorithm=_wire_of(labels),
            timers=reader.octets(8),
            mac=reader.prefixed(2),
            original_id=reader.octets(2),
            error=reader.uint(2),
            other=reader.prefixed(2),
        )
        reader.finish()
        return record

    def standing(self, now: Moment) -> Standing:
        """Of a message whose MAC is right."""
        if self.error == dns.rcode.BADTIME:
            return Standing.TIME_REFUSED
        if self.error:
            return Standing.OTHER_ERROR
        time, fudge = int.from_bytes(self.timers[:6], "big"), int.from_bytes(self.timers[6:], "big")
        return Standing.AUTHENTIC if abs(time - now) <= fudge else Standing.OUT_OF_TIME


def _timers(time: int, fudge: int) -> bytes:
    return time.to_bytes(6, "big") + fudge.to_bytes(2, "big")


def _error(error: int, other: bytes) -> bytes:
    return error.to_bytes(2, "big") + len(other).to_bytes(2, "big") + other


def _wire_of(labels: tuple[bytes, ...]) -> bytes:
    return b"".join([bytes((len(label),)) + label.lower() for label in labels]) + b"\x00"


def _last_record(wire: bytes) -> tuple[int, bytes, bytes] | None:
    """Where the TSIG record at the end of a message begins, its owner and its data; None without one."""
    if len(wire) < _HEADER.size:
        raise Malformed("the DNS message is shorter than its header")
    _, _, questions, answers, authority, additional = _HEADER.unpack_from(wire)
    at = _HEADER.size
    for _ in range(questions):
        at = read_name(wire, at)[1] + 4
    found = None
    for left in range(answers + authority + additional, 0, -1):
        start = at
        labels, at = read_name(wire, at)
        if at + _RR_FIXED.size > len(wire):
            raise Malformed("a DNS record is cut short", at)
        rdtype, rdclass, ttl, length = _RR_FIXED.unpack_from(wire, at)
        at += _RR_FIXED.size
        rdata = wire[at : at + length]
        at += length
        if rdtype == _TSIG:
            if left != 1 or not additional or rdclass != _ANY or ttl:
                raise Malformed("a TSIG record has another form or place than RFC 8945 section 4.2 says", start)
            found = start, _wire_of(labels), rdata
    if at != len(wire):
        raise Malformed("the DNS message does not end where its records do", at)
    return found
