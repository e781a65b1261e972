"""The statement of a DNS name about keys of an XMPP address: which OMEMO devices and OpenPGP keys are its own.

A signed JWT of type `dnsbound-e2e+jwt`, published where everybody who writes to the address looks for its keys:

    {"iss": "car54._device.cars.example", "sub": "car54@xmpp.example", "iat": ..., "exp": ...,
     "omemo": [{"device": 1234, "ik": "<32 octets of Ed25519, base64url>"}], "ox": ["<fingerprint>"]}

It lists all keys the name vouches for; a newer statement of the name about the address takes the older one's place, and
one that lists none takes all of them back. Whoever signs says what is his, and proves by the DNS who he is; the server
of XMPP, which stores the statement, cannot put another key in. What OMEMO and OpenPGP then do with the keys is theirs
(XEP-0384, XEP-0373). Nothing here says that a message is from the name: keys are trusted, and messages by them.

The key that signs is never one of those listed: an OMEMO key is used for X25519 as well, in a protocol that signs
octets of its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, Self

from dnsbound.credential.credential import Credential
from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.object_limits import ATTESTATION_SECONDS, ATTESTED_KEYS
from dnsbound.objects.bare_jid import BareJid
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.jwt import JwtClaims, parse_jwt, sign_jwt
from dnsbound.objects.omemo_key import OmemoKey, curve25519_form
from dnsbound.objects.signed import SignedObject
from dnsbound.times import Moment, Seconds, iso

NODE: Final = "urn:dnsbound:e2e:0"
"""The PEP node (XEP-0163) it is published at, an item for each name, and the namespace of the element around it."""
TYP: Final = "dnsbound-e2e+jwt"
LIFETIME: Final[Seconds] = 7 * 86_400.0
_FINGERPRINT: Final = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
"""Of an OpenPGP key of version 4, or 6 (RFC 9580 section 5.5.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What a name says of an address, and for how long."""

    name: ClientName
    jid: BareJid
    omemo: tuple[OmemoKey, ...] = ()
    ox: tuple[str, ...] = ()
    """Fingerprints of OpenPGP keys: 40 or 64 digits, in upper case."""
    issued_at: Moment
    expires_at: Moment

    def __post_init__(self) -> None:
        if max(len(self.omemo), len(self.ox)) > ATTESTED_KEYS.default:
            raise Malformed(f"attestation with more than {ATTESTED_KEYS.default} keys of a kind")
        if len({key.device for key in self.omemo}) < len(self.omemo) or len(set(self.ox)) < len(self.ox):
            raise Malformed("attestation that lists a device or a key twice")
        if not all(_FINGERPRINT.fullmatch(text) for text in self.ox):
            raise Malformed("attestation with a fingerprint that is none of OpenPGP's, or is not in upper case")
        if not 0 < self.expires_at - self.issued_at <= ATTESTATION_SECONDS.default:
            raise Malformed(f"attestation that does not end within {ATTESTATION_SECONDS.default} s of its making")

    @classmethod
    def from_claims(cls, claims: JwtClaims) -> Self:
        """Malformed when they say something else, or too much."""
        if claims.issued_at is None or claims.expires is None or claims.subject is None:
            raise Malformed("attestation without sub, iat or exp")
        return cls(
            name=claims.header.name,
            jid=BareJid.parse(claims.subject),
            omemo=tuple(_omemo_key(entry) for entry in _entries(claims.members, "omemo")),
            ox=tuple(_text(entry) for entry in _entries(claims.members, "ox")),
            issued_at=claims.issued_at,
            expires_at=claims.expires,
        )

    def to_claims(self) -> dict[str, Any]:
        """`from_claims` reads them again."""
        omemo = [{"device": key.device, "ik": base64url.encode(key.identity_key).decode("ascii")} for key in self.omemo]
        return {
            "iss": self.name.canonical,
            "sub": self.jid.to_text(),
            "iat": int(self.issued_at),
            "exp": int(self.expires_at),
            "omemo": omemo,
            "ox": list(self.ox),
        }

    def lists(self, identity_key: bytes) -> bool:
        """Whether the OMEMO key is one of those listed, in either of its forms' signs. Malformed for no key."""
        wanted = curve25519_form(identity_key)
        return any(curve25519_form(key.identity_key) == wanted for key in self.omemo)

    def check_apart_from(self, spki_sha256: bytes) -> None:
        """Refused(KEY_REUSED) when the key with this digest, which signs, is one of those listed."""
        if any(key.is_key_of(spki_sha256) for key in self.omemo):
            raise Refused(Reason.KEY_REUSED, f"{self.name.canonical} lists the key in its own record as a key of OMEMO")


def attest(
    credential: Credential,
    jid: str,
    *,
    omemo: Sequence[OmemoKey] = (),
    ox: Sequence[str] = (),
    now: Moment,
    lifetime: Seconds = LIFETIME,
) -> str:
    """A statement by the credential's name, in compact form. ox: fingerprints as any tool prints them. Misuse for a
    credential without a name, for a key that is its own, and for what is no address, key or fingerprint."""
    if credential.name is None:
        raise Misuse("the credential has no name to sign by")
    try:
        attestation = Attestation(
            name=credential.name,
            jid=BareJid.parse(jid),
            omemo=tuple(omemo),
            ox=tuple(text.replace(" ", "").upper() for text in ox),
            issued_at=float(int(now)),
            expires_at=float(int(now + lifetime)),
        )
        attestation.check_apart_from(sha256(credential.spki).digest())
    except (Malformed, Refused) as error:
        raise Misuse(str(error)) from error
    return sign_jwt(attestation.to_claims(), credential, now=now, lifetime=lifetime, typ=TYP)


def parse_attestation(token: str | bytes, *, jid: BareJid, now: Moment) -> SignedObject:
    """What somebody says of the address, for an ObjectVerifier; its `content` is the `Attestation`, and nothing of it
    is trusted yet. jid: where it was found. Malformed when it is none; Refused with STALE when it does not hold now,
    with NOT_LINKED when it is about another address, with KEY_REUSED when it lists the key that it brings along."""
    signed = parse_jwt(token, now=now, audience=None, typ=TYP)
    assert isinstance(signed.content, JwtClaims)
    attestation = Attestation.from_claims(signed.content)
    if now >= attestation.expires_at:
        raise Refused(Reason.STALE, f"the attestation ended at {iso(attestation.expires_at)}")
    if attestation.jid != jid:
        raise Refused(Reason.NOT_LINKED, f"the attestation is about {attestation.jid}, not {jid}")
    if not signed.presented.is_empty:
        attestation.check_apart_from(sha256(signed.presented.spki).digest())
    return replace(signed, form=TYP, content=attestation)


def _entries(members: Mapping[str, Any], member: str) -> list[Any]:
    value = members.get(member, [])
    if not isinstance(value, list) or len(value) > ATTESTED_KEYS.default:
        raise Malformed(f"attestation whose {member} is no list, or has more than {ATTESTED_KEYS.default} entries")
    return value


def _omemo_key(entry: object) -> OmemoKey:
    if not isinstance(entry, dict) or type(entry.get("device")) is not int:
        raise Malformed("attestation with an OMEMO entry that has no device number")
    return OmemoKey(device=entry["device"], identity_key=base64url.decode_member(entry.get("ik"), "ik"))


def _text(entry: object) -> str:
    if not isinstance(entry, str):
        raise Malformed("attestation with a fingerprint that is no text")
    return entry
