"""Making TLSA association data from certificates and keys (RFC 6698 section 2.1, RFC 7671 section 5).

One function per thing a record can be made from; `Credential.tlsa` chooses among them. Matching is in `matching`.
"""

from collections.abc import Callable
from hashlib import sha256, sha512
from typing import Final

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.presented import Presented
from dnsbound.errors import Misuse
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.records.tlsa import TLSA

DIGESTS: Final[dict[int, Callable[[bytes], bytes]]] = {
    MatchingType.FULL: bytes,
    MatchingType.SHA2_256: lambda octets: sha256(octets).digest(),
    MatchingType.SHA2_512: lambda octets: sha512(octets).digest(),
}
"""From the selected octets to association data, by matching type."""


def tlsa_for_certificate(
    certificate: bytes,
    usage: Usage = Usage.DANE_EE,
    selector: Selector = Selector.SPKI,
    matching_type: MatchingType = MatchingType.SHA2_256,
) -> TLSA:
    """The record that names this DER certificate, or its key. The certificate is the leaf for usages 1 and 3, an
    authority's for usages 0 and 2. Malformed when the octets are no certificate."""
    key = spki_of(certificate)
    return _record(certificate if selector == Selector.CERT else key, usage, selector, matching_type)


def tlsa_for_spki(
    spki: bytes,
    usage: Usage = Usage.DANE_EE,
    matching_type: MatchingType = MatchingType.SHA2_256,
) -> TLSA:
    """The record that names this DER SubjectPublicKeyInfo (selector 1).

    A raw public key goes with usage 3 alone (draft-ietf-dance-client-auth section 9); the other usages name the key of
    a certificate.
    """
    return _record(spki, usage, Selector.SPKI, matching_type)


def tlsa_for_presented(
    presented: Presented,
    usage: Usage = Usage.DANE_EE,
    selector: Selector = Selector.SPKI,
    matching_type: MatchingType = MatchingType.SHA2_256,
) -> TLSA:
    """The record that matches what a client presents. Usages 0 and 2 name the last certificate of its chain, which
    RFC 7671 section 5.2 makes the client send; Misuse when the chain holds no authority."""
    if presented.raw_public_key is not None:
        if (usage, selector) != (Usage.DANE_EE, Selector.SPKI):
            raise Misuse("a raw public key is published with usage 3 and selector 1 only")
        return tlsa_for_spki(presented.raw_public_key, usage, matching_type)
    if not presented.chain:
        raise Misuse("there is neither certificate nor key to make a record from")
    if usage in (Usage.PKIX_EE, Usage.DANE_EE):
        return tlsa_for_certificate(presented.chain[0], usage, selector, matching_type)
    if len(presented.chain) < 2:
        raise Misuse(f"usage {usage.value} names an authority, and the chain holds the client's certificate alone")
    return tlsa_for_certificate(presented.chain[-1], usage, selector, matching_type)


def _record(octets: bytes, usage: Usage, selector: Selector, matching_type: MatchingType) -> TLSA:
    return TLSA(int(usage), int(selector), int(matching_type), DIGESTS[matching_type](octets))
