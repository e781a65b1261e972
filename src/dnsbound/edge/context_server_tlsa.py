"""A client's evidence about a server: its TLSA records, looked up before the handshake, kept until they expire.

The lookup is a generator of questions, driven by an asynchronous or a blocking resolver alike. RFC 7671 section 7: when
every alias of the host is secure, the end of the chain is the TLSA base domain, and the name as given is the second
choice; section 10.2: the base domain is the SNI and the only name a certificate may show (usages 0 to 2). RFC 6698
section 4.1: what is not secure is not used.
"""

import re
import threading
from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

import dns.exception
import dns.name
import dns.rdatatype

from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.errors import Malformed, Reason
from dnsbound.iana import Selector, Usage
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment
from dnsbound.tls.errors import TLSMisuse, TLSRefused, TLSUndecided

LOOKUP_SECONDS: Final = 5.0
"""Deadline of each lookup unless the caller gives another."""

Question: TypeAlias = tuple[dns.name.Name, dns.rdatatype.RdataType]
Steps: TypeAlias = Generator[Question, Answer, "ServerTLSA"]

_LABEL: Final = re.compile(rb"[A-Za-z0-9_-]+")
_UNDECIDED: Final[Mapping[Security, Reason]] = MappingProxyType(
    {Security.BOGUS: Reason.BOGUS, Security.INDETERMINATE: Reason.INDETERMINATE}
)


class ResolverLike(Protocol):
    """What is needed of a `dnsbound.Resolver`."""

    def lookup(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: float) -> Awaitable[Answer]: ...

    def lookup_blocking(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: float) -> Answer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLSA:
    """Secure TLSA records of one service."""

    host: str
    """As the caller names the server, in lower case without a final dot."""
    port: int
    base_domain: str
    records: tuple[TLSA, ...]
    valid_until: Moment

    @property
    def vouches_for_raw_keys(self) -> bool:
        """RFC 7671 section 5.1: only `3 1 x` can match a raw public key."""
        return any(record.usage == Usage.DANE_EE and record.selector == Selector.SPKI for record in self.records)


class ServerTLSACache:
    """Evidence of the servers one Context talks to. One port of a host: a handshake over memory knows no port."""

    def __init__(self) -> None:
        self._known: dict[str, ServerTLSA] = {}
        self._lock = threading.Lock()

    def store(self, evidence: ServerTLSA, now: Moment) -> None:
        with self._lock:
            self._known = {host: kept for host, kept in self._known.items() if kept.valid_until > now}
            self._known[evidence.host] = evidence

    def check_port(self, host: str, port: int, now: Moment) -> None:
        known = self.fresh(host, now)
        if known is not None and known.port != port:
            raise TLSMisuse(f"this Context is prepared for port {known.port} of {host}; use another one for {port}")

    def fresh(self, host: str, now: Moment) -> ServerTLSA | None:
        known = self._known.get(canonical_host(host))
        return known if known is not None and now < known.valid_until else None


def canonical_host(host: str) -> str:
    """Lower case, A-labels, no final dot: how Python's `ssl` hands a host name on."""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise TLSMisuse(f"{host!r} is no host name: {error}") from None
    return host.rstrip(".").lower()


def evidence_missing(host: str | None) -> TLSUndecided:
    """Why a handshake may not begin."""
    return TLSUndecided(Reason.INDETERMINATE, f"no fresh TLSA records of {host}: prepare(host, port) comes first")


def find_server_tlsa(host: str, port: int, *, over: str = "_tcp") -> Steps:
    """Ask for what is needed to authenticate `host` at `port`. over: `_tcp` or `_udp` (RFC 6698 section 3).

    Raises TLSRefused with NO_TLSA, TLSA_UNUSABLE or INSECURE, TLSUndecided with BOGUS, INDETERMINATE, DNS_FAILED or
    WORK_BUDGET, TLSMisuse for what is no host name.
    """
    if not 0 < port < 65536:
        raise TLSMisuse(f"{port} is no port")
    name = _host_name(host)
    address = yield name, dns.rdatatype.A
    _check_decided(address, "address")
    candidates = [name]
    if address.aliases and address.security is Security.SECURE and _is_host(address.aliases[-1]):
        candidates.insert(0, address.aliases[-1])
    answer = None
    for base in candidates:
        answer = yield _owner(base, port, over), dns.rdatatype.TLSA
        _check_decided(answer, "TLSA")
        if answer.security is Security.SECURE and answer.outcome is Outcome.RECORDS:
            until = answer.valid_until if base == name else min(answer.valid_until, address.valid_until)
            return ServerTLSA(
                host=canonical_host(host),
                port=port,
                base_domain=base.to_text(omit_final_dot=True).lower(),
                records=_records(answer, base),
                valid_until=until,
            )
    assert answer is not None
    if answer.security is Security.INSECURE:
        raise TLSRefused(Reason.INSECURE, f"{_text(answer.name)}: the zone is not signed")
    raise TLSRefused(Reason.NO_TLSA, f"{_text(answer.name)} has no TLSA record")


def _host_name(host: str) -> dns.name.Name:
    try:
        name = dns.name.from_text(canonical_host(host) + ".")
    except (dns.exception.DNSException, UnicodeError) as error:
        raise TLSMisuse(f"{host!r} is no host name: {error}") from None
    if len(name) < 2:
        raise TLSMisuse(f"{host!r} is no host name")
    return name


def _is_host(name: dns.name.Name) -> bool:
    """An alias may lead to any name of the DNS; only a host name can be sent as SNI and stand in a certificate."""
    return len(name) > 2 and all(_LABEL.fullmatch(label) for label in name.labels[:-1])


def _owner(base: dns.name.Name, port: int, over: str) -> dns.name.Name:
    try:
        return dns.name.from_text(f"_{port}.{over}", base)
    except dns.name.NameTooLong:
        raise TLSRefused(Reason.NO_TLSA, f"{_text(base)} is too long to have TLSA records") from None


def _check_decided(answer: Answer, what: str) -> None:
    where = f"{what} of {_text(answer.name)}: {answer.detail or answer.security.value}"
    if answer.limit:
        raise TLSUndecided(Reason.WORK_BUDGET, where)
    if answer.security in _UNDECIDED:
        reason = _UNDECIDED[answer.security]
        if reason is Reason.INDETERMINATE and answer.outcome is Outcome.FAILED:
            reason = Reason.DNS_FAILED
        raise TLSUndecided(reason, where)
    if answer.outcome is Outcome.FAILED:
        raise TLSUndecided(Reason.DNS_FAILED, where)


def _records(answer: Answer, base: dns.name.Name) -> tuple[TLSA, ...]:
    try:
        records = tuple(TLSA.from_wire(record.to_wire() or b"") for record in answer.records)
    except Malformed as error:
        raise TLSRefused(Reason.TLSA_UNUSABLE, f"{_text(base)}: {error}") from error
    if all(record.unusable_because for record in records):
        raise TLSRefused(Reason.TLSA_UNUSABLE, f"no TLSA record of {_text(base)} can be used")
    return records


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


async def find_with(resolver: ResolverLike, steps: Steps, deadline: float) -> ServerTLSA:
    """Drive the questions through a resolver, without blocking."""
    try:
        question = next(steps)
        while True:
            question = steps.send(await resolver.lookup(*question, deadline=deadline))
    except StopIteration as done:
        found: ServerTLSA = done.value
        return found


def find_with_blocking(resolver: ResolverLike, steps: Steps, deadline: float) -> ServerTLSA:
    """The same, blocking."""
    try:
        question = next(steps)
        while True:
            question = steps.send(resolver.lookup_blocking(*question, deadline=deadline))
    except StopIteration as done:
        found: ServerTLSA = done.value
        return found
