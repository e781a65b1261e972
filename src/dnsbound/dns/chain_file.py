"""A DNSSEC chain as a file: the octets of RFC 9102 in base64, and above them whose chain it is and when it was made.

    -----BEGIN DNSSEC CHAIN-----
    Name: car54._device.cars.example
    Type: TLSA
    Made: 2026-11-22T16:00:00Z

    AAABAAEAAAcIAEQBAQMIAwEAAay...
    -----END DNSSEC CHAIN-----

The three lines on top are for finding the right file. They are not signed, and nothing is believed because of them: the
octets are judged, for the name somebody asks about. A file holds exactly one chain and nothing else, in exactly this
form (lines of 64 base64 characters, the last one shorter), so that the same chain is always the same file. This reads
and writes text; files are the edge's.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, Self

import dns.exception
import dns.name
import dns.rdatatype

from dnsbound.dns.chain import AuthenticationChain
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.limits import CHAIN_OCTETS
from dnsbound.times import Moment, iso, moment_of_text

BEGIN: Final = "-----BEGIN DNSSEC CHAIN-----"
END: Final = "-----END DNSSEC CHAIN-----"
LINE: Final = 64
_FORM: Final = re.compile(
    rf"{BEGIN}\n"
    r"Name: (?P<name>[!-~]+)\n"
    r"Type: (?P<type>[!-~]+)\n"
    r"Made: (?P<made>[0-9TZ:-]+)\n"
    r"\n"
    rf"(?P<data>(?:[A-Za-z0-9+/]{{{LINE}}}\n)*[A-Za-z0-9+/=]{{1,{LINE}}}\n)"
    rf"{END}\n?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFile:
    """One chain and its labels. The name is lower case and absolute; `made` has whole seconds."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    made: Moment
    octets: bytes
    """An AuthenticationChain (RFC 9102 section 2.3), without lifetime and length."""

    @classmethod
    def of(cls, octets: bytes, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, made: Moment) -> Self:
        """A chain that is at hand."""
        return cls(name=name.canonicalize(), rdtype=rdtype, made=float(int(made)), octets=octets)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the file; Malformed for anything else than exactly one chain, its records included. LimitExceeded when
        the chain is longer than `limits.CHAIN_OCTETS` lets one be."""
        found = _FORM.fullmatch(text.replace("\r\n", "\n"))
        if found is None:
            raise Malformed(f"not a file with one DNSSEC chain: it begins with {BEGIN}")
        data = found["data"].replace("\n", "")
        if len(data) > CHAIN_OCTETS.maximum * 4 // 3 + 4:
            raise LimitExceeded(CHAIN_OCTETS.name, f"a chain file with {len(data)} base64 characters")
        try:
            octets = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise Malformed(f"DNSSEC chain file: {error}") from None
        AuthenticationChain.from_wire(octets)
        read = cls(name=_name(found["name"]), rdtype=_type(found["type"]), made=_moment(found["made"]), octets=octets)
        if read.to_text() != f"{found[0].rstrip()}\n":
            raise Malformed("DNSSEC chain file: not in the one form a chain has")
        return read

    def to_text(self) -> str:
        """The exact text `from_text` reads, line feeds at its line ends."""
        name = self.name.to_text(omit_final_dot=True)
        data = base64.b64encode(self.octets).decode("ascii")
        lines = [data[at : at + LINE] for at in range(0, len(data), LINE)]
        labels = [f"Name: {name}", f"Type: {dns.rdatatype.to_text(self.rdtype)}", f"Made: {iso(self.made)}", ""]
        return "\n".join([BEGIN, *labels, *lines, END, ""])


def _name(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text).canonicalize()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise Malformed(f"DNSSEC chain file: {text[:80]!r} is no domain name: {error}") from None


def _type(text: str) -> dns.rdatatype.RdataType:
    try:
        return dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(f"DNSSEC chain file: {text[:80]!r} is no record type: {error}") from None


def _moment(text: str) -> Moment:
    try:
        return moment_of_text(text)
    except Malformed as error:
        raise Malformed(f"DNSSEC chain file: {error.what}") from None
