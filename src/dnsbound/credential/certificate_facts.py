"""Facts read from a certificate's DER: the key's exact octets, names, validity, purposes. Nothing is judged here.

Each function reads only what it needs, so that a certificate with one odd field still yields the others: usage 3 asks
for the key alone (RFC 7671 section 5.1). Any octets give a fact or Malformed. Sections: RFC 5280 section 4.1 (fields),
4.2.1.3 (keyUsage), 4.2.1.6 (subjectAltName), 4.2.1.9 (basicConstraints), 4.2.1.12 (extKeyUsage).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self

from dnsbound.credential import der
from dnsbound.errors import Malformed
from dnsbound.times import Moment

_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_DNS_NAME: Final = 0x82

_SUBJECT_ALT_NAME: Final = "2.5.29.17"
_KEY_USAGE: Final = "2.5.29.15"
_BASIC_CONSTRAINTS: Final = "2.5.29.19"
_EXTENDED_KEY_USAGE: Final = "2.5.29.37"

CLIENT_AUTH: Final = "1.3.6.1.5.5.7.3.2"
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
ANY_PURPOSE: Final = "2.5.29.37.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What `from_der` found. Times are POSIX seconds; identifiers are dotted decimal text."""

    spki: bytes
    """DER SubjectPublicKeyInfo, octet for octet as in the certificate."""
    issuer: bytes
    """DER Name."""
    subject: bytes
    """DER Name; an empty one is two octets."""
    not_before: Moment
    not_after: Moment
    san_dns_names: tuple[str, ...]
    extended_key_usages: tuple[str, ...] | None
    """None without the extension."""
    is_ca: bool | None
    """The basicConstraints flag; None without the extension."""

    @property
    def self_issued(self) -> bool:
        return self.issuer == self.subject

    @classmethod
    def from_der(cls, certificate: bytes) -> Self:
        fields = _fields(certificate)
        not_before, not_after = _validity(certificate, fields)
        return cls(
            spki=certificate[fields.spki : fields.spki_end],
            issuer=certificate[fields.issuer : fields.validity],
            subject=certificate[fields.subject : fields.spki],
            not_before=not_before,
            not_after=not_after,
            san_dns_names=_san_dns_names(certificate, fields),
            extended_key_usages=_extended_key_usages(certificate, fields),
            is_ca=_is_ca(certificate, fields),
        )


def spki_of(certificate: bytes) -> bytes:
    """DER SubjectPublicKeyInfo, octet for octet as it stands in the certificate."""
    fields = _fields(certificate)
    return certificate[fields.spki : fields.spki_end]


def san_dns_names(certificate: bytes) -> tuple[str, ...]:
    """Every dNSName of the subjectAltName extension, in order and as written; empty without the extension."""
    return _san_dns_names(certificate, _fields(certificate))


def may_sign(certificate: bytes) -> bool:
    """Whether keyUsage, where it is there, lets the key sign objects: digitalSignature or nonRepudiation (RFC 5280
    section 4.2.1.3, RFC 8551 section 4.4.2)."""
    return _may(certificate, _SIGNING_BITS)


def may_agree_on_keys(certificate: bytes) -> bool:
    """Whether keyUsage, where it is there, lets the key agree on secrets: keyAgreement."""
    return _may(certificate, _KEY_AGREEMENT_BIT)


def may_encipher_keys(certificate: bytes) -> bool:
    """Whether keyUsage, where it is there, lets other keys be encrypted to this one: keyEncipherment."""
    return _may(certificate, _KEY_ENCIPHERMENT_BIT)


def _may(certificate: bytes, wanted: int) -> bool:
    """Whether keyUsage is absent, or has one of these bits of its first octet."""
    bits: bytes | None = None
    for identifier, start, end in _extensions(certificate, _fields(certificate)):
        if identifier == _KEY_USAGE:
            first, last = der.expect(certificate, start, end, der.BIT_STRING, "keyUsage")
            bits = certificate[first:last]
    if bits is None:
        return True
    return len(bits) >= 2 and bool(bits[1] & wanted)


_SIGNING_BITS: Final = 0xC0
_KEY_ENCIPHERMENT_BIT: Final = 0x20
_KEY_AGREEMENT_BIT: Final = 0x08


class _Fields(NamedTuple):
    """Offsets into the certificate where the fields of TBSCertificate begin."""

    issuer: int
    validity: int
    subject: int
    spki: int
    spki_end: int
    tbs_end: int


def _fields(certificate: bytes) -> _Fields:
    read = der.read_element
    end = len(certificate)
    start, stop = der.expect(certificate, 0, end, der.SEQUENCE, "certificate")
    if stop != end:
        raise Malformed(f"certificate has {end - stop} octets too many", stop)
    offset, tbs_end = der.expect(certificate, start, stop, der.SEQUENCE, "TBSCertificate")
    tag, _, after = read(certificate, offset, tbs_end)
    if tag == _VERSION:
        tag, _, after = read(certificate, after, tbs_end)
    if tag != der.INTEGER:
        raise Malformed("certificate has no serial number", offset)
    ends = []
    for what in _SEQUENCES:
        offset = after
        tag, _, after = read(certificate, offset, tbs_end)
        if tag != der.SEQUENCE:
            raise Malformed(f"{what} has DER tag {tag:#04x}, not {der.SEQUENCE:#04x}", offset)
        ends.append(after)
    issuer, validity, subject, spki, spki_end = ends
    return _Fields(issuer, validity, subject, spki, spki_end, tbs_end)


_SEQUENCES: Final = ("signature algorithm", "issuer", "validity", "subject", "subject public key")
"""What stands between the serial number and the extensions."""


def _extensions(certificate: bytes, fields: _Fields) -> Iterator[tuple[str, int, int]]:
    """Identifier and the bounds of the value of each extension; Malformed when one occurs twice (RFC 5280 4.2)."""
    seen: set[str] = set()
    for tag, start, end in der.elements(certificate, fields.spki_end, fields.tbs_end):
        if tag != _EXTENSIONS:
            continue
        list_start, list_end = der.expect(certificate, start, end, der.SEQUENCE, "extensions")
        for _, entry, entry_end in der.elements(certificate, list_start, list_end):
            oid_start, oid_end = der.expect(certificate, entry, entry_end, der.OBJECT_IDENTIFIER, "extension")
            identifier = der.oid_text(certificate[oid_start:oid_end])
            if identifier in seen:
                raise Malformed(f"extension {identifier} occurs twice", entry)
            seen.add(identifier)
            kind, value, value_end = der.read_element(certificate, oid_end, entry_end)
            if kind == der.BOOLEAN:
                kind, value, value_end = der.read_element(certificate, value_end, entry_end)
            if kind != der.OCTET_STRING or value_end != entry_end:
                raise Malformed(f"extension {identifier} is not an octet string", value)
            yield identifier, value, value_end


def _extension(certificate: bytes, fields: _Fields, wanted: str, what: str) -> tuple[int, int] | None:
    """Bounds of the content of the SEQUENCE that the wanted extension's value is. All extensions are walked, so that a
    second one of the same kind never goes unseen."""
    found: tuple[int, int] | None = None
    for identifier, start, end in _extensions(certificate, fields):
        if identifier == wanted:
            found = der.expect(certificate, start, end, der.SEQUENCE, what)
    return found


def _san_dns_names(certificate: bytes, fields: _Fields) -> tuple[str, ...]:
    bounds = _extension(certificate, fields, _SUBJECT_ALT_NAME, "subjectAltName")
    if bounds is None:
        return ()
    names: list[str] = []
    for tag, start, end in der.elements(certificate, *bounds):
        if tag == _DNS_NAME:
            try:
                names.append(certificate[start:end].decode("ascii"))
            except UnicodeDecodeError:
                raise Malformed("dNSName is not ASCII", start) from None
    return tuple(names)


def _extended_key_usages(certificate: bytes, fields: _Fields) -> tuple[str, ...] | None:
    bounds = _extension(certificate, fields, _EXTENDED_KEY_USAGE, "extKeyUsage")
    if bounds is None:
        return None
    purposes: list[str] = []
    for tag, start, end in der.elements(certificate, *bounds):
        if tag != der.OBJECT_IDENTIFIER:
            raise Malformed("extKeyUsage holds something else than identifiers", start)
        purposes.append(der.oid_text(certificate[start:end]))
    return tuple(purposes)


def _is_ca(certificate: bytes, fields: _Fields) -> bool | None:
    bounds = _extension(certificate, fields, _BASIC_CONSTRAINTS, "basicConstraints")
    if bounds is None:
        return None
    for tag, start, end in der.elements(certificate, *bounds):
        if tag == der.BOOLEAN:
            return certificate[start:end] == b"\xff"
        break
    return False


def _validity(certificate: bytes, fields: _Fields) -> tuple[Moment, Moment]:
    start, end = der.expect(certificate, fields.validity, fields.subject, der.SEQUENCE, "validity")
    times = [_time(tag, certificate[a:b], a) for tag, a, b in der.elements(certificate, start, end)]
    if len(times) != 2:
        raise Malformed("validity is not two times", start)
    return times[0], times[1]


_TIME_FORMATS: Final = {der.UTC_TIME: (13, "%y%m%d%H%M%SZ"), der.GENERALIZED_TIME: (15, "%Y%m%d%H%M%SZ")}


def _time(tag: int, octets: bytes, offset: int) -> Moment:
    """RFC 5280 section 4.1.2.5: seconds present, zone Z; two-digit years from 50 on are of the last century."""
    length, form = _TIME_FORMATS.get(tag, (0, ""))
    if not length or len(octets) != length or not octets[:-1].isdigit():
        raise Malformed("validity holds something else than a time", offset)
    try:
        moment = datetime.strptime(octets.decode("ascii"), form).replace(tzinfo=UTC)
    except ValueError:
        raise Malformed("validity holds no time of the calendar", offset) from None
    if tag == der.UTC_TIME:
        century = 1900 if moment.year % 100 >= 50 else 2000
        moment = moment.replace(year=century + moment.year % 100)
    return moment.timestamp()
