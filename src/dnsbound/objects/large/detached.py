"""The detached JWS over content of any size: `header..signature`, the content signed as it is (RFC 7797, RFC 7515
appendix F), hashed piece by piece.

Any JOSE library that knows `b64` verifies it, with the content in its memory. It has no `typ`: what it signs is just
octets. Which keys cannot make or check it: `dnsbound.objects.digesting`.
"""

from typing import Final, Self

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import PublicKey
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import LocalSigner
from dnsbound.errors import Malformed, Misuse
from dnsbound.objects.algorithms import choose_algorithm
from dnsbound.objects.digesting import Digesting, can_digest
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.header import HeaderOptions, JoseHeader, read_header, write_header
from dnsbound.objects.signed import SignedObject

FORM: Final = "detached JWS"
_INSTEAD: Final = "sign a manifest instead, which is the default"


class DetachedSigning:
    """Signs content that is given in pieces. Misuse for a key that would need it whole."""

    __slots__ = ("_credential", "_digesting", "_protected")

    def __init__(self, credential: Credential, *, algorithm: str | None = None, key_in_band: bool = True) -> None:
        chosen = choose_algorithm(credential.signer, algorithm)
        if not can_digest(chosen) or not isinstance(credential.signer, LocalSigner):
            raise Misuse(f"this key signs no content that goes by: {_INSTEAD}")
        self._credential = credential
        self._digesting = Digesting(chosen, credential.spki)
        self._protected = write_header(credential, chosen, HeaderOptions(key_in_band=key_in_band, b64=False))
        self.update(self._protected + b".")

    def update(self, octets: bytes | memoryview) -> None:
        self._digesting.update(octets)

    def finish(self) -> bytes:
        """The token."""
        return self._protected + b".." + base64url.encode(self._digesting.sign(self._credential.signer))


class DetachedContent:
    """The content of a detached JWS, while it is given in pieces."""

    __slots__ = ("_digesting", "_signature", "header")

    def __init__(self, header: JoseHeader, protected: bytes, signature: bytes) -> None:
        self.header = header
        """Nothing of it is trusted."""
        self._signature = signature
        self._digesting = _digesting(header)
        self.update(protected + b".")

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
        self._digesting.update(octets)

    def finish(self) -> SignedObject:
        """To be verified: only then it is known whether this content was signed."""
        return SignedObject(
            name=self.header.name,
            form=FORM,
            algorithm=self.header.algorithm.jose,
            presented=self.header.presented,
            check=self._check,
            payload=None,
            content=self.header,
        )

    def _check(self, key: PublicKey) -> None:
        self._digesting.verify(key, self._signature)


def _digesting(header: JoseHeader) -> Digesting:
    presented = header.presented
    spki = None if presented.is_empty else presented.spki
    if not can_digest(header.algorithm):
        raise Malformed("an Ed25519 signature over detached content needs all of it in memory: it is not checked here")
    if spki is None and header.algorithm.digest is None:
        raise Malformed("an ML-DSA signature over detached content is checked by a key that comes along alone")
    try:
        return Digesting(header.algorithm, spki)
    except BadSignature as error:
        raise Malformed(str(error)) from None
