"""Encrypted CMS messages: AuthEnvelopedData with AES-GCM (RFC 5083, RFC 5084), made and read.

EnvelopedData (RFC 5652 section 6) has no integrity: whoever carries a message can change it, and by what the reader
does with the damaged text learn the text (EFAIL). It is not made, and read only if `danger_no_integrity` says so;
mail programs still write it. Nothing of a message is given away before all of it was found intact. Encryption names no
sender: sign first, then encrypt what was signed.
"""

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7

from dnsbound.credential import der
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.errors import Malformed, Misuse
from dnsbound.object_limits import CMS_OCTETS, ENCRYPTED_RECIPIENTS
from dnsbound.objects.cms import encoding
from dnsbound.objects.cms.reading import Cursor, der_of, pieces
from dnsbound.objects.cms.recipient_info import OwnKey, Wrapped, content_key, recipient_info
from dnsbound.objects.cms.signed_data import DATA
from dnsbound.objects.encryption import Opened, Recipient, not_opened, wrong_recipient

AUTH_ENVELOPED_DATA: Final = "1.2.840.113549.1.9.16.1.23"
ENVELOPED_DATA: Final = "1.2.840.113549.1.7.3"

_VERSIONS: Final = {AUTH_ENVELOPED_DATA: (0,), ENVELOPED_DATA: (0, 2, 3, 4)}
_AES256_GCM: Final = "2.16.840.1.101.3.4.1.46"
_GCM_OCTETS: Final = {"2.16.840.1.101.3.4.1.6": 16, "2.16.840.1.101.3.4.1.26": 24, _AES256_GCM: 32}
_CBC_OCTETS: Final = {"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32}
_NONCE: Final = 12
_TAG: Final = 16
_BLOCK_OCTETS: Final = 16
_SET: Final = 0x31
_IMPLICIT_0: Final = 0xA0
_PRIMITIVE_0: Final = 0x80
_IMPLICIT_1: Final = 0xA1
_IMPLICIT_2: Final = 0xA2


def encrypt(plaintext: bytes, recipients: Sequence[Recipient]) -> bytes:
    """DER of a message that each of the recipients can open.

    Misuse without recipients and for more than CMS_OCTETS; the errors of `recipient_info` for keys.
    """
    if not 1 <= len(recipients) <= ENCRYPTED_RECIPIENTS.default:
        raise Misuse(f"a message has from 1 to {ENCRYPTED_RECIPIENTS.default} recipients")
    if len(plaintext) > CMS_OCTETS.default:
        raise Misuse(f"the message is longer than {CMS_OCTETS.default} octets")
    key, nonce = AESGCM.generate_key(256), AESGCM.generate_key(128)[:_NONCE]
    sealed = AESGCM(key).encrypt(nonce, plaintext, None)
    parameters = encoding.sequence(encoding.octet_string(nonce), encoding.integer(_TAG))
    content = encoding.sequence(
        encoding.identifier(DATA),
        encoding.algorithm(_AES256_GCM, parameters),
        encoding.element(_PRIMITIVE_0, sealed[:-_TAG]),
    )
    enveloped = encoding.sequence(
        encoding.integer(0),
        encoding.set_of(*(recipient_info(recipient, key) for recipient in recipients)),
        content,
        encoding.octet_string(sealed[-_TAG:]),
    )
    return encoding.sequence(encoding.identifier(AUTH_ENVELOPED_DATA), encoding.explicit(0, enveloped))


def decrypt(
    message: bytes, key: DecryptionKey, *, certificate: bytes | None = None, danger_no_integrity: bool = False
) -> Opened:
    """The content of a message in DER or streamed BER that is encrypted to the key.

    Refused(WRONG_RECIPIENT) when it is encrypted to others, Refused(NOT_OPENED) when it does not open or was changed;
    Malformed when it is no such message. certificate: the key's, for senders who know it by that; DER.
    danger_no_integrity: open EnvelopedData too, which anybody may have changed.
    """
    info = Cursor.whole(der_of(message), "ContentInfo")
    kind = info.take_identifier("contentType")
    if kind not in (AUTH_ENVELOPED_DATA, ENVELOPED_DATA):
        raise Malformed(f"the message is of type {kind}, not encrypted")
    if kind == ENVELOPED_DATA and not danger_no_integrity:
        raise Malformed("the message is EnvelopedData, which whoever carried it may have changed: it is not opened")
    outer = info.enter(_IMPLICIT_0, "content")
    info.finish()
    cursor = outer.enter(der.SEQUENCE, "enveloped data")
    outer.finish()
    if cursor.take_number("version") not in _VERSIONS[kind]:
        raise Malformed("enveloped data of another version")
    if cursor.next_tag == _IMPLICIT_0:
        cursor.take(_IMPLICIT_0, "originatorInfo")
    wrapped = _content_key(cursor.enter(_SET, "recipientInfos"), OwnKey(key, certificate))
    algorithm, parameters, encrypted = _encrypted_content(cursor.enter(der.SEQUENCE, "encryptedContentInfo"))
    if kind == ENVELOPED_DATA:
        return _opened(_open_cbc(algorithm, parameters, encrypted, wrapped.key), key, wrapped, "AES-CBC")
    authenticated = b""
    if cursor.next_tag == _IMPLICIT_1:
        # RFC 5083 section 2.2: as a SET OF, in DER.
        authenticated = encoding.element(_SET, cursor.take(_IMPLICIT_1, "authAttrs"))
    tag = cursor.take(der.OCTET_STRING, "mac")
    if cursor.next_tag == _IMPLICIT_2:
        cursor.take(_IMPLICIT_2, "unauthAttrs")
    cursor.finish()
    if len(tag) != _TAG:
        raise Malformed(f"the message has a tag of {len(tag)} octets, not {_TAG}")
    plaintext = _open_gcm(algorithm, parameters, encrypted + tag, authenticated, wrapped.key)
    return _opened(plaintext, key, wrapped, "AES-GCM")


def _opened(plaintext: bytes, key: DecryptionKey, wrapped: Wrapped, encryption: str) -> Opened:
    return Opened(
        plaintext=plaintext,
        recipient=key.name,
        stated_sender=None,
        content_type=None,
        algorithm=wrapped.algorithm,
        encryption=encryption,
    )


def _content_key(recipients: Cursor, own: OwnKey) -> Wrapped:
    for _ in range(ENCRYPTED_RECIPIENTS.default):
        if recipients.next_tag is None:
            raise wrong_recipient("others: none of its recipients is this key")
        if (wrapped := content_key(recipients, own)) is not None:
            return wrapped
    raise Malformed(f"the message has more than {ENCRYPTED_RECIPIENTS.default} recipients")


def _encrypted_content(cursor: Cursor) -> tuple[str, bytes, bytes]:
    """Algorithm, its parameters, and the octets; in pieces where the message was streamed."""
    kind = cursor.take_identifier("contentType")
    if kind != DATA:
        raise Malformed(f"what is encrypted is of type {kind}, not data")
    algorithm, parameters = cursor.take_algorithm("contentEncryptionAlgorithm")
    if cursor.next_tag == _IMPLICIT_0:
        encrypted = b"".join(pieces(cursor.take(_IMPLICIT_0, "encryptedContent")))
    else:
        encrypted = cursor.take(_PRIMITIVE_0, "encryptedContent")
    cursor.finish()
    return algorithm, parameters, encrypted


def _open_gcm(algorithm: str, parameters: bytes, sealed: bytes, authenticated: bytes, key: bytes) -> bytes:
    if algorithm not in _GCM_OCTETS:
        raise Malformed(f"content encryption {algorithm} is not taken in AuthEnvelopedData")
    cursor = Cursor.whole(parameters, "GCMParameters")
    nonce = cursor.take(der.OCTET_STRING, "nonce")
    length = 12 if cursor.next_tag is None else cursor.take_number("icvlen")
    cursor.finish()
    if length != _TAG or len(nonce) != _NONCE:
        raise Malformed("only AES-GCM with a nonce of 12 octets and a tag of 16 is taken")
    if len(key) != _GCM_OCTETS[algorithm]:
        raise not_opened()
    try:
        return AESGCM(key).decrypt(nonce, sealed, authenticated or None)
    except InvalidTag:
        raise not_opened() from None


def _open_cbc(algorithm: str, parameters: bytes, encrypted: bytes, key: bytes) -> bytes:
    if algorithm not in _CBC_OCTETS:
        raise Malformed(f"content encryption {algorithm} is not taken in EnvelopedData")
    cursor = Cursor(parameters, "CBC parameters")
    vector = cursor.take(der.OCTET_STRING, "initialisation vector")
    cursor.finish()
    if len(vector) != _BLOCK_OCTETS or len(encrypted) % _BLOCK_OCTETS:
        raise Malformed("the message is not whole blocks")
    if len(key) != _CBC_OCTETS[algorithm]:
        raise not_opened()
    opened = Cipher(AES(key), modes.CBC(vector)).decryptor()
    unpadded = PKCS7(8 * _BLOCK_OCTETS).unpadder()
    try:
        padded = opened.update(encrypted) + opened.finalize()
        return unpadded.update(padded) + unpadded.finalize()
    except ValueError:
        raise not_opened() from None
