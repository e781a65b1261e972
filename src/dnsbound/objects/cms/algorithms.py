"""The digests and signatures of CMS: their identifiers, and which key each goes with.

A signature's algorithm and digest must belong together, and both to the key: a message cannot choose a weaker digest
than its signature names. SHA-1 and MD5 sign nothing. Sections: RFC 5754 (SHA-2, ECDSA, PKCS #1 v1.5), RFC 4056 (PSS),
RFC 8419 (Ed25519), RFC 9882 (ML-DSA).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

from dnsbound.credential.keys import MAXIMUM_RSA_BITS, KeyFacts, PublicKey
from dnsbound.credential.mldsa_keys import MLDSAPublicKey
from dnsbound.credential.signature import BadSignature
from dnsbound.credential.signer import Signer
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import SignatureScheme
from dnsbound.objects.cms import encoding
from dnsbound.objects.cms.reading import Cursor

SHA256: Final = "2.16.840.1.101.3.4.2.1"
SHA384: Final = "2.16.840.1.101.3.4.2.2"
SHA512: Final = "2.16.840.1.101.3.4.2.3"
DIGESTS: Final[Mapping[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = MappingProxyType(
    {SHA256: hashes.SHA256(), SHA384: hashes.SHA384(), SHA512: hashes.SHA512()}
)
"""What may digest content and attributes."""

_ECDSA: Final = {"1.2.840.10045.4.3.2": SHA256, "1.2.840.10045.4.3.3": SHA384, "1.2.840.10045.4.3.4": SHA512}
_PKCS1: Final = {
    "1.2.840.113549.1.1.11": SHA256,
    "1.2.840.113549.1.1.12": SHA384,
    "1.2.840.113549.1.1.13": SHA512,
}
_RSA_ENCRYPTION: Final = "1.2.840.113549.1.1.1"
_PSS: Final = "1.2.840.113549.1.1.10"
_MGF1: Final = "1.2.840.113549.1.1.8"
_ED25519: Final = "1.3.101.112"
_MLDSA: Final[Mapping[str, tuple[type[MLDSAPublicKey], frozenset[str]]]] = MappingProxyType(
    {
        "2.16.840.1.101.3.4.3.17": (mldsa.MLDSA44PublicKey, frozenset({SHA256, SHA384, SHA512})),
        "2.16.840.1.101.3.4.3.18": (mldsa.MLDSA65PublicKey, frozenset({SHA384, SHA512})),
        "2.16.840.1.101.3.4.3.19": (mldsa.MLDSA87PublicKey, frozenset({SHA512})),
    }
)
"""Kind of key, and the digests of RFC 9882 section 3.3 that are known here."""
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_MAX_SALT: Final = MAXIMUM_RSA_BITS // 8

_Check: TypeAlias = Callable[[PublicKey, bytes, bytes], None]
"""Takes key, signature and message; raises InvalidSignature, or _WrongKey when the key is none of the algorithm's."""


class _WrongKey(Exception):
    """The algorithm is not one of this key's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """How one signature is checked."""

    name: str
    """For people and logs, such as `ECDSA-SHA256`."""
    digest: str
    """Identifier of the digest over content and attributes."""
    _check: _Check = field(repr=False)

    def verify(self, key: PublicKey, signature: bytes, message: bytes) -> None:
        """Check a signature over the message (not its digest); BadSignature when it is none of this key's."""
        facts = KeyFacts.of(key, b"")
        if facts.weak_because is not None:
            raise BadSignature(facts.weak_because)
        if isinstance(key, rsa.RSAPublicKey) and key.key_size > MAXIMUM_RSA_BITS:
            raise BadSignature(f"RSA key of more than {MAXIMUM_RSA_BITS} bits")
        try:
            self._check(key, signature, message)
        except _WrongKey:
            raise BadSignature(f"an {facts.algorithm} key does not sign with {self.name}") from None
        except (InvalidSignature, ValueError):
            raise BadSignature("the signature does not verify") from None


def digest_of(digest: str, *octets: bytes) -> bytes:
    """The digest of what the parts make together."""
    running = hashes.Hash(DIGESTS[digest])
    for part in octets:
        running.update(part)
    return running.finalize()


def read_digest(identifier: str, parameters: bytes) -> str:
    """The digest's identifier. Malformed when it is none of SHA-2 (RFC 5754 section 2: no parameters, or NULL)."""
    if identifier not in DIGESTS:
        raise Malformed(f"digest algorithm {identifier} is not taken: SHA-256, SHA-384 and SHA-512 are")
    if parameters not in (b"", encoding.NULL):
        raise Malformed("digest algorithm has parameters")
    return identifier


def read_signature_algorithm(identifier: str, parameters: bytes, *, digest: str) -> SignatureAlgorithm:
    """What checks a signature. digest: what the signer's `digestAlgorithm` says.

    Malformed for an algorithm that is not taken, for parameters that are not its own, and when it implies another
    digest.
    """
    if identifier in _ECDSA:
        _expect(parameters, b"")
        return _of(f"ECDSA-{_hash_name(digest)}", digest, _ECDSA[identifier], _ecdsa)
    if identifier == _RSA_ENCRYPTION or identifier in _PKCS1:
        _expect(parameters, encoding.NULL, b"")
        return _of(f"RSA-{_hash_name(digest)}", digest, _PKCS1.get(identifier, digest), _pkcs1)
    if identifier == _PSS:
        implied, salt = _pss_parameters(parameters)
        return _of(f"RSA-PSS-{_hash_name(digest)}", digest, implied, lambda named: _pss(named, salt))
    _expect(parameters, b"")
    if identifier == _ED25519:
        return _of("Ed25519", digest, SHA512, lambda _: _whole(ed25519.Ed25519PublicKey))
    if identifier in _MLDSA:
        kind, digests = _MLDSA[identifier]
        name = kind.__name__.removesuffix("PublicKey").replace("MLDSA", "ML-DSA-")
        return _of(name, digest, digest if digest in digests else SHA512, lambda _: _whole(kind))
    raise Malformed(f"signature algorithm {identifier} is not taken")


def _of(name: str, digest: str, implied: str, check: Callable[[str], _Check]) -> SignatureAlgorithm:
    if digest != implied:
        raise Malformed(f"signature algorithm and digest do not belong together: {name} with {_hash_name(digest)}")
    return SignatureAlgorithm(name=name, digest=digest, _check=check(digest))


def _expect(parameters: bytes, *allowed: bytes) -> None:
    if parameters not in allowed:
        raise Malformed("signature algorithm has other parameters than its own")


def _hash_name(digest: str) -> str:
    return DIGESTS[digest].name.upper()


def _ecdsa(digest: str) -> _Check:
    def check(key: PublicKey, signature: bytes, message: bytes) -> None:
        # ecdsa-with-SHA256 and a P-384 key is what `openssl cms` makes unless it is told otherwise.
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
            raise _WrongKey
        key.verify(signature, message, ec.ECDSA(DIGESTS[digest]))

    return check


def _pkcs1(digest: str) -> _Check:
    def check(key: PublicKey, signature: bytes, message: bytes) -> None:
        if not isinstance(key, rsa.RSAPublicKey):
            raise _WrongKey
        key.verify(signature, message, padding.PKCS1v15(), DIGESTS[digest])

    return check


def _pss(digest: str, salt: int) -> _Check:
    def check(key: PublicKey, signature: bytes, message: bytes) -> None:
        if not isinstance(key, rsa.RSAPublicKey):
            raise _WrongKey
        hashing = DIGESTS[digest]
        if salt > (key.key_size + 6) // 8 - hashing.digest_size - 2:
            raise InvalidSignature
        key.verify(signature, message, padding.PSS(padding.MGF1(hashing), salt), hashing)

    return check


def _whole(kind: type[ed25519.Ed25519PublicKey | MLDSAPublicKey]) -> _Check:
    def check(key: PublicKey, signature: bytes, message: bytes) -> None:
        if not isinstance(key, kind):
            raise _WrongKey
        key.verify(signature, message)

    return check


def _pss_parameters(parameters: bytes) -> tuple[str, int]:
    """Digest and salt length of RSASSA-PSS-params (RFC 4055 section 3.1). Its defaults are SHA-1, so what is left out
    is refused."""
    cursor = Cursor.whole(parameters, "RSASSA-PSS-params")
    hashing = cursor.enter(0xA0, "PSS hashAlgorithm")
    digest = read_digest(*hashing.take_algorithm("PSS hashAlgorithm"))
    hashing.finish()
    masking = cursor.enter(0xA1, "PSS maskGenAlgorithm")
    mask, of_mask = masking.take_algorithm("PSS maskGenAlgorithm")
    masking.finish()
    inner = Cursor(of_mask, "MGF1 parameters")
    if mask != _MGF1 or read_digest(*inner.take_algorithm("MGF1 parameters")) != digest:
        raise Malformed("PSS masks with another digest than it signs")
    inner.finish()
    salting = cursor.enter(0xA2, "PSS saltLength")
    salt = salting.take_number("PSS saltLength")
    salting.finish()
    cursor.finish()
    if salt > _MAX_SALT:
        raise Malformed(f"PSS salt of {salt} octets")
    return digest, salt


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningChoice:
    """How a key signs here."""

    scheme: SignatureScheme
    digest: str
    algorithm: bytes
    """DER AlgorithmIdentifier."""


def signing_choice(signer: Signer) -> SigningChoice:
    """The best the key can do. Misuse for a key that signs nothing CMS has a name for."""
    for scheme in signer.schemes:
        if scheme in _choices():
            return _choices()[scheme]
    raise Misuse("this key signs with no algorithm that CMS has a name for")


@cache
def _choices() -> dict[SignatureScheme, SigningChoice]:
    pss = encoding.sequence(
        encoding.explicit(0, encoding.algorithm(SHA256)),
        encoding.explicit(1, encoding.algorithm(_MGF1, encoding.algorithm(SHA256))),
        encoding.explicit(2, encoding.integer(DIGESTS[SHA256].digest_size)),
    )
    made = (
        (SignatureScheme.ECDSA_SECP256R1_SHA256, SHA256, "1.2.840.10045.4.3.2", b""),
        (SignatureScheme.ECDSA_SECP384R1_SHA384, SHA384, "1.2.840.10045.4.3.3", b""),
        (SignatureScheme.ECDSA_SECP521R1_SHA512, SHA512, "1.2.840.10045.4.3.4", b""),
        (SignatureScheme.RSA_PSS_RSAE_SHA256, SHA256, _PSS, pss),
        (SignatureScheme.ED25519, SHA512, _ED25519, b""),
        *((scheme, SHA512, identifier, b"") for scheme, identifier in zip(_MLDSA_SCHEMES, _MLDSA, strict=True)),
    )
    return {
        scheme: SigningChoice(scheme=scheme, digest=digest, algorithm=encoding.algorithm(identifier, parameters))
        for scheme, digest, identifier, parameters in made
    }


_MLDSA_SCHEMES: Final = (SignatureScheme.MLDSA44, SignatureScheme.MLDSA65, SignatureScheme.MLDSA87)
