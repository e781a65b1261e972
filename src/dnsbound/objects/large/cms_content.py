"""CMS and S/MIME as formats of signatures over content.

A detached CMS signature is over a digest of the content, with any key: who signed is known before the content is read,
and the content is compared with the digest as it goes by. CMS has no word for what kind of payload it carries.
"""

import re
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives import hashes

from dnsbound.credential.credential import Credential
from dnsbound.errors import Misuse, Reason, Refused
from dnsbound.objects.cms import armor, encoding, smime
from dnsbound.objects.cms.algorithms import DIGESTS, signing_choice
from dnsbound.objects.cms.signed_data import SIGNED_DATA, SignedData
from dnsbound.objects.cms.signing import certified, sign, sign_digest
from dnsbound.objects.large.content import Opened
from dnsbound.objects.signed import SignedObject
from dnsbound.times import Moment

_TYPE: Final = encoding.identifier(SIGNED_DATA)
_BLOCKS: Final = tuple(f"-----BEGIN {label}-----".encode("ascii") for label in armor.LABELS)
_FIELD: Final = re.compile(rb"[A-Za-z][A-Za-z0-9-]*[ \t]*:")
_LENGTH_OCTETS: Final = 5


def is_cms(head: bytes) -> bool:
    """DER or BER of signed data, or a block of it."""
    return head.startswith(_BLOCKS) or (head[:1] == b"\x30" and _TYPE in head[: 2 + _LENGTH_OCTETS + len(_TYPE)])


def is_mail(head: bytes) -> bool:
    """A header field."""
    return _FIELD.match(head) is not None


def open_cms(octets: bytes) -> Opened:
    """Malformed for what is no signature by one signer."""
    data = SignedData.from_wire(armor.octets_of(octets))
    if data.embedded is not None:
        return Opened(typ=None, signed=data.signed_object())
    signed = data.signed_digest()
    return Opened(typ=None, signed=signed, content=_DigestedContent(data, signed))


def open_mail(octets: bytes) -> Opened:
    """Malformed for what is no signed message, or whose From field is not its signer's."""
    return Opened(typ=None, signed=smime.parse(octets).signed)


def attach_cms(payload: bytes, credential: Credential, *, typ: str | None, now: Moment) -> bytes:
    """A block of text with the payload inside. Misuse for a payload that has a type."""
    if typ is not None:
        raise Misuse("CMS does not say what kind of payload it carries: sign with --detached or --attached")
    return armor.to_pem(sign(payload, certified(credential, now=now), now=now))


def attach_mail(payload: bytes, credential: Credential, *, typ: str | None, now: Moment) -> bytes:
    """The mail message that the payload is, signed. Misuse for a payload that has a type."""
    if typ is not None:
        raise Misuse("S/MIME signs one mail message: --attached")
    return smime.sign(payload, certified(credential, now=now), now=now)


class DetachedCms:
    """A detached signature in the making."""

    __slots__ = ("_credential", "_now", "_running")

    def __init__(self, credential: Credential, *, now: Moment) -> None:
        self._credential = certified(credential, now=now)
        self._now = now
        self._running = hashes.Hash(DIGESTS[signing_choice(credential.signer).digest])

    def update(self, octets: bytes | memoryview) -> None:
        self._running.update(octets)

    def finish(self) -> bytes:
        return armor.to_pem(sign_digest(self._running.finalize(), self._credential, now=self._now))


class _DigestedContent:
    """The content of a detached signature that was read before."""

    __slots__ = ("_digest", "_running", "_signed")

    def __init__(self, data: SignedData, signed: SignedObject) -> None:
        self._digest = data.signer.content_digest
        self._running = hashes.Hash(DIGESTS[data.signer.algorithm.digest])
        self._signed = signed

    def update(self, octets: bytes | memoryview) -> None:
        self._running.update(octets)

    def finish(self) -> SignedObject:
        if not compare_digest(self._running.finalize(), self._digest):
            raise Refused(Reason.CONTENT_MISMATCH, "the content is another than was signed")
        return self._signed
