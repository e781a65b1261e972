"""RADIUS attributes: what each is called, how its value is written, and in which packets it may stand how often.

The table is total over the attributes known by name. An attribute that is not known by name may stand in requests
and in an Access-Accept, and nowhere else. What an answer of ours must not carry, it is not made with
(`protocols.radius.answer_to`); of a request only repetition of what identifies anybody is refused, since servers are
told to ignore what they do not want, and access points send attributes that the tables do not give them.

Not here: vendors' attributes by name (`protocols.radius_dictionary`), and what the values mean.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode

Attribute: TypeAlias = tuple[int, bytes]
"""Type (1 to 255), and the octets of the value (0 to 253)."""

Attributes: TypeAlias = tuple[Attribute, ...]
"""In the order of the packet."""

MAX_VALUE: Final = 253
"""Octets of a value: the length octet counts itself and the type."""


class Kind(StrEnum):
    """Data types (RFC 2865 section 5, RFC 2868 section 3), in the words of dictionary files."""

    TEXT = "string"
    OCTETS = "octets"
    INTEGER = "integer"
    TIME = "date"
    IPV4 = "ipaddr"
    IPV6 = "ipv6addr"
    PREFIX = "ipv6prefix"
    TAGGED_TEXT = "string has_tag"
    TAGGED_INTEGER = "integer has_tag"
    HIDDEN = "octets hidden"
    """Encrypted with the shared secret: never written or read here."""


class Count(StrEnum):
    """How often an attribute may stand in a packet, in the words of the tables."""

    NONE = "0"
    AT_MOST_ONE = "0-1"
    ANY = "0+"
    ONE = "1"


TABLED: Final = (
    RadiusCode.ACCESS_REQUEST,
    RadiusCode.ACCESS_ACCEPT,
    RadiusCode.ACCESS_REJECT,
    RadiusCode.ACCESS_CHALLENGE,
    RadiusCode.ACCOUNTING_REQUEST,
)
"""The columns of the table, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRule:
    """One attribute. counts: by the codes of `TABLED`."""

    name: str
    kind: Kind
    counts: Mapping[RadiusCode, Count]


def _rule(name: str, kind: Kind, counts: str) -> AttributeRule:
    columns = map(Count, counts.split())
    return AttributeRule(name=name, kind=kind, counts=MappingProxyType(dict(zip(TABLED, columns, strict=True))))


RULES: Final[Mapping[RadiusAttribute, AttributeRule]] = MappingProxyType(
    {
        # RFC 2865 section 5.44, RFC 2866 section 5.13, RFC 2868 section 4, RFC 2869 section 5.19, RFC 3162 section 3,
        # RFC 3579 section 3.3, RFC 4072, RFC 4372 section 3, RFC 4675 section 3, RFC 5580, RFC 7268 section 3. Columns:
        # Access-Request, Access-Accept, Access-Reject, Access-Challenge, Accounting-Request.
        RadiusAttribute.USER_NAME: _rule("User-Name", Kind.TEXT, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.USER_PASSWORD: _rule("User-Password", Kind.HIDDEN, "0-1 0 0 0 0"),
        RadiusAttribute.CHAP_PASSWORD: _rule("CHAP-Password", Kind.HIDDEN, "0-1 0 0 0 0"),
        RadiusAttribute.NAS_IP_ADDRESS: _rule("NAS-IP-Address", Kind.IPV4, "0-1 0 0 0 0-1"),
        RadiusAttribute.NAS_PORT: _rule("NAS-Port", Kind.INTEGER, "0-1 0 0 0 0-1"),
        RadiusAttribute.SERVICE_TYPE: _rule("Service-Type", Kind.INTEGER, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_PROTOCOL: _rule("Framed-Protocol", Kind.INTEGER, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_IP_ADDRESS: _rule("Framed-IP-Address", Kind.IPV4, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_IP_NETMASK: _rule("Framed-IP-Netmask", Kind.IPV4, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_ROUTING: _rule("Framed-Routing", Kind.INTEGER, "0 0-1 0 0 0-1"),
        RadiusAttribute.FILTER_ID: _rule("Filter-Id", Kind.TEXT, "0 0+ 0 0 0+"),
        RadiusAttribute.FRAMED_MTU: _rule("Framed-MTU", Kind.INTEGER, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_COMPRESSION: _rule("Framed-Compression", Kind.INTEGER, "0+ 0+ 0 0 0+"),
        RadiusAttribute.LOGIN_IP_HOST: _rule("Login-IP-Host", Kind.IPV4, "0+ 0+ 0 0 0+"),
        RadiusAttribute.LOGIN_SERVICE: _rule("Login-Service", Kind.INTEGER, "0 0-1 0 0 0-1"),
        RadiusAttribute.LOGIN_TCP_PORT: _rule("Login-TCP-Port", Kind.INTEGER, "0 0-1 0 0 0-1"),
        RadiusAttribute.REPLY_MESSAGE: _rule("Reply-Message", Kind.TEXT, "0 0+ 0+ 0+ 0"),
        RadiusAttribute.CALLBACK_NUMBER: _rule("Callback-Number", Kind.TEXT, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.CALLBACK_ID: _rule("Callback-Id", Kind.TEXT, "0 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_ROUTE: _rule("Framed-Route", Kind.TEXT, "0 0+ 0 0 0+"),
        RadiusAttribute.FRAMED_IPX_NETWORK: _rule("Framed-IPX-Network", Kind.INTEGER, "0 0-1 0 0 0-1"),
        RadiusAttribute.STATE: _rule("State", Kind.OCTETS, "0-1 0-1 0 0-1 0"),
        RadiusAttribute.CLASS: _rule("Class", Kind.OCTETS, "0 0+ 0 0 0+"),
        RadiusAttribute.VENDOR_SPECIFIC: _rule("Vendor-Specific", Kind.OCTETS, "0+ 0+ 0 0+ 0+"),
        RadiusAttribute.SESSION_TIMEOUT: _rule("Session-Timeout", Kind.INTEGER, "0 0-1 0 0-1 0-1"),
        RadiusAttribute.IDLE_TIMEOUT: _rule("Idle-Timeout", Kind.INTEGER, "0 0-1 0 0-1 0-1"),
        RadiusAttribute.TERMINATION_ACTION: _rule("Termination-Action", Kind.INTEGER, "0 0-1 0 0 0-1"),
        RadiusAttribute.CALLED_STATION_ID: _rule("Called-Station-Id", Kind.TEXT, "0-1 0 0 0 0-1"),
        RadiusAttribute.CALLING_STATION_ID: _rule("Calling-Station-Id", Kind.TEXT, "0-1 0 0 0 0-1"),
        RadiusAttribute.NAS_IDENTIFIER: _rule("NAS-Identifier", Kind.TEXT, "0-1 0 0 0 0-1"),
        RadiusAttribute.PROXY_STATE: _rule("Proxy-State", Kind.OCTETS, "0+ 0+ 0+ 0+ 0+"),
        RadiusAttribute.LOGIN_LAT_SERVICE: _rule("Login-LAT-Service", Kind.TEXT, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.LOGIN_LAT_NODE: _rule("Login-LAT-Node", Kind.TEXT, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.LOGIN_LAT_GROUP: _rule("Login-LAT-Group", Kind.OCTETS, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_APPLETALK_LINK: _rule("Framed-AppleTalk-Link", Kind.INTEGER, "0 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_APPLETALK_NETWORK: _rule("Framed-AppleTalk-Network", Kind.INTEGER, "0 0+ 0 0 0-1"),
        RadiusAttribute.FRAMED_APPLETALK_ZONE: _rule("Framed-AppleTalk-Zone", Kind.TEXT, "0 0-1 0 0 0-1"),
        RadiusAttribute.ACCT_STATUS_TYPE: _rule("Acct-Status-Type", Kind.INTEGER, "0 0 0 0 1"),
        RadiusAttribute.ACCT_DELAY_TIME: _rule("Acct-Delay-Time", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_INPUT_OCTETS: _rule("Acct-Input-Octets", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_OUTPUT_OCTETS: _rule("Acct-Output-Octets", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_SESSION_ID: _rule("Acct-Session-Id", Kind.TEXT, "0-1 0 0 0 1"),
        RadiusAttribute.ACCT_AUTHENTIC: _rule("Acct-Authentic", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_SESSION_TIME: _rule("Acct-Session-Time", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_INPUT_PACKETS: _rule("Acct-Input-Packets", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_OUTPUT_PACKETS: _rule("Acct-Output-Packets", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_TERMINATE_CAUSE: _rule("Acct-Terminate-Cause", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_MULTI_SESSION_ID: _rule("Acct-Multi-Session-Id", Kind.TEXT, "0-1 0 0 0 0-1"),
        RadiusAttribute.ACCT_LINK_COUNT: _rule("Acct-Link-Count", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_INPUT_GIGAWORDS: _rule("Acct-Input-Gigawords", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.ACCT_OUTPUT_GIGAWORDS: _rule("Acct-Output-Gigawords", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.EVENT_TIMESTAMP: _rule("Event-Timestamp", Kind.TIME, "0-1 0 0 0 0-1"),
        RadiusAttribute.EGRESS_VLANID: _rule("Egress-VLANID", Kind.INTEGER, "0+ 0+ 0 0 0+"),
        RadiusAttribute.INGRESS_FILTERS: _rule("Ingress-Filters", Kind.INTEGER, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.EGRESS_VLAN_NAME: _rule("Egress-VLAN-Name", Kind.TEXT, "0+ 0+ 0 0 0+"),
        RadiusAttribute.USER_PRIORITY_TABLE: _rule("User-Priority-Table", Kind.OCTETS, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.CHAP_CHALLENGE: _rule("CHAP-Challenge", Kind.OCTETS, "0-1 0 0 0 0"),
        RadiusAttribute.NAS_PORT_TYPE: _rule("NAS-Port-Type", Kind.INTEGER, "0-1 0 0 0 0-1"),
        RadiusAttribute.PORT_LIMIT: _rule("Port-Limit", Kind.INTEGER, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.LOGIN_LAT_PORT: _rule("Login-LAT-Port", Kind.TEXT, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.TUNNEL_TYPE: _rule("Tunnel-Type", Kind.TAGGED_INTEGER, "0+ 0+ 0 0 0+"),
        RadiusAttribute.TUNNEL_MEDIUM_TYPE: _rule("Tunnel-Medium-Type", Kind.TAGGED_INTEGER, "0+ 0+ 0 0 0+"),
        RadiusAttribute.TUNNEL_CLIENT_ENDPOINT: _rule("Tunnel-Client-Endpoint", Kind.TAGGED_TEXT, "0+ 0+ 0 0 0+"),
        RadiusAttribute.TUNNEL_SERVER_ENDPOINT: _rule("Tunnel-Server-Endpoint", Kind.TAGGED_TEXT, "0+ 0+ 0 0 0+"),
        RadiusAttribute.ACCT_TUNNEL_CONNECTION: _rule("Acct-Tunnel-Connection", Kind.TEXT, "0 0 0 0 0-1"),
        RadiusAttribute.TUNNEL_PASSWORD: _rule("Tunnel-Password", Kind.HIDDEN, "0 0+ 0 0 0"),
        RadiusAttribute.ARAP_PASSWORD: _rule("ARAP-Password", Kind.HIDDEN, "0-1 0 0 0 0"),
        RadiusAttribute.ARAP_FEATURES: _rule("ARAP-Features", Kind.OCTETS, "0 0-1 0 0-1 0"),
        RadiusAttribute.ARAP_ZONE_ACCESS: _rule("ARAP-Zone-Access", Kind.INTEGER, "0 0-1 0 0 0"),
        RadiusAttribute.ARAP_SECURITY: _rule("ARAP-Security", Kind.INTEGER, "0-1 0 0 0-1 0"),
        RadiusAttribute.ARAP_SECURITY_DATA: _rule("ARAP-Security-Data", Kind.OCTETS, "0+ 0 0 0+ 0"),
        RadiusAttribute.PASSWORD_RETRY: _rule("Password-Retry", Kind.INTEGER, "0 0 0-1 0 0"),
        RadiusAttribute.PROMPT: _rule("Prompt", Kind.INTEGER, "0 0 0 0-1 0"),
        RadiusAttribute.CONNECT_INFO: _rule("Connect-Info", Kind.TEXT, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.CONFIGURATION_TOKEN: _rule("Configuration-Token", Kind.TEXT, "0 0+ 0 0 0"),
        RadiusAttribute.EAP_MESSAGE: _rule("EAP-Message", Kind.OCTETS, "0+ 0+ 0+ 0+ 0"),
        RadiusAttribute.MESSAGE_AUTHENTICATOR: _rule("Message-Authenticator", Kind.OCTETS, "0-1 0-1 0-1 0-1 0-1"),
        RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID: _rule("Tunnel-Private-Group-Id", Kind.TAGGED_TEXT, "0+ 0+ 0 0 0+"),
        RadiusAttribute.TUNNEL_ASSIGNMENT_ID: _rule("Tunnel-Assignment-Id", Kind.TAGGED_TEXT, "0 0+ 0 0 0+"),
        RadiusAttribute.TUNNEL_PREFERENCE: _rule("Tunnel-Preference", Kind.TAGGED_INTEGER, "0+ 0+ 0 0 0"),
        RadiusAttribute.ARAP_CHALLENGE_RESPONSE: _rule("ARAP-Challenge-Response", Kind.OCTETS, "0 0-1 0 0-1 0"),
        RadiusAttribute.ACCT_INTERIM_INTERVAL: _rule("Acct-Interim-Interval", Kind.INTEGER, "0 0-1 0 0 0"),
        RadiusAttribute.ACCT_TUNNEL_PACKETS_LOST: _rule("Acct-Tunnel-Packets-Lost", Kind.INTEGER, "0 0 0 0 0-1"),
        RadiusAttribute.NAS_PORT_ID: _rule("NAS-Port-Id", Kind.TEXT, "0-1 0 0 0 0-1"),
        RadiusAttribute.FRAMED_POOL: _rule("Framed-Pool", Kind.TEXT, "0 0-1 0 0 0"),
        RadiusAttribute.CHARGEABLE_USER_IDENTITY: _rule("Chargeable-User-Identity", Kind.OCTETS, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.TUNNEL_CLIENT_AUTH_ID: _rule("Tunnel-Client-Auth-Id", Kind.TAGGED_TEXT, "0+ 0+ 0 0 0+"),
        RadiusAttribute.TUNNEL_SERVER_AUTH_ID: _rule("Tunnel-Server-Auth-Id", Kind.TAGGED_TEXT, "0+ 0+ 0 0 0+"),
        RadiusAttribute.NAS_FILTER_RULE: _rule("NAS-Filter-Rule", Kind.TEXT, "0 0+ 0 0 0+"),
        RadiusAttribute.NAS_IPV6_ADDRESS: _rule("NAS-IPv6-Address", Kind.IPV6, "0-1 0 0 0 0-1"),
        RadiusAttribute.FRAMED_INTERFACE_ID: _rule("Framed-Interface-Id", Kind.OCTETS, "0-1 0-1 0 0 0-1"),
        RadiusAttribute.FRAMED_IPV6_PREFIX: _rule("Framed-IPv6-Prefix", Kind.PREFIX, "0+ 0+ 0 0 0+"),
        RadiusAttribute.LOGIN_IPV6_HOST: _rule("Login-IPv6-Host", Kind.IPV6, "0+ 0+ 0 0 0+"),
        RadiusAttribute.FRAMED_IPV6_ROUTE: _rule("Framed-IPv6-Route", Kind.TEXT, "0 0+ 0 0 0+"),
        RadiusAttribute.FRAMED_IPV6_POOL: _rule("Framed-IPv6-Pool", Kind.TEXT, "0 0-1 0 0 0-1"),
        RadiusAttribute.ERROR_CAUSE: _rule("Error-Cause", Kind.INTEGER, "0 0 0-1 0-1 0"),
        RadiusAttribute.EAP_KEY_NAME: _rule("EAP-Key-Name", Kind.OCTETS, "0-1 0-1 0 0 0"),
        RadiusAttribute.DELEGATED_IPV6_PREFIX: _rule("Delegated-IPv6-Prefix", Kind.PREFIX, "0+ 0+ 0 0 0+"),
        RadiusAttribute.OPERATOR_NAME: _rule("Operator-Name", Kind.TEXT, "0-1 0 0 0 0-1"),
        RadiusAttribute.ALLOWED_CALLED_STATION_ID: _rule("Allowed-Called-Station-Id", Kind.TEXT, "0 0+ 0 0 0"),
        RadiusAttribute.EAP_PEER_ID: _rule("EAP-Peer-Id", Kind.OCTETS, "0-1 0+ 0 0 0+"),
        RadiusAttribute.EAP_SERVER_ID: _rule("EAP-Server-Id", Kind.OCTETS, "0-1 0+ 0 0 0+"),
        RadiusAttribute.MOBILITY_DOMAIN_ID: _rule("Mobility-Domain-Id", Kind.INTEGER, "0-1 0 0 0 0-1"),
        RadiusAttribute.PREAUTH_TIMEOUT: _rule("Preauth-Timeout", Kind.INTEGER, "0-1 0-1 0 0 0"),
        RadiusAttribute.NETWORK_ID_NAME: _rule("Network-Id-Name", Kind.OCTETS, "0-1 0 0 0 0-1"),
        RadiusAttribute.EAPOL_ANNOUNCEMENT: _rule("EAPoL-Announcement", Kind.OCTETS, "0+ 0+ 0 0 0"),
        RadiusAttribute.WLAN_HESSID: _rule("WLAN-HESSID", Kind.TEXT, "0-1 0 0 0 0-1"),
        RadiusAttribute.WLAN_VENUE_INFO: _rule("WLAN-Venue-Info", Kind.INTEGER, "0-1 0 0 0 0-1"),
        RadiusAttribute.WLAN_VENUE_LANGUAGE: _rule("WLAN-Venue-Language", Kind.OCTETS, "0-1 0 0 0 0-1"),
        RadiusAttribute.WLAN_VENUE_NAME: _rule("WLAN-Venue-Name", Kind.TEXT, "0+ 0 0 0 0+"),
        RadiusAttribute.WLAN_REASON_CODE: _rule("WLAN-Reason-Code", Kind.INTEGER, "0 0 0-1 0 0-1"),
        RadiusAttribute.WLAN_PAIRWISE_CIPHER: _rule("WLAN-Pairwise-Cipher", Kind.INTEGER, "0-1 0 0 0 0-1"),
        RadiusAttribute.WLAN_GROUP_CIPHER: _rule("WLAN-Group-Cipher", Kind.INTEGER, "0-1 0 0 0 0-1"),
        RadiusAttribute.WLAN_AKM_SUITE: _rule("WLAN-AKM-Suite", Kind.INTEGER, "0-1 0 0 0 0-1"),
        RadiusAttribute.WLAN_GROUP_MGMT_CIPHER: _rule("WLAN-Group-Mgmt-Cipher", Kind.INTEGER, "0-1 0 0 0 0-1"),
        RadiusAttribute.WLAN_RF_BAND: _rule("WLAN-RF-Band", Kind.INTEGER, "0-1 0 0 0 0-1"),
    }
)
"""Table: every attribute known by name."""

_RULE_OF: Final[Mapping[int, AttributeRule]] = MappingProxyType({int(number): rule for number, rule in RULES.items()})


_COUNTS: Final[Mapping[RadiusCode, Mapping[int, Count]]] = MappingProxyType(
    {code: {int(number): rule.counts[code] for number, rule in RULES.items()} for code in TABLED}
)
_UNNAMED: Final[Mapping[RadiusCode, Count]] = MappingProxyType(
    {
        RadiusCode.ACCESS_REQUEST: Count.ANY,
        RadiusCode.ACCESS_ACCEPT: Count.ANY,
        RadiusCode.ACCESS_REJECT: Count.NONE,
        RadiusCode.ACCESS_CHALLENGE: Count.NONE,
        RadiusCode.ACCOUNTING_REQUEST: Count.ANY,
    }
)
"""Table: the same for attributes that are not known by name."""


def count_of(code: RadiusCode, attribute: int) -> Count:
    """How often the attribute may stand in a packet of this code, one of `TABLED`."""
    return _COUNTS[code].get(attribute) or _UNNAMED[code]


def name_of(attribute: int) -> str:
    """The registered name, or `Attr-N` as others write what they do not know."""
    rule = _RULE_OF.get(attribute)
    return f"Attr-{attribute}" if rule is None else rule.name


@lru_cache(maxsize=256)
def names_of(numbers: tuple[int, ...]) -> tuple[str, ...]:
    """The names of these attributes, each once, in order."""
    return tuple(dict.fromkeys(map(name_of, numbers)))


def integer(value: int) -> bytes:
    """A value of type integer or time: 32 bits without sign; Misuse outside."""
    try:
        return value.to_bytes(4, "big")
    except OverflowError:
        raise Misuse(f"{value} is no integer of 32 bits") from None


def read_integer(attribute: RadiusAttribute, value: bytes) -> int:
    """The integer or time that the value is; Malformed unless it has four octets."""
    if len(value) != 4:
        raise Malformed(f"{RULES[attribute].name} has {len(value)} octets, not 4")
    return int.from_bytes(value, "big")


def read_text(value: bytes) -> str:
    """Text for people and comparisons: octets that are not UTF-8 are shown as `\\xNN`."""
    return value.decode("utf-8", "backslashreplace")


def read_address(attribute: RadiusAttribute, value: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address that the value is; Malformed for another length than the attribute's."""
    octets = 4 if RULES[attribute].kind is Kind.IPV4 else 16
    if len(value) != octets:
        raise Malformed(f"{RULES[attribute].name} has {len(value)} octets, not {octets}")
    return ipaddress.ip_address(value)
