"""The first question of a LoRaWAN gateway that speaks Basics Station's LNS protocol, bound to the gateway's name.

A station connects by WebSocket to `/router-info`, says which router it is, and is told where to go on. It says what it
likes: behind a gate (or with a verified peer of one's own) the name is known, and a station is answered for the EUI of
its own name alone.

    answer = discovery(message, name=verified_name, names=EuiNames.parse("_gateway.plant.example"), uri="wss://...")

What it is not: an LNS. Section: "Querying the LNS Connection Endpoint" of Basics Station's documentation.
"""

import json
import re
from typing import Final

from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.protocols.json_object import JsonMembers
from dnsbound.protocols.lorawan_names import Eui64, EuiNames

_GROUP: Final = re.compile(r"[0-9A-Fa-f]{1,4}")
_GROUPS: Final = 4
MUXS: Final = "muxs-::0"
"""What a server without multiplexers of its own calls itself."""


def router_of(message: bytes) -> Eui64:
    """Which router asks: an EUI-64 with hyphens, a number, or an ID6 such as `::1` or `b827:ebff:fe00:1`. Malformed."""
    members = JsonMembers.from_wire(message, "router-info")
    router = members.rest().get("router")
    if isinstance(router, bool) or not isinstance(router, int | str):
        raise Malformed("router-info: no router is named")
    if isinstance(router, int):
        if not 0 <= router < 1 << 64:
            raise Malformed("router-info: an EUI-64 has 64 bits")
        return Eui64(router.to_bytes(8, "big"))
    return _from_id6(router) if _is_id6(router) else Eui64.from_text(router)


def discovery(message: bytes, *, name: ClientName, names: EuiNames, uri: str) -> bytes:
    """The answer that sends a station on to `uri`. Malformed; Refused(NOT_PERMITTED) for a router of another name.

    names: how gateways are called. uri: `wss://...` of the connection that carries the station's data.
    """
    router = router_of(message)
    if names.name_of(router) != name:
        raise Refused(Reason.NOT_PERMITTED, f"{name} is not the name of router {router.to_text()}")
    return json.dumps({"router": to_id6(router), "muxs": MUXS, "uri": uri}).encode()


def refusal(message: bytes) -> bytes:
    """The answer that turns a station away without a reason. message: as it came."""
    try:
        router = to_id6(router_of(message))
    except Malformed:
        router = "::0"
    return json.dumps({"router": router, "muxs": MUXS, "error": "this router is not served here"}).encode()


def to_id6(eui: Eui64) -> str:
    """Four groups of 16 bits."""
    groups = [eui.octets[start : start + 2].hex().lstrip("0") or "0" for start in range(0, 8, 2)]
    return ":".join(groups)


def _is_id6(text: str) -> bool:
    return "::" in text or text.count(":") == _GROUPS - 1


def _from_id6(text: str) -> Eui64:
    before, several, after = text.partition("::")
    left, right = _groups(before), _groups(after)
    missing = _GROUPS - len(left) - len(right)
    if (missing < 1) if several else (missing != 0):
        raise Malformed(f"{text[:64]!r} is no ID6")
    return Eui64(b"".join(int(group, 16).to_bytes(2, "big") for group in [*left, *["0"] * missing, *right]))


def _groups(text: str) -> list[str]:
    groups = text.split(":") if text else []
    if any(_GROUP.fullmatch(group) is None for group in groups):
        raise Malformed(f"{text[:64]!r} has no groups of an ID6")
    return groups
