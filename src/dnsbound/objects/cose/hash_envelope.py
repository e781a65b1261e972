"""COSE Hash Envelope: a signed digest of octets that are elsewhere (RFC 9995).

The payload of the COSE_Sign1 is the digest. Which hash made it, what the octets are and where they may lie stand among
the protected headers, and there alone; a content type, which would be the digest's, is forbidden. The location is a
sender's word: nothing is fetched from it, and no file is named by it.
"""

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.objects.cose.cose_sign1 import FORM, UNDERSTOOD, Sign1, sign1, signed_object
from dnsbound.objects.cose.labels import HashAlgorithm, Header
from dnsbound.objects.signed import SignedObject

_LABELS: Final = frozenset({Header.PAYLOAD_HASH_ALG, Header.PREIMAGE_CONTENT_TYPE, Header.PAYLOAD_LOCATION})


@dataclass(frozen=True, slots=True, kw_only=True)
class HashEnvelope:
    """What was signed of octets that are elsewhere."""

    hash: HashAlgorithm
    digest: bytes
    content_type: str | int | None
    """Of the octets."""
    location: str | None
    """Where the signer says they are."""
    message: Sign1

    def check(self, digest: bytes) -> None:
        """Refused(BAD_SIGNATURE) unless this is the digest of the octets at hand, by the same hash."""
        if not hmac.compare_digest(digest, self.digest):
            raise Refused(Reason.BAD_SIGNATURE, "the octets are others than those that were signed")

    def check_octets(self, octets: bytes) -> None:
        self.check(digest_of(octets, self.hash))


def digest_of(octets: bytes, algorithm: HashAlgorithm = HashAlgorithm.SHA_256) -> bytes:
    return hashlib.new(algorithm.hashlib_name, octets).digest()


def sign_digest(
    digest: bytes,
    credential: Credential,
    *,
    hash_algorithm: HashAlgorithm = HashAlgorithm.SHA_256,
    content_type: str | int | None = None,
    location: str | None = None,
    typ: str | int | None = None,
    key_in_band: bool = True,
    algorithm: str | None = None,
) -> bytes:
    """Sign the digest of octets that stay where they are. Misuse for a digest of another length than the hash makes."""
    if len(digest) != hashlib.new(hash_algorithm.hashlib_name).digest_size:
        raise Misuse(f"a digest of {len(digest)} octets is none of {hash_algorithm.name}")
    headers: dict[int | str, Any] = {Header.PAYLOAD_HASH_ALG: int(hash_algorithm)}
    headers |= {} if content_type is None else {Header.PREIMAGE_CONTENT_TYPE: content_type}
    headers |= {} if location is None else {Header.PAYLOAD_LOCATION: location}
    return sign1(digest, credential, headers=headers, typ=typ, key_in_band=key_in_band, algorithm=algorithm)


def parse_hash_envelope(
    octets: bytes,
    *,
    typ: str | int | None,
    algorithms: Collection[str] | None = None,
    untagged: bool = True,
) -> SignedObject:
    """For an `ObjectVerifier`; its content is a `HashEnvelope`. Malformed, LimitExceeded."""
    message = Sign1.from_wire(octets, untagged=untagged)
    envelope = _envelope(message)
    return signed_object(message, typ=typ, allowed=algorithms, understood=UNDERSTOOD | _LABELS, content=envelope)


def is_hash_envelope(message: Sign1) -> bool:
    """Whether the payload is said to be a digest; a reader of payloads must not take it for the content."""
    return Header.PAYLOAD_HASH_ALG in message.headers.protected


def _envelope(message: Sign1) -> HashEnvelope:
    headers = message.headers
    misplaced = _LABELS & headers.unprotected.keys()
    if misplaced:
        raise Malformed(f"{FORM} has hash envelope header {min(misplaced)} unprotected")
    if Header.CONTENT_TYPE in headers.protected or Header.CONTENT_TYPE in headers.unprotected:
        raise Malformed(f"{FORM} of a digest has a content type; its place is header 259")
    if message.payload is None:
        raise Malformed(f"{FORM} of a digest does not hold the digest")
    try:
        algorithm = HashAlgorithm(headers.protected[Header.PAYLOAD_HASH_ALG])
    except (KeyError, ValueError):
        raise Malformed(f"{FORM} says no hash that is used here in header 258") from None
    if len(message.payload) != hashlib.new(algorithm.hashlib_name).digest_size:
        raise Malformed(f"{FORM} has a digest of another length than {algorithm.name} makes")
    location = headers.protected.get(Header.PAYLOAD_LOCATION)
    if location is not None and not isinstance(location, str):
        raise Malformed(f"{FORM} has a payload location that is no text")
    return HashEnvelope(
        hash=algorithm,
        digest=message.payload,
        content_type=headers.text_or_number(Header.PREIMAGE_CONTENT_TYPE, FORM),
        location=location,
        message=message,
    )
