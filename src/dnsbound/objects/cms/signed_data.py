"""SignedData (RFC 5652 section 5): reading a signed message, and how its signature is checked.

Only signatures over signed attributes are taken. Without them CMS signs the content itself, so that whoever chooses
the content chooses what a key signs, and a key that also proves a TLS handshake or signs a JWT would sign those. The
message has one signer: with two, whose message it is would depend on who reads it. Certificates come along as they
were sent; which of them counts is found by the engine in the signer's records (RFC 6698), not by a path to somebody's
authority.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Self

from dnsbound.credential import der
from dnsbound.credential.keys import PublicKey
from dnsbound.credential.presented import Presented
from dnsbound.credential.signature import BadSignature
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.object_limits import CMS_ATTRIBUTES, CMS_CERTIFICATES
from dnsbound.objects.cms import encoding
from dnsbound.objects.cms.algorithms import (
    DIGESTS,
    SHA256,
    SignatureAlgorithm,
    digest_of,
    read_digest,
    read_signature_algorithm,
)
from dnsbound.objects.cms.reading import Cursor, der_of, read_time
from dnsbound.objects.cms.signer_certificate import SignerIdentifier, signer_first, signer_in
from dnsbound.objects.signed import SignedObject
from dnsbound.times import Moment

SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
DATA: Final = "1.2.840.113549.1.7.1"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
ALGORITHM_PROTECTION: Final = "1.2.840.113549.1.9.52"
SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.47"

_SET: Final = 0x31
_IMPLICIT_0: Final = 0xA0
_IMPLICIT_1: Final = 0xA1
_DIGEST_ALGORITHMS: Final = 16
"""Of one message: there is one signer, with one digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedFacts:
    """What a signed message says beside its content; all of it is under the signature but the certificates."""

    signing_time: Moment | None
    """By the signer's own clock; None when it says none."""
    certificates: tuple[bytes, ...]
    """DER, the signer's first; empty when the message does not bring it along."""
    attributes: Mapping[str, bytes]
    """Every signed attribute: identifier to the DER of its SET OF values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """A signed message that parses: one signature over signed attributes."""

    embedded: bytes | None
    """The content; None when it is elsewhere."""
    certificates: tuple[bytes, ...]
    """DER, as the message brings them along."""
    signer: "_Signer"

    @classmethod
    def from_wire(cls, message: bytes) -> Self:
        """Read DER or streamed BER; Malformed for anything else."""
        cursor, embedded = _signed_data(der_of(message))
        certificates = _certificates(cursor)
        if cursor.next_tag == _IMPLICIT_1:
            cursor.take(_IMPLICIT_1, "crls")  # Revocation is the record's absence; nobody's list is read.
        signers = cursor.enter(_SET, "signerInfos")
        cursor.finish()
        if signers.next_tag is None:
            raise Malformed("nobody signed the message")
        signer = _signer(signers.enter(der.SEQUENCE, "SignerInfo"))
        if signers.next_tag is not None:
            raise Malformed("the message has several signers; one is taken")
        return cls(embedded=embedded, certificates=certificates, signer=signer)

    def chain(self, others: tuple[bytes, ...] = ()) -> tuple[bytes, ...]:
        """The certificates, the signer's first; empty when it is not there. others: not in the message."""
        chain = signer_first((*self.certificates, *others), self.signer.identifier)
        self.signer.expect_certificate(chain)
        return chain

    def signed_object(
        self,
        content: bytes | None = None,
        *,
        name: ClientName | None = None,
        certificates: tuple[bytes, ...] = (),
    ) -> SignedObject:
        """For the verifier; the arguments are those of `parse`."""
        if self.embedded is not None and content is not None and self.embedded != content:
            raise Malformed("the message has a content of its own, and it is another")
        payload = self.embedded if self.embedded is not None else content
        if payload is None:
            raise Malformed("the signature is detached: its content must come with it")
        signer = self.signer
        return self._object(lambda key: signer.verify(key, payload), payload, name, self.chain(certificates))

    def signed_digest(self) -> SignedObject:
        """For the verifier, before the content is there: it verifies who signed a content of `signer.content_digest`,
        and nothing of any content."""
        return self._object(self.signer.verify_attributes, None, None, self.chain())

    def _object(
        self,
        check: Callable[[PublicKey], None],
        payload: bytes | None,
        name: ClientName | None,
        chain: tuple[bytes, ...],
    ) -> SignedObject:
        signer = self.signer
        if name is None and not chain:
            raise Malformed("the signer's certificate is not in the message, and no name was given")
        return SignedObject(
            name=name or signer_in(chain[0]),
            form="CMS",
            algorithm=signer.algorithm.name,
            presented=Presented(chain),
            check=check,
            payload=payload,
            content=SignedFacts(signing_time=signer.signing_time, certificates=chain, attributes=signer.attributes),
        )


def parse(
    message: bytes,
    *,
    content: bytes | None = None,
    name: ClientName | None = None,
    certificates: tuple[bytes, ...] = (),
) -> SignedObject:
    """A signed message in DER or streamed BER.

    content: of a detached signature. name: who is to have signed; without it the one dNSName, or else the one mailbox,
    of the signer's certificate. certificates: the signer's and others, for a message that brings none along. Malformed
    for anything that is not one signature over signed attributes; whether the signature is the key's is asked later, by
    `SignedObject.check`.
    """
    return SignedData.from_wire(message).signed_object(content, name=name, certificates=certificates)


def _signed_data(message: bytes) -> tuple[Cursor, bytes | None]:
    """The SignedData after its content, and that content; None when it is elsewhere."""
    info = Cursor.whole(message, "ContentInfo")
    kind = info.take_identifier("contentType")
    if kind != SIGNED_DATA:
        raise Malformed(f"the message is of type {kind}, not signed data")
    outer = info.enter(_IMPLICIT_0, "content")
    info.finish()
    cursor = outer.enter(der.SEQUENCE, "SignedData")
    outer.finish()
    version = cursor.take_number("version")
    if version not in (1, 3):
        raise Malformed(f"signed data of version {version}")
    digests = cursor.enter(_SET, "digestAlgorithms")
    for _ in range(_DIGEST_ALGORITHMS):
        if digests.next_tag is None:
            break
        digests.take_algorithm("digestAlgorithms")  # A hint for streaming; the signer's own is what counts.
    digests.finish()
    encapsulated = cursor.enter(der.SEQUENCE, "encapContentInfo")
    kind = encapsulated.take_identifier("eContentType")
    if kind != DATA:
        raise Malformed(f"what is signed is of type {kind}, not data")
    embedded = None
    if (inner := encapsulated.enter_optional(_IMPLICIT_0, "eContent")) is not None:
        embedded = inner.take(der.OCTET_STRING, "eContent")
        inner.finish()
    encapsulated.finish()
    return cursor, embedded


def _certificates(cursor: Cursor) -> tuple[bytes, ...]:
    inner = cursor.enter_optional(_IMPLICIT_0, "certificates")
    found: list[bytes] = []
    while inner is not None and inner.next_tag is not None:
        if len(found) >= CMS_CERTIFICATES.default:
            raise Malformed(f"the message brings more than {CMS_CERTIFICATES.default} certificates along")
        if inner.next_tag != der.SEQUENCE:
            raise Malformed("the message brings something else than certificates along")
        found.append(inner.take_raw())
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signer:
    """A SignerInfo."""

    identifier: SignerIdentifier
    algorithm: SignatureAlgorithm
    attributes: Mapping[str, bytes]
    signed_octets: bytes
    """The attributes as they are signed: a SET OF in DER (RFC 5652 section 5.4)."""
    content_digest: bytes
    signing_time: Moment | None
    signature: bytes

    def verify(self, key: PublicKey, payload: bytes) -> None:
        """BadSignature unless the key signed the attributes and they are the content's."""
        self.verify_attributes(key)
        if not compare_digest(digest_of(self.algorithm.digest, payload), self.content_digest):
            raise BadSignature("the content is another than was signed")

    def verify_attributes(self, key: PublicKey) -> None:
        """BadSignature unless the key signed the attributes. Of the content nothing is said."""
        self.algorithm.verify(key, self.signature, self.signed_octets)

    def expect_certificate(self, chain: tuple[bytes, ...]) -> None:
        """Where the signer says which certificate is its own (RFC 5035), a certificate of somebody else for the same
        key is refused."""
        if (values := self.attributes.get(SIGNING_CERTIFICATE)) is None or not chain:
            return
        identifiers = _one_value(values, "signing-certificate-v2").enter(der.SEQUENCE, "certs")
        first = identifiers.enter(der.SEQUENCE, "ESSCertIDv2")
        digest = SHA256
        if first.next_tag == der.SEQUENCE:
            digest = read_digest(*first.take_algorithm("ESSCertIDv2"))
        if not compare_digest(digest_of(digest, chain[0]), first.take(der.OCTET_STRING, "certHash")):
            raise Malformed("the certificate is another than the signer says")


def _signer(cursor: Cursor) -> _Signer:
    version = cursor.take_number("version")
    identifier = SignerIdentifier.take(cursor)
    if version != identifier.version:
        raise Malformed(f"signer information of version {version}")
    digest_algorithm = cursor.take_raw()
    digest = read_digest(*Cursor(digest_algorithm, "digestAlgorithm").take_algorithm("digestAlgorithm"))
    if cursor.next_tag != _IMPLICIT_0:
        raise Malformed("the signature is not over signed attributes: such signatures are not taken")
    content = cursor.take(_IMPLICIT_0, "signedAttrs")
    attributes = _attributes(content)
    signature_algorithm = cursor.take_raw()
    algorithm = read_signature_algorithm(
        *Cursor(signature_algorithm, "signatureAlgorithm").take_algorithm("signatureAlgorithm"), digest=digest
    )
    signature = cursor.take(der.OCTET_STRING, "signature")
    if cursor.next_tag == _IMPLICIT_1:
        cursor.take(_IMPLICIT_1, "unsignedAttrs")  # Not under the signature: nothing in them counts.
    cursor.finish()
    _expect_content_type(attributes)
    _expect_algorithms(attributes, digest_algorithm, signature_algorithm)
    return _Signer(
        identifier=identifier,
        algorithm=algorithm,
        attributes=attributes,
        signed_octets=encoding.element(_SET, content),
        content_digest=_content_digest(attributes, digest),
        signing_time=_signing_time(attributes),
        signature=signature,
    )


def _attributes(content: bytes) -> Mapping[str, bytes]:
    """Identifier to values, each once, in the order of DER (RFC 5652 section 5.3: DER whatever the rest is)."""
    cursor = Cursor(content, "signedAttrs")
    found: dict[str, bytes] = {}
    before = b""
    while cursor.next_tag is not None:
        if len(found) >= CMS_ATTRIBUTES.default:
            raise Malformed(f"the signature has more than {CMS_ATTRIBUTES.default} signed attributes")
        raw = cursor.take_raw()
        if raw < before:
            raise Malformed("signed attributes are not in the order of DER")
        before = raw
        attribute = Cursor.whole(raw, "signed attribute")
        kind = attribute.take_identifier("signed attribute")
        values = attribute.take_raw()
        attribute.finish()
        if values[0] != _SET or kind in found:
            raise Malformed(f"signed attribute {kind} occurs twice, or is no set")
        found[kind] = values
    return found


def _one_value(values: bytes, what: str) -> Cursor:
    """Into the only value of an attribute, a SEQUENCE."""
    cursor = Cursor.whole(values, what, _SET)
    inner = cursor.enter(der.SEQUENCE, what)
    cursor.finish()
    return inner


def _required(attributes: Mapping[str, bytes], kind: str, what: str) -> Cursor:
    if kind not in attributes:
        raise Malformed(f"signed attributes lack the {what}")
    return Cursor.whole(attributes[kind], what, _SET)


def _expect_content_type(attributes: Mapping[str, bytes]) -> None:
    cursor = _required(attributes, CONTENT_TYPE, "content type")
    kind = cursor.take_identifier("content type")
    cursor.finish()
    if kind != DATA:
        raise Malformed(f"the signed content type is {kind}, and the content's own is data")


def _content_digest(attributes: Mapping[str, bytes], digest: str) -> bytes:
    cursor = _required(attributes, MESSAGE_DIGEST, "message digest")
    octets = cursor.take(der.OCTET_STRING, "message digest")
    cursor.finish()
    if len(octets) != DIGESTS[digest].digest_size:
        raise Malformed("the message digest has the length of another algorithm")
    return octets


def _signing_time(attributes: Mapping[str, bytes]) -> Moment | None:
    if (values := attributes.get(SIGNING_TIME)) is None:
        return None
    cursor = Cursor.whole(values, "signing time", _SET)
    moment = read_time(cursor.take_raw())
    cursor.finish()
    return moment


def _expect_algorithms(attributes: Mapping[str, bytes], digest: bytes, signature: bytes) -> None:
    """RFC 6211: where the algorithms are under the signature too, they are these."""
    if (values := attributes.get(ALGORITHM_PROTECTION)) is None:
        return
    cursor = _one_value(values, "CMSAlgorithmProtection")
    stated = cursor.take_raw()
    signing = cursor.take_raw()
    cursor.finish()
    if stated != digest or signing[:1] != b"\xa1" or signing[1:] != signature[1:]:
        raise Malformed("the signature's algorithms are others than the signer says")


def certificate_digest(certificate: bytes) -> bytes:
    """What `ESSCertIDv2` has of a certificate."""
    return sha256(certificate).digest()
