"""A `Signer` in the shape of the `cryptography` package's private keys, so that its certificate and request builders
sign with keys that are elsewhere.

The package's key classes are interfaces made for this; its builders call `sign` and `public_key` and nothing else. What
would read the key, or use it for anything but signing, is Misuse. RSA keys elsewhere sign with PSS alone: what TLS 1.3
asks of them is all that is asked of them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Never, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

from dnsbound.credential.keys import PrivateKey, public_key_from_spki, signature_hash
from dnsbound.credential.signer import LocalSigner, Signer, schemes_of
from dnsbound.errors import Misuse


def private_key_of(signer: Signer) -> PrivateKey:
    """A private key that asks the signer for each signature; a key of this process as it is."""
    if isinstance(signer, LocalSigner):
        return signer.key
    public = public_key_from_spki(signer.spki)
    for shown, held in _SHAPES.items():
        if isinstance(public, shown):
            key: PrivateKey = held(signer, public)
            return key
    raise Misuse(f"nothing is signed with a {type(public).__name__}")


def sign_built(builder: x509.CertificateBuilder | x509.CertificateSigningRequestBuilder, key: PrivateKey) -> Any:  # noqa: ANN401
    """Sign what a builder holds: gives a certificate or a request."""
    rsa_padding = _PSS if isinstance(key, _RSAKey) else None
    return builder.sign(key, signature_hash(key), rsa_padding=rsa_padding)  # type: ignore[arg-type] # hash and key fit


class _KeyElsewhere:
    """What all kinds have in common."""

    def __init__(self, signer: Signer, public: Any) -> None:  # noqa: ANN401 (the public key of its kind)
        self._signer = signer
        self._public = public
        # The scheme goes with what `signature_hash` writes into a certificate.
        self._scheme = schemes_of(public)[0]

    def public_key(self) -> Any:  # noqa: ANN401 (the public key of its kind)
        return self._public

    @property
    def key_size(self) -> int:
        size: int = self._public.key_size
        return size

    @property
    def curve(self) -> ec.EllipticCurve:
        curve: ec.EllipticCurve = self._public.curve
        return curve

    def sign(self, data: Any, *_how: object, **_named: object) -> bytes:  # noqa: ANN401 (a buffer)
        return self._signer.sign(bytes(data), self._scheme)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def _refuse(self, *_arguments: object, **_named: object) -> Never:
        raise Misuse("the private key is not in this process: it signs, and can be neither read nor used otherwise")

    private_bytes = private_bytes_raw = private_numbers = exchange = decrypt = sign_mu = _refuse


class _EllipticCurveKey(_KeyElsewhere, ec.EllipticCurvePrivateKey):
    pass


class _RSAKey(_KeyElsewhere, rsa.RSAPrivateKey):
    pass


class _Ed25519Key(_KeyElsewhere, ed25519.Ed25519PrivateKey):
    pass


class _MLDSA44Key(_KeyElsewhere, mldsa.MLDSA44PrivateKey):
    pass


class _MLDSA65Key(_KeyElsewhere, mldsa.MLDSA65PrivateKey):
    pass


class _MLDSA87Key(_KeyElsewhere, mldsa.MLDSA87PrivateKey):
    pass


_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
_SHAPES: Final[Mapping[type, Any]] = MappingProxyType(
    {
        ec.EllipticCurvePublicKey: _EllipticCurveKey,
        rsa.RSAPublicKey: _RSAKey,
        ed25519.Ed25519PublicKey: _Ed25519Key,
        mldsa.MLDSA44PublicKey: _MLDSA44Key,
        mldsa.MLDSA65PublicKey: _MLDSA65Key,
        mldsa.MLDSA87PublicKey: _MLDSA87Key,
    }
)
