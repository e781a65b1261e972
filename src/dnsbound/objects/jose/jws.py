"""JWS in compact form (RFC 7515 section 7.1), and detached (RFC 7797, RFC 7515 appendix F).

`parse` says what a token claims; who signed it is for `dnsbound.ObjectVerifier` to find out. The JSON forms are
`dnsbound.objects.jose.jws_json`.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import PublicKey
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.object_limits import OBJECT_OCTETS
from dnsbound.objects.algorithms import ObjectAlgorithm, choose_algorithm, verify
from dnsbound.objects.algorithms import sign as sign_raw
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.header import HeaderOptions, JoseHeader, media_type, read_header, write_header
from dnsbound.objects.signed import SignedObject

FORM: Final = "JWS"
ANY_TYP: Final = "*"
"""For tools that show what somebody sent. Whoever acts on an object says which type it must be (RFC 8725 3.11)."""


def sign(
    payload: bytes,
    credential: Credential,
    *,
    typ: str | None = None,
    cty: str | None = None,
    algorithm: str | None = None,
    key_in_band: bool = True,
    x5u: bool = True,
    detached: bool = False,
    header: Mapping[str, Any] | None = None,
) -> str:
    """A token in compact form, signed by the credential's key in the credential's name.

    algorithm: a JOSE name; the key's best one without it. key_in_band, x5u: see `HeaderOptions`. detached: the payload
    is signed as it is (`b64` false) and left out; it has to reach the verifier some other way. header: further
    parameters. Misuse for a credential without a name, or an algorithm that is not its key's.
    """
    chosen = choose_algorithm(credential.signer, algorithm)
    options = HeaderOptions(typ=typ, cty=cty, key_in_band=key_in_band, x5u=x5u, b64=not detached)
    protected = write_header(credential, chosen, options, header)
    message = protected + b"." + (payload if detached else base64url.encode(payload))
    signature = base64url.encode(sign_raw(credential.signer, chosen, message))
    return (protected + b".." + signature if detached else message + b"." + signature).decode("ascii")


def parse(
    token: str | bytes,
    *,
    typ: str | None,
    algorithms: Collection[str] | None = None,
    detached: bytes | None = None,
    limit: int | None = None,
) -> SignedObject:
    """What a token in compact form claims; its `content` is the `JoseHeader`.

    typ: the type it must have; None for one that has none. algorithms: JOSE names that are taken, of those that are
    used here. detached: the payload of a token that comes without. limit: octets of a token, OBJECT_OCTETS by default.
    Malformed, or LimitExceeded, otherwise.
    """
    octets = token_octets(token, limit)
    protected, _, rest = octets.partition(b".")
    text, dot, signature = rest.rpartition(b".")
    if not dot:
        raise Malformed("a JWS in compact form has three parts")
    header = expected_header(protected, typ=typ, algorithms=algorithms)
    payload, signed = _payload(header, text, detached)
    return signed_object(header, protected + b"." + signed, base64url.decode(signature, "signature"), payload)


def token_octets(token: str | bytes, limit: int | None = None) -> bytes:
    """Of a token that may still be anything. LimitExceeded when there are too many."""
    if len(token) > OBJECT_OCTETS.checked(limit):
        raise LimitExceeded(OBJECT_OCTETS.name, f"a token of {len(token)} octets")
    try:
        return token.encode("ascii") if isinstance(token, str) else bytes(token)
    except UnicodeEncodeError as error:
        raise Malformed("JWS is not ASCII", error.start) from None


def expected_header(protected: bytes, *, typ: str | None, algorithms: Collection[str] | None) -> JoseHeader:
    """The protected header of an object that must have this type, signed with one of these algorithms."""
    header = read_header(protected)
    if typ != ANY_TYP and header.typ != media_type(typ):
        raise Malformed(f"typ is {header.typ!r}, not {media_type(typ)!r}")
    if algorithms is not None and header.algorithm.jose not in algorithms:
        raise Malformed(f"signature algorithm {header.algorithm.jose} is not taken here")
    return header


def _payload(header: JoseHeader, text: bytes, detached: bytes | None) -> tuple[bytes | None, bytes]:
    """The payload that travels along, and the octets that are signed for it."""
    if detached is not None:
        if text:
            raise Malformed("the payload was given, and the token has one of its own")
        return None, base64url.encode(detached) if header.b64 else detached
    if not text:
        raise Malformed("the token has no payload: a detached one is to be given with it")
    if header.b64:
        return base64url.decode(text, "payload"), text
    if b"." in text or not all(0x20 <= octet <= 0x7E for octet in text):
        raise Malformed("an unencoded payload with other characters is detached (RFC 7797 section 5.2)")
    return text, text


def signed_object(header: JoseHeader, message: bytes, signature: bytes, payload: bytes | None) -> SignedObject:
    """What every form of JWS comes to."""
    return SignedObject(
        name=header.name,
        form=FORM,
        algorithm=header.algorithm.jose,
        presented=header.presented,
        check=_Check(header.algorithm, signature, message),
        payload=payload,
        content=header,
    )


class _Check:
    """`SignedObject.check` of one signature."""

    __slots__ = ("_algorithm", "_message", "_signature")

    def __init__(self, algorithm: ObjectAlgorithm, signature: bytes, message: bytes) -> None:
        self._algorithm = algorithm
        self._signature = signature
        self._message = message

    def __call__(self, key: PublicKey) -> None:
        verify(key, self._algorithm, self._signature, self._message)
