"""COSE_Sign1: one signature, by the key of one name (RFC 9052 sections 4.2 and 4.4).

The signer is named by `kid`, the name's octets, among the protected headers; `x5u` may say the same as a `dns:` URI.
The key comes along as `x5chain`, or for a bare key as `kccs`, a claims set with the key in `cnf` (RFC 9528 section
3.5.2): COSE has no header of its own for a bare key. Both are protected, so that RFC 9360 section 2 is met without
`x5t`. Nothing that parses here is to be believed before an `ObjectVerifier` has verified it.

    octets = sign1(report, credential)
    verified = await verifier.verify(parse_sign1(octets, typ=None))
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import PublicKey
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.object_limits import OBJECT_OCTETS
from dnsbound.objects.algorithms import ObjectAlgorithm, algorithm_of_cose, choose_algorithm, sign, verify
from dnsbound.objects.cbor import CBORTag, byte_string, from_cbor, to_cbor
from dnsbound.objects.cose.headers import HeaderMap, Headers
from dnsbound.objects.cose.labels import SIGN1_TAG, URI_TAG, Header
from dnsbound.objects.cose.signer_headers import key_headers, signer_and_key
from dnsbound.objects.signed import SignedObject
from dnsbound.objects.signer_name import signer_uri

FORM: Final = "COSE_Sign1"
ANY_TYP: Final = "*"
"""For tools that show what somebody sent. Whoever acts on an object says which type it must be (RFC 8725 3.11)."""
UNDERSTOOD: Final = frozenset(
    {
        Header.ALG,
        Header.CRIT,
        Header.CONTENT_TYPE,
        Header.KID,
        Header.KCCS,
        Header.CWT_CLAIMS,
        Header.TYP,
        Header.X5CHAIN,
        Header.X5T,
        Header.X5U,
    }
)
"""Labels that may be critical."""
_NULL, _FOUR, _TAGGED = b"\xf6", b"\x84", bytes((0xC0 | SIGN1_TAG,))
_CONTEXT: Final = _FOUR + to_cbor("Signature1")
"""Where a Sig_structure begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign1:
    """The four parts of the message, before anything is asked of them."""

    headers: Headers
    payload: bytes | None = field(repr=False)
    """None where it is detached."""
    signature: bytes = field(repr=False)

    @classmethod
    def from_wire(cls, octets: bytes, *, untagged: bool = True, limit: int | None = None) -> Self:
        """Read a message with or without tag 18. untagged: False takes the tagged form alone. limit: octets,
        OBJECT_OCTETS by default. Malformed, LimitExceeded."""
        expect_octets(octets, limit)
        return cls.from_item(from_cbor(octets, FORM), untagged=untagged)

    @classmethod
    def from_item(cls, item: object, *, untagged: bool = True) -> Self:
        if isinstance(item, CBORTag):
            if item.tag != SIGN1_TAG:
                raise Malformed(f"{FORM} has tag {item.tag}, not {SIGN1_TAG}")
            item = item.value
        elif not untagged:
            raise Malformed(f"{FORM} without its tag")
        if not isinstance(item, list) or len(item) != 4:
            raise Malformed(f"{FORM} is no array of four")
        protected, unprotected, payload, signature = item
        if payload is not None and not isinstance(payload, bytes):
            raise Malformed(f"{FORM} has a payload that is no byte string")
        if not isinstance(signature, bytes):
            raise Malformed(f"{FORM} has a signature that is no byte string")
        headers = Headers.from_items(protected, unprotected, FORM)
        return cls(headers=headers, payload=payload, signature=signature)

    def to_wire(self, *, tagged: bool = True) -> bytes:
        payload = _NULL if self.payload is None else byte_string(self.payload)
        headers = byte_string(self.headers.protected_octets) + to_cbor(dict(self.headers.unprotected))
        return (_TAGGED if tagged else b"") + _FOUR + headers + payload + byte_string(self.signature)

    @property
    def content_type(self) -> str | int | None:
        """The payload's media type or CoAP content format, as signed."""
        return self.headers.text_or_number(Header.CONTENT_TYPE, FORM)

    @property
    def typ(self) -> str | int | None:
        """The whole object's type (RFC 9596), as signed."""
        return self.headers.text_or_number(Header.TYP, FORM)

    @property
    def algorithm(self) -> ObjectAlgorithm:
        """Malformed without a protected one that is used here."""
        return algorithm_of_cose(self.headers.algorithm(FORM))

    def check_with(self, payload: bytes, external_aad: bytes) -> Callable[[PublicKey], None]:
        """A check that raises BadSignature unless the signature over the payload is a key's."""
        algorithm = self.algorithm
        message = to_be_signed(self.headers.protected_octets, external_aad, payload)

        def check(key: PublicKey) -> None:
            verify(key, algorithm, self.signature, message)

        return check


def to_be_signed(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """The encoded Sig_structure (RFC 9052 section 4.4)."""
    return _CONTEXT + byte_string(protected) + byte_string(external_aad) + byte_string(payload)


def sign1(
    payload: bytes,
    credential: Credential,
    *,
    algorithm: str | None = None,
    content_type: str | int | None = None,
    typ: str | int | None = None,
    claims: Mapping[int | str, Any] | None = None,
    headers: HeaderMap | None = None,
    key_in_band: bool = True,
    uri: bool = False,
    detached: bool = False,
    external_aad: bytes = b"",
    tagged: bool = True,
) -> bytes:
    """Sign octets with a credential.

    algorithm: its JOSE name, the key's best by default. content_type, typ: what the payload, and the whole object, is.
    claims: CWT claims for the header (RFC 9597). headers: more protected ones. key_in_band: False where the name's
    record holds the whole key. uri: name the signer as `x5u` too. detached: leave the payload out. external_aad: signed
    too, and sent another way. Misuse for what the credential cannot do.
    """
    if credential.name is None:
        raise Misuse("the credential has no name, so nobody could look its key up")
    chosen = choose_algorithm(credential.signer, algorithm)
    more = dict(headers or {})
    more |= {} if claims is None else {Header.CWT_CLAIMS: dict(claims)}
    more |= {} if content_type is None else {Header.CONTENT_TYPE: content_type}
    more |= {} if typ is None else {Header.TYP: typ}
    stated = _Stated(chosen, credential.name.canonical, credential.spki, credential.chain, key_in_band, uri)
    made = _headers(stated, more) if more else _stated_headers(stated)
    signature = sign(credential.signer, chosen, to_be_signed(made.protected_octets, external_aad, payload))
    message = Sign1(headers=made, payload=None if detached else payload, signature=signature)
    return message.to_wire(tagged=tagged)


class _Stated(NamedTuple):
    """What a signer says of himself."""

    algorithm: ObjectAlgorithm
    name: str
    spki: bytes
    chain: tuple[bytes, ...]
    key_in_band: bool
    uri: bool


@lru_cache(maxsize=256)
def _stated_headers(stated: _Stated) -> Headers:
    """The same in every object of a signer's that says no more."""
    return _headers(stated, {})


def _headers(stated: _Stated, more: HeaderMap) -> Headers:
    protected: dict[int | str, Any] = {Header.ALG: stated.algorithm.cose[0], Header.KID: stated.name.encode("ascii")}
    protected |= {Header.X5U: CBORTag(URI_TAG, signer_uri(ClientName.parse(stated.name)))} if stated.uri else {}
    protected |= key_headers(stated.name, stated.spki, stated.chain) if stated.key_in_band else {}
    if more.keys() & protected.keys():
        raise Misuse("a header that is given has another meaning already")
    return Headers.of(protected | dict(more))


def parse_sign1(
    octets: bytes,
    *,
    typ: str | int | None,
    algorithms: Collection[str] | None = None,
    detached: bytes | None = None,
    external_aad: bytes = b"",
    untagged: bool = True,
    limit: int | None = None,
) -> SignedObject:
    """What somebody says to have signed; for an `ObjectVerifier`.

    typ: the type it must have; None for one that has none. algorithms: JOSE names that are taken, of those that are
    used here. detached: the payload of an object that comes without. Malformed, or LimitExceeded, otherwise.
    """
    return signed_object(
        Sign1.from_wire(octets, untagged=untagged, limit=limit),
        typ=typ,
        allowed=algorithms,
        detached=detached,
        external_aad=external_aad,
    )


def signed_object(
    message: Sign1,
    *,
    typ: str | int | None,
    allowed: Collection[str] | None = None,
    detached: bytes | None = None,
    external_aad: bytes = b"",
    understood: frozenset[int] = UNDERSTOOD,
    form: str = FORM,
    content: object = None,
) -> SignedObject:
    """The same for a message that is read already. understood: labels that may be critical. form, content: of what is
    returned; the message by default."""
    headers = message.headers
    headers.check_critical(understood, FORM)
    if Header.PAYLOAD_HASH_ALG in headers.protected and Header.PAYLOAD_HASH_ALG not in understood:
        raise Malformed(f"{FORM} holds a digest, not the content (RFC 9995)")
    algorithm = message.algorithm
    if allowed is not None and algorithm.jose not in allowed:
        raise Malformed(f"{FORM} is signed with {algorithm.jose}, which is not taken here")
    _expect_type(message, typ)
    message.content_type  # noqa: B018 (raises for one that is none)
    payload = _whole_payload(message, detached)
    name, presented = signer_and_key(headers)
    return SignedObject(
        name=name,
        form=form,
        algorithm=algorithm.jose,
        presented=presented,
        check=message.check_with(payload, external_aad),
        payload=message.payload,
        content=message if content is None else content,
    )


def _whole_payload(message: Sign1, detached: bytes | None) -> bytes:
    if message.payload is None and detached is None:
        raise Malformed(f"{FORM} has no payload: a detached one is to be given with it")
    if message.payload is not None and detached is not None:
        raise Malformed(f"the payload was given, and the {FORM} has one of its own")
    return message.payload if message.payload is not None else (detached or b"")


def _expect_type(message: Sign1, typ: object) -> None:
    stated = message.typ
    if typ == ANY_TYP:
        return
    same = stated == typ
    if isinstance(stated, str) and isinstance(typ, str):
        same = media_type(stated) == media_type(typ)
    if not same:
        raise Malformed(f"{FORM} says its type is {stated!r:.60}, not {typ!r:.60}")


def media_type(text: str) -> str:
    """As types are compared. RFC 9596 section 2: `application/` may be left out, and case does not count."""
    lower = text.lower()
    return lower.removeprefix("application/") if lower.count("/") == 1 else lower


def expect_octets(octets: bytes, limit: int | None) -> None:
    longest = OBJECT_OCTETS.checked(limit)
    if len(octets) > longest:
        raise LimitExceeded(OBJECT_OCTETS.name, f"{len(octets)} octets, {longest} are read")
