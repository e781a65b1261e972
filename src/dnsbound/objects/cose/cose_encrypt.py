"""COSE_Encrypt to the keys of names, by ECDH-ES; and COSE_Encrypt0 with a key both sides have (RFC 9052 section 5).

One recipient agrees on the content key itself (ECDH-ES+HKDF-256); several each unwrap it (ECDH-ES+A256KW). The
recipient's name is PartyV's identity, the sender's PartyU's, both protected: they go into the key that is derived, so a
message for one name opens for no other, whatever its `kid` says (RFC 9053 section 5.2). Content is encrypted by
A256GCM; A128GCM and A192GCM are read. RSA keys are for JWE: COSE's form of them protects no name.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.errors import LimitExceeded, Malformed, Misuse, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import ENCRYPTED_RECIPIENTS, OBJECT_OCTETS
from dnsbound.objects.cbor import CBORTag, from_cbor, to_cbor
from dnsbound.objects.cose.cose_key import agreement_cose_key, agreement_key_of
from dnsbound.objects.cose.headers import Headers
from dnsbound.objects.cose.labels import ENCRYPT0_TAG, ENCRYPT_TAG, Header
from dnsbound.objects.encryption import (
    KEY_OCTETS,
    Opened,
    Recipient,
    agree,
    not_opened,
    shared_secret,
    wrong_recipient,
)

FORM: Final = "COSE_Encrypt"
IV_OCTETS: Final = 12
_TAG_OCTETS: Final = 16
_A256GCM: Final = 3
_CONTENT: Final = {1: (16, "A128GCM"), 2: (24, "A192GCM"), _A256GCM: (32, "A256GCM")}
_DIRECT: Final = {-25: (hashes.SHA256(), "ECDH-ES+HKDF-256"), -26: (hashes.SHA512(), "ECDH-ES+HKDF-512")}
_WRAPPED: Final = {-29: (-3, 16, "ECDH-ES+A128KW"), -30: (-4, 24, "ECDH-ES+A192KW"), -31: (-5, 32, "ECDH-ES+A256KW")}
_UNDERSTOOD: Final = frozenset({Header.ALG, Header.CRIT, Header.CONTENT_TYPE, Header.KID, Header.IV, Header.TYP})
_UNDERSTOOD_OF_RECIPIENT: Final = frozenset(
    {Header.ALG, Header.CRIT, Header.KID, Header.EPHEMERAL_KEY, Header.SALT, Header.PARTY_U_IDENTITY}
    | {Header.PARTY_U_NONCE, Header.PARTY_U_OTHER, Header.PARTY_V_IDENTITY, Header.PARTY_V_NONCE, Header.PARTY_V_OTHER}
)


def encrypt(
    plaintext: bytes,
    recipients: Sequence[Recipient],
    *,
    sender: ClientName | None = None,
    content_type: str | int | None = None,
    external_aad: bytes = b"",
    tagged: bool = True,
) -> bytes:
    """Encrypt octets to one name or several. sender: named to the recipients, and not proved to them. Misuse for no
    recipient, for the same twice, and for a key that COSE is not used with here."""
    if not recipients or len({recipient.name for recipient in recipients}) != len(recipients):
        raise Misuse("a message has recipients, each once")
    if len(recipients) > ENCRYPTED_RECIPIENTS.default:
        raise Misuse(f"more recipients than anybody reads: {ENCRYPTED_RECIPIENTS.default}")
    if len(recipients) == 1:
        content_key, made = _direct_recipient(recipients[0], sender)
        entries = [made]
    else:
        content_key = os.urandom(KEY_OCTETS)
        entries = [_wrapping_recipient(recipient, sender, content_key) for recipient in recipients]
    item = [*_encrypted(plaintext, content_key, "Encrypt", content_type, external_aad), entries]
    return to_cbor(CBORTag(ENCRYPT_TAG, item) if tagged else item)


def decrypt(
    octets: bytes,
    key: DecryptionKey,
    *,
    external_aad: bytes = b"",
    limit: int | None = None,
    danger_unnamed: bool = False,
) -> Opened:
    """Open what was encrypted to this key's name.

    Refused(WRONG_RECIPIENT) when it names others alone, Refused(NOT_OPENED) when it does not open, whatever the cause.
    Malformed, LimitExceeded. danger_unnamed: try messages that name no recipient too.
    """
    return EncryptedMessage.from_wire(octets, limit=limit).opened_by(key, external_aad, danger_unnamed=danger_unnamed)


def encrypt0(
    plaintext: bytes,
    key: bytes,
    *,
    content_type: str | int | None = None,
    external_aad: bytes = b"",
    tagged: bool = True,
) -> bytes:
    """Encrypt octets with a key of 32 octets that both sides have, such as one that an earlier COSE_Encrypt brought."""
    if len(key) != KEY_OCTETS:
        raise Misuse(f"the key has {len(key)} octets, not {KEY_OCTETS}")
    item = _encrypted(plaintext, key, "Encrypt0", content_type, external_aad)
    return to_cbor(CBORTag(ENCRYPT0_TAG, item) if tagged else item)


def decrypt0(octets: bytes, key: bytes, *, external_aad: bytes = b"", limit: int | None = None) -> bytes:
    """Open what `encrypt0` makes. Refused(NOT_OPENED), Malformed, LimitExceeded."""
    content = _Content.from_items(_items(octets, "COSE_Encrypt0", ENCRYPT0_TAG, 3, limit), "COSE_Encrypt0")
    if len(key) != content.key_octets:
        raise not_opened()
    return content.opened(key, "Encrypt0", external_aad)


def _encrypted(
    plaintext: bytes, key: bytes, context: str, content_type: str | int | None, external_aad: bytes
) -> list[Any]:
    typed: dict[int | str, Any] = {} if content_type is None else {Header.CONTENT_TYPE: content_type}
    nonce = os.urandom(IV_OCTETS)
    headers = Headers.of({Header.ALG: _A256GCM} | typed, {Header.IV: nonce})
    ciphertext = AESGCM(key).encrypt(nonce, plaintext, _authenticated(context, headers, external_aad))
    return [*headers.to_items(), ciphertext]


def _authenticated(context: str, headers: Headers, external_aad: bytes) -> bytes:
    """The encoded Enc_structure (RFC 9052 section 5.3)."""
    return to_cbor([context, headers.protected_octets, external_aad])


def _direct_recipient(recipient: Recipient, sender: ClientName | None) -> tuple[bytes, list[Any]]:
    headers, secret = _agreed(recipient, sender, -25)
    return _derived(secret, headers, _A256GCM, KEY_OCTETS, hashes.SHA256()), [*headers.to_items(), b""]


def _wrapping_recipient(recipient: Recipient, sender: ClientName | None, content_key: bytes) -> list[Any]:
    headers, secret = _agreed(recipient, sender, -31)
    wrapping, octets, _ = _WRAPPED[-31]
    wrapping_key = _derived(secret, headers, wrapping, octets, hashes.SHA256())
    return [*headers.to_items(), aes_key_wrap(wrapping_key, content_key)]


def _agreed(recipient: Recipient, sender: ClientName | None, algorithm: int) -> tuple[Headers, bytes]:
    theirs = recipient.key
    if isinstance(theirs, rsa.RSAPublicKey):
        raise Misuse(f"{recipient.name} has an RSA key: encrypt to it as JWE")
    ephemeral, secret = agree(theirs)
    name = recipient.name.canonical.encode("ascii")
    protected: dict[int | str, Any] = {Header.ALG: algorithm, Header.PARTY_V_IDENTITY: name}
    if sender is not None:
        protected[Header.PARTY_U_IDENTITY] = sender.canonical.encode("ascii")
    return Headers.of(protected, {Header.EPHEMERAL_KEY: agreement_cose_key(ephemeral), Header.KID: name}), secret


def _derived(secret: bytes, headers: Headers, algorithm: int, octets: int, digest: hashes.HashAlgorithm) -> bytes:
    """HKDF over the COSE_KDF_Context (RFC 9053 sections 5.1 and 5.2)."""

    def party(identity: Header, nonce: Header, other: Header) -> list[Any]:
        return [_party_value(headers, label) for label in (identity, nonce, other)]

    context = [
        algorithm,
        party(Header.PARTY_U_IDENTITY, Header.PARTY_U_NONCE, Header.PARTY_U_OTHER),
        party(Header.PARTY_V_IDENTITY, Header.PARTY_V_NONCE, Header.PARTY_V_OTHER),
        [octets * 8, headers.protected_octets],
    ]
    salt = headers.either(Header.SALT)
    if salt is not None and not isinstance(salt, bytes):
        raise Malformed(f"{FORM} has a salt that is no byte string")
    return HKDF(algorithm=digest, length=octets, salt=salt, info=to_cbor(context)).derive(secret)


def _party_value(headers: Headers, label: Header) -> Any:  # noqa: ANN401 (a nonce may be an integer)
    value = headers.either(label)
    nonces = (Header.PARTY_U_NONCE, Header.PARTY_V_NONCE)
    if value is None or isinstance(value, bytes) or (label in nonces and type(value) is int):
        return value
    raise Malformed(f"{FORM} has a {label.name.lower()} that is no byte string")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What both forms have in common."""

    headers: Headers
    ciphertext: bytes
    what: str

    @classmethod
    def from_items(cls, items: Sequence[Any], what: str) -> Self:
        protected, unprotected, ciphertext = items[:3]
        headers = Headers.from_items(protected, unprotected, what)
        headers.check_critical(_UNDERSTOOD, what)
        if not isinstance(ciphertext, bytes) or len(ciphertext) < _TAG_OCTETS:
            raise Malformed(f"{what} has no ciphertext")
        made = cls(headers=headers, ciphertext=ciphertext, what=what)
        made.key_octets  # noqa: B018 (raises for an algorithm that is none)
        headers.text_or_number(Header.CONTENT_TYPE, what)
        return made

    @property
    def algorithm(self) -> int:
        return self.headers.algorithm(self.what)

    @property
    def key_octets(self) -> int:
        if self.algorithm not in _CONTENT:
            raise Malformed(f"{self.what} is encrypted with algorithm {self.algorithm}, which is not used here")
        return _CONTENT[self.algorithm][0]

    def opened(self, key: bytes, context: str, external_aad: bytes) -> bytes:
        nonce = self.headers.either(Header.IV)
        if not isinstance(nonce, bytes) or len(nonce) != IV_OCTETS:
            raise Malformed(f"{self.what} has no IV of {IV_OCTETS} octets")
        try:
            return AESGCM(key).decrypt(nonce, self.ciphertext, _authenticated(context, self.headers, external_aad))
        except InvalidTag:
            raise not_opened() from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _RecipientEntry:
    """One COSE_recipient."""

    headers: Headers
    wrapped: bytes = field(repr=False)

    @classmethod
    def from_item(cls, item: object) -> Self:
        if not isinstance(item, list) or len(item) != 3:
            raise Malformed(f"a recipient of {FORM} is no array of three")
        headers = Headers.from_items(item[0], item[1], f"a recipient of {FORM}")
        headers.check_critical(_UNDERSTOOD_OF_RECIPIENT, f"a recipient of {FORM}")
        wrapped = b"" if item[2] is None else item[2]
        if not isinstance(wrapped, bytes):
            raise Malformed(f"a recipient of {FORM} has a key that is no byte string")
        return cls(headers=headers, wrapped=wrapped)

    def names(self) -> Iterator[str]:
        """Whom it says it is for: PartyV's identity, which goes into the key, and `kid`, which does not."""
        for label in (Header.PARTY_V_IDENTITY, Header.KID):
            value = self.headers.either(label)
            if value is not None:
                yield value.decode("ascii", "replace").lower() if isinstance(value, bytes) else ""

    @property
    def algorithm(self) -> int:
        return self.headers.algorithm(f"a recipient of {FORM}")

    @property
    def is_direct(self) -> bool:
        return self.algorithm in _DIRECT

    @property
    def algorithm_name(self) -> str:
        return _DIRECT[self.algorithm][1] if self.is_direct else _WRAPPED[self.algorithm][2]

    def content_key(self, key: DecryptionKey, content: _Content) -> bytes:
        """Refused when it is not to be had with this key, Malformed when it is not to be had with any."""
        number = self.algorithm
        if number not in _DIRECT and number not in _WRAPPED:
            raise Malformed(f"{FORM} has a recipient by algorithm {number}, which is not used here")
        ephemeral = agreement_key_of(self.headers.either(Header.EPHEMERAL_KEY), f"ephemeral key of {FORM}")
        secret = shared_secret(key, ephemeral)
        if number in _DIRECT:
            if self.wrapped:
                raise Malformed(f"{FORM} has a key where none belongs")
            return _derived(secret, self.headers, content.algorithm, content.key_octets, _DIRECT[number][0])
        wrapping, octets, _ = _WRAPPED[number]
        try:
            unwrapped = aes_key_unwrap(_derived(secret, self.headers, wrapping, octets, hashes.SHA256()), self.wrapped)
        except (InvalidUnwrap, ValueError):
            raise not_opened() from None
        if len(unwrapped) != content.key_octets:
            raise not_opened()
        return unwrapped

    def stated_sender(self) -> ClientName | None:
        value = self.headers.either(Header.PARTY_U_IDENTITY)
        try:
            return ClientName.from_wire(value) if isinstance(value, bytes) else None
        except Malformed:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedMessage:
    """A COSE_Encrypt that parses."""

    _content: _Content
    _entries: tuple[_RecipientEntry, ...]

    @classmethod
    def from_wire(cls, octets: bytes, *, limit: int | None = None) -> Self:
        items = _items(octets, FORM, ENCRYPT_TAG, 4, limit)
        content = _Content.from_items(items, FORM)
        if not isinstance(items[3], list) or not items[3]:
            raise Malformed(f"{FORM} has no recipients")
        if len(items[3]) > ENCRYPTED_RECIPIENTS.default:
            raise LimitExceeded(ENCRYPTED_RECIPIENTS.name, f"{len(items[3])} recipients")
        entries = tuple(_RecipientEntry.from_item(item) for item in items[3])
        if len(entries) > 1 and any(entry.is_direct for entry in entries):
            raise Malformed(f"{FORM} agrees on the content key with one recipient, and has several")
        return cls(_content=content, _entries=entries)

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom it says it is for, in lower case."""
        return tuple(dict.fromkeys(name for entry in self._entries for name in entry.names()))

    def opened_by(self, key: DecryptionKey, external_aad: bytes = b"", *, danger_unnamed: bool = False) -> Opened:
        """As `decrypt`."""
        failure: Refused | None = None
        for entry in self._entries:
            names = set(entry.names())
            if names != {key.name.canonical} and (names or not danger_unnamed):
                continue
            try:
                return self._opened(entry, key, external_aad)
            except Refused as refusal:
                failure = refusal
        raise failure or wrong_recipient(", ".join(self.recipients) or "nobody by name")

    def _opened(self, entry: _RecipientEntry, key: DecryptionKey, external_aad: bytes) -> Opened:
        plaintext = self._content.opened(entry.content_key(key, self._content), "Encrypt", external_aad)
        return Opened(
            plaintext=plaintext,
            recipient=key.name,
            stated_sender=entry.stated_sender(),
            content_type=self._content.headers.text_or_number(Header.CONTENT_TYPE, FORM),
            algorithm=entry.algorithm_name,
            encryption=_CONTENT[self._content.algorithm][1],
        )


def _items(octets: bytes, what: str, tag: int, count: int, limit: int | None) -> list[Any]:
    longest = OBJECT_OCTETS.checked(limit)
    if len(octets) > longest:
        raise LimitExceeded(OBJECT_OCTETS.name, f"{len(octets)} octets, {longest} are read")
    item = from_cbor(octets, what)
    if isinstance(item, CBORTag):
        if item.tag != tag:
            raise Malformed(f"{what} has tag {item.tag}, not {tag}")
        item = item.value
    if not isinstance(item, list) or len(item) != count:
        raise Malformed(f"{what} is no array of {count}")
    return item
