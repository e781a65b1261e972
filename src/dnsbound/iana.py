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


class RadiusCode(IntEnum):
    """RADIUS packet codes that are spoken here (RFC 2865 section 3, RFC 2866, RFC 5176, RFC 5997)."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCOUNTING_REQUEST = 4
    ACCOUNTING_RESPONSE = 5
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12
    DISCONNECT_REQUEST = 40
    DISCONNECT_ACK = 41
    DISCONNECT_NAK = 42
    COA_REQUEST = 43
    COA_ACK = 44
    COA_NAK = 45


class RadiusAttribute(IntEnum):
    """RADIUS attribute types (registry "RADIUS Types") that are known by name here."""

    USER_NAME = 1
    USER_PASSWORD = 2
    CHAP_PASSWORD = 3
    NAS_IP_ADDRESS = 4
    NAS_PORT = 5
    SERVICE_TYPE = 6
    FRAMED_PROTOCOL = 7
    FRAMED_IP_ADDRESS = 8
    FRAMED_IP_NETMASK = 9
    FRAMED_ROUTING = 10
    FILTER_ID = 11
    FRAMED_MTU = 12
    FRAMED_COMPRESSION = 13
    LOGIN_IP_HOST = 14
    LOGIN_SERVICE = 15
    LOGIN_TCP_PORT = 16
    REPLY_MESSAGE = 18
    CALLBACK_NUMBER = 19
    CALLBACK_ID = 20
    FRAMED_ROUTE = 22
    FRAMED_IPX_NETWORK = 23
    STATE = 24
    CLASS = 25
    VENDOR_SPECIFIC = 26
    SESSION_TIMEOUT = 27
    IDLE_TIMEOUT = 28
    TERMINATION_ACTION = 29
    CALLED_STATION_ID = 30
    CALLING_STATION_ID = 31
    NAS_IDENTIFIER = 32
    PROXY_STATE = 33
    LOGIN_LAT_SERVICE = 34
    LOGIN_LAT_NODE = 35
    LOGIN_LAT_GROUP = 36
    FRAMED_APPLETALK_LINK = 37
    FRAMED_APPLETALK_NETWORK = 38
    FRAMED_APPLETALK_ZONE = 39
    ACCT_STATUS_TYPE = 40
    ACCT_DELAY_TIME = 41
    ACCT_INPUT_OCTETS = 42
    ACCT_OUTPUT_OCTETS = 43
    ACCT_SESSION_ID = 44
    ACCT_AUTHENTIC = 45
    ACCT_SESSION_TIME = 46
    ACCT_INPUT_PACKETS = 47
    ACCT_OUTPUT_PACKETS = 48
    ACCT_TERMINATE_CAUSE = 49
    ACCT_MULTI_SESSION_ID = 50
    ACCT_LINK_COUNT = 51
    ACCT_INPUT_GIGAWORDS = 52
    ACCT_OUTPUT_GIGAWORDS = 53
    EVENT_TIMESTAMP = 55
    EGRESS_VLANID = 56
    INGRESS_FILTERS = 57
    EGRESS_VLAN_NAME = 58
    USER_PRIORITY_TABLE = 59
    CHAP_CHALLENGE = 60
    NAS_PORT_TYPE = 61
    PORT_LIMIT = 62
    LOGIN_LAT_PORT = 63
    TUNNEL_TYPE = 64
    TUNNEL_MEDIUM_TYPE = 65
    TUNNEL_CLIENT_ENDPOINT = 66
    TUNNEL_SERVER_ENDPOINT = 67
    ACCT_TUNNEL_CONNECTION = 68
    TUNNEL_PASSWORD = 69
    ARAP_PASSWORD = 70
    ARAP_FEATURES = 71
    ARAP_ZONE_ACCESS = 72
    ARAP_SECURITY = 73
    ARAP_SECURITY_DATA = 74
    PASSWORD_RETRY = 75
    PROMPT = 76
    CONNECT_INFO = 77
    CONFIGURATION_TOKEN = 78
    EAP_MESSAGE = 79
    MESSAGE_AUTHENTICATOR = 80
    TUNNEL_PRIVATE_GROUP_ID = 81
    TUNNEL_ASSIGNMENT_ID = 82
    TUNNEL_PREFERENCE = 83
    ARAP_CHALLENGE_RESPONSE = 84
    ACCT_INTERIM_INTERVAL = 85
    ACCT_TUNNEL_PACKETS_LOST = 86
    NAS_PORT_ID = 87
    FRAMED_POOL = 88
    CHARGEABLE_USER_IDENTITY = 89
    TUNNEL_CLIENT_AUTH_ID = 90
    TUNNEL_SERVER_AUTH_ID = 91
    NAS_FILTER_RULE = 92
    NAS_IPV6_ADDRESS = 95
    FRAMED_INTERFACE_ID = 96
    FRAMED_IPV6_PREFIX = 97
    LOGIN_IPV6_HOST = 98
    FRAMED_IPV6_ROUTE = 99
    FRAMED_IPV6_POOL = 100
    ERROR_CAUSE = 101
    EAP_KEY_NAME = 102
    DELEGATED_IPV6_PREFIX = 123
    OPERATOR_NAME = 126
    ALLOWED_CALLED_STATION_ID = 174
    EAP_PEER_ID = 175
    EAP_SERVER_ID = 176
    MOBILITY_DOMAIN_ID = 177
    PREAUTH_TIMEOUT = 178
    NETWORK_ID_NAME = 179
    EAPOL_ANNOUNCEMENT = 180
    WLAN_HESSID = 181
    WLAN_VENUE_INFO = 182
    WLAN_VENUE_LANGUAGE = 183
    WLAN_VENUE_NAME = 184
    WLAN_REASON_CODE = 185
    WLAN_PAIRWISE_CIPHER = 186
    WLAN_GROUP_CIPHER = 187
    WLAN_AKM_SUITE = 188
    WLAN_GROUP_MGMT_CIPHER = 189
    WLAN_RF_BAND = 190


class AcctStatusType(IntEnum):
    """Acct-Status-Type (RFC 2866 section 5.1, RFC 2867 section 3) of sessions and of network access servers."""

    START = 1
    STOP = 2
    INTERIM_UPDATE = 3
    ACCOUNTING_ON = 7
    ACCOUNTING_OFF = 8


class AcctTerminateCause(IntEnum):
    """Acct-Terminate-Cause (RFC 2866 section 5.10; from 19 on RFC 3580 section 3.19)."""

    USER_REQUEST = 1
    LOST_CARRIER = 2
    LOST_SERVICE = 3
    IDLE_TIMEOUT = 4
    SESSION_TIMEOUT = 5
    ADMIN_RESET = 6
    ADMIN_REBOOT = 7
    PORT_ERROR = 8
    NAS_ERROR = 9
    NAS_REQUEST = 10
    NAS_REBOOT = 11
    PORT_UNNEEDED = 12
    PORT_PREEMPTED = 13
    PORT_SUSPENDED = 14
    SERVICE_UNAVAILABLE = 15
    CALLBACK = 16
    USER_ERROR = 17
    HOST_REQUEST = 18
    SUPPLICANT_RESTART = 19
    REAUTHENTICATION_FAILURE = 20
    PORT_REINITIALIZED = 21
    PORT_ADMINISTRATIVELY_DISABLED = 22


class ErrorCause(IntEnum):
    """Error-Cause (RFC 5176 section 3.5)."""

    RESIDUAL_SESSION_CONTEXT_REMOVED = 201
    INVALID_EAP_PACKET = 202
    UNSUPPORTED_ATTRIBUTE = 401
    MISSING_ATTRIBUTE = 402
    NAS_IDENTIFICATION_MISMATCH = 403
    INVALID_REQUEST = 404
    UNSUPPORTED_SERVICE = 405
    UNSUPPORTED_EXTENSION = 406
    INVALID_ATTRIBUTE_VALUE = 407
    ADMINISTRATIVELY_PROHIBITED = 501
    REQUEST_NOT_ROUTABLE = 502
    SESSION_CONTEXT_NOT_FOUND = 503
    SESSION_CONTEXT_NOT_REMOVABLE = 504
    OTHER_PROXY_PROCESSING_ERROR = 505
    RESOURCES_UNAVAILABLE = 506
    REQUEST_INITIATED = 507
    MULTIPLE_SESSION_SELECTION_UNSUPPORTED = 508


class EapCode(IntEnum):
    """EAP codes (RFC 3748 section 4). RFC 6696 adds Initiate and Finish, which nobody speaks here."""

    REQUEST = 1
    RESPONSE = 2
    SUCCESS = 3
    FAILURE = 4


class EapType(IntEnum):
    """EAP types (RFC 3748 section 5 and the registry) that are named here."""

    IDENTITY = 1
    NOTIFICATION = 2
    NAK = 3
    TLS = 13
    EXPANDED = 254
