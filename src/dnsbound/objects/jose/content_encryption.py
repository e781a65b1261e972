"""How the content of a JWE is encrypted: AES-GCM, and AES-CBC with HMAC (RFC 7518 section 5).

GCM with AES-256 is written; the others are read, since tools in use make them.
"""

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from dnsbound.objects.encryption import not_opened

_GCM_IV_OCTETS: Final = 12
_TAG_OCTETS: Final = 16
_BLOCK_OCTETS: Final = 16


class Encrypted(NamedTuple):
    """What stands in the message."""

    iv: bytes
    ciphertext: bytes
    tag: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCipher:
    """One value of `enc`. key_octets: of the content key."""

    name: str
    key_octets: int
    mac: str = ""
    """The HMAC's hash; empty for GCM."""

    def encrypt(self, key: bytes, plaintext: bytes, authenticated: bytes) -> Encrypted:
        if self.mac:
            iv = os.urandom(_BLOCK_OCTETS)
            padder = PKCS7(AES.block_size).padder()
            encryptor = Cipher(AES(key[self.key_octets // 2 :]), CBC(iv)).encryptor()
            ciphertext = encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
            return Encrypted(iv, ciphertext, self._tag(key, iv, ciphertext, authenticated))
        iv = os.urandom(_GCM_IV_OCTETS)
        sealed = AESGCM(key).encrypt(iv, plaintext, authenticated)
        return Encrypted(iv, sealed[:-_TAG_OCTETS], sealed[-_TAG_OCTETS:])

    def decrypt(self, key: bytes, content: Encrypted, authenticated: bytes) -> bytes:
        """Refused(NOT_OPENED), whatever is wrong."""
        if len(key) != self.key_octets:
            raise not_opened()
        if self.mac:
            return self._decrypt_cbc(key, content, authenticated)
        if len(content.iv) != _GCM_IV_OCTETS or len(content.tag) != _TAG_OCTETS:
            raise not_opened()
        try:
            return AESGCM(key).decrypt(content.iv, content.ciphertext + content.tag, authenticated)
        except InvalidTag:
            raise not_opened() from None

    def _decrypt_cbc(self, key: bytes, content: Encrypted, authenticated: bytes) -> bytes:
        """The tag is checked first: no padding is looked at that its sender did not make."""
        expected = self._tag(key, content.iv, content.ciphertext, authenticated)
        if not hmac.compare_digest(expected, content.tag) or len(content.iv) != _BLOCK_OCTETS:
            raise not_opened()
        decryptor = Cipher(AES(key[self.key_octets // 2 :]), CBC(content.iv)).decryptor()
        unpadder = PKCS7(AES.block_size).unpadder()
        try:
            padded = decryptor.update(content.ciphertext) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise not_opened() from None

    def _tag(self, key: bytes, iv: bytes, ciphertext: bytes, authenticated: bytes) -> bytes:
        length = (len(authenticated) * 8).to_bytes(8, "big")
        digest = hmac.digest(key[: self.key_octets // 2], authenticated + iv + ciphertext + length, self.mac)
        return digest[: self.key_octets // 2]


CONTENT: Final[Mapping[str, ContentCipher]] = MappingProxyType(
    {
        cipher.name: cipher
        for cipher in (
            ContentCipher(name="A128GCM", key_octets=16),
            ContentCipher(name="A192GCM", key_octets=24),
            ContentCipher(name="A256GCM", key_octets=32),
            ContentCipher(name="A128CBC-HS256", key_octets=32, mac="sha256"),
            ContentCipher(name="A192CBC-HS384", key_octets=48, mac="sha384"),
            ContentCipher(name="A256CBC-HS512", key_octets=64, mac="sha512"),
        )
    }
)
"""By `enc`. What is absent is refused."""
WRITTEN: Final = CONTENT["A256GCM"]
