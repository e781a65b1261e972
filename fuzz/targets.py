"""Every place where octets of strangers are read, with seeds that parse.

The invariant, for all of them: any octets give a value or a `DnsboundError`, within the Budget.
"""

import json
from functools import cache, partial
from pathlib import Path

import dns.message
import dns.name
import dns.rdatatype

from dnsbound.credential.certificate_facts import CertificateFacts, san_dns_names, spki_of
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.matching import MatchPolicy, match
from dnsbound.credential.presented import Presented
from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.authority import Arrival, Authority, Transport
from dnsbound.dns.chain import AuthenticationChain, ChainExtension
from dnsbound.dns.chain_file import ChainFile
from dnsbound.dns.messages import Question, Response
from dnsbound.dns.validator import Validation, validate
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.upstream import Upstream
from dnsbound.iana import Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.tls import clientid, flags
from dnsbound.tls.server_chain import owner_name, read_server_chain
from dnsbound.tls.ticket import TicketClaim
from dnsbound.verify.access import AccessList
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.claim import Claim, NameSource, Proved
from fuzz.adoption import ADOPTION_TARGETS
from fuzz.associations import ASSOCIATION_TARGETS
from fuzz.attestations import ATTESTATION_TARGETS
from fuzz.authenticators import AUTHENTICATOR_TARGETS
from fuzz.cms_messages import CMS_TARGETS
from fuzz.eap import EAP_TARGETS
from fuzz.encryption import ENCRYPTION_TARGETS
from fuzz.enrolments import ENROLMENT_TARGETS
from fuzz.front_faces import FRONT_FACE_TARGETS
from fuzz.gated_sessions import GATED_SESSION_TARGETS
from fuzz.gated_streams import GATED_STREAM_TARGETS
from fuzz.handshakes import HANDSHAKE_TARGETS
from fuzz.http_messages import HTTP_MESSAGE_TARGETS
from fuzz.jose_objects import JOSE_TARGETS
from fuzz.large_content import LARGE_CONTENT_TARGETS
from fuzz.network_access import NETWORK_ACCESS_TARGETS
from fuzz.offered_tickets import TICKET_TARGETS
from fuzz.ownership import OWNERSHIP_TARGETS
from fuzz.presented import PRESENTED_TARGETS
from fuzz.proxy_headers import PROXY_HEADER_TARGETS
from fuzz.reports import REPORT_TARGETS
from fuzz.ssh import SSH_TARGETS
from fuzz.target import Target, text
from fuzz.user_certificates import USER_CERTIFICATE_TARGETS

NOW = 1_790_000_000.0
NAME = ClientName.parse("car54._device.cars.example")
VECTORS = Path(__file__).parent.parent / "tests/vectors/rfc9102-vectors.json"


@cache
def estate() -> tuple[Credential, Credential]:
    """A self-signed client, and one under a two-level authority."""
    authority = CertificateAuthority.create("fuzz", now=NOW).intermediate("fuzz below", now=NOW)
    return Credential.generate(NAME, now=NOW), authority.issue(NAME, now=NOW)


@cache
def world() -> World:
    made = World(clock=lambda: NOW)
    made.organisation("cars.example").device("car54")
    return made


@cache
def authority() -> Authority:
    return Authority(world().zones)


def arrival() -> Arrival:
    return Arrival(source="192.0.2.1", transport=Transport.TCP, now=NOW)


def query(name: str, rdtype: str) -> bytes:
    return dns.message.make_query(name, rdtype, want_dnssec=True, id=1).to_wire()


@cache
def responses() -> dict[str, bytes]:
    """What World's zones answer to the questions a validation of car54 asks."""
    asked = [
        ("car54._device.cars.example", "TLSA"),
        ("nobody._device.cars.example", "TLSA"),
        ("cars.example", "DNSKEY"),
    ]
    asked += [("cars.example", "DS"), ("example", "DNSKEY"), ("example", "DS"), (".", "DNSKEY")]
    made = {f"{name} {kind}": authority().respond(query(name, kind), arrival()) for name, kind in asked}
    return {question: wire for question, wire in made.items() if wire is not None}


def validate_with(octets: bytes) -> object:
    """A validation whose TLSA reply is hostile and whose other replies are honest."""
    hostile = Response.from_wire(octets, source="the fuzzer")

    def look_up(question: Question) -> Response:
        asked = f"{dns.name.Name((*question.key, b'')).to_text(omit_final_dot=True) or '.'} {question.rdtype.name}"
        known = responses().get(asked)
        return hostile if known is None or "TLSA" in asked else Response.from_wire(known, source="World")

    validation = Validation(dns.name.from_text(NAME.text), dns.rdatatype.TLSA, anchors=world().anchors, now=NOW)
    return validate(validation, look_up)


def validate_chain(octets: bytes) -> object:
    document = json.loads(VECTORS.read_text())
    chain = AuthenticationChain.from_wire(octets)
    owner = dns.name.from_text("_443._tcp.www.example.com.")
    anchors = TrustAnchors.from_text(document["trust_anchor_ds"])
    return chain.validate(owner, dns.rdatatype.TLSA, anchors=anchors, now=1_560_000_000.0)


def read_chain_of_server(octets: bytes) -> object:
    """What a client makes of the extension_data in its server's Certificate."""
    anchors = TrustAnchors.from_text(json.loads(VECTORS.read_text())["trust_anchor_ds"])
    return read_server_chain(octets, owner_name("www.example.com", 443), anchors=anchors, now=1_560_000_000.0)


@cache
def chain_seeds() -> list[bytes]:
    return [bytes.fromhex(vector["chain_wire_hex"]) for vector in json.loads(VECTORS.read_text())["vectors"]]


def carried(octets: bytes) -> object:
    """A door without a resolver, and a client that carries these octets."""
    claim = Claim(
        name=NAME,
        name_source=NameSource.EXTENSION,
        presented=estate()[0].presented,
        possession=Proved("fuzz"),
        door="fuzz",
        carried_chain=octets,
    )
    return offline_door().authenticate_blocking(claim)


@cache
def offline_door() -> Authenticator:
    world().organisation("cars.example").replace(NAME.text, estate()[0].tlsa())
    taken = CarriedChains([NAME.text], anchors=world().anchors)
    access = AccessList.allowing("fuzz", [NAME.text])
    return Authenticator(access, None, door="fuzz", carried_chains=taken, clock=lambda: NOW, danger_any_clock=True)


def carried_seeds() -> list[bytes]:
    offline_door()
    return [world().chain(NAME.text).octets]


def chain_file_seeds() -> list[bytes]:
    owner = dns.name.from_text(NAME.text)
    return [
        ChainFile.of(octets, owner, dns.rdatatype.TLSA, made=NOW).to_text().encode()
        for octets in [*chain_seeds(), *carried_seeds()]
    ]


def match_certificate(octets: bytes) -> object:
    _, issued = estate()
    records = [issued.tlsa(usage, selector) for usage in (Usage.DANE_TA, Usage.DANE_EE) for selector in Selector]
    presented = Presented((octets, *issued.chain[1:]))
    return match(records, presented, name=NAME, now=NOW, policy=MatchPolicy(), exhaustive=True)


def tickets() -> list[bytes]:
    def of(credential: Credential) -> TicketClaim:
        return TicketClaim.of(
            credential.presented,
            door="api",
            name=NAME,
            name_source=NameSource.EXTENSION,
            ends=1_780_000_000,
            record=credential.tlsa(),
            chain_expires=1_790_000_000,
        )

    alone, issued = estate()
    return [of(each).to_wire() for each in (alone, issued, alone.as_raw_key())]


TARGETS: dict[str, Target] = {
    **{
        f"clientid-answer-{profile}": Target(
            partial(clientid.parse_answer, profile=profile), lambda: [clientid.build_answer(NAME)]
        )
        for profile in clientid.Profile
    },
    **{
        f"clientid-request-{profile}": Target(
            partial(clientid.parse_request, profile=profile), partial(sorted, rules.requests)
        )
        for profile, rules in clientid.PROFILES.items()
    },
    "tls-flags": Target(flags.Flags.from_wire, lambda: [b"\x01\x22", flags.DEFAULT_SIGNAL.to_wire()]),
    "client-name": Target(ClientName.from_wire, lambda: [NAME.to_wire(), b"a.b"]),
    "ticket": Target(TicketClaim.from_wire, tickets),
    "tlsa-wire": Target(TLSA.from_wire, lambda: [estate()[0].tlsa().to_wire()]),
    "tlsa-text": Target(lambda octets: TLSA.from_text(text(octets)), lambda: [estate()[0].tlsa().to_text().encode()]),
    "certificate-facts": Target(CertificateFacts.from_der, lambda: [*estate()[0].chain, *estate()[1].chain]),
    "certificate-names": Target(san_dns_names, lambda: [*estate()[0].chain]),
    "certificate-key": Target(spki_of, lambda: [*estate()[0].chain]),
    "credential-pem": Target(Credential.from_pem, lambda: [each.to_pem() for each in estate()]),
    "match": Target(match_certificate, lambda: [each.chain[0] for each in estate()]),
    "access-list": Target(
        lambda octets: AccessList.from_toml(text(octets)),
        lambda: [
            (
                b'[door.api]\nallow = ["*._device.cars.example", { names = ["a.b"], grants = { vlan = 3 } }]\n'
                b'deny = ["x.y"]\n'
            )
        ],
    ),
    "dns-response": Target(
        lambda octets: Response.from_wire(octets, source="the fuzzer"), lambda: list(responses().values())
    ),
    "dns-query": Target(
        lambda octets: authority().respond(octets, arrival()), lambda: [query("car54._device.cars.example", "TLSA")]
    ),
    "validation": Target(validate_with, lambda: list(responses().values())),
    "chain": Target(validate_chain, chain_seeds),
    "chain-carried": Target(carried, carried_seeds),
    "chain-file": Target(lambda octets: ChainFile.from_text(text(octets)), chain_file_seeds),
    "server-chain": Target(read_chain_of_server, lambda: [b"\x00\x07" + chain_seeds()[0]]),
    "chain-extension": Target(ChainExtension.from_wire, lambda: [b"\x00\x00" + chain for chain in chain_seeds()]),
    "trust-anchors": Target(
        lambda octets: TrustAnchors.from_text(text(octets)), lambda: [world().anchors_text.encode()]
    ),
    "upstream": Target(
        lambda octets: Upstream.parse(text(octets)), lambda: [b"tls://192.0.2.1:853#dns.example", b"[2001:db8::1]:53"]
    ),
    **ADOPTION_TARGETS,
    **ASSOCIATION_TARGETS,
    **ATTESTATION_TARGETS,
    **AUTHENTICATOR_TARGETS,
    **CMS_TARGETS,
    **EAP_TARGETS,
    **ENCRYPTION_TARGETS,
    **ENROLMENT_TARGETS,
    **REPORT_TARGETS,
    **LARGE_CONTENT_TARGETS,
    **FRONT_FACE_TARGETS,
    **GATED_SESSION_TARGETS,
    **GATED_STREAM_TARGETS,
    **JOSE_TARGETS,
    **NETWORK_ACCESS_TARGETS,
    **PRESENTED_TARGETS,
    **OWNERSHIP_TARGETS,
    **PROXY_HEADER_TARGETS,
    **SSH_TARGETS,
    **HANDSHAKE_TARGETS,
    **HTTP_MESSAGE_TARGETS,
    **TICKET_TARGETS,
    **USER_CERTIFICATE_TARGETS,
}
