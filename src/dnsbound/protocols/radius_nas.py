"""What a RADIUS request says of the network access server it comes from, and of where at it the client is.

The server is believed in this: it has the shared secret. Stations are brought into one form, since controllers spell
MAC addresses in half a dozen ways and put the name of the network (SSID) behind them.

Sections: RFC 2865 sections 5.4, 5.5, 5.30 to 5.32, RFC 2869 section 5.17, RFC 3162 section 2.1, RFC 3580 sections
3.10, 3.20 to 3.23.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final, Self

from dnsbound.hot_value import hot_value
from dnsbound.iana import RadiusAttribute
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_attributes import read_address, read_integer, read_text

MAX_SSID: Final = 32
"""Octets (IEEE 802.11)."""

_MAC: Final = re.compile(
    r"(?:[0-9a-f]{2}(?P<octet>[-:.])(?:[0-9a-f]{2}(?P=octet)){4}[0-9a-f]{2}"
    r"|[0-9a-f]{4}(?P<pair>[-:.])[0-9a-f]{4}(?P=pair)[0-9a-f]{4}"
    r"|[0-9a-f]{6}[-:][0-9a-f]{6}"
    r"|[0-9a-f]{12})",
    re.IGNORECASE,
)
_REMEMBERED: Final = 1024
"""Stations: an access point is the same for all of its clients, and a client is read about several times."""
_WITHOUT_SEPARATORS: Final = str.maketrans("", "", "-:.")
_PLACE: Final = re.compile(r"[\w .-]+")
"""What controllers put before the colon in place of the access point's MAC address: its name, group or building."""


@hot_value
class CalledStation:
    """Called-Station-Id. text: as it came. bssid: `AA-BB-CC-DD-EE-FF`, where a MAC address was said. ssid: the wireless
    network's name, where one was said; octets of it that are not UTF-8 are shown as `\\xNN`."""

    text: str
    bssid: str | None = None
    ssid: str | None = None

    @classmethod
    @lru_cache(_REMEMBERED)
    def parse(cls, octets: bytes) -> Self:
        """`AA-BB-CC-DD-EE-FF:ssid` (RFC 3580 section 3.20), also with the address in other spellings, and `place:ssid`.
        Anything else is text without a network in it."""
        text = read_text(octets)
        address = _MAC.match(text)
        if address is not None and text[address.end() : address.end() + 1] in ("", ":"):
            said = text[address.end() + 1 :]
            return cls(text=text, bssid=_canonical_mac(address[0]), ssid=_ssid(said))
        place, colon, said = text.partition(":")
        if colon and _PLACE.fullmatch(place) and not _is_ip_address(text):
            return cls(text=text, ssid=_ssid(said))
        return cls(text=text)


_FACTS: Final = tuple(
    map(
        int,
        (
            RadiusAttribute.NAS_IDENTIFIER,
            RadiusAttribute.NAS_IP_ADDRESS,
            RadiusAttribute.NAS_IPV6_ADDRESS,
            RadiusAttribute.NAS_PORT,
            RadiusAttribute.NAS_PORT_ID,
            RadiusAttribute.NAS_PORT_TYPE,
            RadiusAttribute.CALLED_STATION_ID,
            RadiusAttribute.CALLING_STATION_ID,
            RadiusAttribute.FRAMED_MTU,
        ),
    )
)


@hot_value
class NasFacts:
    """Who asks, and from where. nas_address: NAS-IP-Address or NAS-IPv6-Address, which behind a proxy is not the
    packet's source. port_type: as in the registry, 15 Ethernet, 19 802.11. calling_station: the client; a MAC address
    as `AA-BB-CC-DD-EE-FF`, anything else as it came. framed_mtu: octets an EAP packet may have on the
    link."""

    nas_identifier: str | None = None
    nas_address: str | None = None
    port: int | None = None
    port_id: str | None = None
    port_type: int | None = None
    called_station: CalledStation | None = None
    calling_station: str | None = None
    framed_mtu: int | None = None

    @classmethod
    def of(cls, request: RadiusPacket) -> Self:
        """Read a request; Malformed for numbers and addresses of the wrong length."""
        identifier, address, address_6, port, port_id, port_type, called, calling, mtu = request.firsts(_FACTS)
        return cls(
            nas_identifier=read_text(identifier) if identifier else None,
            nas_address=_address(address, address_6),
            port=_integer(RadiusAttribute.NAS_PORT, port),
            port_id=read_text(port_id) if port_id else None,
            port_type=_integer(RadiusAttribute.NAS_PORT_TYPE, port_type),
            called_station=None if called is None else CalledStation.parse(called),
            calling_station=canonical_station(read_text(calling)) if calling else None,
            framed_mtu=_integer(RadiusAttribute.FRAMED_MTU, mtu),
        )

    @property
    def ssid(self) -> str | None:
        return None if self.called_station is None else self.called_station.ssid

    @property
    def label(self) -> str:
        """What people call the server by; empty when it says nothing of itself."""
        return self.nas_identifier or self.nas_address or ""


@lru_cache(_REMEMBERED)
def canonical_station(text: str) -> str:
    """A MAC address as `AA-BB-CC-DD-EE-FF` (RFC 3580 section 3.21); any other text as it is."""
    return _canonical_mac(text) if _MAC.fullmatch(text) else text


def _canonical_mac(text: str) -> str:
    digits = text.translate(_WITHOUT_SEPARATORS).upper()
    return "-".join([digits[at : at + 2] for at in range(0, 12, 2)])


def _ssid(text: str) -> str | None:
    return text if text and len(text.encode()) <= MAX_SSID else None


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _integer(attribute: RadiusAttribute, value: bytes | None) -> int | None:
    return None if value is None else read_integer(attribute, value)


def _address(value: bytes | None, value_6: bytes | None) -> str | None:
    if value is not None:
        return str(read_address(RadiusAttribute.NAS_IP_ADDRESS, value))
    return None if value_6 is None else str(read_address(RadiusAttribute.NAS_IPV6_ADDRESS, value_6))
