"""What `dnsbound serve radius --check` looks at: everything it needs, before a phone finds out that it is missing."""

import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.checks import Finding, Level, resolver_findings
from dnsbound.cli.opened import trust_anchors
from dnsbound.edge.listening_endpoint import why_not_bound
from dnsbound.errors import DnsboundError
from dnsbound.iana import TLS_1_2, VERSION_NAMES
from dnsbound.limits import RADIUS_RECEIVE_OCTETS
from dnsbound.times import Moment, Seconds, iso

if TYPE_CHECKING:
    from dnsbound.credential.credential import Credential
    from dnsbound.edge.radius_clients import RadiusClient
    from dnsbound.edge.radius_configuration import RadiusConfiguration
    from dnsbound.protocols.radius_grants import AttributeNames
    from dnsbound.verify.access import AccessList
    from dnsbound.verify.access_text import Grants

_SOON: Final[Seconds] = 14 * 86_400.0
_WRONG_GRANTS: Final = 20
"""Different mistakes that are told of one network."""


def radius_findings(path: Path, resolver: list[str] | None, anchors: Path | None) -> Iterator[Finding]:
    """Findings about a configuration, in the order in which an operator would mend them."""
    from dnsbound.edge.radius_configuration import RadiusConfiguration

    try:
        configuration = RadiusConfiguration.load(path)
    except DnsboundError as error:
        yield Finding(check="configuration", level=Level.FAIL, found=str(error), remedy="see docs/howto/radius.md")
        return
    found = f"{path}: {len(configuration.clients)} clients, {len(configuration.networks)} networks"
    yield Finding(check="configuration", level=Level.OK, found=found)
    yield from _credential(configuration)
    yield from _server_chain(configuration, anchors)
    yield from _ticket_keys(configuration)
    yield from _access(configuration)
    yield from _accounting(configuration)
    yield from _ports(configuration)
    for client in configuration.clients:
        yield _dynamic_authorisation(client)
    yield from resolver_findings(resolver, anchors)


# --- what the server shows


def _credential(configuration: "RadiusConfiguration") -> Iterator[Finding]:
    from dnsbound.edge.credential_files import load_credential

    check = "server certificate"
    try:
        own = load_credential(configuration.server.credential)
    except DnsboundError as error:
        yield Finding(check=check, level=Level.FAIL, found=str(error))
        return
    if not own.chain:
        remedy = "give it a certificate; supplicants that are not ours take no bare key"
        yield Finding(check=check, level=Level.WARN, found="a bare key, for our own peer alone", remedy=remedy)
        return
    yield _certificate(check, own, now=time.time())
    yield from _key(check, own, configuration)


def _certificate(check: str, own: "Credential", *, now: Moment) -> Finding:
    from dnsbound.credential.certificate_facts import SERVER_AUTH, CertificateFacts

    leaf = CertificateFacts.from_der(own.chain[0])
    names, ends = leaf.san_dns_names, leaf.not_after
    shown = f"{', '.join(names) or 'no name'}, until {iso(ends)}, {len(own.chain)} certificates are sent"
    if not leaf.not_before <= now < ends:
        return Finding(check=check, level=Level.FAIL, found=f"not valid now: {shown}", remedy="renew it, then SIGHUP")
    if not names:
        remedy = "supplicants compare a dNSName (domain_match): issue one that has it"
        return Finding(check=check, level=Level.WARN, found=shown, remedy=remedy)
    if leaf.extended_key_usages is not None and SERVER_AUTH not in leaf.extended_key_usages:
        remedy = "issue one whose extended key usage is serverAuth: supplicants that are not ours refuse others"
        return Finding(check=check, level=Level.WARN, found=f"not a server's: {shown}", remedy=remedy)
    if ends - now < _SOON:
        return Finding(check=check, level=Level.WARN, found=f"ends soon: {shown}", remedy="renew it, then SIGHUP")
    return Finding(check=check, level=Level.OK, found=shown)


def _key(check: str, own: "Credential", configuration: "RadiusConfiguration") -> Iterator[Finding]:
    """Kinds of key that a version of TLS, or most supplicants, cannot verify."""
    from dnsbound.iana import SignatureScheme

    schemes = {SignatureScheme(scheme).name for scheme in own.signer.schemes}
    versions = " and ".join(VERSION_NAMES[version] for version in configuration.server.tls)
    if TLS_1_2 in configuration.server.tls and any(scheme.startswith("MLDSA") for scheme in schemes):
        remedy = 'say tls = ["1.3"], or take a P-256 or RSA key'
        yield Finding(check=check, level=Level.FAIL, found="an ML-DSA key signs in TLS 1.3 alone", remedy=remedy)
    elif "ED25519" in schemes:
        remedy = "take a P-256 or RSA key unless all supplicants are known to verify Ed25519"
        yield Finding(check=check, level=Level.WARN, found=f"an Ed25519 key, in {versions}", remedy=remedy)
    else:
        yield Finding(check=check, level=Level.OK, found=f"its key signs in {versions}")


def _server_chain(configuration: "RadiusConfiguration", anchors: Path | None) -> Iterator[Finding]:
    """What devices that ask are shown has to hold now, and to name the server's own key."""
    from dnsbound.credential.matching import MatchPolicy, match
    from dnsbound.edge.credential_files import load_credential
    from dnsbound.edge.eap_server_chain import eap_server_chain
    from dnsbound.names import ClientName
    from dnsbound.tls.server_chain import Demand, check_demand, owner_name, read_server_chain

    path = configuration.server.chain_file
    if path is None:
        return
    check, now = "chain of the server", time.time()
    try:
        chain = eap_server_chain(path)
        owner = owner_name(chain.host, chain.port)
        octets = bytes(2) + (chain.source.current() or b"")
        shown = read_server_chain(octets, owner, anchors=trust_anchors(anchors), now=now)
        check_demand(shown, Demand.RECORDS)
        own, name = load_credential(configuration.server.credential).presented, ClientName.parse(chain.host)
        record = match(shown.records, own, name=name, now=now, policy=MatchPolicy()).matched.record
    except DnsboundError as error:
        remedy = f"dnsbound chain export, of the record of {configuration.server.credential}, from a job"
        yield Finding(check=check, level=Level.FAIL, found=f"{path}: {error}", remedy=remedy)
        return
    yield Finding(check=check, level=Level.OK, found=f"{owner.to_text(omit_final_dot=True)} TLSA {record.to_text()}")


def _ticket_keys(configuration: "RadiusConfiguration") -> Iterator[Finding]:
    from dnsbound.edge.ticket_keys import TicketKeyFile

    path = configuration.server.ticket_keys
    if path is None:
        return
    try:
        TicketKeyFile(path, door=configuration.networks[0].door)
    except DnsboundError as error:
        yield Finding(check="ticket keys", level=Level.FAIL, found=str(error))
        return
    yield Finding(check="ticket keys", level=Level.OK, found=str(path))


# --- whom it admits


def _access(configuration: "RadiusConfiguration") -> Iterator[Finding]:
    from dnsbound.edge.access_file import AccessFile
    from dnsbound.edge.radius_dictionaries import AttributesByName

    try:
        listed = AccessFile(configuration.server.access).current()
        configuration.check_doors(listed.doors)
    except DnsboundError as error:
        yield Finding(check="access list", level=Level.FAIL, found=str(error))
        return
    try:
        names = AttributesByName(configuration.server.dictionary)
    except DnsboundError as error:
        yield Finding(check="dictionary", level=Level.FAIL, found=str(error))
        return
    for network in configuration.networks:
        check = f"network {network.label}"
        yield _door(check, listed, network.door)
        yield from _grants(check, listed.grants(network.door), names)
    if configuration.server.radsec or configuration.server.radsec_dtls:
        yield _door("RadSec", listed, configuration.server.radsec_door)


def _door(check: str, listed: "AccessList", door: str) -> Finding:
    entries = listed.entries(door)
    if not entries:
        remedy = f"add names to allow of [door.{door!r}]"
        return Finding(check=check, level=Level.WARN, found=f"door {door} lets nobody in", remedy=remedy)
    return Finding(check=check, level=Level.OK, found=f"door {door}: {entries} names and patterns")


def _grants(check: str, entries: Iterator[tuple[str, "Grants"]], names: "AttributeNames") -> Iterator[Finding]:
    """What RADIUS cannot say lets nobody in; a list of thousands that all say it wrongly is not told in full."""
    from dnsbound.protocols.radius_grants import RadiusGrant

    remedy = "mend the grants in the access list: these names are refused (grants-unusable)"
    wrong: dict[str, list[str]] = {}
    for text, grants in entries:
        try:
            RadiusGrant.parse(grants, names)
        except DnsboundError as error:
            wrong.setdefault(str(error), []).append(text)
    for what, entitled in itertools.islice(wrong.items(), _WRONG_GRANTS):
        more = f" and {len(entitled) - 1} more" if len(entitled) > 1 else ""
        yield Finding(check=check, level=Level.FAIL, found=f"{entitled[0]}{more}: {what}", remedy=remedy)


def _accounting(configuration: "RadiusConfiguration") -> Iterator[Finding]:
    """The database, unless it is yet to be made: nothing is made here."""
    from dnsbound.provision.accounting.ledger import Ledger
    from dnsbound.provision.errors import AccountingMissing

    check, place = "accounting database", configuration.server.accounting_database
    if place is None:
        return
    try:
        Ledger.open(place).close()
    except AccountingMissing as error:
        yield Finding(check=check, level=Level.OK, found=f"{error}; it is made at the first start")
    except DnsboundError as error:
        yield Finding(check=check, level=Level.FAIL, found=str(error), remedy="the server does not start without it")
    else:
        yield Finding(check=check, level=Level.OK, found="answers")


# --- the network


def _ports(configuration: "RadiusConfiguration") -> Iterator[Finding]:
    from dnsbound.edge.radius_sockets import bind_tcp
    from dnsbound.edge.radius_udp import bind_udp

    server = configuration.server
    for endpoint in server.listen:
        yield _port(f"authentication at {endpoint}", partial(bind_udp, endpoint))
    for endpoint in server.accounting:
        yield _port(f"accounting at {endpoint}", partial(bind_udp, endpoint))
    for endpoint in server.radsec:
        yield _port(f"RadSec at {endpoint}", partial(bind_tcp, endpoint))
    for endpoint in server.radsec_dtls:
        yield _port(f"RADIUS/DTLS at {endpoint}", partial(bind_udp, endpoint))


def _port(check: str, bind: Callable[[], socket.socket]) -> Finding:
    try:
        with contextlib.closing(bind()) as bound:
            datagrams = bound.type == socket.SOCK_DGRAM
            octets = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    except OSError as error:
        remedy = "another server has it, or the address is none of this machine's"
        return Finding(check=check, level=Level.FAIL, found=why_not_bound(error), remedy=remedy)
    # Linux tells twice what it gave.
    if datagrams and octets < 2 * RADIUS_RECEIVE_OCTETS.default:
        remedy = f"sysctl net.core.rmem_max={RADIUS_RECEIVE_OCTETS.default}"
        found = f"free; its queue has {octets // 2} octets, so a burst of requests is lost early"
        return Finding(check=check, level=Level.WARN, found=found, remedy=remedy)
    return Finding(check=check, level=Level.OK, found="free")


def _dynamic_authorisation(client: "RadiusClient") -> Finding:
    check = f"client {client.label}"
    if client.dynamic_connection:
        found = "ends sessions when told over its own RADIUS/TLS connection (not tried)"
        return Finding(check=check, level=Level.OK, found=found)
    if not client.takes_dynamic_authorisation:
        found = "cannot be told to end sessions: a removed name stays in until Session-Timeout"
        remedy = "set dynamic_authorisation, if it speaks RFC 5176"
        if not client.secrets:
            remedy = "let session_timeout be short; of RADIUS/TLS, dynamic_authorisation says which few take requests"
        return Finding(check=check, level=Level.WARN, found=found, remedy=remedy)
    if client.dynamic_address is None:
        found = f"ends sessions when told at port {client.dynamic_port} of the address that asks (not tried)"
        return Finding(check=check, level=Level.OK, found=found)
    family = socket.AF_INET6 if ":" in client.dynamic_address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((client.dynamic_address, client.dynamic_port))
    except OSError as error:
        found = f"{client.dynamic_address}: {(error.strerror or str(error)).lower()}"
        return Finding(check=check, level=Level.FAIL, found=found, remedy="mend the route, or dynamic_authorisation")
    found = f"there is a route to {client.dynamic_address} (nothing was sent)"
    return Finding(check=check, level=Level.OK, found=found)
