"""The detached JWS over content of any size: `header..signature`, the content signed as it is (RFC 7797, RFC 7515
appendix F), hashed piece by piece.

Any JOSE library that knows `b64` verifies it, with the content in its memory. It has no `typ`: what it signs is just
octets. Which keys cannot make or check it: `dnsbound.objects.large.prehashed`.
"""

from typing import Self

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import PublicKey
from dnsbound.errors import Malformed
from dnsbound.objects.algorithms import ObjectAlgorithm, choose_algorithm
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.header import HeaderOptions, JoseHeader, read_header, write_header
from dnsbound.objects.large.prehashed import checking_hash, sign_digest, signing_hash, verify_digest
from dnsbound.objects.signed import SignedObject

FORM = "detached JWS"


class DetachedSigning:
    """Signs content that is given in pieces. Misuse for a key that would need it whole."""

    __slots__ = ("_algorithm", "_credential", "_hash", "_protected")

    def __init__(self, credential: Credential, *, algorithm: str | None = None, key_in_band: bool = True) -> None:
        self._credential = credential
        self._algorithm = choose_algorithm(credential.signer, algorithm)
        self._hash = signing_hash(credential.signer, self._algorithm)
        self._protected = write_header(
            credential, self._algorithm, HeaderOptions(key_in_band=key_in_band, b64=False)
        )
        self._hash.update(self._protected + b".")

    def update(self, octets: bytes | memoryview) -> None:
        self._hash.update(octets)

    def finish(self) -> bytes:
        """The token."""
        signature = sign_digest(self._credential.signer, self._algorithm, self._hash.finalize())
        return self._protected + b".." + base64url.encode(signature)


class DetachedContent:
    """The content of a detached JWS, while it is given in pieces."""

    __slots__ = ("_hash", "_signature", "header")

    def __init__(self, header: JoseHeader, protected: bytes, signature: bytes) -> None:
        self.header = header
        """Nothing of it is trusted."""
        self._signature = signature
        self._hash = checking_hash(header.algorithm, self._spki)
        self._hash.update(protected + b".")

    @classmethod
    def parse(cls, token: bytes) -> Self:
        """Malformed unless the token is a detached JWS whose content is signed as it is, by an algorithm that can do
        without having it whole."""
        protected, mark, signature = token.partition(b"..")
        if not mark or b"." in signature:
            raise Malformed("a detached JWS has the form header..signature")
        header = read_header(protected)
        if header.b64:
            raise Malformed("the content of a detached JWS is signed as it is: b64 is false (RFC 7797)")
        if header.typ is not None:
            raise Malformed(f"a detached JWS of type {header.typ[:40]!r} is for another use")
        return cls(header, protected, base64url.decode(signature, "signature"))

    def update(self, octets: bytes | memoryview) -> None:
        self._hash.update(octets)

    def finish(self) -> SignedObject:
        """To be verified: only then it is known whether this content was signed."""
        return SignedObject(
            name=self.header.name,
            form=FORM,
            algorithm=self.header.algorithm.jose,
            presented=self.header.presented,
            check=_DigestCheck(self.header.algorithm, self._signature, self._hash.finalize(), self._spki),
            payload=None,
            content=self.header,
        )

    @property
    def _spki(self) -> bytes | None:
        presented = self.header.presented
        return None if presented.is_empty else presented.spki


class _DigestCheck:
    """`SignedObject.check` of one signature over one content."""

    __slots__ = ("_algorithm", "_digest", "_signature", "_spki")

    def __init__(self, algorithm: ObjectAlgorithm, signature: bytes, digest: bytes, spki: bytes | None) -> None:
        self._algorithm = algorithm
        self._signature = signature
        self._digest = digest
        self._spki = spki

    def __call__(self, key: PublicKey) -> None:
        verify_digest(key, self._algorithm, self._signature, self._digest, self._spki)
