"""What the access list grants, as attributes of an Access-Accept.

    grants = { vlan = 12, session_timeout = 7200, idle_timeout = 600 }
    grants = { vlan = "guests", filter = ["visitors", "no-mail"], attributes = { "Aruba-User-Role" = "guest" } }

A grant that is not known here, or whose value cannot be an attribute, is Malformed: a device must not come into the
wrong network because a word was misspelled. Vendors' and rarely used attributes come by their names through whatever
knows them (`AttributeNames`).

Sections: RFC 2865 sections 5.11, 5.25, 5.27 to 5.29, RFC 2868 section 3, RFC 3580 sections 3.9, 3.17, 3.19, 3.31.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, Self

from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius_attributes import MAX_VALUE, Attributes, Count, count_of, integer, name_of
from dnsbound.times import Seconds
from dnsbound.verify.access_text import Grants

VLAN: Final = 13
"""Tunnel-Type (RFC 3580 section 3.31)."""
IEEE_802: Final = 6
"""Tunnel-Medium-Type."""
MAX_VLAN: Final = 4094
MAX_TAG: Final = 0x1F
RADIUS_REQUEST: Final = 1
"""Termination-Action: ask again at the end of the session, rather than cut."""
MAX_GRANT: Final = 2048
"""Octets: half of a packet, so that keys, handles and the states of proxies have room."""
LONGEST: Final = 2**31 - 1
"""Seconds; access servers in use read timeouts as signed."""


class AttributeNames(Protocol):
    """Attributes by the names operators call them."""

    def encode(self, name: str, value: object) -> Attributes:
        """One attribute, or one for each value of a list; Malformed with the name and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusGrant:
    """What a name is granted. vlan: `"1"` to `"4094"`, or the VLAN's name at the access server. filters: names of
    filters there. Timeouts: seconds, None where the grant says nothing. attributes: as they are."""

    vlan: str | None = None
    filters: tuple[str, ...] = ()
    session_timeout: int | None = None
    idle_timeout: int | None = None
    attributes: Attributes = ()

    @classmethod
    def parse(cls, grants: Grants, names: AttributeNames | None = None) -> Self:
        """Read the grants of an entry. names: for `attributes`; without it they are Malformed."""
        unknown = [key for key in grants if key not in _READERS]
        if unknown:
            raise Malformed(
                f"the grant {unknown[0]!r} means nothing to RADIUS; there are {', '.join(sorted(_READERS))}"
            )
        given = {
            field: reader(f"the grant {key}", grants[key], names)
            for key, (field, reader) in _READERS.items()
            if key in grants
        }
        grant = cls(**given)
        _check_fits(grant.to_attributes())
        return grant

    def to_attributes(self, *, tag: int = 0) -> Attributes:
        """All of it but `session_timeout`, which is decided with the evidence. tag: 1 to 31 groups the VLAN's
        attributes, for access servers that want it; 0 leaves it away (RFC 2868 section 3.1)."""
        found: list[tuple[int, bytes]] = [] if self.vlan is None else list(vlan_attributes(self.vlan, tag=tag))
        found += [(int(RadiusAttribute.FILTER_ID), name.encode()) for name in self.filters]
        if self.idle_timeout is not None:
            found.append((int(RadiusAttribute.IDLE_TIMEOUT), integer(self.idle_timeout)))
        return (*found, *self.attributes)


def _check_fits(attributes: Attributes) -> None:
    """Malformed for what no Access-Accept could carry: found when it is read, not when a device stands at the door."""
    seen: set[int] = set()
    for number, _ in attributes:
        if number in seen and count_of(RadiusCode.ACCESS_ACCEPT, number) is Count.AT_MOST_ONE:
            raise Malformed(f"the grants say {name_of(number)} twice")
        seen.add(number)
    octets = sum(len(value) + 2 for _, value in attributes)
    if octets > MAX_GRANT:
        raise Malformed(f"the grants have {octets} octets as attributes; {MAX_GRANT} fit beside everything else")


def vlan_attributes(vlan: str, *, tag: int = 0) -> Attributes:
    """The three attributes that put a port into a VLAN (RFC 3580 section 3.31)."""
    if not 0 <= tag <= MAX_TAG:
        raise Misuse(f"a tag of tunnel attributes is 0 to {MAX_TAG}, not {tag}")
    # A text whose tag octet is left away must not begin with one that could be a tag; no VLAN's name does.
    group = bytes((tag,)) if tag else b""
    return (
        (int(RadiusAttribute.TUNNEL_TYPE), bytes((tag,)) + VLAN.to_bytes(3, "big")),
        (int(RadiusAttribute.TUNNEL_MEDIUM_TYPE), bytes((tag,)) + IEEE_802.to_bytes(3, "big")),
        (int(RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID), group + vlan.encode()),
    )


def session_seconds(granted: int | None, *, network: int, evidence: Seconds | None) -> int:
    """Session-Timeout. granted: by the access list. network: what there is without a grant, and below which evidence
    that ends soon does not shorten a session. evidence: seconds until it ends; None where the session can be ended from
    here when it does, which then is no reason to end it before."""
    wanted = network if granted is None else granted
    if evidence is None:
        return wanted
    return max(min(wanted, network), min(wanted, int(max(evidence, 0))))


def session_attributes(seconds: int, *, reauthenticate: bool) -> Attributes:
    """Session-Timeout, and what happens then: another authentication on the same port, or its end (RFC 3580 section
    3.17, 3.19)."""
    timeout = (int(RadiusAttribute.SESSION_TIMEOUT), integer(seconds))
    return (
        (timeout, (int(RadiusAttribute.TERMINATION_ACTION), integer(RADIUS_REQUEST))) if reauthenticate else (timeout,)
    )


# --- values of grants


def _vlan(what: str, value: object, _names: AttributeNames | None) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_VLAN:
            raise Malformed(f"{what} is a VLAN from 1 to {MAX_VLAN} or its name, not {value}")
        return str(value)
    name = _text(what, value, most=MAX_VALUE - 1)
    if name.isascii() and name.isdigit():
        return _vlan(what, int(name), None)
    return name


def _filters(what: str, value: object, _names: AttributeNames | None) -> tuple[str, ...]:
    names = value if isinstance(value, tuple | list) else (value,)
    if not names:
        raise Malformed(f"{what} names no filter")
    return tuple(_text(what, name, most=MAX_VALUE) for name in names)


def _seconds(what: str, value: object, _names: AttributeNames | None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LONGEST:
        raise Malformed(f"{what} is a number of seconds from 1 to {LONGEST}, not {value!r}")
    return value


def _attributes(what: str, value: object, names: AttributeNames | None) -> Attributes:
    if not isinstance(value, Mapping):
        raise Malformed(f"{what} is a table of attributes by name")
    if names is None:
        raise Malformed(f"{what} need a dictionary of their names")
    return tuple(attribute for name, one in value.items() for attribute in names.encode(name, one))


def _text(what: str, value: object, *, most: int) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value.encode()) <= most:
        raise Malformed(f"{what} is a printable text of 1 to {most} octets")
    return value


_Reader = Callable[[str, object, AttributeNames | None], Any]
_READERS: Final[Mapping[str, tuple[str, _Reader]]] = MappingProxyType(
    {
        "vlan": ("vlan", _vlan),
        "filter": ("filters", _filters),
        "session_timeout": ("session_timeout", _seconds),
        "idle_timeout": ("idle_timeout", _seconds),
        "attributes": ("attributes", _attributes),
    }
)
"""Table: every key of grants, the field it becomes, and how its value is read."""
