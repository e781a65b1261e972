"""COSE as the format of signatures over content: a COSE_Sign1 with the payload inside, or the hash envelope of content
that lies outside it (RFC 9995).

The digest is made while the content goes by, whatever the key's kind. A COSE_Sign1 whose payload is merely left out
signs the content's octets themselves, which would all have to be in memory: that is for `parse_sign1`.
"""

import hashlib
from collections.abc import Callable

from dnsbound.credential.credential import Credential
from dnsbound.errors import Reason, Refused
from dnsbound.object_limits import SIGNATURE_FILE_OCTETS
from dnsbound.objects.cbor import CBORTag, from_cbor
from dnsbound.objects.cose.cose_sign1 import ANY_TYP, FORM, Sign1, media_type, parse_sign1, sign1
from dnsbound.objects.cose.cwt import read_claims
from dnsbound.objects.cose.hash_envelope import HashEnvelope, is_hash_envelope, parse_hash_envelope, sign_digest
from dnsbound.objects.cose.labels import CWT_TAG, HashAlgorithm
from dnsbound.objects.large.content import Opened
from dnsbound.objects.signed import SignedObject
from dnsbound.times import Moment


def open_cose(octets: bytes) -> Opened:
    """Malformed, LimitExceeded."""
    limit = SIGNATURE_FILE_OCTETS.default
    item = from_cbor(octets, FORM) if octets[:2] == bytes((0xD8, CWT_TAG)) else None
    inner = octets[2:] if isinstance(item, CBORTag) else octets
    message = Sign1.from_wire(inner, limit=limit)
    typ = None if message.typ is None else media_type(str(message.typ))
    if is_hash_envelope(message):
        signed = parse_hash_envelope(inner, typ=ANY_TYP)
        return Opened(typ=typ, signed=signed, content=EnvelopedContent(signed))
    signed = parse_sign1(inner, typ=ANY_TYP, limit=limit)
    is_token = item is not None or (typ is not None and (typ == "cwt" or typ.endswith("+cwt")))
    return Opened(typ=typ, signed=signed, check=_claims_check(signed) if is_token else None)


def _claims_check(signed: SignedObject) -> Callable[[Moment, str | None], None]:
    claims = read_claims(signed)
    return lambda now, audience: claims.check(now=now, audience=audience)


def attach_cose(payload: bytes, credential: Credential, *, typ: str | None, key_in_band: bool) -> bytes:
    """A COSE_Sign1 with the payload inside."""
    return sign1(payload, credential, typ=typ, key_in_band=key_in_band)


class EnvelopeSigning:
    """A hash envelope in the making, while its content goes by."""

    __slots__ = ("_credential", "_digest", "_key_in_band")

    def __init__(self, credential: Credential, *, key_in_band: bool) -> None:
        self._credential = credential
        self._key_in_band = key_in_band
        self._digest = hashlib.sha256()

    def update(self, octets: bytes | memoryview) -> None:
        self._digest.update(octets)

    def finish(self) -> bytes:
        return sign_digest(
            self._digest.digest(),
            self._credential,
            hash_algorithm=HashAlgorithm.SHA_256,
            key_in_band=self._key_in_band,
        )


class EnvelopedContent:
    """The content of a hash envelope, while it is given in pieces."""

    __slots__ = ("_digest", "_envelope", "_signed")

    def __init__(self, signed: SignedObject) -> None:
        envelope = signed.content
        assert isinstance(envelope, HashEnvelope)
        self._envelope = envelope
        self._signed = signed
        self._digest = hashlib.new(envelope.hash.hashlib_name)

    def update(self, octets: bytes | memoryview) -> None:
        self._digest.update(octets)

    def finish(self) -> SignedObject:
        """Refused(CONTENT_MISMATCH) when the content is another."""
        if self._digest.digest() != self._envelope.digest:
            raise Refused(Reason.CONTENT_MISMATCH, "the digest is another than the one that was signed")
        return self._signed
