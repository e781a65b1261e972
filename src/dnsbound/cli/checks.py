"""What `dnsbound doctor` looks at: each check gives lines of OK, warning, failure or unknown, with a remedy.

A check never raises for what it finds; only defects of the arguments do.
"""

import ipaddress
import os
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.opened import opened_resolver, trust_anchors
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.times import Seconds, iso

if TYPE_CHECKING:
    import dns.name

    from dnsbound.dns.anchors import TrustAnchors
    from dnsbound.dns.answer import Answer
    from dnsbound.edge.resolver import Resolver
    from dnsbound.edge.upstream import Upstream
    from dnsbound.provision.entries import Zone

OLDEST_OPENSSL: Final = 0x30500000
"""3.5.0: raw public keys work and post-quantum keys exist."""
_SEP: Final = 0x0001
_REVOKED: Final = 0x0080
_DOT_PORT: Final = 853
_ANSWER_SECONDS: Final[Seconds] = 5.0


class Level(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    """Could not be found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report."""

    check: str
    level: Level
    found: str
    remedy: str = ""


def exit_code_of(findings: Iterable[Finding]) -> ExitCode:
    """A failure is a no; what stayed unknown is undecided; warnings are for people."""
    levels = {finding.level for finding in findings}
    if Level.FAIL in levels:
        return ExitCode.NO
    return ExitCode.UNDECIDED if Level.UNKNOWN in levels else ExitCode.YES


def openssl() -> Iterator[Finding]:
    """Which OpenSSL does the TLS."""
    from dnsbound import _native

    origin = "built in" if _native.VENDORED else "the system's"
    found = f"{_native.OPENSSL_VERSION}, {origin}"
    if _native.OPENSSL_VERSION_NUMBER >= OLDEST_OPENSSL:
        yield Finding(check="openssl", level=Level.OK, found=found)
    else:
        remedy = "build without OPENSSL_NO_VENDOR, or with OpenSSL 3.5 or newer"
        yield Finding(check="openssl", level=Level.FAIL, found=found, remedy=remedy)


def tokens() -> Iterator[Finding]:
    """Which PKCS #11 tokens are there for keys in hardware; nothing where none are configured."""
    from dnsbound.credential.pkcs11_uri import Pkcs11Uri
    from dnsbound.edge.pkcs11_token import MODULE_VARIABLE, module_at, module_path

    check = "hardware keys"
    wanted = os.environ.get(MODULE_VARIABLE)
    try:
        path = module_path(Pkcs11Uri())
        labels = module_at(path).token_labels()
    except DnsboundError as error:
        if wanted:
            remedy = f"install 'dnsbound[pkcs11]' and the module, or unset {MODULE_VARIABLE}"
            yield Finding(check=check, level=Level.WARN, found=str(error), remedy=remedy)
        else:
            yield Finding(check=check, level=Level.OK, found=f"none in use ({MODULE_VARIABLE} is not set)")
        return
    found = f"{path}: {', '.join(labels) or 'no token'}"
    remedy = "" if labels or not wanted else "put the token in, or set one up with its module's own tools"
    yield Finding(check=check, level=Level.WARN if remedy else Level.OK, found=found, remedy=remedy)


def resolver_findings(resolver: list[str] | None, anchors: Path | None) -> Iterator[Finding]:
    """The resolvers of one command, as it was told them."""
    try:
        trusted = trust_anchors(anchors)
        with opened_resolver(resolver, anchors) as asked:
            servers = asked.upstreams
    except (Malformed, Misuse) as error:
        yield Finding(check="resolver", level=Level.FAIL, found=str(error))
        return
    for server in servers:
        yield from upstream(server, trusted, timeout=_ANSWER_SECONDS)


def upstream(server: "Upstream", anchors: "TrustAnchors", *, timeout: Seconds) -> Iterator[Finding]:
    """One resolver: can it be reached, does it pass signatures, does what it says validate, who can read along."""
    from dnsbound.dns.answer import Outcome, Security
    from dnsbound.edge.resolver import Resolver

    apex = _anchored_zone(anchors)
    started = time.monotonic()
    with closing(Resolver([server], anchors, deadline=timeout)) as resolver:
        answer = resolver.lookup_blocking(apex, "SOA")
    milliseconds = round((time.monotonic() - started) * 1000)
    check = f"resolver {server}"
    if answer.outcome is Outcome.FAILED and answer.security is not Security.BOGUS:
        remedy = "check the address, the network and, for tls://, the server's name"
        yield Finding(check=check, level=Level.UNKNOWN, found=answer.detail or "no answer", remedy=remedy)
        return
    yield Finding(check=check, level=Level.OK, found=f"answers in {milliseconds} ms")
    yield _validation(check, apex, answer)
    yield from _clock(server, apex, timeout)
    yield _privacy(check, server, timeout)


def _validation(check: str, apex: "dns.name.Name", answer: "Answer") -> Finding:
    from dnsbound.dns.answer import Security

    if answer.security is Security.SECURE:
        return Finding(check=f"{check} DNSSEC", level=Level.OK, found=f"passes signatures; {apex} validates here")
    remedy = "ask a resolver that passes DNSSEC records, or check the trust anchors"
    return Finding(
        check=f"{check} DNSSEC", level=Level.FAIL, found=f"{answer.security.value}: {answer.detail}", remedy=remedy
    )


def _clock(server: "Upstream", apex: "dns.name.Name", timeout: Seconds) -> Iterator[Finding]:
    """Whether now lies within the signatures of the anchored zone. Probed, so that it also speaks when nothing
    validates; a resolver over TLS is not probed, since a secure answer says the same."""
    import dns.rdatatype

    from dnsbound.edge.probe import probe

    if server.tls:
        return
    try:
        response = probe(server, apex, dns.rdatatype.SOA, timeout=timeout)
    except (OSError, DnsboundError) as error:
        yield Finding(check="clock", level=Level.UNKNOWN, found=f"no signature to compare with: {error}")
        return
    windows = [
        (signature.inception, signature.expiration)
        for rrset in response.answer.values()
        for signature in rrset.signatures
    ]
    now = time.time()
    if not windows:
        yield Finding(check="clock", level=Level.UNKNOWN, found=f"{iso(now)}; no signature to compare with")
    elif any(start <= now <= end for start, end in windows):
        yield Finding(check="clock", level=Level.OK, found=f"{iso(now)}, within the signatures of {apex}")
    else:
        start, end = windows[0]
        found = f"{iso(now)}, but the signatures of {apex} hold from {iso(start)} to {iso(end)}"
        yield Finding(check="clock", level=Level.FAIL, found=found, remedy="set the clock, or ask another resolver")


def _privacy(check: str, server: "Upstream", timeout: Seconds) -> Finding:
    """Names of clients are in the queries (draft-ietf-dance-client-auth section 12)."""
    check = f"{check} privacy"
    if server.danger_opportunistic:
        remedy = "name the server or pin its key: tls://ADDRESS#name"
        return Finding(check=check, level=Level.WARN, found="TLS to whoever answers (opportunistic)", remedy=remedy)
    if server.tls:
        return Finding(check=check, level=Level.OK, found="DNS over TLS, server authenticated (RFC 8310 strict)")
    if ipaddress.ip_address(server.address.partition("%")[0]).is_loopback:
        return Finding(check=check, level=Level.OK, found="on this machine; look how it asks onwards")
    try:
        socket.create_connection((server.address, _DOT_PORT), timeout=min(timeout, 2.0)).close()
    except OSError:
        found, remedy = "names travel in clear; its port 853 is closed", "choose a resolver with DNS over TLS"
    else:
        found = "names travel in clear; its port 853 is open"
        remedy = f"use tls://{server.address}#NAME with the server's name"
    return Finding(check=check, level=Level.WARN, found=found, remedy=remedy)


def root_keys(resolver: "Resolver", *, timeout: Seconds) -> Iterator[Finding]:
    """Whether the root has a key that the trust anchors do not know: it may be the next one to sign."""
    import dns.dnssec
    import dns.name
    from dns.rdtypes.ANY.DNSKEY import DNSKEY

    from dnsbound.dns.anchors import ROOT_ANCHORS_DATED
    from dnsbound.dns.answer import Outcome, Security

    anchor = resolver.anchors.closest_to(dns.name.root)
    if anchor is None:
        yield Finding(check="root keys", level=Level.OK, found="the root is no trust anchor here")
        return
    answer = resolver.lookup_blocking(dns.name.root, "DNSKEY", deadline=timeout)
    if answer.security is not Security.SECURE or answer.outcome is not Outcome.RECORDS:
        yield Finding(check="root keys", level=Level.UNKNOWN, found=answer.detail or answer.security.value)
        return
    tags = {
        dns.dnssec.key_id(key)
        for key in answer.records
        if isinstance(key, DNSKEY) and key.flags & _SEP and not key.flags & _REVOKED
    }
    unknown = ", ".join(map(str, sorted(tags - set(anchor.tags))))
    known = ", ".join(map(str, anchor.tags))
    if unknown:
        found = f"the root has key {unknown}, unknown here (known: {known}, as of {ROOT_ANCHORS_DATED})"
        remedy = "update dnsbound, or name a newer file with --anchors, before that key signs"
        yield Finding(check="root keys", level=Level.WARN, found=found, remedy=remedy)
    else:
        yield Finding(check="root keys", level=Level.OK, found=f"all known: {known}")


def name_signed(name: str, resolver: "Resolver", *, timeout: Seconds) -> Iterator[Finding]:
    """Whether the zone of a name is signed, as verifiers see it."""
    from dnsbound.dns.answer import Outcome, Security

    answer = resolver.lookup_blocking(name, "TLSA", deadline=timeout)
    check = f"zone of {name}"
    if answer.security is Security.SECURE:
        zone = answer.zone or name
        yield Finding(check=check, level=Level.OK, found=f"{zone} is signed; TLSA: {answer.outcome.value}")
    elif answer.outcome is Outcome.FAILED or answer.security is Security.INDETERMINATE:
        yield Finding(check=check, level=Level.UNKNOWN, found=answer.detail, remedy="see the resolver's checks above")
    else:
        remedy = "sign the zone and give its DS to the parent; `dnsbound explain` shows where the chain ends"
        yield Finding(check=check, level=Level.FAIL, found=f"{answer.security.value}: {answer.detail}", remedy=remedy)


def inventory_zones(zones: "Iterable[Zone]", resolver: "Resolver", *, timeout: Seconds) -> Iterator[Finding]:
    """Zones of the inventory: keys readable by the owner alone, and the parent's DS the one of these keys."""
    for zone in zones:
        yield from _key_file(zone)
        yield _delegation(zone, resolver, timeout)


def _key_file(zone: "Zone") -> Iterator[Finding]:
    import dns.name

    from dnsbound.edge.zone_key_files import load_zone_keys

    check = f"keys of {zone.name}"
    if zone.key_path is None:
        yield Finding(check=check, level=Level.FAIL, found="the zone is not signed", remedy="create it anew with keys")
        return
    try:
        keys = load_zone_keys(dns.name.from_text(zone.name.absolute), zone.key_path)
    except (OSError, DnsboundError) as error:
        remedy = "restore the file for the user that serves the zone, mode 0600"
        yield Finding(check=check, level=Level.FAIL, found=str(error), remedy=remedy)
        return
    states = ", ".join(f"{key.tag} {key.state.value}" for key in keys.keys)
    yield Finding(check=check, level=Level.OK, found=f"{zone.key_path}: {states}")


def _delegation(zone: "Zone", resolver: "Resolver", timeout: Seconds) -> Finding:
    import dns.name

    from dnsbound.dns.answer import Outcome, Security

    check = f"DS of {zone.name}"
    anchor = resolver.anchors.closest_to(dns.name.from_text(zone.name.absolute))
    if anchor is not None and anchor.name.to_text(omit_final_dot=True) == zone.name.text:
        if {int(ds.split()[0]) for ds in zone.ds} & set(anchor.tags):
            return Finding(check=check, level=Level.OK, found="the zone's key is a trust anchor here")
        remedy = f"anchor what `dnsbound zone ds {zone.name}` prints"
        return Finding(check=check, level=Level.FAIL, found="the trust anchor here is another key", remedy=remedy)
    answer = resolver.lookup_blocking(zone.name.absolute, "DS", deadline=timeout)
    if answer.outcome is Outcome.FAILED or answer.security in (Security.BOGUS, Security.INDETERMINATE):
        return Finding(check=check, level=Level.UNKNOWN, found=answer.detail or answer.security.value)
    published = {record.to_text().lower() for record in answer.records}
    if published & set(zone.ds):
        return Finding(check=check, level=Level.OK, found=f"the parent publishes it ({answer.security.value})")
    remedy = f"give the parent what `dnsbound zone ds {zone.name}` prints"
    found = "the parent publishes another one" if published else "the parent publishes none"
    return Finding(check=check, level=Level.FAIL, found=found, remedy=remedy)


def private_file(path: Path) -> Iterator[Finding]:
    """Whether others may change the inventory: whoever can is able to add identities."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield Finding(check="inventory", level=Level.UNKNOWN, found=f"{path}: {error.strerror}")
        return
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        remedy = f"chmod go-w {path}"
        yield Finding(check="inventory", level=Level.FAIL, found=f"others may write {path}", remedy=remedy)
    elif not os.access(path, os.R_OK):
        yield Finding(check="inventory", level=Level.FAIL, found=f"{path} cannot be read")
    else:
        yield Finding(check="inventory", level=Level.OK, found=str(path))


def _anchored_zone(anchors: "TrustAnchors") -> "dns.name.Name":
    """The zone to try a resolver with: the root, or else the first that is anchored."""
    import dns.name

    if anchors.closest_to(dns.name.root) is not None:
        return dns.name.root
    names = [anchor.name for anchor in anchors.by_key.values() if not anchor.is_negative]
    return min(names, default=dns.name.root)
