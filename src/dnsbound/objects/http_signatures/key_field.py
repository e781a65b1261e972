"""`Signature-Key`: the key, or the certificates, of a signer whose records hold digests.

    Signature-Key: dnsbound=hwk;alg="ES256";kty="EC";crv="P-256";x="...";y="..."    a bare key, as a JWK
    Signature-Key: dnsbound=x5c;der=:...:                                   certificates, leaf first, one behind another

The field and `hwk` are those of draft-hardt-httpbis-signature-key, whose versions disagree on whether `hwk` has `alg`:
it is written, and read with and without. The draft has no certificates in the field itself, so `x5c` is ours. The field
is believed where the signature covers it alone, and then no further than any key that a client shows: the records
decide. It is not `Client-Cert` (RFC 9440): that is the word of a front, and fronts take it off what clients send.
"""

from functools import lru_cache
from typing import Final

from http_sf import Token

from dnsbound.credential import der
from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.credential import Credential
from dnsbound.credential.presented import Presented
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.http_limits import HTTP_SIGNATURE_KEY_OCTETS
from dnsbound.limits import PEER_CERTIFICATES
from dnsbound.objects.http_signatures.algorithms import jose_algorithm
from dnsbound.objects.http_signatures.message import HttpRequest, HttpResponse, lines
from dnsbound.objects.http_signatures.structured import dictionary, text_of_dictionary
from dnsbound.objects.jose.jwk import jwk_of, spki_of_jwk

FIELD: Final = "signature-key"
_BARE_KEY: Final = "hwk"
_CERTIFICATES: Final = "x5c"
_REMEMBERED: Final = 4096


def key_field(label: str, credential: Credential) -> str:
    """What the credential shows of itself, for the signature of this label."""
    if credential.chain:
        parameters: dict[str, object] = {"der": b"".join(credential.chain)}
        return text_of_dictionary({label: (Token(_CERTIFICATES), parameters)})
    parameters = {"alg": jose_algorithm(credential.signer), **jwk_of(credential.spki)}
    return text_of_dictionary({label: (Token(_BARE_KEY), parameters)})


def presented_in(message: HttpRequest | HttpResponse, label: str) -> Presented | None:
    """What the signer of this label shows; None when the field says nothing of it. Malformed, LimitExceeded."""
    values = lines(message.fields, FIELD)
    if not values:
        return None
    value = ", ".join(values)
    if len(value) > HTTP_SIGNATURE_KEY_OCTETS.default:
        raise LimitExceeded(HTTP_SIGNATURE_KEY_OCTETS.name, f"{len(value)} octets")
    return _remembered(value, label) if len(value) <= _REMEMBERED else _presented(value, label)


def _presented(value: str, label: str) -> Presented | None:
    members = dictionary(value, FIELD)
    if label not in members:
        return None
    scheme, parameters = members[label]
    if not isinstance(scheme, Token):
        raise Malformed("the scheme of Signature-Key is no token")
    if str(scheme) == _CERTIFICATES:
        octets = parameters.get("der")
        if not isinstance(octets, bytes) or len(parameters) != 1:
            raise Malformed("certificates in Signature-Key are one byte sequence, `der`")
        return Presented(_certificates(octets))
    if str(scheme) == _BARE_KEY:
        if any(type(said) is not str for said in parameters.values()):
            raise Malformed("the key in Signature-Key is made of strings")
        return Presented(raw_public_key=spki_of_jwk(parameters))
    raise Malformed(f"the scheme {str(scheme)[:20]!r} of Signature-Key is not taken")


@lru_cache(maxsize=1024)
def _remembered(value: str, label: str) -> Presented | None:
    """A signer shows the same with every message. Longer fields are read anew: nobody makes the memory large."""
    return _presented(value, label)


def _certificates(octets: bytes) -> tuple[bytes, ...]:
    found: list[bytes] = []
    start = 0
    for _, _, stop in der.elements(octets, 0, len(octets)):
        found.append(octets[start:stop])
        spki_of(found[-1])
        start = stop
        if len(found) > PEER_CERTIFICATES.default:
            raise LimitExceeded(PEER_CERTIFICATES.name, f"more than {PEER_CERTIFICATES.default} certificates")
    if not found:
        raise Malformed("Signature-Key has no certificate")
    return tuple(found)
