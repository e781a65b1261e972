"""JWE to the keys of names: compact for one recipient, general JSON for several (RFC 7516, RFC 7518 sections 4 and 5).

Every recipient is named by `kid`, and by `apv`, which goes into the key that is derived: a message for one name opens
for no other. `apu` names the sender, who is not proved by it; `dnsbound.objects.jose.sealed` proves him. Written is
A256GCM, with ECDH-ES, ECDH-ES+A256KW, and RSA-OAEP-256 for RSA keys; key wraps by AES-128 and AES-192 are read as well.
What is absent from the tables is refused: shared keys and passwords, RSA1_5, RSA-OAEP with SHA-1.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.credential.encryption_keys import DecryptionKey, SignsOnly, encryption_key_from_spki
from dnsbound.errors import Malformed, Misuse, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import ENCRYPTED_RECIPIENTS
from dnsbound.objects.encryption import (
    KEY_OCTETS,
    AgreementKey,
    Opened,
    Recipient,
    agree,
    not_opened,
    shared_secret,
    wrong_recipient,
)
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.content_encryption import WRITTEN, ContentCipher
from dnsbound.objects.jose.jwe_message import JweEntry, JweMessage
from dnsbound.objects.jose.jwk import jwk_of, spki_of_jwk
from dnsbound.objects.jose.strict_json import write_object
from dnsbound.objects.signer_name import name_of_uri

_DIRECT: Final = "ECDH-ES"
_WRAP: Final = "ECDH-ES+A256KW"
_WRAPS: Final[Mapping[str, int]] = {"ECDH-ES+A128KW": 16, "ECDH-ES+A192KW": 24, _WRAP: KEY_OCTETS}
_RSA: Final = "RSA-OAEP-256"
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def encrypt(
    plaintext: bytes,
    recipients: Sequence[Recipient],
    *,
    sender: ClientName | None = None,
    cty: str | None = None,
    typ: str | None = None,
) -> str:
    """Encrypt octets to one name (compact form) or several (general JSON form).

    sender: named to recipients with keys that agree on secrets, and not proved to them. cty: what the plaintext is;
    typ: what the message is. Misuse for no recipient, for the same twice, and for a key that signs alone.
    """
    if not recipients or len({recipient.name for recipient in recipients}) != len(recipients):
        raise Misuse("a message has recipients, each once")
    if len(recipients) > ENCRYPTED_RECIPIENTS.default:
        raise Misuse(f"more recipients than anybody reads: {ENCRYPTED_RECIPIENTS.default}")
    common = {"enc": WRITTEN.name} | ({} if typ is None else {"typ": typ}) | ({} if cty is None else {"cty": cty})
    several = len(recipients) > 1
    content_key, entries = b"", []
    for recipient in recipients:
        content_key, entry = _entry_for(recipient, sender, content_key, direct=not several)
        entries.append(entry)
    protected = common if several else dict(entries[0].header) | common
    text = base64url.encode(write_object(protected))
    message = JweMessage(
        protected=protected,
        protected_text=text,
        entries=tuple(entries),
        content=WRITTEN.encrypt(content_key, plaintext, text),
    )
    return message.to_json() if several else message.to_compact()


def _entry_for(
    recipient: Recipient, sender: ClientName | None, content_key: bytes, *, direct: bool
) -> tuple[bytes, JweEntry]:
    """The content key, made by the first recipient, and this one's entry."""
    key = recipient.key
    header: dict[str, Any] = {"kid": recipient.name.canonical}
    if isinstance(key, rsa.RSAPublicKey):
        content_key = content_key or os.urandom(KEY_OCTETS)
        return content_key, JweEntry(header={"alg": _RSA} | header, encrypted_key=key.encrypt(content_key, _OAEP))
    ephemeral, secret = agree(key)
    header["epk"] = jwk_of(ephemeral.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    header |= {} if sender is None else {"apu": _party(sender)}
    header["apv"] = _party(recipient.name)
    algorithm = _DIRECT if direct else _WRAP
    derived = _derived(secret, header, WRITTEN.name if direct else algorithm, KEY_OCTETS)
    header = {"alg": algorithm} | header
    if direct:
        return derived, JweEntry(header=header, encrypted_key=b"")
    content_key = content_key or os.urandom(KEY_OCTETS)
    return content_key, JweEntry(header=header, encrypted_key=aes_key_wrap(derived, content_key))


def _party(name: ClientName) -> str:
    return base64url.encode(name.canonical.encode("ascii")).decode("ascii")


def _derived(secret: bytes, header: Mapping[str, Any], algorithm: str, octets: int) -> bytes:
    """RFC 7518 section 4.6.2: the key that wraps, named by `alg`, or the content key, named by `enc`."""

    def prefixed(value: bytes) -> bytes:
        return len(value).to_bytes(4, "big") + value

    parties = (base64url.decode_member(header.get(party, ""), party) for party in ("apu", "apv"))
    information = b"".join(map(prefixed, (algorithm.encode("ascii"), *parties))) + (octets * 8).to_bytes(4, "big")
    return ConcatKDFHash(hashes.SHA256(), octets, information).derive(secret)


def decrypt(
    token: str | bytes, key: DecryptionKey, *, limit: int | None = None, danger_unnamed: bool = False
) -> Opened:
    """Open what was encrypted to this key's name, in any of the three forms.

    Refused(WRONG_RECIPIENT) when it names others alone, Refused(NOT_OPENED) when it does not open, whatever the cause.
    Malformed, LimitExceeded. limit: octets that are read. danger_unnamed: try messages that name no recipient too.
    """
    message = JweMessage.parse(token, limit=limit)
    cipher = message.cipher
    failure: Refused | None = None
    named: list[str] = []
    for entry in message.entries:
        names = _names(entry)
        named += names
        if set(names) != {key.name.canonical} and (names or not danger_unnamed):
            continue
        try:
            return _opened(message, entry, cipher, key)
        except Refused as refusal:
            failure = refusal
    raise failure or wrong_recipient(", ".join(dict.fromkeys(named)) or "nobody by name")


def recipients_of(message: JweMessage) -> tuple[str, ...]:
    """Whom a message says it is for, in lower case."""
    return tuple(dict.fromkeys(name for entry in message.entries for name in _names(entry)))


def _names(entry: JweEntry) -> list[str]:
    """By each way that a recipient is named; all must be the same one."""
    names = []
    if entry.header.get("apv", "") != "":
        names.append(base64url.decode_member(entry.header["apv"], "apv").decode("ascii", "replace").lower())
    if (kid := entry.text("kid")) is not None:
        names.append(kid.lower())
    if (uri := entry.text("x5u")) is not None:
        names.append(name_of_uri(uri).canonical)
    return list(dict.fromkeys(names))


def _opened(message: JweMessage, entry: JweEntry, cipher: ContentCipher, key: DecryptionKey) -> Opened:
    content_key = _content_key(entry, cipher, key)
    return Opened(
        plaintext=cipher.decrypt(content_key, message.content, message.authenticated),
        recipient=key.name,
        stated_sender=_stated_sender(entry),
        content_type=message.text("cty"),
        algorithm=str(entry.header["alg"]),
        encryption=cipher.name,
    )


def _content_key(entry: JweEntry, cipher: ContentCipher, key: DecryptionKey) -> bytes:
    """Refused when it is not to be had with this key, Malformed when it is not to be had with any."""
    algorithm = entry.text("alg")
    if algorithm == _RSA:
        return _decrypted_by_rsa(entry, key)
    if algorithm != _DIRECT and algorithm not in _WRAPS:
        raise Malformed("JWE has a recipient by an algorithm that is not used here")
    secret = shared_secret(key, _ephemeral(entry))
    if algorithm == _DIRECT:
        if entry.encrypted_key:
            raise Malformed("JWE has a key where none belongs")
        return _derived(secret, entry.header, cipher.name, cipher.key_octets)
    wrapping_key = _derived(secret, entry.header, str(algorithm), _WRAPS[str(algorithm)])
    try:
        return aes_key_unwrap(wrapping_key, entry.encrypted_key)
    except (InvalidUnwrap, ValueError):
        raise not_opened() from None


def _decrypted_by_rsa(entry: JweEntry, key: DecryptionKey) -> bytes:
    if not isinstance(key.private_key, rsa.RSAPrivateKey):
        raise not_opened()
    try:
        return key.private_key.decrypt(entry.encrypted_key, _OAEP)
    except ValueError:
        raise not_opened() from None


def _ephemeral(entry: JweEntry) -> AgreementKey:
    try:
        key = encryption_key_from_spki(spki_of_jwk(entry.header.get("epk")))
    except SignsOnly:
        raise Malformed("epk of a JWE is a key that signs alone") from None
    if isinstance(key, rsa.RSAPublicKey):
        raise Malformed("epk of a JWE is a key that agrees on no secrets")
    return key


def _stated_sender(entry: JweEntry) -> ClientName | None:
    try:
        return ClientName.from_wire(base64url.decode_member(entry.header["apu"], "apu"))
    except (KeyError, Malformed):
        return None
