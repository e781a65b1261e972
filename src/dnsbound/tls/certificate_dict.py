"""A certificate as Python's `ssl` shows it: the dictionary of `getpeercert()`, and the entries of its chains.

Programs written for Python's `ssl` read host names and dates out of it. It is a way of showing, not of checking. Fields
that do not parse are left out: the certificate was accepted by its key or its chain, not by this dictionary.
"""

import ipaddress
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from dnsbound.credential.certificate_parsing import certificate_from_der
from dnsbound.errors import Malformed

_LONG_NAMES: Final = {
    "2.5.4.3": "commonName",
    "2.5.4.4": "surname",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "countryName",
    "2.5.4.7": "localityName",
    "2.5.4.8": "stateOrProvinceName",
    "2.5.4.9": "streetAddress",
    "2.5.4.10": "organizationName",
    "2.5.4.11": "organizationalUnitName",
    "2.5.4.12": "title",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.42": "givenName",
    "1.2.840.113549.1.9.1": "emailAddress",
    "0.9.2342.19200300.100.1.1": "userId",
    "0.9.2342.19200300.100.1.25": "domainComponent",
}

_ENCODING_PEM: Final = 1
_ENCODING_DER: Final = 2


class ChainCertificate(bytes):
    """DER of one certificate of a chain; from 3.13 on `ssl` asks such entries for `public_bytes`."""

    __slots__ = ()

    def public_bytes(self, format: int = _ENCODING_PEM) -> str | bytes:  # noqa: A002 (the standard library's name)
        """PEM text, or DER for `_ssl.ENCODING_DER`."""
        if format == _ENCODING_DER:
            return bytes(self)
        if format == _ENCODING_PEM:
            return x509.load_der_x509_certificate(self).public_bytes(Encoding.PEM).decode("ascii")
        raise ValueError("Unsupported format")

    def get_info(self) -> dict[str, Any]:
        """As `certificate_dict`."""
        return certificate_dict(self)


def certificate_dict(certificate: bytes) -> dict[str, Any]:
    """The dictionary for DER octets; {} when they do not parse as a certificate at all."""
    try:
        parsed = certificate_from_der(certificate)
    except Malformed:
        return {}
    fields: dict[str, Callable[[x509.Certificate], Any]] = {
        "subject": lambda c: _name(c.subject),
        "issuer": lambda c: _name(c.issuer),
        "version": lambda c: c.version.value + 1,
        "serialNumber": lambda c: _serial_number(c.serial_number),
        "notBefore": lambda c: _time(c.not_valid_before_utc),
        "notAfter": lambda c: _time(c.not_valid_after_utc),
        "subjectAltName": _subject_alt_name,
        "OCSP": lambda c: _access(c, AuthorityInformationAccessOID.OCSP),
        "caIssuers": lambda c: _access(c, AuthorityInformationAccessOID.CA_ISSUERS),
        "crlDistributionPoints": _distribution_points,
    }
    shown: dict[str, Any] = {}
    for field, read in fields.items():
        try:
            value = read(parsed)
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            continue
        if value or field in {"subject", "issuer"}:
            shown[field] = value
    return shown


def _name(name: x509.Name) -> tuple[tuple[tuple[str, str], ...], ...]:
    return tuple(tuple((_long_name(part.oid), str(part.value)) for part in rdn) for rdn in name.rdns)


def _long_name(oid: x509.ObjectIdentifier) -> str:
    return _LONG_NAMES.get(oid.dotted_string, oid.dotted_string)


def _serial_number(number: int) -> str:
    """OpenSSL's hexadecimal form: whole octets, upper case, a minus for the negative."""
    digits = f"{abs(number):X}"
    return ("-" if number < 0 else "") + digits.rjust(len(digits) + len(digits) % 2, "0")


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _time(moment: datetime) -> str:
    """OpenSSL's form, which `ssl.cert_time_to_seconds` reads; months are never localised."""
    return f"{_MONTHS[moment.month - 1]} {moment.day:2d} {moment:%H:%M:%S} {moment.year} GMT"


def _subject_alt_name(certificate: x509.Certificate) -> tuple[tuple[str, Any], ...]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return tuple(_general_name(name) for name in extension.value)


_GENERAL_NAMES: Final[dict[type[x509.GeneralName], tuple[str, Callable[[Any], Any]]]] = {
    x509.DNSName: ("DNS", lambda name: name.value),
    x509.RFC822Name: ("email", lambda name: name.value),
    x509.UniformResourceIdentifier: ("URI", lambda name: name.value),
    x509.IPAddress: ("IP Address", lambda name: _address(name.value)),
    x509.DirectoryName: ("DirName", lambda name: _name(name.value)),
    x509.RegisteredID: ("Registered ID", lambda name: name.value.dotted_string),
}


def _general_name(name: x509.GeneralName) -> tuple[str, Any]:
    word, show = _GENERAL_NAMES.get(type(name), ("othername", lambda _name: "<unsupported>"))
    return word, show(name)


def _address(address: Any) -> str:  # noqa: ANN401 (an address or a network)
    """OpenSSL writes IPv6 in eight groups, upper case, without leading zeros or compression."""
    if isinstance(address, ipaddress.IPv6Address):
        return ":".join(f"{int(group, 16):X}" for group in address.exploded.split(":"))
    return str(address)


def _access(certificate: x509.Certificate, method: x509.ObjectIdentifier) -> tuple[str, ...]:
    extension = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS)
    assert isinstance(extension.value, x509.AuthorityInformationAccess)
    return tuple(_uris(entry.access_location for entry in extension.value if entry.access_method == method))


def _distribution_points(certificate: x509.Certificate) -> tuple[str, ...]:
    extension = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    return tuple(uri for point in extension.value for uri in _uris(point.full_name or ()))


def _uris(names: Iterable[x509.GeneralName]) -> Iterable[str]:
    return (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
