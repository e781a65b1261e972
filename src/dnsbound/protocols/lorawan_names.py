"""Identifiers of LoRaWAN and the DNS names that belong to them.

Two directions. The documents say where the servers of a JoinEUI or a NetID are looked up: below domains of the LoRa
Alliance, or of one's own. And devices and gateways, which know nothing but their EUI-64, get client names made of it:
`eui-70b3d57ed0000001._device.plant.example`.

Sections: LoRaWAN Backend Interfaces 1.0 (TS002) sections 19.1 to 19.3 and 22.3.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName

JOIN_EUIS: Final = "joineuis.lora-alliance.org"
NET_IDS: Final = "netids.lora-alliance.org"
_HEX: Final = re.compile(r"(0[xX])?([0-9A-Fa-f]+)")
_EUI: Final = re.compile(r"([0-9A-Fa-f]{2}[:-]?){7}[0-9A-Fa-f]{2}")
_AS_ID: Final = re.compile(r"[!-~]{1,255}")
_EUI_DIGITS: Final = 16
_NET_ID_DIGITS: Final = 6
_EUI_OCTETS: Final = 8
_PREFIX: Final = "eui-"


@dataclass(frozen=True, slots=True, order=True)
class Eui64:
    """A DevEUI, a JoinEUI, or a gateway's EUI."""

    octets: bytes

    def __post_init__(self) -> None:
        if len(self.octets) != _EUI_OCTETS:
            raise Malformed(f"an EUI-64 has 8 octets, not {len(self.octets)}")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """`70b3d57ed0000001`, also with `0x`, or with `-` or `:` between octets, in either case."""
        bare = text[2:] if text[:2] in ("0x", "0X") else text
        if _EUI.fullmatch(bare) is None or {":", "-"} <= set(bare):
            raise Malformed(f"{text[:64]!r} is no EUI-64")
        return cls(bytes.fromhex(re.sub("[:-]", "", bare)))

    def to_text(self) -> str:
        """16 digits, in lower case."""
        return self.octets.hex()

    def join_server_domain(self, suffix: str = JOIN_EUIS) -> str:
        """Where the join server of this JoinEUI is looked up (NAPTR): low-order nibble first. Section 19.1."""
        return ".".join([*reversed(self.to_text()), suffix])


@dataclass(frozen=True, slots=True, order=True)
class NetId:
    """The number of a network: 24 bits."""

    value: int

    def __post_init__(self) -> None:
        if not 0 <= self.value < 1 << 24:
            raise Malformed(f"a NetID has 24 bits, unlike {self.value}")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """`00050a`, also with `0x`, in either case."""
        found = _HEX.fullmatch(text)
        if found is None or len(found[2]) != _NET_ID_DIGITS:
            raise Malformed(f"{text[:64]!r} is no NetID")
        return cls(int(found[2], 16))

    def to_text(self) -> str:
        """Six digits, in lower case."""
        return f"{self.value:06x}"

    def network_server_domain(self, suffix: str = NET_IDS) -> str:
        """Where the network server is looked up (NAPTR): high-order nibble first, without dots. Section 19.1."""
        return f"{self.to_text()}.{suffix}"


def server_id(text: str) -> str:
    """A SenderID or ReceiverID in the one form in which two of them can be compared: a NetID's six digits, a JoinEUI's
    16, in lower case and without `0x`; the ASCII text of an application server as it is. Section 22.3. Malformed."""
    found = _HEX.fullmatch(text)
    if found is not None and len(found[2]) in (_NET_ID_DIGITS, _EUI_DIGITS):
        return found[2].lower()
    if _AS_ID.fullmatch(text) is None:
        raise Malformed(f"{text[:64]!r} is no NetID, JoinEUI or AS-ID")
    return text


@dataclass(frozen=True, slots=True)
class EuiNames:
    """Client names of devices or gateways that are known by their EUIs, and back again.

    below: what the names stand below, such as `_device.plant.example`. One name for each EUI, one EUI for each name.
    """

    below: ClientName

    @classmethod
    def parse(cls, below: str) -> Self:
        """Malformed for no name, Misuse for one that leaves no room."""
        names = cls(ClientName.parse(below))
        try:
            names.name_of(Eui64(bytes(_EUI_OCTETS)))
        except Malformed as error:
            raise Misuse(f"there is no room for names below {below}: {error}") from None
        return names

    def name_of(self, eui: Eui64) -> ClientName:
        return ClientName.parse(f"{_PREFIX}{eui.to_text()}.{self.below.canonical}")

    def eui_of(self, name: ClientName) -> Eui64:
        """Malformed for a name that is none of these."""
        label, _, rest = name.canonical.partition(".")
        digits = label.removeprefix(_PREFIX)
        if rest != self.below.canonical or digits == label or len(digits) != _EUI_DIGITS:
            raise Malformed(f"{name} is not the name of an EUI below {self.below}")
        return Eui64.from_text(digits)
