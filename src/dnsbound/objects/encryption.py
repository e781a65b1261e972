"""What JWE and COSE have in common where something is encrypted to a name: the recipient, agreeing on a secret with its
key, and what comes out when it is opened.

Encryption says nothing of who sent it: anybody can encrypt to a published key. Who needs to know signs first
(`seal` of the two forms). Whatever is wrong with a message that parses and is meant for this key, opening it fails with
one and the same refusal: a recipient that told wrong key, wrong padding and changed content apart would answer
questions about its key. Sections: RFC 7518 section 4.6, RFC 9053 section 6.3.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, x25519

from dnsbound.credential.encryption_keys import (
    DecryptionKey,
    EncryptionKey,
    EncryptionKind,
    encryption_key_from_spki,
    kind_of,
)
from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.names import ClientName

AgreementKey: TypeAlias = ec.EllipticCurvePublicKey | x25519.X25519PublicKey
KEY_OCTETS: Final = 32
"""Of a content key and of a key that wraps it: AES-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """To whom something is encrypted. The key must come from the name's secure records (`RecipientKeys`), or be known
    to be the name's in another way: nothing is looked up here."""

    name: ClientName
    spki: bytes = field(repr=False)
    """DER SubjectPublicKeyInfo."""

    @property
    def key(self) -> EncryptionKey:
        """Malformed, or SignsOnly for a key that nothing can be encrypted to."""
        return encryption_key_from_spki(self.spki)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was encrypted to us. Nobody is known to have sent it."""

    plaintext: bytes = field(repr=False)
    recipient: ClientName
    """Our name, which the message states."""
    stated_sender: ClientName | None
    """Whom the message names as its sender. Anybody could have written it."""
    content_type: str | int | None
    """What the plaintext is: `cty` of JWE, content type of COSE."""
    algorithm: str
    """How the content's key was had."""
    encryption: str
    """How the content is encrypted."""


def not_opened() -> Refused:
    """The one refusal for everything that goes wrong behind the headers."""
    return Refused(Reason.NOT_OPENED, "it is encrypted to another key, or was changed on the way")


def wrong_recipient(stated: str) -> Refused:
    return Refused(Reason.WRONG_RECIPIENT, f"the message is for {stated[:260]}")


def agree(theirs: AgreementKey) -> tuple[AgreementKey, bytes]:
    """A fresh key pair's public half, and the secret shared with the other key."""
    if isinstance(theirs, x25519.X25519PublicKey):
        ours = x25519.X25519PrivateKey.generate()
        return ours.public_key(), ours.exchange(theirs)
    mine = ec.generate_private_key(theirs.curve)
    return mine.public_key(), mine.exchange(ec.ECDH(), theirs)


def shared_secret(key: DecryptionKey, ephemeral: AgreementKey) -> bytes:
    """The same secret from the other side. Refused when the keys are not of one curve, so that it was agreed on with
    another key of ours, or when the other key is one that makes every secret the same (RFC 7748 section 6.1)."""
    private = key.private_key
    if isinstance(private, x25519.X25519PrivateKey) and isinstance(ephemeral, x25519.X25519PublicKey):
        try:
            return private.exchange(ephemeral)
        except ValueError:
            raise not_opened() from None
    if (
        isinstance(private, ec.EllipticCurvePrivateKey)
        and isinstance(ephemeral, ec.EllipticCurvePublicKey)
        and private.curve.name == ephemeral.curve.name
    ):
        return private.exchange(ec.ECDH(), ephemeral)
    raise not_opened()


CURVES: Final[dict[EncryptionKind, ec.EllipticCurve]] = {
    EncryptionKind.P256: ec.SECP256R1(),
    EncryptionKind.P384: ec.SECP384R1(),
    EncryptionKind.P521: ec.SECP521R1(),
}


def point_of(key: AgreementKey) -> tuple[EncryptionKind, tuple[bytes, ...]]:
    """Kind of key and its coordinates, each of the curve's width; X25519 has one."""
    if isinstance(key, x25519.X25519PublicKey):
        return EncryptionKind.X25519, (key.public_bytes_raw(),)
    numbers = key.public_numbers()
    width = (key.curve.key_size + 7) // 8
    return kind_of(key), (numbers.x.to_bytes(width, "big"), numbers.y.to_bytes(width, "big"))


def key_of_point(kind: EncryptionKind, coordinates: tuple[bytes, ...]) -> AgreementKey:
    """The key; Malformed when the coordinates have another width, or are no point of the curve."""
    if kind is EncryptionKind.X25519:
        if len(coordinates) != 1 or len(coordinates[0]) != 32:
            raise Malformed("an X25519 key has 32 octets")
        return x25519.X25519PublicKey.from_public_bytes(coordinates[0])
    curve = CURVES[kind]
    width = (curve.key_size + 7) // 8
    if len(coordinates) != 2 or any(len(coordinate) != width for coordinate in coordinates):
        raise Malformed(f"a coordinate of a {curve.name} key has not {width} octets")
    x, y = (int.from_bytes(coordinate, "big") for coordinate in coordinates)
    try:
        return ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
    except ValueError:
        raise Malformed(f"the point is not on {curve.name}") from None


def check_audience(audience: object, recipient: ClientName) -> None:
    """Malformed unless it is a list of names; Refused(WRONG_AUDIENCE) unless ours is among them."""
    if not isinstance(audience, list) or not audience or not all(isinstance(name, str) for name in audience):
        raise Malformed("the signed part does not say for whom it is")
    if recipient.canonical not in {name.lower() for name in audience}:
        raise Refused(Reason.WRONG_AUDIENCE, "it was signed for somebody else, and encrypted to us by another")
