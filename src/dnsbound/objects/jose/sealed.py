"""Signed, then encrypted: a JWS inside a JWE, so that the recipient knows who sent it (RFC 7519 section 11.2).

Who signs a message and lets another encrypt it can be made to seem to write to strangers: the recipient could encrypt
the same signed part again, to somebody else. So the recipients' names are inside, in the signed header's `aud`, and
must hold the name of the key that opened the message. Encryption comes last: nobody else sees who signed.
"""

from collections.abc import Sequence
from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.credential.encryption_keys import DecryptionKey
from dnsbound.errors import Malformed, Misuse
from dnsbound.objects.encryption import Opened, Recipient, check_audience
from dnsbound.objects.jose import jwe
from dnsbound.objects.jose.header import JoseHeader
from dnsbound.objects.jose.jws import parse, sign
from dnsbound.objects.signed import SignedObject

TYP: Final = "dnsbound-sealed+jws"
"""Type of the signed part, which is thereby of no use elsewhere."""
CTY: Final = "JOSE"
_AUDIENCE: Final = "aud"


def seal(
    payload: bytes,
    credential: Credential,
    recipients: Sequence[Recipient],
    *,
    content_type: str | None = None,
    algorithm: str | None = None,
    key_in_band: bool = True,
) -> str:
    """Sign octets with a credential, and encrypt them to names. content_type: what the payload is. Misuse."""
    if not payload:
        raise Misuse("nothing is not sealed: an empty payload looks like one that is detached")
    audience = [recipient.name.canonical for recipient in recipients]
    token = sign(
        payload,
        credential,
        typ=TYP,
        cty=content_type,
        algorithm=algorithm,
        key_in_band=key_in_band,
        header={_AUDIENCE: audience},
    )
    return jwe.encrypt(token.encode("ascii"), recipients, sender=credential.name, cty=CTY)


def open_sealed(token: str | bytes, key: DecryptionKey, *, limit: int | None = None) -> SignedObject:
    """What a sealed message says, for an `ObjectVerifier`: nothing of it is to be used before. As `jwe.decrypt`;
    Malformed when there is nothing signed inside, Refused(WRONG_AUDIENCE) when it was signed for others."""
    return signed_part(jwe.decrypt(token, key, limit=limit), limit=limit)


def is_sealed(opened: Opened) -> bool:
    """Whether a signed part is said to be inside."""
    return isinstance(opened.content_type, str) and opened.content_type.upper() == CTY


def signed_part(opened: Opened, *, limit: int | None = None) -> SignedObject:
    """The signed part of a message that was opened."""
    if not is_sealed(opened):
        raise Malformed("the message holds nothing that is signed")
    signed = parse(opened.plaintext, typ=TYP, limit=limit)
    assert isinstance(signed.content, JoseHeader)
    check_audience(signed.content.members.get(_AUDIENCE), opened.recipient)
    return signed
