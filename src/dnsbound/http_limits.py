"""Limits of signed HTTP messages (RFC 9421). They are kept apart from `dnsbound.limits` for length alone; the rules are
the same."""

from typing import Final

from dnsbound.budget import Limit

HTTP_SIGNATURE_OCTETS: Final = Limit(
    "http-signature-octets", 4096, 512, 16_384, "Signature-Input, and Signature, of one message, all lines together"
)
HTTP_SIGNATURE_KEY_OCTETS: Final = Limit(
    "http-signature-key-octets", 16_384, 512, 65_536, "Signature-Key of one message; a chain of certificates is in it"
)
HTTP_SIGNATURES: Final = Limit("http-signatures", 8, 1, 64, "signatures that one message carries, whoever they are for")
HTTP_COMPONENTS: Final = Limit("http-components", 32, 4, 128, "components that one signature covers")
HTTP_COVERED_OCTETS: Final = Limit(
    "http-covered-octets", 65_536, 1024, 1_048_576, "the signature base of one message (RFC 9421 section 2.5)"
)
HTTP_SIGNATURE_SECONDS: Final = Limit(
    "http-signature-seconds", 300, 1, 3600, "from created to expires; bounds how long nonces are remembered"
)
HTTP_CLOCK_SKEW: Final = Limit("http-clock-skew", 30, 0, 300, "seconds that a signer's clock may be ahead or behind")
HTTP_NONCE_CHARACTERS: Final = Limit("http-nonce-characters", 128, 16, 256, "of the nonce of one signature")
HTTP_NONCES: Final = Limit("http-nonces", 1_000_000, 16, 100_000_000, "nonces that one process remembers at once")
HTTP_NONCES_PER_NAME: Final = Limit(
    "http-nonces-per-name", 100_000, 1, 100_000_000, "of those, nonces of one signer; it can use up its own share alone"
)
HTTP_SIGNED_BODY_OCTETS: Final = Limit(
    "http-signed-body-octets", 1_048_576, 0, 1_073_741_824, "content that is held until its digest is known"
)
