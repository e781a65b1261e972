"""Record data between the text of the inventory, wire form, and what servers answer with."""

from contextlib import suppress
from functools import lru_cache
from typing import Final

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from dnsbound.errors import Malformed
from dnsbound.provision.owner import OwnerName
from dnsbound.records.tlsa import TLSA

_KEPT: Final = 8192
"""Record data in wire form: each is needed to see what fits an update, and again to write it."""


@lru_cache(maxsize=64)
def type_number(rdtype: str) -> int:
    """Malformed for what is no type."""
    try:
        return int(dns.rdatatype.from_text(rdtype))
    except (dns.exception.DNSException, ValueError):
        raise Malformed(f"{rdtype!r} is no record type") from None


@lru_cache(maxsize=_KEPT)
def wire_of_text(rdtype: str, text: str) -> bytes:
    """Record data in wire form, names without compression and in lower case (RFC 4034 section 6.2). Malformed."""
    if rdtype == "TLSA":
        return TLSA.from_text(text).to_wire()
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(f"the {rdtype} record data {text!r} do not parse: {error}") from None
    return rdata.to_digestable()


def dns_name(owner: OwnerName) -> dns.name.Name:
    """The same name; nothing in it has to be checked or unescaped again."""
    return dns.name.Name([*owner.text.encode("ascii").split(b"."), b""])


def text_of_rdata(rdata: dns.rdata.Rdata) -> str:
    """The presentation form as the inventory keeps it, also of data that it would not let in."""
    if rdata.rdtype == dns.rdatatype.TLSA:
        with suppress(Malformed):
            return TLSA.from_wire(rdata.to_digestable()).to_text()
    target = getattr(rdata, "target", None)
    if isinstance(target, dns.name.Name):
        return target.to_text().lower()
    return rdata.to_text()


def spelled(rdtype: str, text: str) -> str:
    """The presentation form as the inventory keeps it of somebody's text; what does not parse stays as it is."""
    try:
        return text_of_rdata(
            dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, origin=dns.name.root, relativize=False)
        )
    except (dns.exception.DNSException, ValueError):
        return text
