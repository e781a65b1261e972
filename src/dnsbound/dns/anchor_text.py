"""The texts trust anchors are kept in: zone-file lines, RFC 5011 state files, and BIND's `trust-anchors` statement."""

import re
from collections.abc import Iterator
from typing import Final

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS

from dnsbound.errors import Malformed

_BIND_STATEMENT: Final = re.compile(r"\b(?:trust-anchors|trusted-keys|managed-keys)\s*\{(.*?)\}\s*;", re.DOTALL)
_BIND_COMMENT: Final = re.compile(r"/\*.*?\*/|//[^\n]*|#[^\n]*", re.DOTALL)
_BIND_ENTRY: Final = re.compile(
    r"""("?)(?P<name>[^\s"]+)\1\s+
        (?:(?P<kind>static-key|initial-key|static-ds|initial-ds)\s+)?
        (?P<numbers>\d+\s+\d+\s+\d+)\s+"(?P<data>[^"]*)"\s*""",
    re.VERBOSE,
)

_STATE: Final = re.compile(r";;state=(\d)")
_TRUSTED_STATES: Final = frozenset({"2", "3"})
"""RFC 5011 section 4.2 as Unbound numbers them: VALID and MISSING are trusted; START, ADDPEND, REVOKED, REMOVED not."""


def records(text: str) -> Iterator[tuple[dns.name.Name, DS | DNSKEY]]:
    """Owner and data of each anchor; Malformed at the first that does not parse."""
    statements = _BIND_STATEMENT.findall(_BIND_COMMENT.sub("", text))
    if statements:
        for statement in statements:
            yield from _bind_entries(statement)
    else:
        yield from _lines(text)


def _lines(text: str) -> Iterator[tuple[dns.name.Name, DS | DNSKEY]]:
    joined, open_since = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        state = _STATE.search(line)
        if state is not None and state.group(1) not in _TRUSTED_STATES:
            continue
        open_since = open_since or number
        joined = f"{joined} {line.split(';', 1)[0]}"
        if joined.count("(") > joined.count(")"):
            continue
        fields = joined.replace("(", " ").replace(")", " ").split()
        where, joined, open_since = open_since, "", 0
        if fields and not fields[0].startswith("$"):
            yield _record(fields, where)
    if joined.strip():
        raise Malformed(f"trust anchors line {open_since}: a parenthesis is not closed")


def _record(fields: list[str], number: int) -> tuple[dns.name.Name, DS | DNSKEY]:
    owner, rest = fields[0], fields[1:]
    while rest and (rest[0].upper() == "IN" or rest[0].isdigit()):
        rest = rest[1:]
    if not rest or rest[0].upper() not in ("DS", "DNSKEY"):
        raise Malformed(f"trust anchors line {number}: neither a DS nor a DNSKEY record")
    return _parsed(owner, rest[0].upper(), " ".join(rest[1:]), f"trust anchors line {number}")


def _bind_entries(statement: str) -> Iterator[tuple[dns.name.Name, DS | DNSKEY]]:
    for entry in filter(None, (part.strip() for part in statement.split(";"))):
        match = _BIND_ENTRY.fullmatch(entry)
        if match is None:
            raise Malformed(f"trust anchors: not a BIND anchor: {entry[:60]!r}")
        rdtype = "DS" if (match["kind"] or "").endswith("-ds") else "DNSKEY"
        data = "".join(match["data"].split())
        yield _parsed(match["name"], rdtype, f"{match['numbers']} {data}", "trust anchors")


def _parsed(owner: str, rdtype: str, data: str, where: str) -> tuple[dns.name.Name, DS | DNSKEY]:
    try:
        name = dns.name.from_text(owner)
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, data)
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(f"{where}: {error}") from None
    if not isinstance(rdata, DS | DNSKEY):
        raise Malformed(f"{where}: generic record data cannot be an anchor")
    return name, rdata
