"""JWS in JSON form (RFC 7515 section 7.2): flattened, with one signature, and general, with several.

Each signature is an object of its own, of one signer: a general JWS gives as many `SignedObject`, and one that was
verified says nothing of the others. All of them must parse. What names a signer, its key or the algorithm counts from
the protected header alone, and is refused beside it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dnsbound.credential.credential import Credential
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.object_limits import OBJECT_OCTETS, OBJECT_SIGNATURES
from dnsbound.objects.algorithms import choose_algorithm
from dnsbound.objects.algorithms import sign as sign_raw
from dnsbound.objects.jose import base64url
from dnsbound.objects.jose.header import ONLY_PROTECTED, HeaderOptions, JoseHeader, write_header
from dnsbound.objects.jose.jws import expected_header, signed_object
from dnsbound.objects.jose.strict_json import read_object, write_object
from dnsbound.objects.signed import SignedObject


def sign_flattened(
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
    """A JWS in flattened form, as `dnsbound.objects.jose.sign`."""
    options = HeaderOptions(typ=typ, cty=cty, key_in_band=key_in_band, x5u=x5u, b64=not detached)
    members = _signature(payload, credential, options, algorithm, header)
    return _written(members if detached else {"payload": _payload_text(payload)} | members)


def sign_general(
    payload: bytes,
    credentials: Sequence[Credential],
    *,
    typ: str | None = None,
    cty: str | None = None,
    key_in_band: bool = True,
    x5u: bool = True,
    detached: bool = False,
) -> str:
    """A JWS in general form, signed by each credential with its key's best algorithm. Misuse for none, or more than
    may be read."""
    if not 0 < len(credentials) <= OBJECT_SIGNATURES.default:
        raise Misuse(f"an object is signed by one to {OBJECT_SIGNATURES.default} credentials")
    options = HeaderOptions(typ=typ, cty=cty, key_in_band=key_in_band, x5u=x5u, b64=not detached)
    signatures = [_signature(payload, credential, options, None, None) for credential in credentials]
    members: dict[str, Any] = {} if detached else {"payload": _payload_text(payload)}
    return _written(members | {"signatures": signatures})


def parse_json(
    text: str | bytes, *, typ: str | None, algorithms: Collection[str] | None = None, detached: bytes | None = None
) -> tuple[SignedObject, ...]:
    """What each signature of a JWS in flattened or general form claims, in order; one for a flattened one. The
    arguments are those of `dnsbound.objects.jose.parse`. Malformed when any of them does not parse."""
    members = _members(text)
    flattened = "signature" in members
    if flattened == ("signatures" in members):
        raise Malformed("a JWS in JSON form has either one signature or a list of them")
    signatures = [members] if flattened else members["signatures"]
    if not isinstance(signatures, list) or not signatures:
        raise Malformed("signatures is not a list, or an empty one")
    if len(signatures) > OBJECT_SIGNATURES.default:
        raise LimitExceeded(OBJECT_SIGNATURES.name, f"{len(signatures)} signatures")
    parsed = [_parsed(entry, members, typ, algorithms, detached) for entry in signatures]
    if len({header.b64 for header, _ in parsed}) > 1:
        raise Malformed("b64 is not the same in all signatures (RFC 7797 section 3)")
    return tuple(signed for _, signed in parsed)


def _members(text: str | bytes) -> dict[str, Any]:
    octets = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    if len(octets) > OBJECT_OCTETS.default:
        raise LimitExceeded(OBJECT_OCTETS.name, f"an object of {len(octets)} octets")
    return read_object(octets, "JWS")


def _parsed(
    entry: object,
    members: dict[str, Any],
    typ: str | None,
    algorithms: Collection[str] | None,
    detached: bytes | None,
) -> tuple[JoseHeader, SignedObject]:
    if not isinstance(entry, dict):
        raise Malformed("a signature of the JWS is not an object")
    protected = _ascii(entry, "protected")
    header = expected_header(protected, typ=typ, algorithms=algorithms)
    _expect_harmless(entry.get("header", {}), header)
    payload, signed = _payload(header, members, detached)
    signature = base64url.decode_member(entry.get("signature"), "signature")
    return header, signed_object(header, protected + b"." + signed, signature, payload)


def _expect_harmless(unprotected: object, header: JoseHeader) -> None:
    """RFC 7515 section 4: the two headers have no name in common; here, none that decides anything either."""
    if not isinstance(unprotected, dict):
        raise Malformed("the unprotected header is not an object")
    if deciding := unprotected.keys() & ONLY_PROTECTED:
        raise Malformed(f"{min(deciding)} stands in the unprotected header")
    if not unprotected.keys().isdisjoint(header.members):
        raise Malformed("a parameter stands in both headers")


def _payload(header: JoseHeader, members: dict[str, Any], detached: bytes | None) -> tuple[bytes | None, bytes]:
    """The payload that travels along, and the octets that are signed for it."""
    if detached is not None:
        if "payload" in members:
            raise Malformed("the payload was given, and the object has one of its own")
        return None, base64url.encode(detached) if header.b64 else detached
    if "payload" not in members:
        raise Malformed("the object has no payload: a detached one is to be given with it")
    if header.b64:
        text = _ascii(members, "payload")
        return base64url.decode(text, "payload"), text
    if not isinstance(members["payload"], str):
        raise Malformed("payload is not a text")
    octets = members["payload"].encode("utf-8")
    return octets, octets


def _ascii(members: dict[str, Any], member: str) -> bytes:
    value = members.get(member)
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"{member} is not there, or not a text in base64url")
    return value.encode("ascii")


def _signature(
    payload: bytes,
    credential: Credential,
    options: HeaderOptions,
    algorithm: str | None,
    extra: Mapping[str, Any] | None,
) -> dict[str, Any]:
    chosen = choose_algorithm(credential.signer, algorithm)
    protected = write_header(credential, chosen, options, extra)
    signed = base64url.encode(payload) if options.b64 else payload
    signature = sign_raw(credential.signer, chosen, protected + b"." + signed)
    return {"protected": protected.decode("ascii"), "signature": base64url.encode(signature).decode("ascii")}


def _payload_text(payload: bytes) -> str:
    return base64url.encode(payload).decode("ascii")


def _written(members: dict[str, Any]) -> str:
    return write_object(members).decode("utf-8")
