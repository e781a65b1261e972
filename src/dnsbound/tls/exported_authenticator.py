"""Exported authenticators (RFC 9261): proving possession of a certificate's key on a connection that is established.

    authenticator        = Certificate || CertificateVerify || Finished
    empty authenticator  = Finished

Both are bound to one connection by keying material exported from it, so an authenticator is worth nothing on another.
Pure functions over an exporter: no connection, clock or entropy. They carry a client's DNS name by dane_clientid, which
lets a server authenticate a client late, over TLS 1.3 and over TLS 1.2 with the extended master secret, and where TLS's
own post-handshake authentication is forbidden (HTTP/2).

Who may send what: a client answers a server's request, and there is no function by which it could send anything unasked
(section 5); a server answers a client's request or sends one of its own accord (`build_unasked`). Certificates are
X.509 (section 5.2.1). What a validated authenticator means for the client is the engine's to say (`late_claim`).

Sections: RFC 9261 sections 3 to 7 and 9; RFC 5705 section 4; RFC 9846 sections 4.5 and 7.5.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol, Self

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.signature import verify_signature
from dnsbound.credential.signer import Signer
from dnsbound.errors import Malformed, Misuse, PeerError, Reason, Refused
from dnsbound.iana import DTLS_1_2, TLS_1_2, TLS_1_3, HandshakeType, SignatureScheme
from dnsbound.names import ClientName
from dnsbound.tls.authenticator_request import AuthenticatorRequest, Role, check_length, check_place
from dnsbound.tls.clientid import build_answer, client_name_octets
from dnsbound.tls.handshake_messages import (
    Certificate,
    CertificateEntry,
    CertificateVerify,
    Extension,
    Finished,
    split,
)

_SIGNATURE_PREFIX: Final = b"\x20" * 64 + b"Exported Authenticator\x00"
_FULL: Final = (HandshakeType.CERTIFICATE, HandshakeType.CERTIFICATE_VERIFY, HandshakeType.FINISHED)
_EMPTY: Final = (HandshakeType.FINISHED,)
_LABELS: Final[Mapping[Role, tuple[bytes, bytes]]] = MappingProxyType(
    {
        Role.CLIENT: (
            b"EXPORTER-client authenticator handshake context",
            b"EXPORTER-client authenticator finished key",
        ),
        Role.SERVER: (
            b"EXPORTER-server authenticator handshake context",
            b"EXPORTER-server authenticator finished key",
        ),
    }
)
"""Section 5.1, by the role of the sender."""

NEEDS_EXTENDED_MASTER_SECRET: Final[Mapping[int, bool]] = MappingProxyType(
    {TLS_1_2: True, DTLS_1_2: True, TLS_1_3: False}
)
"""Versions with exported authenticators; one that is absent has none (sections 5.1 and 7)."""


class ContextForm(StrEnum):
    """What TLS 1.2's exporter is given as its context. Section 5.1 says that the context is empty; RFC 5705 section 4
    tells an empty one from none. In TLS 1.3 the two are the same."""

    ZERO_LENGTH = "zero-length"
    """A context of no octets: what this package sends and takes unless told otherwise."""
    ABSENT = "absent"


_EXPORTER_CONTEXT: Final[Mapping[ContextForm, bytes | None]] = MappingProxyType(
    {ContextForm.ZERO_LENGTH: b"", ContextForm.ABSENT: None}
)


class Exporter(Protocol):
    """Exports keying material of one connection (RFC 5705, RFC 9846 section 7.5); fails before its Finished messages
    were verified."""

    def __call__(self, label: bytes, length: int, context: bytes | None, /) -> bytes: ...


class InvalidAuthenticator(PeerError):
    """It is not of this connection, not an answer to this request, or its signature does not verify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorKeys:
    """Keying material for the authenticators that one end sends. digest: its hash, by hashlib's name."""

    sender: Role
    digest: str
    handshake_context: bytes = field(repr=False)
    finished_key: bytes = field(repr=False)

    @classmethod
    def export(
        cls,
        exporter: Exporter,
        sender: Role,
        *,
        version: int,
        digest: str,
        extended_master_secret: bool,
        context_form: ContextForm = ContextForm.ZERO_LENGTH,
    ) -> Self:
        """Of an established connection. version: 0x0303 or 0x0304. digest: hash of the cipher suite, in TLS 1.2 of its
        PRF. PeerError where the connection's version has no authenticators, or needs the extended master secret and
        has none (EA-02)."""
        needs_extended = NEEDS_EXTENDED_MASTER_SECRET.get(version)
        if needs_extended is None:
            raise PeerError(f"no exported authenticators in TLS version {version:#06x}")
        if needs_extended and not extended_master_secret:
            raise PeerError("no exported authenticators without the extended master secret (RFC 9261 section 5.1)")
        context = None if version == TLS_1_3 else _EXPORTER_CONTEXT[context_form]
        size = hashlib.new(digest).digest_size
        handshake_context, finished_key = (exporter(label, size, context) for label in _LABELS[sender])
        return cls(sender=sender, digest=digest, handshake_context=handshake_context, finished_key=finished_key)

    def _transcript(self, *messages: bytes) -> bytes:
        return hashlib.new(self.digest, b"".join((self.handshake_context, *messages))).digest()

    def content_to_sign(self, request: bytes, certificate: bytes) -> bytes:
        """Section 5.2.2. request: octets of the request, empty for an authenticator nobody asked for."""
        return _SIGNATURE_PREFIX + self._transcript(request, certificate)

    def finished(self, *messages: bytes) -> Finished:
        """Section 5.2.3: the MAC over the messages before it, the request first."""
        return Finished(hmac.digest(self.finished_key, self._transcript(*messages), self.digest))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedAuthenticator:
    """The evidence: on this connection the sender holds the key of `chain`'s first certificate. Nothing is said about
    whom that certificate belongs to."""

    sender: Role
    context: bytes
    chain: tuple[bytes, ...]
    """DER, leaf first."""
    scheme: SignatureScheme
    client_name: bytes | None
    """Octets of the ClientName in the first entry's dane_clientid; None without one."""
    leaf_extensions: tuple[Extension, ...]
    """All extensions of the first entry."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What an authenticator has to keep to. request: its octets, empty where there was none."""

    request: bytes
    context: bytes | None
    schemes: tuple[int, ...]
    extension_types: frozenset[int]
    clientid: int | None

    @classmethod
    def of(cls, request: AuthenticatorRequest) -> Self:
        return cls(request.octets, request.context, request.schemes, request.extension_types, request.clientid)

    @classmethod
    def offered(cls, schemes: Iterable[int], extension_types: Iterable[int]) -> Self:
        return cls(b"", None, tuple(schemes), frozenset(extension_types), None)


# --- sending


def build(
    keys: AuthenticatorKeys,
    request: AuthenticatorRequest,
    chain: Sequence[bytes],
    signer: Signer,
    *,
    client_name: ClientName | None = None,
    extensions: Iterable[Extension] = (),
) -> bytes:
    """The answer to a request. chain: DER, leaf first. client_name: sent in the first entry, when it was asked for.
    extensions: of the first entry, each asked for by the request.

    PeerError when the signer has none of the schemes in the request; Misuse for a chain that is empty (RFC 9261 knows
    no raw public keys), for another key than the chain's, for extensions nobody asked for, and for a request of one's
    own.
    """
    _check_answers(keys, request)
    listed = list(extensions)
    if client_name is not None and request.clientid is not None:
        listed.append(Extension(request.clientid, build_answer(client_name)))
    return _assemble(keys, _Terms.of(request), request.context, chain=chain, signer=signer, extensions=tuple(listed))


def build_empty(keys: AuthenticatorKeys, request: AuthenticatorRequest) -> bytes:
    """The answer of an end that has nothing to show, or will not (section 5.2.3)."""
    _check_answers(keys, request)
    nothing = Certificate(context=request.context).to_wire()
    return keys.finished(request.octets, nothing).to_wire()


def build_unasked(
    keys: AuthenticatorKeys,
    context: bytes,
    chain: Sequence[bytes],
    signer: Signer,
    *,
    offered_schemes: Iterable[int],
    offered_extensions: Collection[int] = (),
    extensions: Iterable[Extension] = (),
) -> bytes:
    """A server's authenticator without a request (section 3). context: unpredictable, once in the connection.
    offered_schemes, offered_extensions: of the client's ClientHello. Misuse on a client, which may not (EA-01)."""
    if keys.sender is not Role.SERVER:
        raise Misuse("a client sends no authenticator unasked (RFC 9261 section 5)")
    terms = _Terms.offered(offered_schemes, offered_extensions)
    return _assemble(keys, terms, context, chain=chain, signer=signer, extensions=tuple(extensions))


def _check_answers(keys: AuthenticatorKeys, request: AuthenticatorRequest) -> None:
    if request.requester is keys.sender:
        raise Misuse("an end does not answer its own request")


def _assemble(
    keys: AuthenticatorKeys,
    terms: _Terms,
    context: bytes,
    *,
    chain: Sequence[bytes],
    signer: Signer,
    extensions: tuple[Extension, ...],
) -> bytes:
    if not chain:
        raise Misuse(
            "an exported authenticator shows certificates; a raw public key cannot stand in one (RFC 9261 5.2.1)"
        )
    if spki_of(chain[0]) != signer.spki:
        raise Misuse("the first certificate is not for this key")
    unasked = {extension.type for extension in extensions} - terms.extension_types
    if unasked:
        raise Misuse(f"extensions {sorted(unasked)} were not asked for")
    scheme = next((own for own in signer.schemes if own in terms.schemes), None)
    if scheme is None:
        raise PeerError("the request names no signature scheme this key has")
    entries = (CertificateEntry(chain[0], extensions), *map(CertificateEntry, chain[1:]))
    certificate = Certificate(context=context, entries=entries).to_wire()
    signature = signer.sign(keys.content_to_sign(terms.request, certificate), scheme)
    verify = CertificateVerify(scheme=scheme, signature=signature).to_wire()
    return certificate + verify + keys.finished(terms.request, certificate, verify).to_wire()


# --- validating


def validate(keys: AuthenticatorKeys, request: AuthenticatorRequest, authenticator: bytes) -> ValidatedAuthenticator:
    """What the answer to a request of ours proves. keys: for the sender's role.

    Refused with NO_CREDENTIAL for a well-formed empty authenticator; InvalidAuthenticator (a PeerError), Malformed or
    LimitExceeded otherwise. Whoever calls sees to it that a request is answered once (`authenticator_contexts`).
    """
    _check_answers(keys, request)
    check_length(authenticator)
    messages = split(authenticator, most=len(_FULL))
    kinds = tuple(kind for kind, _ in messages)
    if kinds == _EMPTY:
        nothing = Certificate(context=request.context).to_wire()
        _check_finished(keys, messages[0][1], request.octets, nothing)
        raise Refused(Reason.NO_CREDENTIAL, "the request was answered with an empty authenticator")
    return _validate_full(keys, _Terms.of(request), messages)


def validate_unasked(
    keys: AuthenticatorKeys,
    authenticator: bytes,
    *,
    offered_schemes: Iterable[int],
    offered_extensions: Collection[int] = (),
) -> ValidatedAuthenticator:
    """The same for an authenticator that a server sent of its own accord. Its context comes with it: the caller refuses
    one that was seen before. InvalidAuthenticator when a client sent it (EA-01)."""
    if keys.sender is not Role.SERVER:
        raise InvalidAuthenticator("a client sends no authenticator unasked (RFC 9261 section 5)")
    check_length(authenticator)
    messages = split(authenticator, most=len(_FULL))
    return _validate_full(keys, _Terms.offered(offered_schemes, offered_extensions), messages)


def _validate_full(keys: AuthenticatorKeys, terms: _Terms, messages: list[tuple[int, bytes]]) -> ValidatedAuthenticator:
    if tuple(kind for kind, _ in messages) != _FULL:
        raise Malformed("an authenticator is Certificate, CertificateVerify and Finished, or Finished alone")
    certificate_octets, verify_octets, finished_octets = (octets for _, octets in messages)
    # The MAC first: it is cheap, and only the other end of this connection can make one.
    _check_finished(keys, finished_octets, terms.request, certificate_octets, verify_octets)
    certificate = Certificate.from_wire(certificate_octets)
    verify = CertificateVerify.from_wire(verify_octets)
    _check_certificate(certificate, terms)
    if verify.scheme not in terms.schemes:
        raise InvalidAuthenticator(f"signature scheme {verify.scheme:#06x} was not asked for")
    leaf = certificate.entries[0]
    content = keys.content_to_sign(terms.request, certificate_octets)
    try:
        verify_signature(spki_of(leaf.data), verify.scheme, verify.signature, content)
    except PeerError as error:
        raise InvalidAuthenticator(str(error)) from error
    return ValidatedAuthenticator(
        sender=keys.sender,
        context=certificate.context,
        chain=tuple(entry.data for entry in certificate.entries),
        scheme=SignatureScheme(verify.scheme),
        client_name=_client_name(certificate, terms.clientid),
        leaf_extensions=leaf.extensions,
    )


def _check_finished(keys: AuthenticatorKeys, octets: bytes, *messages: bytes) -> None:
    """EA-07: compared in constant time."""
    if not hmac.compare_digest(Finished.from_wire(octets).verify_data, keys.finished(*messages).verify_data):
        raise InvalidAuthenticator("the authenticator is not of this connection, or not an answer to this request")


def _check_certificate(certificate: Certificate, terms: _Terms) -> None:
    if terms.context is not None and not hmac.compare_digest(certificate.context, terms.context):
        raise InvalidAuthenticator("the authenticator carries another context than its request")
    if not certificate.entries:
        raise InvalidAuthenticator("a Certificate message without certificates")
    for entry in certificate.entries:
        for extension in entry.extensions:
            check_place(extension.type, HandshakeType.CERTIFICATE)
            if extension.type not in terms.extension_types:
                raise InvalidAuthenticator(f"extension {extension.type} was not asked for")


def _client_name(certificate: Certificate, clientid: int | None) -> bytes | None:
    """As in a handshake: the first entry's counts, and it stands in one entry at most."""
    found = [
        (place, extension.data)
        for place, entry in enumerate(certificate.entries)
        for extension in entry.extensions
        if extension.type == clientid
    ]
    if len(found) > 1:
        raise InvalidAuthenticator("dane_clientid in two entries")
    return next((client_name_octets(data) for place, data in found if place == 0), None)


def context_of(authenticator: bytes) -> bytes | None:
    """The context in an authenticator, to find its request by; None for an empty one, which has none. Nothing is
    validated. Malformed, LimitExceeded."""
    check_length(authenticator)
    kind, first = next(iter(split(authenticator, most=len(_FULL))), (None, b""))
    return None if kind == HandshakeType.FINISHED else Certificate.from_wire(first).context
