"""Making SignedData (RFC 5652 section 5): one signer, always with signed attributes.

The attributes are the content's type and digest, the signing time, the algorithms (RFC 6211) and the signer's
certificate (RFC 5035), so that neither algorithm nor certificate can be exchanged for another afterwards.
"""

from typing import Final

from dnsbound.credential.credential import Credential
from dnsbound.errors import Misuse
from dnsbound.objects.cms import encoding
from dnsbound.objects.cms.algorithms import SigningChoice, digest_of, signing_choice
from dnsbound.objects.cms.signed_data import (
    ALGORITHM_PROTECTION,
    CONTENT_TYPE,
    DATA,
    MESSAGE_DIGEST,
    SIGNED_DATA,
    SIGNING_CERTIFICATE,
    SIGNING_TIME,
    certificate_digest,
)
from dnsbound.objects.cms.signer_certificate import issuer_and_serial_of
from dnsbound.times import Moment

_VERSION: Final = encoding.integer(1)


def sign(payload: bytes, credential: Credential, *, now: Moment, detached: bool = False) -> bytes:
    """DER of a message signed by the credential's key, which brings the credential's certificates along.

    now: the signing time. detached: the content stays where it is. Misuse for a credential without certificate: CMS
    knows signers by theirs; and for a key that CMS has no algorithm for.
    """
    choice = signing_choice(credential.signer)
    return _signed(digest_of(choice.digest, payload), choice, credential, now, None if detached else payload)


def sign_digest(digest: bytes, credential: Credential, *, now: Moment) -> bytes:
    """As `sign`, detached, where the content went by: its digest by `signing_choice`."""
    return _signed(digest, signing_choice(credential.signer), credential, now, None)


def certified(credential: Credential, *, now: Moment) -> Credential:
    """The credential with a certificate: its own, or one that its key signs for itself, which a `3 1 x` record matches
    as well as any. Misuse for a bare key without a name."""
    if credential.chain:
        return credential
    if credential.name is None:
        raise Misuse("the credential has neither certificate nor name")
    return Credential.for_signer(credential.name, credential.signer, now=now)


def _signed(digest: bytes, choice: SigningChoice, credential: Credential, now: Moment, payload: bytes | None) -> bytes:
    if not credential.chain:
        raise Misuse("a CMS signer has a certificate; this credential is a bare key")
    digest_algorithm = encoding.algorithm(choice.digest)
    attributes = _attributes(digest, credential.chain[0], choice, digest_algorithm, now)
    signature = credential.signer.sign(encoding.set_of(*attributes), choice.scheme)
    signer = encoding.sequence(
        _VERSION,
        issuer_and_serial_of(credential.chain[0]),
        digest_algorithm,
        encoding.explicit(0, *attributes),
        choice.algorithm,
        encoding.octet_string(signature),
    )
    content = () if payload is None else (encoding.explicit(0, encoding.octet_string(payload)),)
    signed_data = encoding.sequence(
        _VERSION,
        encoding.set_of(digest_algorithm),
        encoding.sequence(encoding.identifier(DATA), *content),
        encoding.explicit(0, *sorted(credential.chain)),
        encoding.set_of(signer),
    )
    return encoding.sequence(encoding.identifier(SIGNED_DATA), encoding.explicit(0, signed_data))


def _attributes(
    digest: bytes, certificate: bytes, choice: SigningChoice, digest_algorithm: bytes, now: Moment
) -> list[bytes]:
    """The signed attributes, each in DER and all in its order."""
    # RFC 6211 section 2: the signature's identifier is IMPLICIT [1].
    protected = encoding.sequence(digest_algorithm, b"\xa1" + choice.algorithm[1:])
    # The digest of ESSCertIDv2 is SHA-256 unless it says otherwise.
    own = encoding.sequence(encoding.octet_string(certificate_digest(certificate)))
    values = {
        CONTENT_TYPE: encoding.identifier(DATA),
        MESSAGE_DIGEST: encoding.octet_string(digest),
        SIGNING_TIME: encoding.time(now),
        ALGORITHM_PROTECTION: protected,
        SIGNING_CERTIFICATE: encoding.sequence(encoding.sequence(own)),
    }
    return sorted(
        encoding.sequence(encoding.identifier(kind), encoding.set_of(value)) for kind, value in values.items()
    )
