"""Signed, then encrypted: a COSE_Sign1 inside a COSE_Encrypt, so that the recipient knows who sent it.

As `dnsbound.objects.jose.sealed`, which says why: the recipients' names stand in the signed headers, as the audience
among the CWT claims (RFC 9597), and must hold the name of the key that opened the message.
"""

from collections.abc import Sequence
from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.errors import Malformed, Misuse
from dnsbound.objects.cose.cose_encrypt import decrypt, encrypt
from dnsbound.objects.cose.cose_sign1 import Sign1, parse_sign1, sign1
from dnsbound.objects.cose.labels import SIGN1_CONTENT_FORMAT, Claim, Header
from dnsbound.objects.encryption import Opened, Recipient, check_audience
from dnsbound.objects.signed import SignedObject

TYP: Final = "application/dnsbound-sealed+cose"
"""Type of the signed part, which is thereby of no use elsewhere."""


def seal(
    payload: bytes,
    credential: Credential,
    recipients: Sequence[Recipient],
    *,
    content_type: str | int | None = None,
    algorithm: str | None = None,
    key_in_band: bool = True,
) -> bytes:
    """Sign octets with a credential, and encrypt them to names. content_type: what the payload is. Misuse."""
    if credential.name is None:
        raise Misuse("the credential has no name, so nobody could look its key up")
    audience = [recipient.name.canonical for recipient in recipients]
    signed = sign1(
        payload,
        credential,
        typ=TYP,
        content_type=content_type,
        claims={Claim.ISS: credential.name.canonical, Claim.AUD: audience},
        algorithm=algorithm,
        key_in_band=key_in_band,
    )
    return encrypt(signed, recipients, sender=credential.name, content_type=SIGN1_CONTENT_FORMAT)


def open_sealed(octets: bytes, key: DecryptionKey, *, limit: int | None = None) -> SignedObject:
    """What a sealed message says, for an `ObjectVerifier`: nothing of it is to be used before. As `decrypt`; Malformed
    when there is nothing signed inside, Refused(WRONG_AUDIENCE) when it was signed for others."""
    return signed_part(decrypt(octets, key, limit=limit), limit=limit)


def is_sealed(opened: Opened) -> bool:
    """Whether a signed part is said to be inside."""
    return opened.content_type == SIGN1_CONTENT_FORMAT


def signed_part(opened: Opened, *, limit: int | None = None) -> SignedObject:
    """The signed part of a message that was opened."""
    if not is_sealed(opened):
        raise Malformed("the message holds nothing that is signed")
    signed = parse_sign1(opened.plaintext, typ=TYP, limit=limit)
    assert isinstance(signed.content, Sign1)
    claims = signed.content.headers.protected.get(Header.CWT_CLAIMS)
    check_audience(claims.get(Claim.AUD) if isinstance(claims, dict) else None, opened.recipient)
    return signed
