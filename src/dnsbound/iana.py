"""Numbers of the IANA registries this package speaks, as enumerations. No behaviour."""

from enum import IntEnum
from types import MappingProxyType
from typing import Final


class Usage(IntEnum):
    """TLSA certificate usage (RFC 6698 section 2.1.1, acronyms RFC 7218)."""

    PKIX_TA = 0
    PKIX_EE = 1
    DANE_TA = 2
    DANE_EE = 3


class Selector(IntEnum):
    """TLSA selector (RFC 6698 section 2.1.2)."""

    CERT = 0
    SPKI = 1


class MatchingType(IntEnum):
    """TLSA matching type (RFC 6698 section 2.1.3)."""

    FULL = 0
    SHA2_256 = 1
    SHA2_512 = 2


class CertificateType(IntEnum):
    """TLS certificate types (RFC 7250)."""

    X509 = 0
    RAW_PUBLIC_KEY = 2


class AlertDescription(IntEnum):
    """TLS alerts (RFC 9846 section 6.2)."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    UNRECOGNIZED_NAME = 112
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    UNKNOWN_PSK_IDENTITY = 115
    CERTIFICATE_REQUIRED = 116
    GENERAL_ERROR = 117
    NO_APPLICATION_PROTOCOL = 120


TLS_1_2: Final = 0x0303
TLS_1_3: Final = 0x0304

DTLS_1_2: Final = 0xFEFD

VERSION_NAMES: Final = MappingProxyType({TLS_1_2: "TLSv1.2", TLS_1_3: "TLSv1.3", DTLS_1_2: "DTLSv1.2"})
"""What Python's `ssl` calls each version."""

DANE_CLIENTID: Final = 0xFF5A
"""Code point of dane_clientid. None is assigned yet, so this is of the Private Use range (first octet 0xFF); every
Context takes another one as an argument."""
DNSSEC_CHAIN: Final = 59
"""Extension type of RFC 9102."""
CARRIED_CHAIN: Final = 0xFF5C
"""Code point under which a client carries the DNSSEC chain of its own record: experimental, specified nowhere, of the
Private Use range; every Context takes another one as an argument."""

TLS_FLAGS: Final = 62
"""Extension type of tls_flags (draft-ietf-tls-tlsflags) in deployed software; the draft itself leaves it open."""
TLS_FLAGS_PROTOTYPE: Final = 0xFE01
"""Extension type under which prototypes of the request flag were seen on the wire."""
REQUEST_CLIENT_AUTH: Final = 80
"""Flag of draft-jhoyla-req-mtls-flag as in the prototypes; no number is assigned."""
RESUMPTION_ACROSS_NAMES: Final = 8
"""Flag of NewSessionTicket (draft-ietf-tls-tlsflags section 4; draft-ietf-tls-cross-sni-resumption)."""


class SignatureScheme(IntEnum):
    """TLS signature schemes (RFC 9846 section 4.3.3) that sign a TLS 1.3 handshake here; ML-DSA's are those of
    draft-ietf-tls-mldsa."""

    ECDSA_SECP256R1_SHA256 = 0x0403
    ECDSA_SECP384R1_SHA384 = 0x0503
    ECDSA_SECP521R1_SHA512 = 0x0603
    RSA_PSS_RSAE_SHA256 = 0x0804
    RSA_PSS_RSAE_SHA384 = 0x0805
    RSA_PSS_RSAE_SHA512 = 0x0806
    ED25519 = 0x0807
    MLDSA44 = 0x0904
    MLDSA65 = 0x0905
    MLDSA87 = 0x0906


class HandshakeType(IntEnum):
    """TLS handshake messages (RFC 9846 section 4; client_certificate_request: RFC 9261 section 4)."""

    CERTIFICATE = 11
    CERTIFICATE_REQUEST = 13
    CERTIFICATE_VERIFY = 15
    CLIENT_CERTIFICATE_REQUEST = 17
    FINISHED = 20


class ExtensionType(IntEnum):
    """TLS extensions (RFC 9846 section 4.3 and the registry) that are named here."""

    SERVER_NAME = 0
    STATUS_REQUEST = 5
    SUPPORTED_GROUPS = 10
    SIGNATURE_ALGORITHMS = 13
    ALPN = 16
    SIGNED_CERTIFICATE_TIMESTAMP = 18
    COMPRESS_CERTIFICATE = 27
    DELEGATED_CREDENTIAL = 34
    PRE_SHARED_KEY = 41
    EARLY_DATA = 42
    SUPPORTED_VERSIONS = 43
    COOKIE = 44
    PSK_KEY_EXCHANGE_MODES = 45
    CERTIFICATE_AUTHORITIES = 47
    OID_FILTERS = 48
    POST_HANDSHAKE_AUTH = 49
    SIGNATURE_ALGORITHMS_CERT = 50
    KEY_SHARE = 51
    DNSSEC_CHAIN = 59
    TLS_FLAGS = 62
