"""To whom a CMS message is encrypted: wrapping the content's key for a recipient's key, and unwrapping it.

Elliptic curve keys agree on a wrapping key with a fresh key of the sender (ephemeral-static ECDH, RFC 5753); RSA keys
are sent the content's key under OAEP (RFC 3560). PKCS #1 v1.5 and KDFs over SHA-1, which mail programs still write, are
read and not written. A recipient is identified by key, so that none needs a certificate. Sections: RFC 5652 section
6.2, RFC 5753 sections 3.1 and 7.
"""

from collections.abc import Callable, Mapping
from hashlib import sha1
from types import MappingProxyType
from typing import Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential import der
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.errors import Malformed, Misuse
from dnsbound.objects.cms import encoding
from dnsbound.objects.cms.algorithms import SHA256, SHA384, SHA512
from dnsbound.objects.cms.reading import Cursor
from dnsbound.objects.cms.signer_certificate import SignerIdentifier, key_identifier_of
from dnsbound.objects.encryption import Recipient, agree, not_opened, shared_secret

_AGREEMENT: Final = 0xA1
_EXPLICIT_0: Final = 0xA0
_EXPLICIT_1: Final = 0xA1
_ORIGINATOR_KEY: Final = 0xA1
_RECIPIENT_KEY: Final = 0xA0

_AGREEMENT_VERSION: Final = 3
_EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"
_WRAP_AES256: Final = "2.16.840.1.101.3.4.1.45"
_WRAP_OCTETS: Final[Mapping[str, int]] = MappingProxyType(
    {"2.16.840.1.101.3.4.1.5": 16, "2.16.840.1.101.3.4.1.25": 24, _WRAP_AES256: 32}
)
_AGREE_SHA256: Final = "1.3.132.1.11.1"
_AGREEMENTS: Final[Mapping[str, Callable[[], hashes.HashAlgorithm]]] = MappingProxyType(
    {
        "1.3.133.16.840.63.0.2": hashes.SHA1,  # In a KDF nobody needs collisions; OpenSSL writes it by default.
        _AGREE_SHA256: hashes.SHA256,
        "1.3.132.1.11.2": hashes.SHA384,
        "1.3.132.1.11.3": hashes.SHA512,
    }
)
_RSA_PKCS1: Final = "1.2.840.113549.1.1.1"
_RSA_OAEP: Final = "1.2.840.113549.1.1.7"
_MGF1: Final = "1.2.840.113549.1.1.8"
_SHA1: Final = "1.3.14.3.2.26"
_OAEP_DIGESTS: Final[Mapping[str, hashes.HashAlgorithm]] = MappingProxyType(
    {
        _SHA1: hashes.SHA1(),  # noqa: S303 (what OAEP means where nothing is said; nobody needs collisions here)
        SHA256: hashes.SHA256(),
        SHA384: hashes.SHA384(),
        SHA512: hashes.SHA512(),
    }
)
_OAEP: Final = encoding.sequence(
    encoding.explicit(0, encoding.algorithm(SHA256)),
    encoding.explicit(1, encoding.algorithm(_MGF1, encoding.algorithm(SHA256))),
)


def recipient_info(recipient: Recipient, content_key: bytes) -> bytes:
    """DER RecipientInfo that lets the recipient have the content's key. Malformed or SignsOnly for a key that nothing
    can be encrypted to; Misuse for X25519, whose way into CMS (RFC 8418) is not gone here."""
    key = recipient.key
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _agreed(key, recipient.spki, content_key)
    if isinstance(key, rsa.RSAPublicKey):
        return encoding.sequence(
            encoding.integer(2),
            encoding.element(0x80, key_identifier(recipient.spki)),
            encoding.algorithm(_RSA_OAEP, _OAEP),
            encoding.octet_string(key.encrypt(content_key, _oaep(hashes.SHA256()))),
        )
    raise Misuse(f"CMS is not encrypted to X25519 keys here; {recipient.name} needs an elliptic curve or RSA key")


def key_identifier(spki: bytes) -> bytes:
    """RFC 5280 section 4.2.1.2 (1): the usual key identifier. Its SHA-1 is a name, and proves nothing."""
    cursor = Cursor.whole(spki, "SubjectPublicKeyInfo")
    cursor.take(der.SEQUENCE, "algorithm")
    return sha1(cursor.take(der.BIT_STRING, "subjectPublicKey")[1:], usedforsecurity=False).digest()


def _agreed(key: ec.EllipticCurvePublicKey, spki: bytes, content_key: bytes) -> bytes:
    wrap = encoding.algorithm(_WRAP_AES256)
    ephemeral, shared = agree(key)
    wrapping_key = _wrapping_key(shared, wrap, _WRAP_OCTETS[_WRAP_AES256], hashes.SHA256(), b"")
    point = ephemeral.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    originator = encoding.element(_ORIGINATOR_KEY, encoding.algorithm(_EC_PUBLIC_KEY), encoding.bit_string(point))
    recipient = encoding.sequence(
        encoding.element(_RECIPIENT_KEY, encoding.octet_string(key_identifier(spki))),
        encoding.octet_string(keywrap.aes_key_wrap(wrapping_key, content_key)),
    )
    return encoding.element(
        _AGREEMENT,
        encoding.integer(3),
        encoding.explicit(0, originator),
        encoding.algorithm(_AGREE_SHA256, wrap),
        encoding.sequence(recipient),
    )


def _wrapping_key(shared: bytes, wrap: bytes, octets: int, digest: hashes.HashAlgorithm, material: bytes) -> bytes:
    """RFC 5753 section 7.2: X9.63's KDF over ECC-CMS-SharedInfo. material: the sender's user keying material."""
    info = encoding.sequence(
        wrap,
        encoding.explicit(0, encoding.octet_string(material)) if material else b"",
        encoding.explicit(2, encoding.octet_string((octets * 8).to_bytes(4, "big"))),
    )
    return X963KDF(digest, octets, info).derive(shared)


def _oaep(digest: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(digest), digest, None)


class _Agreement(NamedTuple):
    """A KeyAgreeRecipientInfo before its recipients."""

    point: bytes
    digest: hashes.HashAlgorithm
    wrap: bytes
    octets: int
    material: bytes


class Wrapped(NamedTuple):
    """The content's key, as it was had."""

    key: bytes
    algorithm: str
    """For people."""


class OwnKey(NamedTuple):
    """Who opens: the key, and the certificate that messages may know it by."""

    key: DecryptionKey
    certificate: bytes | None

    def is_meant(self, identifier: SignerIdentifier) -> bool:
        if identifier.key_identifier == key_identifier(self.key.spki):
            return True
        if self.certificate is None:
            return False
        if identifier.key_identifier is None:
            return identifier.names(self.certificate)
        return identifier.key_identifier == key_identifier_of(self.certificate)


def content_key(info: Cursor, own: OwnKey) -> Wrapped | None:
    """What the RecipientInfo at the cursor has for our key; None when it is somebody else's. The cursor then stands
    behind it. Refused(NOT_OPENED) when it is ours and does not open."""
    key = own.key.private_key
    if info.next_tag == _AGREEMENT:
        inner = info.enter(_AGREEMENT, "KeyAgreeRecipientInfo")
        return _from_agreement(inner, own, key) if isinstance(key, ec.EllipticCurvePrivateKey) else None
    if info.next_tag == der.SEQUENCE:
        inner = info.enter(der.SEQUENCE, "KeyTransRecipientInfo")
        return _from_transport(inner, own, key) if isinstance(key, rsa.RSAPrivateKey) else None
    info.take_raw()  # Passwords and keys agreed on elsewhere.
    return None


def _from_transport(cursor: Cursor, own: OwnKey, key: rsa.RSAPrivateKey) -> Wrapped | None:
    version, identifier = cursor.take_number("version"), SignerIdentifier.take(cursor)
    if version != (0 if identifier.key_identifier is None else 2):
        raise Malformed("key transport of another version")
    name, parameters = cursor.take_algorithm("keyEncryptionAlgorithm")
    encrypted = cursor.take(der.OCTET_STRING, "encryptedKey")
    cursor.finish()
    if not own.is_meant(identifier):
        return None
    if name == _RSA_PKCS1:
        # A wrong padding gives a random key and no error: this library rejects implicitly, and the content's tag tells.
        how: padding.AsymmetricPadding = padding.PKCS1v15()
    elif name == _RSA_OAEP:
        how = _oaep(_oaep_digest(parameters))
    else:
        raise Malformed(f"key encryption algorithm {name} is not taken")
    try:
        return Wrapped(key.decrypt(encrypted, how), "RSAES-OAEP" if name == _RSA_OAEP else "RSAES-PKCS1-v1_5")
    except ValueError:
        raise not_opened() from None


def _oaep_digest(parameters: bytes) -> hashes.HashAlgorithm:
    """RFC 4055 section 4.1: SHA-1 where nothing is said; one digest for both uses, and no label."""
    cursor = Cursor.whole(parameters, "RSAES-OAEP-params")
    digest = mask_digest = _SHA1
    if (hashing := cursor.enter_optional(_EXPLICIT_0, "OAEP hashAlgorithm")) is not None:
        digest = hashing.take_algorithm("OAEP hashAlgorithm")[0]
    if (masking := cursor.enter_optional(_EXPLICIT_1, "OAEP maskGenAlgorithm")) is not None:
        mask, of_mask = masking.take_algorithm("OAEP maskGenAlgorithm")
        mask_digest = Cursor(of_mask, "MGF1 parameters").take_algorithm("MGF1 parameters")[0] if mask == _MGF1 else mask
    cursor.finish()
    if digest != mask_digest or digest not in _OAEP_DIGESTS:
        raise Malformed("OAEP with these parameters is not taken")
    return _OAEP_DIGESTS[digest]


def _from_agreement(cursor: Cursor, own: OwnKey, key: ec.EllipticCurvePrivateKey) -> Wrapped | None:
    agreement = _agreement(cursor)
    recipients = cursor.enter(der.SEQUENCE, "recipientEncryptedKeys")
    cursor.finish()
    wrapped: bytes | None = None
    while recipients.next_tag is not None:
        one = recipients.enter(der.SEQUENCE, "RecipientEncryptedKey")
        identifier = _recipient_identifier(one)
        encrypted = one.take(der.OCTET_STRING, "encryptedKey")
        one.finish()
        if wrapped is None and own.is_meant(identifier):
            wrapped = encrypted
    if wrapped is None:
        return None
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, agreement.point)
        shared = shared_secret(own.key, public)
        wrapping = _wrapping_key(shared, agreement.wrap, agreement.octets, agreement.digest, agreement.material)
        return Wrapped(keywrap.aes_key_unwrap(wrapping, wrapped), "ECDH")
    except (ValueError, keywrap.InvalidUnwrap, UnsupportedAlgorithm):
        raise not_opened() from None


def _agreement(cursor: Cursor) -> _Agreement:
    if cursor.take_number("version") != _AGREEMENT_VERSION:
        raise Malformed("key agreement of another version")
    originator = cursor.enter(_EXPLICIT_0, "originator").enter(_ORIGINATOR_KEY, "originatorKey")
    # The curve is the recipient's, whatever the parameters say or leave out (RFC 5753 section 3.1.1).
    if originator.take_algorithm("originatorKey")[0] != _EC_PUBLIC_KEY:
        raise Malformed("the sender's key is not on a curve")
    bits = originator.take(der.BIT_STRING, "originatorKey")
    originator.finish()
    if bits[:1] != b"\x00":
        raise Malformed("the sender's key is not whole octets")
    material = b""
    if (given := cursor.enter_optional(_EXPLICIT_1, "ukm")) is not None:
        material = given.take(der.OCTET_STRING, "ukm")
        given.finish()
    scheme, wrap = cursor.take_algorithm("keyEncryptionAlgorithm")
    if scheme not in _AGREEMENTS:
        raise Malformed(f"key agreement {scheme} is not taken")
    wrapping = Cursor(wrap, "key wrap algorithm").take_algorithm("key wrap algorithm")[0]
    if wrapping not in _WRAP_OCTETS:
        raise Malformed(f"key wrap algorithm {wrapping} is not taken")
    return _Agreement(bits[1:], _AGREEMENTS[scheme](), wrap, _WRAP_OCTETS[wrapping], material)


def _recipient_identifier(cursor: Cursor) -> SignerIdentifier:
    """KeyAgreeRecipientIdentifier: as a signer's, but that the key identifier has company."""
    if cursor.next_tag != _RECIPIENT_KEY:
        return SignerIdentifier.take(cursor)
    return SignerIdentifier(
        key_identifier=cursor.enter(_RECIPIENT_KEY, "rKeyId").take(der.OCTET_STRING, "subjectKeyIdentifier")
    )
