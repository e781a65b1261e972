"""The Cryptographic Message Syntax (RFC 5652) with keys that are looked up in the DNS, and S/MIME (RFC 8551) on it."""

from dnsbound.objects.cms.armor import from_pem, octets_of, to_pem
from dnsbound.objects.cms.signed_data import SignedFacts, parse
from dnsbound.objects.cms.signing import sign

__all__ = ["SignedFacts", "from_pem", "octets_of", "parse", "sign", "to_pem"]
