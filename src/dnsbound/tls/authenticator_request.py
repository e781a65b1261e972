"""The request for an exported authenticator (RFC 9261 section 4): which extensions it may carry, building, reading.

A server asks with CertificateRequest, a client with ClientCertificateRequest, on TLS 1.3 and on TLS 1.2 alike. A
request names signature schemes; with a zero-length dane_clientid it also asks for the client's name. Extensions nobody
here knows are ignored; one that is known and has no place in the message makes the message malformed (RFC 9846 section
4.3). Contexts are the caller's to choose, unpredictable and each once in a connection (`authenticator_contexts`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.iana import ExtensionType, HandshakeType, SignatureScheme
from dnsbound.limits import AUTHENTICATOR_OCTETS
from dnsbound.tls.clientid import PROFILES, Profile, parse_request
from dnsbound.tls.handshake_messages import CertificateRequest, Extension, signature_algorithms, signature_schemes


class Role(StrEnum):
    """An end of the connection."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> "Role":
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


REQUEST_KIND: Final[Mapping[Role, HandshakeType]] = MappingProxyType(
    {
        Role.SERVER: HandshakeType.CERTIFICATE_REQUEST,
        Role.CLIENT: HandshakeType.CLIENT_CERTIFICATE_REQUEST,
    }
)
"""The message by which each end asks the other."""

_NOWHERE: Final[frozenset[HandshakeType]] = frozenset()
_REQUESTS: Final = frozenset(REQUEST_KIND.values())
_ANYWHERE: Final = _REQUESTS | {HandshakeType.CERTIFICATE}

EXTENSION_PLACES: Final[Mapping[ExtensionType, frozenset[HandshakeType]]] = MappingProxyType(
    {
        ExtensionType.SERVER_NAME: frozenset({HandshakeType.CLIENT_CERTIFICATE_REQUEST}),
        ExtensionType.STATUS_REQUEST: _ANYWHERE,
        ExtensionType.SUPPORTED_GROUPS: _NOWHERE,
        ExtensionType.SIGNATURE_ALGORITHMS: _REQUESTS,
        ExtensionType.ALPN: _NOWHERE,
        ExtensionType.SIGNED_CERTIFICATE_TIMESTAMP: _ANYWHERE,
        ExtensionType.COMPRESS_CERTIFICATE: _REQUESTS,
        ExtensionType.DELEGATED_CREDENTIAL: _ANYWHERE,
        ExtensionType.PRE_SHARED_KEY: _NOWHERE,
        ExtensionType.EARLY_DATA: _NOWHERE,
        ExtensionType.SUPPORTED_VERSIONS: _NOWHERE,
        ExtensionType.COOKIE: _NOWHERE,
        ExtensionType.PSK_KEY_EXCHANGE_MODES: _NOWHERE,
        ExtensionType.CERTIFICATE_AUTHORITIES: _REQUESTS,
        ExtensionType.OID_FILTERS: _REQUESTS,
        ExtensionType.POST_HANDSHAKE_AUTH: _NOWHERE,
        ExtensionType.SIGNATURE_ALGORITHMS_CERT: _REQUESTS,
        ExtensionType.KEY_SHARE: _NOWHERE,
        ExtensionType.DNSSEC_CHAIN: frozenset({HandshakeType.CERTIFICATE}),
        ExtensionType.TLS_FLAGS: _ANYWHERE,
    }
)
"""Where each known extension may stand in a request or an authenticator: those marked CR and CT in the IANA registry,
and server_name in a client's request (RFC 9261 section 4)."""

ANY_TLS_1_3_SCHEME: Final = tuple(SignatureScheme)
"""What is asked for unless told otherwise: all that is verified here. None of them is PKCS#1 v1.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorRequest:
    """A request as it travelled. octets: the whole message, which the answer's transcript holds."""

    octets: bytes
    requester: Role
    context: bytes
    schemes: tuple[int, ...]
    """Signature schemes in the requester's order; numbers unknown here may be among them."""
    extension_types: frozenset[int]
    clientid: int | None
    """Code point under which the client's name is asked for."""

    @classmethod
    def build(
        cls,
        requester: Role,
        context: bytes,
        *,
        clientid: int | None = None,
        schemes: Iterable[SignatureScheme] = ANY_TLS_1_3_SCHEME,
        extensions: Iterable[Extension] = (),
    ) -> Self:
        """A request of our own. context: 1 to 255 octets that nobody can predict. clientid: code point of
        dane_clientid, a server's to ask. Misuse for an extension that has no place in it."""
        if not 1 <= len(context) <= 255:
            raise Misuse("the context of a request has 1 to 255 octets")
        if clientid is not None and requester is not Role.SERVER:
            raise Misuse("a client's name is a server's to ask for")
        numbers = tuple(int(scheme) for scheme in schemes)
        if not numbers:
            raise Misuse("a request names signature schemes")
        listed = [Extension(ExtensionType.SIGNATURE_ALGORITHMS, signature_algorithms(numbers)), *extensions]
        if clientid is not None:
            listed.append(Extension(clientid, PROFILES[Profile.CA13].request))
        kind = REQUEST_KIND[requester]
        octets = CertificateRequest(kind=kind, context=context, extensions=tuple(listed)).to_wire()
        try:
            return cls.parse(octets, requester, clientid=clientid)
        except Malformed as error:
            raise Misuse(f"not a request: {error}") from error

    @classmethod
    def parse(cls, octets: bytes, requester: Role, *, clientid: int | None = None) -> Self:
        """Read the request that `requester` sent. clientid: code point of dane_clientid, if it is spoken.

        Malformed for another message, for extensions that have no place in it, and without signature schemes;
        LimitExceeded for one that is too long.
        """
        check_length(octets)
        message = CertificateRequest.from_wire(octets)
        if message.kind is not REQUEST_KIND[requester]:
            raise Malformed(f"handshake message {message.kind.value} is no request of a {requester.value}", 0)
        by_type = {extension.type: extension.data for extension in message.extensions}
        for number in by_type:
            check_place(number, message.kind)
        if ExtensionType.SIGNATURE_ALGORITHMS not in by_type:
            raise Malformed("a request without signature_algorithms")
        if clientid is not None and clientid in by_type:
            parse_request(by_type[clientid])
        return cls(
            octets=octets,
            requester=requester,
            context=message.context,
            schemes=signature_schemes(by_type[ExtensionType.SIGNATURE_ALGORITHMS]),
            extension_types=frozenset(by_type),
            clientid=clientid if clientid in by_type else None,
        )


def check_place(number: int, kind: HandshakeType) -> None:
    """Malformed for a known extension that has no place in this message. Unknown ones pass: they are ignored in
    requests, and in answers it counts whether they were requested."""
    try:
        known = ExtensionType(number)
    except ValueError:
        return
    if kind not in EXTENSION_PLACES[known]:
        raise Malformed(f"extension {known.name.lower()} has no place in handshake message {kind.value}")


def check_length(octets: bytes) -> None:
    """LimitExceeded for more octets than are looked at."""
    if len(octets) > AUTHENTICATOR_OCTETS.default:
        raise LimitExceeded(AUTHENTICATOR_OCTETS.name, f"{len(octets)} octets")
