"""The dane_clientid extension: what its extension_data means, both ways, in each profile.

    opaque ClientName<0..2^8-1>;      struct { ClientName name; } DaneClientId;

In TLS 1.3 a server sends it in CertificateRequest, and a client answers in the first CertificateEntry of its
Certificate with its full TLSA owner name. In TLS 1.2 (`cid07` alone) the client begins, in its ClientHello, and the
server says in its ServerHello that it understood. What differs between the three texts is one row each of `PROFILES`.
Shape on the wire is also checked by the native engine, on arrival; this codec decides the name, and serves whoever has
the octets in hand.
draft-ietf-dance-client-auth-13 section 7; -10 sections 7 and 8; draft-ietf-dance-tls-clientid-07 sections 2 and 3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.iana import DTLS_1_2, TLS_1_2, TLS_1_3, AlertDescription
from dnsbound.names import ClientName
from dnsbound.wire import Reader, prefixed


class Profile(StrEnum):
    """Which text of the drafts is spoken."""

    CA13 = "ca13"
    """draft-ietf-dance-client-auth-13."""
    CA10 = "ca10"
    """draft-ietf-dance-client-auth-10: a client may leave its name to its certificate."""
    CID07 = "cid07"
    """draft-ietf-dance-tls-clientid-07: as ca10, and over TLS 1.2, where the name is in clear."""


class Answer(StrEnum):
    """What came from a client in the place that carries its name in the version that was negotiated."""

    ABSENT = "absent"
    """No extension."""
    NO_OCTETS = "no-octets"
    """The extension, with nothing inside."""
    ZERO_LENGTH = "zero-length"
    """A ClientName of length zero."""
    NAME = "name"


class Meaning(StrEnum):
    """What an answer is in a profile."""

    NOTHING = "nothing"
    """Not this profile: an ordinary client, unless another profile knows better."""
    NAMED = "named"
    IN_CERTIFICATE = "in-certificate"
    """The name is the certificate's one SAN dNSName."""
    VIOLATION = "violation"
    """Well formed and forbidden."""
    MALFORMED = "malformed"
    """decode_error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRules:
    """What differs between profiles. Wherever a door has several, the first that fits is spoken."""

    versions: frozenset[int]
    """Protocol versions the extension may be used in."""
    request: bytes
    """extension_data of our CertificateRequest where this is the only profile."""
    requests: frozenset[bytes]
    """extension_data a client takes in a CertificateRequest."""
    answers: Mapping[Answer, Meaning]
    alerts: Mapping[Reason, AlertDescription]
    """Refusals with an alert of their own; all others are handshake_failure."""

    @property
    def lowest_version(self) -> int:
        return min(self.versions)


_ZERO_LENGTH: Final = b"\x00"
_NO_OCTETS: Final = b""
_ONE_ALERT: Final[Mapping[Reason, AlertDescription]] = MappingProxyType({})

PROFILES: Final[Mapping[Profile, ProfileRules]] = MappingProxyType(
    {
        Profile.CA13: ProfileRules(
            versions=frozenset({TLS_1_3}),
            request=_ZERO_LENGTH,
            requests=frozenset({_ZERO_LENGTH}),
            answers=MappingProxyType(
                {
                    Answer.ABSENT: Meaning.NOTHING,
                    Answer.NO_OCTETS: Meaning.MALFORMED,
                    Answer.ZERO_LENGTH: Meaning.VIOLATION,
                    Answer.NAME: Meaning.NAMED,
                }
            ),
            alerts=_ONE_ALERT,
        ),
        Profile.CA10: ProfileRules(
            versions=frozenset({TLS_1_3}),
            # Its words say "empty extension" and its structure has length zero: we send what ca13 settled on.
            request=_ZERO_LENGTH,
            requests=frozenset({_ZERO_LENGTH, _NO_OCTETS}),
            answers=MappingProxyType(
                {
                    Answer.ABSENT: Meaning.NOTHING,
                    Answer.NO_OCTETS: Meaning.IN_CERTIFICATE,
                    Answer.ZERO_LENGTH: Meaning.IN_CERTIFICATE,
                    Answer.NAME: Meaning.NAMED,
                }
            ),
            alerts=MappingProxyType(
                {
                    Reason.EMPTY_NAME: AlertDescription.BAD_CERTIFICATE,
                    Reason.AMBIGUOUS_NAME: AlertDescription.BAD_CERTIFICATE,
                    Reason.NAME_NOT_IN_CERTIFICATE: AlertDescription.BAD_CERTIFICATE,
                }
            ),
        ),
        Profile.CID07: ProfileRules(
            versions=frozenset({TLS_1_2, TLS_1_3, DTLS_1_2}),
            request=_NO_OCTETS,
            # Zero length is what a server sends that speaks the newer profiles as well.
            requests=frozenset({_NO_OCTETS, _ZERO_LENGTH}),
            answers=MappingProxyType(
                {
                    Answer.ABSENT: Meaning.NOTHING,
                    Answer.NO_OCTETS: Meaning.IN_CERTIFICATE,
                    Answer.ZERO_LENGTH: Meaning.MALFORMED,
                    Answer.NAME: Meaning.NAMED,
                }
            ),
            alerts=_ONE_ALERT,
        ),
    }
)
"""Total over Profile, and each row's answers over Answer."""

_FITS: Final = (frozenset({Meaning.NAMED, Meaning.IN_CERTIFICATE}), frozenset({Meaning.VIOLATION}))


@lru_cache(maxsize=256)
def spoken(profiles: tuple[Profile, ...], version: int, answer: Answer) -> Profile | None:
    """Which of a door's profiles a client speaks that answered so; None for a client that speaks none of them."""
    candidates = [profile for profile in profiles if version in PROFILES[profile].versions]
    for meanings in _FITS:
        for profile in candidates:
            if PROFILES[profile].answers[answer] in meanings:
                return profile
    return None


def lowest_version(profiles: Iterable[Profile]) -> int:
    """The lowest protocol version that any of them may be spoken in."""
    return min(PROFILES[profile].lowest_version for profile in profiles)


def alert_for(profile: Profile | None, reason: Reason) -> AlertDescription:
    """What a refused client is told."""
    if profile is None:
        return AlertDescription.HANDSHAKE_FAILURE
    return PROFILES[profile].alerts.get(reason, AlertDescription.HANDSHAKE_FAILURE)


def parse_request(extension_data: bytes, profile: Profile = Profile.CA13) -> None:
    """Check a server's request of TLS 1.3, which says nothing else; Malformed otherwise."""
    if extension_data in PROFILES[profile].requests:
        return
    if extension_data and client_name_octets(extension_data):
        raise Malformed("dane_clientid of a CertificateRequest carries a name", 1)
    raise Malformed(f"dane_clientid of a CertificateRequest in a form that {profile.value} does not have", 0)


def parse_answer(extension_data: bytes, profile: Profile = Profile.CA13) -> ClientName | None:
    """Read a client's answer, or its extension in a ClientHello; None leaves the name to the certificate.

    Raises Malformed where the octets do not have the extension's form (decode_error), and Refused with EMPTY_NAME or
    BAD_NAME where they do (handshake_failure; draft-ietf-dance-client-auth section 8.2).
    """
    octets = client_name_octets(extension_data) if extension_data else b""
    answer = Answer.NAME if octets else Answer.ZERO_LENGTH if extension_data else Answer.NO_OCTETS
    meaning = PROFILES[profile].answers[answer]
    if meaning is Meaning.MALFORMED:
        raise Malformed(f"dane_clientid in a form that {profile.value} does not have", 0)
    return None if meaning is Meaning.IN_CERTIFICATE else claimed_name(octets)


def build_answer(name: ClientName) -> bytes:
    """extension_data with the client's name, the same in every profile."""
    return prefixed(name.to_wire(), 1)


def claimed_name(octets: bytes) -> ClientName:
    """The name in a ClientName's octets, without their length; Refused with EMPTY_NAME or BAD_NAME."""
    if not octets:
        raise Refused(Reason.EMPTY_NAME, "dane_clientid with a zero-length name")
    try:
        return ClientName.from_wire(octets)
    except Malformed as error:
        raise Refused(Reason.BAD_NAME, str(error)) from error


def client_name_octets(extension_data: bytes) -> bytes:
    """The octets of the one ClientName in an extension_data, which may be none; Malformed for another form."""
    reader = Reader(extension_data, "dane_clientid")
    octets = reader.prefixed(1)
    reader.finish()
    return octets
