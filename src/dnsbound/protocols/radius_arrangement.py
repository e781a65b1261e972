"""What the types of a packet's attributes say, in their order, whatever the values are.

The packets of an access point all look alike. What their types say is found out once for each arrangement of them and
remembered for a few hundred of these; whoever sends others on purpose costs no more than without that.

What this is not: which packet is dropped, and for what (`radius`). Sections: RFC 2865 section 5.44, RFC 2866 section
5.13, RFC 3579 sections 2.6.5, 3.1 and 3.3.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius_attributes import TABLED, Count, count_of, name_of

SAID_ONCE: Final = frozenset(
    {
        *(RadiusAttribute.USER_NAME, RadiusAttribute.STATE, RadiusAttribute.NAS_IDENTIFIER),
        *(RadiusAttribute.NAS_IP_ADDRESS, RadiusAttribute.NAS_IPV6_ADDRESS, RadiusAttribute.NAS_PORT),
        *(RadiusAttribute.CALLED_STATION_ID, RadiusAttribute.CALLING_STATION_ID, RadiusAttribute.OPERATOR_NAME),
        *(RadiusAttribute.CHARGEABLE_USER_IDENTITY, RadiusAttribute.ACCT_STATUS_TYPE, RadiusAttribute.ACCT_SESSION_ID),
    }
)
"""What a request is judged, routed or remembered by. Two readers of a repeated one may take different ones."""

_PASSWORDS: Final = frozenset(
    {RadiusAttribute.USER_PASSWORD, RadiusAttribute.CHAP_PASSWORD, RadiusAttribute.ARAP_PASSWORD}
)
_ADDED: Final = (RadiusAttribute.MESSAGE_AUTHENTICATOR, RadiusAttribute.PROXY_STATE)
_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """Of one packet. eap: where its EAP-Message attributes are; none where they do not follow each other (is_scattered)
    or are not there. authenticators: how many Message-Authenticators there are; authenticator_at: index of the first.
    repeated: the first of `SAID_ONCE` that is said again. has_several_authentications: EAP and a password."""

    eap: slice
    is_scattered: bool
    authenticators: int
    authenticator_at: int
    repeated: int | None
    has_several_authentications: bool


@lru_cache(_REMEMBERED)
def arrangement_of(numbers: tuple[int, ...]) -> Arrangement:
    """numbers: types of the attributes, in order."""
    pieces = numbers.count(RadiusAttribute.EAP_MESSAGE)
    first = numbers.index(RadiusAttribute.EAP_MESSAGE) if pieces else 0
    eap = slice(first, first + pieces)
    is_scattered = any(number != RadiusAttribute.EAP_MESSAGE for number in numbers[eap])
    authenticators = numbers.count(RadiusAttribute.MESSAGE_AUTHENTICATOR)
    return Arrangement(
        eap=slice(0, 0) if is_scattered else eap,
        is_scattered=is_scattered,
        authenticators=authenticators,
        authenticator_at=numbers.index(RadiusAttribute.MESSAGE_AUTHENTICATOR) if authenticators else 0,
        repeated=_repeated(numbers),
        has_several_authentications=pieces > 0 and not _PASSWORDS.isdisjoint(numbers),
    )


def _repeated(numbers: tuple[int, ...]) -> int | None:
    seen: set[int] = set()
    for number in numbers:
        if number in seen and number in SAID_ONCE:
            return number
        seen.add(number)
    return None


@lru_cache(_REMEMBERED)
def check_request_types(numbers: tuple[int, ...]) -> None:
    """Misuse for what a request of ours is given and must not be."""
    if RadiusAttribute.MESSAGE_AUTHENTICATOR in numbers:
        raise Misuse(f"{name_of(RadiusAttribute.MESSAGE_AUTHENTICATOR)} is added here")


@lru_cache(_REMEMBERED)
def check_answer_types(code: RadiusCode, numbers: tuple[int, ...]) -> None:
    """Misuse for what an answer of ours is given and must not be, or must not carry."""
    seen = set(numbers)
    for added in _ADDED:
        if added in seen:
            raise Misuse(f"{name_of(added)} is added here")
    if code is RadiusCode.ACCOUNTING_RESPONSE and seen - {RadiusAttribute.VENDOR_SPECIFIC}:
        raise Misuse("Accounting-Response carries nothing but Proxy-State and Vendor-Specific (RFC 2866 section 5.13)")
    if code not in TABLED:
        return
    for number in seen:
        count = count_of(code, number)
        if count is Count.NONE or (count is Count.AT_MOST_ONE and numbers.count(number) > 1):
            raise Misuse(f"{code.name} carries {name_of(number)} {count.value} times")
    if RadiusAttribute.EAP_MESSAGE in seen and RadiusAttribute.REPLY_MESSAGE in seen:
        raise Misuse("Reply-Message has no place beside EAP-Message (RFC 3579 section 2.6.5)")
