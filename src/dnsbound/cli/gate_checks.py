"""What `dnsbound gate server --check` looks at: all that gates need, and that nobody reaches a back end around them."""

import contextlib
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.checks import Finding, Level, upstream
from dnsbound.cli.gate_options import Asked
from dnsbound.cli.gate_status import probe
from dnsbound.cli.opened import opened_resolver, trust_anchors
from dnsbound.edge.listening_endpoint import why_not_bound
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.times import Seconds, iso

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.edge.gate_configuration import GateConfiguration, GateRule
    from dnsbound.edge.listening_endpoint import Endpoint
    from dnsbound.edge.resolver import Resolver
    from dnsbound.verify.access import AccessList

_TIMEOUT: Final[Seconds] = 5.0
_SOON: Final[Seconds] = 14 * 86_400.0
_OTHERS: Final = stat.S_IWOTH


def gate_findings(asked: Asked, resolver: list[str] | None, anchors: Path | None) -> Iterator[Finding]:
    """Findings about gates, in the order in which an operator would mend them."""
    try:
        configuration = asked.load()
    except DnsboundError as error:
        yield Finding(check="configuration", level=Level.FAIL, found=str(error), remedy="see docs/howto/gate.md")
        return
    yield Finding(check="configuration", level=Level.OK, found=f"{len(configuration.gates)} gates")
    yield from _access(configuration, asked.access)
    for rule in configuration.gates:
        yield from _ports(rule)
        yield from _back_end(rule)
    yield from _credentials(configuration, resolver, anchors)


# --- who may come in


def _access(configuration: "GateConfiguration", given: "AccessList | None") -> Iterator[Finding]:
    from dnsbound.edge.access_file import AccessFile

    check = "access list"
    try:
        if configuration.server.access is not None:
            given = AccessFile(configuration.server.access).current()
        assert given is not None
        configuration.check_doors(given.doors)
    except DnsboundError as error:
        yield Finding(check=check, level=Level.FAIL, found=str(error))
        return
    for rule in configuration.gates:
        entries = given.entries(rule.door)
        found = f"gate {rule.label}, door {rule.door}: {entries} names and patterns"
        if entries:
            yield Finding(check=check, level=Level.OK, found=found)
        else:
            yield Finding(check=check, level=Level.WARN, found=found, remedy="it lets nobody in")


# --- where the gate is


def _ports(rule: "GateRule") -> Iterator[Finding]:
    from dnsbound.edge.gate_sockets import listen_at

    for endpoint in rule.listen:
        check = f"gate {rule.label} at {endpoint}"
        try:
            with contextlib.closing(listen_at(endpoint)):
                yield Finding(check=check, level=Level.OK, found="free")
        except OSError as error:
            remedy = "another server has it (this one, if it runs), or the address is none of this machine's"
            yield Finding(check=check, level=Level.FAIL, found=why_not_bound(error), remedy=remedy)


# --- the back end, and that nobody else reaches it


def _back_end(rule: "GateRule") -> Iterator[Finding]:
    check = f"gate {rule.label}: back end"
    error = probe(rule)
    if error is not None:
        remedy = "start it, or mend target"
        yield Finding(check=check, level=Level.FAIL, found=f"{rule.target}: {error}", remedy=remedy)
        return
    yield Finding(check=check, level=Level.OK, found=f"{rule.target} accepts connections")
    if rule.target.path is not None:
        yield _private_socket(check, rule.target.path)
    elif rule.target.endpoint is not None:
        yield _loopback_alone(check, rule.target.endpoint)


def _private_socket(check: str, path: Path) -> Finding:
    """Connecting to a Unix socket takes the right to write to it, and to pass through each directory (unix(7))."""
    try:
        is_open = bool(path.stat().st_mode & _OTHERS) and all(
            place.stat().st_mode & stat.S_IXOTH for place in path.parents
        )
        # Whoever may write to a directory may put another socket in its place.
        writable = [place for place in path.parents if _replaceable(place)]
    except OSError as error:
        return Finding(check=check, level=Level.UNKNOWN, found=f"{path}: {(error.strerror or str(error)).lower()}")
    if is_open:
        remedy = f"chmod o-w {path}, or keep it in a directory of mode 0750"
        return Finding(check=check, level=Level.FAIL, found="every user of this machine may connect", remedy=remedy)
    if writable:
        remedy = f"chmod o-w {writable[0]}"
        return Finding(check=check, level=Level.FAIL, found=f"everybody may replace {path}", remedy=remedy)
    return Finding(check=check, level=Level.OK, found="not every user may connect to its socket")


def _replaceable(directory: Path) -> bool:
    mode = directory.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _loopback_alone(check: str, target: "Endpoint") -> Finding:
    """What listens on that port, wherever, has to be bound to loopback addresses."""
    from dnsbound.edge.listening_sockets import listening_sockets

    try:
        there = [one for one in listening_sockets() if one.port == target.port]
    except (OSError, Malformed) as error:
        return Finding(check=check, level=Level.UNKNOWN, found=f"what listens here cannot be read: {error}")
    open_to_others = sorted({one.host for one in there if not one.is_loopback})
    if open_to_others:
        remedy = "bind the service to the loopback address alone, or to a Unix socket"
        found = f"port {target.port} is listened on at {', '.join(open_to_others)} as well"
        return Finding(check=check, level=Level.FAIL, found=found, remedy=remedy)
    if not there:
        found = f"{target} is not on this machine: what passes goes in clear, and whoever reaches it is let in"
        return Finding(check=check, level=Level.FAIL, found=found, remedy="a target on this machine")
    found = "bound to loopback addresses alone; every user and program of this machine reaches them"
    return Finding(check=check, level=Level.OK, found=found)


# --- what the gate shows


def _credentials(
    configuration: "GateConfiguration", resolver: list[str] | None, anchors: Path | None
) -> Iterator[Finding]:
    from dnsbound.edge.credential_files import load_credential

    try:
        trusted = trust_anchors(anchors)
        with opened_resolver(resolver, anchors) as asked:
            for server in asked.upstreams:
                yield from upstream(server, trusted, timeout=_TIMEOUT)
            for rule in configuration.gates:
                check = f"gate {rule.label}: certificate"
                try:
                    own = load_credential(rule.tls.credential, rule.tls.certificate)
                except DnsboundError as error:
                    yield Finding(check=check, level=Level.FAIL, found=str(error))
                    continue
                yield from _certificate(check, own)
                yield from _server_records(rule, own, asked)
    except (Malformed, Misuse) as error:
        yield Finding(check="resolver", level=Level.FAIL, found=str(error))


def _certificate(check: str, own: "Credential") -> Iterator[Finding]:
    from dnsbound.credential.certificate_facts import CertificateFacts

    if not own.chain:
        remedy = "give it a certificate; clients that are not ours take no bare key"
        yield Finding(check=check, level=Level.WARN, found="a bare key, for clients of ours alone", remedy=remedy)
        return
    leaf, now = CertificateFacts.from_der(own.chain[0]), time.time()
    shown = f"{', '.join(leaf.san_dns_names) or 'no name'}, until {iso(leaf.not_after)}"
    if not leaf.not_before <= now < leaf.not_after:
        yield Finding(check=check, level=Level.FAIL, found=f"not valid now: {shown}", remedy="renew it, then SIGHUP")
    elif leaf.not_after - now < _SOON:
        yield Finding(check=check, level=Level.WARN, found=f"ends soon: {shown}", remedy="renew it, then SIGHUP")
    else:
        yield Finding(check=check, level=Level.OK, found=shown)


def _server_records(rule: "GateRule", own: "Credential", resolver: "Resolver") -> Iterator[Finding]:
    """Clients may know the gate by TLSA records of its own (RFC 6698), which have to name its key then."""
    check = f"gate {rule.label}: its own TLSA records"
    for host in _hosts(own):
        for endpoint in rule.listen:
            if endpoint.port:
                yield _matched(check, f"_{endpoint.port}._tcp.{host}", host, own, resolver)


def _hosts(own: "Credential") -> Iterable[str]:
    from dnsbound.credential.certificate_facts import CertificateFacts

    names = CertificateFacts.from_der(own.chain[0]).san_dns_names if own.chain else ()
    return [name for name in names if "." in name and not name.startswith("*")]


def _matched(check: str, owner: str, host: str, own: "Credential", resolver: "Resolver") -> Finding:
    import dns.name
    import dns.rdatatype

    from dnsbound.credential.matching import MatchPolicy, match
    from dnsbound.dns.answer import Security
    from dnsbound.names import ClientName
    from dnsbound.records.tlsa import TLSA

    try:
        answer = resolver.lookup_blocking(dns.name.from_text(owner), dns.rdatatype.TLSA, deadline=_TIMEOUT)
        if answer.security is not Security.SECURE:
            found = f"{owner}: the answer is {answer.security.value}"
            return Finding(check=check, level=Level.WARN, found=found, remedy="clients know it by authorities alone")
        records = [TLSA.from_wire(rdata.to_wire() or b"") for rdata in answer.records]
        if not records:
            remedy = "none is needed; with one, clients need no certificate authority (dnsbound record)"
            return Finding(check=check, level=Level.WARN, found=f"none at {owner}", remedy=remedy)
        record = match(
            records, own.presented, name=ClientName.parse(host), now=time.time(), policy=MatchPolicy()
        ).matched.record
    except DnsboundError as error:
        remedy = "publish the record of the key that the gate has now"
        return Finding(check=check, level=Level.FAIL, found=f"{owner}: {error}", remedy=remedy)
    return Finding(check=check, level=Level.OK, found=f"{owner} TLSA {record.to_text()}")
