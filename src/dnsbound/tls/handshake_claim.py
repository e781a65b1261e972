"""From a finished handshake to the claim the engine judges: name, credential, and that possession was proved.

The name comes from dane_clientid in the first CertificateEntry, or in the ClientHello of TLS 1.2; copies in other
entries do not count. Where the door accepts it, a certificate's single SAN dNSName stands in for clients that send no
extension, and for those that leave it to their certificate (ca10, cid07). A resumed session brings its claim in the
ticket, so that it is judged again. Sections: draft-ietf-dance-client-auth 7, 8.2, 9; CA-11 to CA-14, CA-23, CA-29,
CA-32, CA-33, LEG-01 to LEG-04.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from dnsbound._native import Connection
from dnsbound.credential.certificate_facts import san_dns_names
from dnsbound.credential.presented import Presented
from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.iana import VERSION_NAMES
from dnsbound.names import ClientName
from dnsbound.tls.clientid import PROFILES, Answer, Meaning, Profile, claimed_name, spoken
from dnsbound.tls.ticket import TicketClaim
from dnsbound.verify.claim import Claim, NameSource, Proved

PROVED_BY_HANDSHAKE: Final = Proved("TLS CertificateVerify")
RESUMPTION: Final = "TLS session resumption"

NO_CLAIM: Final = frozenset({Reason.NO_CREDENTIAL, Reason.NO_NAME})
"""Refusals that mean the client claimed nothing: at a door whose policy is `optional` it is then unauthenticated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """What a door makes a claim of."""

    door: str
    name_sources: Collection[NameSource]
    """Where a name may come from; the extension counts before the certificate."""
    profiles: tuple[Profile, ...] = (Profile.CA13,)
    """Texts of the extension that are spoken, in order of preference."""


def spoken_profile(connection: Connection, rules: ClaimRules) -> Profile | None:
    """The profile this client speaks, once its handshake is complete; None for one that sent no extension."""
    return spoken(rules.profiles, connection.version(), _answer(connection)[0])


def claim_of(connection: Connection, rules: ClaimRules, *, source: str = "") -> Claim:
    """The claim of a client whose handshake is complete. source: who caused it, for budgets and logs.

    Raises Refused with NO_CREDENTIAL, NO_NAME, EMPTY_NAME, BAD_NAME or AMBIGUOUS_NAME.
    """
    if connection.session_reused():
        return _resumed_claim(connection, rules, source)
    presented = _presented(connection)
    said, version = _answer(connection), connection.version()
    name, name_source = claimed_by(said, presented, rules, version=version)
    return Claim(
        name=name,
        name_source=name_source,
        presented=presented,
        possession=PROVED_BY_HANDSHAKE,
        door=rules.door,
        source=source,
        protocol=_protocol(version, spoken(rules.profiles, version, said[0])),
        carried_chain=connection.carried_chain(),
    )


def _protocol(version: int, profile: Profile | None) -> str:
    name = VERSION_NAMES[version]
    return name if profile is None else f"{name} {profile.value}"


def _presented(connection: Connection) -> Presented:
    raw_public_key = connection.peer_raw_public_key()
    if raw_public_key is not None:
        return Presented(raw_public_key=raw_public_key)
    chain = connection.peer_chain()
    if not chain:
        raise Refused(Reason.NO_CREDENTIAL, "the client presented neither certificate nor raw public key")
    return Presented(chain=tuple(chain))


def _answer(connection: Connection) -> tuple[Answer, bytes]:
    """What stands in the first entry, and the octets of its ClientName."""
    for entry, octets in connection.client_names():
        if entry == 0:
            return (Answer.NAME if octets else Answer.ZERO_LENGTH), octets
    return (Answer.NO_OCTETS if connection.clientid_empty() else Answer.ABSENT), b""


def claimed_by(
    said: tuple[Answer, bytes], presented: Presented, rules: ClaimRules, *, version: int
) -> tuple[ClientName, NameSource]:
    """The name that a client claims with what it said, and where it comes from.

    said: what stood in the first entry, and the octets of its ClientName. version: of TLS, which decides what profiles
    there are. Refused with NO_NAME, EMPTY_NAME, BAD_NAME or AMBIGUOUS_NAME.
    """
    answer, octets = said
    profile = spoken(rules.profiles, version, answer)
    meaning = Meaning.NOTHING if profile is None else PROFILES[profile].answers[answer]
    if meaning in {Meaning.NAMED, Meaning.VIOLATION} and NameSource.EXTENSION in rules.name_sources:
        return claimed_name(octets), NameSource.EXTENSION
    if meaning is Meaning.IN_CERTIFICATE:
        return _name_left_to_certificate(presented, rules.name_sources), NameSource.SAN
    if NameSource.SAN in rules.name_sources and presented.chain:
        return single_san(presented.chain[0]), NameSource.SAN
    raise Refused(Reason.NO_NAME, "a credential came without a name this door accepts")


def _name_left_to_certificate(presented: Presented, accepted: Collection[NameSource]) -> ClientName:
    """The client said that it is one of ours: having no name after that is a claim that failed, not the lack of one."""
    if NameSource.SAN not in accepted or not presented.chain:
        raise Refused(Reason.EMPTY_NAME, "dane_clientid leaves the name to a certificate that cannot give it here")
    try:
        return single_san(presented.chain[0])
    except Refused as refusal:
        if refusal.reason is Reason.NO_NAME:
            raise Refused(Reason.EMPTY_NAME, refusal.detail) from refusal
        raise


def single_san(certificate: bytes) -> ClientName:
    """The one SAN dNSName; Refused with NO_NAME for none, AMBIGUOUS_NAME for several or one that is no client name."""
    try:
        names = san_dns_names(certificate)
    except Malformed as error:
        raise Refused(Reason.NO_NAME, f"the certificate's names do not parse: {error}") from error
    if not names:
        raise Refused(Reason.NO_NAME, "no dane_clientid, and the certificate shows no dNSName")
    if len(names) > 1:
        raise Refused(Reason.AMBIGUOUS_NAME, f"the certificate shows {len(names)} dNSNames")
    try:
        return ClientName.parse(names[0])
    except Malformed as error:
        raise Refused(Reason.AMBIGUOUS_NAME, f"the certificate's dNSName is no client name: {error}") from error


def _resumed_claim(connection: Connection, rules: ClaimRules, source: str) -> Claim:
    try:
        said = TicketClaim.from_wire(connection.ticket_application_data() or b"")
        leaf = next(iter(connection.peer_chain()), None)
        presented = said.presented(leaf=leaf, raw_public_key=connection.peer_raw_public_key())
    except Malformed as error:
        raise Refused(Reason.BAD_NAME, f"a resumed session without its claim: {error}") from error
    if said.door != rules.door:
        raise Refused(Reason.BAD_NAME, f"a session of door {said.door!r} was resumed here")
    if said.name_source not in rules.name_sources:
        raise Refused(Reason.BAD_NAME, f"a resumed session named itself by {said.name_source}, which this door left")
    return Claim(
        name=said.name,
        name_source=said.name_source,
        presented=presented,
        possession=Proved(RESUMPTION, until=float(said.ends)),
        door=rules.door,
        source=source,
        protocol=_protocol(connection.version(), None),
    )
