"""Private keys on PKCS #11 tokens as a `Signer`: found by URI, made there, and never taken out.

What a key may do is asked of the token: an elliptic curve key signs by CKM_ECDSA, an RSA key by PSS, an Ed25519 key by
CKM_EDDSA, each only where the token has the mechanism. Digests are made here. The extra `dnsbound[pkcs11]` is needed.
Not here: sessions and PINs (`pkcs11_token`), URIs (`dnsbound.credential.pkcs11_uri`). Sections: PKCS #11 v2.40 base
profile; its v3.0 mechanisms section 2.3 for Ed25519.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from dnsbound.credential import der
from dnsbound.credential.keys import KeyAlgorithm, KeyFacts, PublicKey, public_key_from_spki, spki_der
from dnsbound.credential.pkcs11_uri import Pkcs11Uri
from dnsbound.credential.signer import hash_of, schemes_of
from dnsbound.edge.pkcs11_token import AskPin, Token, load_pkcs11
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import SignatureScheme

if TYPE_CHECKING:
    import pkcs11

ID_OCTETS: Final = 8
"""Of the identifiers given to keys made here."""

_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "1.2.840.10045.3.1.7": ec.SECP256R1,
    "1.3.132.0.34": ec.SECP384R1,
    "1.3.132.0.35": ec.SECP521R1,
}
_P256: Final = bytes.fromhex("06082a8648ce3d030107")
_ED25519: Final = bytes.fromhex("06032b6570")


class NoSuchKey(Misuse):
    """The token is there, the key is not."""


class Pkcs11Key:
    """A private key on a token. Threads may share it; its module signs one thing at a time."""

    def __init__(self, token: Token, uri: Pkcs11Uri) -> None:
        self._token = token
        self._wanted = uri
        self._generation = -1
        self._handle: Any = None
        public, self.uri, self.is_extractable, self._asks_each_time = token.use(self._look)
        self.spki: Final = spki_der(public)
        """DER SubjectPublicKeyInfo of the public half."""
        self.schemes: Final = _schemes(public, token)
        """What the token signs handshakes with, best first."""
        if not self.schemes:
            words = KeyFacts.of(public, b"").algorithm
            raise Misuse(f"{self.uri}: the token has no mechanism that signs handshakes with a {words} key")

    uri: Pkcs11Uri
    """Finds this key again: the token, its label and its identifier."""
    is_extractable: bool
    """The token would give the key out."""

    @classmethod
    def open(cls, uri: Pkcs11Uri | str, *, ask_pin: AskPin | None = None) -> Self:
        """The one key a URI names. ask_pin: asks a person, where neither the URI's file nor the environment has the
        PIN. Misuse, in one line, for everything that stands in the way; Malformed for what is no URI."""
        uri = Pkcs11Uri.parse(uri) if isinstance(uri, str) else uri
        return cls(Token(uri, ask_pin), uri)

    @classmethod
    def make(
        cls,
        uri: Pkcs11Uri | str,
        algorithm: KeyAlgorithm = KeyAlgorithm.P256,
        *,
        ask_pin: AskPin | None = None,
    ) -> Self:
        """A fresh key on the token, sensitive and not extractable, under the URI's label and identifier. Misuse when
        there is one already."""
        uri = Pkcs11Uri.parse(uri) if isinstance(uri, str) else uri
        if uri.object is None:
            raise Misuse(f"{uri}: a key that is to be made needs a label (object=)")
        token = Token(uri, ask_pin)
        _check_can_make(token, uri, algorithm)
        made = replace(uri, id=uri.id if uri.id is not None else secrets.token_bytes(ID_OCTETS))
        if token.use(lambda session: len(_private_keys(session, replace(uri, id=None)))):
            raise Misuse(f"{uri}: there is such a key already")
        token.use_writable(lambda session: _generate(session, made, algorithm))
        return cls(token, made)

    @property
    def needs_human(self) -> bool:
        """The token asks for its PIN or a touch by itself: at its own keys or for each signature."""
        return self._token.pin_at_the_token or self._asks_each_time

    def sign(self, message: bytes, scheme: SignatureScheme) -> bytes:
        if scheme not in self.schemes:
            raise Misuse(f"this key does not sign with {scheme.name}")
        return self._token.use(lambda session: self._sign(session, message, scheme))

    def destroy(self) -> None:
        """Take the key off the token, for good."""

        def remove(session: "pkcs11.Session") -> None:
            for item in (*_private_keys(session, self.uri), *_public_keys(session, self.uri)):
                item.destroy()

        self._token.use_writable(remove)

    def _look(self, session: "pkcs11.Session") -> tuple[PublicKey, Pkcs11Uri, bool, bool]:
        library = load_pkcs11()
        found = _private_keys(session, self._wanted)
        if not found:
            raise NoSuchKey(f"{self._wanted}: no such private key on the token")
        if len(found) > 1:
            raise Misuse(f"{self._wanted}: {len(found)} keys fit; name one by object= or id=")
        [self._handle] = found
        self._generation = self._token.generation
        label, ident = self._handle.label or None, self._handle.id or None
        uri = replace(self._wanted, token=self._token.label, object=label, id=ident)
        attribute = library.Attribute
        return (
            _public_half(session, self._handle, uri),
            uri,
            _flag(self._handle, attribute.EXTRACTABLE),
            _flag(self._handle, attribute.ALWAYS_AUTHENTICATE),
        )

    def _sign(self, session: "pkcs11.Session", message: bytes, scheme: SignatureScheme) -> bytes:
        if self._handle is None or self._generation != self._token.generation:
            found = _private_keys(session, self.uri)
            if len(found) != 1:
                raise Misuse(f"{self.uri}: the key is not on the token any more")
            [self._handle] = found
            self._generation = self._token.generation
        mechanism, parameter, octets, form = _operation(message, scheme)
        pin = self._token.pin if self._asks_each_time else None
        signature: bytes = self._handle.sign(octets, mechanism=mechanism, mechanism_param=parameter, pin=pin)
        return form(signature)


def _operation(message: bytes, scheme: SignatureScheme) -> tuple[int, Any, bytes, Callable[[bytes], bytes]]:
    """Mechanism, its parameter, what it is given, and what its output becomes."""
    library = load_pkcs11()
    if scheme is SignatureScheme.ED25519:
        return library.Mechanism.EDDSA, None, message, bytes
    kind = hash_of(scheme)
    digest = hashes.Hash(kind)
    digest.update(message)
    if scheme in _PSS:
        names = f"SHA{kind.digest_size * 8}"
        parameter = (library.Mechanism[names], library.MGF[names], kind.digest_size)
        return library.Mechanism.RSA_PKCS_PSS, parameter, digest.finalize(), bytes
    return library.Mechanism.ECDSA, None, digest.finalize(), _der_of_pair


_PSS: Final = frozenset(
    {SignatureScheme.RSA_PSS_RSAE_SHA256, SignatureScheme.RSA_PSS_RSAE_SHA384, SignatureScheme.RSA_PSS_RSAE_SHA512}
)


def _der_of_pair(signature: bytes) -> bytes:
    """PKCS #11 writes r and s side by side, TLS as DER."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def _schemes(public: PublicKey, token: Token) -> tuple[SignatureScheme, ...]:
    has = token.mechanisms()
    return tuple(scheme for scheme in schemes_of(public) if _mechanism(scheme) in has)


def _mechanism(scheme: SignatureScheme) -> int | None:
    if scheme in {SignatureScheme.MLDSA44, SignatureScheme.MLDSA65, SignatureScheme.MLDSA87}:
        return None
    return int(_operation(b"", scheme)[0])


def _private_keys(session: "pkcs11.Session", uri: Pkcs11Uri) -> list[Any]:
    return _objects(session, load_pkcs11().ObjectClass.PRIVATE_KEY, uri)


def _public_keys(session: "pkcs11.Session", uri: Pkcs11Uri) -> list[Any]:
    return _objects(session, load_pkcs11().ObjectClass.PUBLIC_KEY, uri)


def _objects(session: "pkcs11.Session", kind: int, uri: Pkcs11Uri) -> list[Any]:
    attribute = load_pkcs11().Attribute
    wanted: dict[Any, Any] = {attribute.CLASS: kind}
    if uri.object is not None:
        wanted[attribute.LABEL] = uri.object
    if uri.id is not None:
        wanted[attribute.ID] = uri.id
    return list(session.get_objects(wanted))


def _flag(key: Any, attribute: int) -> bool:  # noqa: ANN401 (an object of the token)
    """A yes-or-no attribute; one the token does not know is no."""
    with suppress(load_pkcs11().PKCS11Error):
        return bool(key[attribute])
    return False


def _public_half(session: "pkcs11.Session", key: Any, uri: Pkcs11Uri) -> PublicKey:  # noqa: ANN401 (a token's key)
    """From the public key beside the private one, or from a certificate; an RSA private key shows it itself."""
    library = load_pkcs11()
    if key.key_type == library.KeyType.RSA:
        return _rsa_public(key)
    by_id = Pkcs11Uri(id=uri.id) if uri.id is not None else Pkcs11Uri(object=uri.object)
    for public in _public_keys(session, by_id):
        return _point_public(public, uri)
    for certificate in _objects(session, library.ObjectClass.CERTIFICATE, by_id):
        from dnsbound.credential.certificate_facts import spki_of

        return public_key_from_spki(spki_of(certificate[library.Attribute.VALUE]))
    raise Misuse(f"{uri}: the token shows neither public key nor certificate beside the private key")


def _rsa_public(key: Any) -> PublicKey:  # noqa: ANN401 (a token's key)
    attribute = load_pkcs11().Attribute
    modulus = int.from_bytes(key[attribute.MODULUS], "big")
    exponent = int.from_bytes(key[attribute.PUBLIC_EXPONENT], "big")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _point_public(public: Any, uri: Pkcs11Uri) -> PublicKey:  # noqa: ANN401 (a token's key)
    library = load_pkcs11()
    point = _unwrapped(public[library.Attribute.EC_POINT])
    try:
        if public.key_type == library.KeyType.EC_EDWARDS:
            return ed25519.Ed25519PublicKey.from_public_bytes(point)
        parameters = public[library.Attribute.EC_PARAMS]
        start, end = der.expect(parameters, 0, len(parameters), der.OBJECT_IDENTIFIER, "curve")
        curve = _CURVES[der.oid_text(parameters[start:end])]
        return ec.EllipticCurvePublicKey.from_encoded_point(curve(), point)
    except (KeyError, ValueError, Malformed) as error:
        raise Misuse(f"{uri}: a key on P-256, P-384, P-521 or Ed25519 is needed") from error


def _unwrapped(point: bytes) -> bytes:
    """CKA_EC_POINT is a DER OCTET STRING; some tokens leave the wrapping out."""
    with suppress(Malformed):
        start, end = der.expect(point, 0, len(point), der.OCTET_STRING, "point")
        if end == len(point):
            return point[start:end]
    return point


def _generate(session: "pkcs11.Session", uri: Pkcs11Uri, algorithm: KeyAlgorithm) -> None:
    library = load_pkcs11()
    attribute, as_it_likes = library.Attribute, library.DEFAULT
    private = {
        attribute.SENSITIVE: True,
        attribute.EXTRACTABLE: False,
        attribute.PRIVATE: True,
        attribute.SIGN: True,
        # Some tokens, TPMs among them, refuse to be told what they decide themselves.
        attribute.DECRYPT: as_it_likes,
        attribute.UNWRAP: as_it_likes,
        attribute.DERIVE: as_it_likes,
    }
    public = {attribute.VERIFY: True, attribute.ENCRYPT: as_it_likes, attribute.WRAP: as_it_likes}
    named = {"id": uri.id, "label": uri.object, "store": True}
    templates = {"public_template": public, "private_template": private}
    match algorithm:
        case KeyAlgorithm.RSA2048 | KeyAlgorithm.RSA3072:
            bits = 2048 if algorithm is KeyAlgorithm.RSA2048 else 3072
            pair = session.generate_keypair(library.KeyType.RSA, bits, **named, **templates)
        case KeyAlgorithm.ED25519:
            curve = _on_curve(session, library.KeyType.EC_EDWARDS, _ED25519)
            pair = curve.generate_keypair(mechanism=library.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, **named, **templates)
        case _:
            pair = _on_curve(session, library.KeyType.EC, _P256).generate_keypair(**named, **templates)
    if _flag(pair[1], attribute.EXTRACTABLE) or not _flag(pair[1], attribute.SENSITIVE):
        for item in pair:
            item.destroy()
        raise Misuse(f"{uri}: the token made a key that could be taken out; it was removed")


def _check_can_make(token: Token, uri: Pkcs11Uri, algorithm: KeyAlgorithm) -> None:
    mechanism = load_pkcs11().Mechanism
    signs = {
        KeyAlgorithm.P256: mechanism.ECDSA,
        KeyAlgorithm.ED25519: mechanism.EDDSA,
        KeyAlgorithm.RSA2048: mechanism.RSA_PKCS_PSS,
        KeyAlgorithm.RSA3072: mechanism.RSA_PKCS_PSS,
    }
    if algorithm not in signs:
        raise Misuse(f"{algorithm} keys are not made on tokens: p256, ed25519, rsa2048 and rsa3072 are")
    if int(signs[algorithm]) not in token.mechanisms():
        raise Misuse(f"{uri}: the token has no mechanism that signs handshakes with an {algorithm} key")


def _on_curve(session: "pkcs11.Session", kind: Any, parameters: bytes) -> Any:  # noqa: ANN401 (a KeyType; domain parameters)
    return session.create_domain_parameters(kind, {load_pkcs11().Attribute.EC_PARAMS: parameters}, local=True)
