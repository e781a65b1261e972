"""Accounting-Requests as they are kept: whose they are, when it happened, and to which admission they belong.

A Class is believed only if it was given to the RADIUS client that the report comes from (`protocols.radius_class`); a
report without one, or with another's, is kept and ends nobody's supervision.

Documents: RFC 2865 section 5.25; RFC 2866 sections 4.1, 5; RFC 2869 section 5.3.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dnsbound.iana import RadiusAttribute
from dnsbound.protocols.radius_accounting import OF_A_SESSION
from dnsbound.protocols.radius_attributes import Attributes, read_address, read_text
from dnsbound.protocols.radius_class import AccessClasses, NotOurClass
from dnsbound.protocols.radius_nas import canonical_station
from dnsbound.provision.accounting.entries import Reported
from dnsbound.times import Moment, Seconds

if TYPE_CHECKING:
    from dnsbound.edge.radius_clients import RadiusOrigin
    from dnsbound.protocols.radius_accounting import AccountingEvent

OLDEST_SECONDS: Final[Seconds] = 86_400.0
"""An access server that dates a report further back has no clock: the report is of now."""
_SET_CLOCK: Final[Moment] = 1_000_000_000.0
"""A clock that was never set shows less, in September 2001: it counts from 1970, or from the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """reported: for the database. session_id, user_name: octets, as the access server is told them back.
    foreign_classes: Class attributes that are not ours, or not of this client."""

    reported: Reported
    session_id: bytes
    user_name: bytes | None
    cause_text: str
    foreign_classes: int


def report_of(event: "AccountingEvent", origin: "RadiusOrigin", classes: AccessClasses, *, now: Moment) -> Report:
    """What an access server says, as it is kept."""
    client = origin.client.label
    ours, foreign = None, 0
    for value in event.classes:
        try:
            ours = ours or classes.checked(value, client)
        except NotOurClass:
            foreign += 1
    happened = event.happened(now)
    # Nothing proves that a report is fresh. A restart told again after a day would end the supervision of all who came
    # since; a report of one session names it by its Class.
    oldest = now - OLDEST_SECONDS if event.status in OF_A_SESSION else _SET_CLOCK
    reported = Reported(
        status=event.status,
        client=client,
        nas=event.nas.label or origin.address,
        session=read_text(event.session_id),
        at=happened if happened > oldest else now,
        access_class=ours,
        user_name=event.user_text or "",
        calling_station=event.nas.calling_station or "",
        seconds=event.session_seconds or 0,
        input_octets=event.input_octets or 0,
        output_octets=event.output_octets or 0,
        input_packets=event.input_packets or 0,
        output_packets=event.output_packets or 0,
        cause=event.terminate_cause,
    )
    return Report(
        reported=reported,
        session_id=event.session_id,
        user_name=event.user_name,
        cause_text=event.cause_text,
        foreign_classes=foreign,
    )


def nas_label(identification: Attributes) -> str:
    """What an access server calls itself, as `NasFacts.label` has it; empty when it says nothing of itself."""
    said = dict(identification)
    identifier = said.get(RadiusAttribute.NAS_IDENTIFIER)
    if identifier:
        return read_text(identifier)
    for attribute in (RadiusAttribute.NAS_IP_ADDRESS, RadiusAttribute.NAS_IPV6_ADDRESS):
        if attribute in said:
            return str(read_address(attribute, said[attribute]))
    return ""


def station_of(identification: Attributes) -> str:
    """The client's Calling-Station-Id, as `NasFacts` has it; empty when it is not known."""
    said = dict(identification).get(RadiusAttribute.CALLING_STATION_ID)
    return canonical_station(read_text(said)) if said else ""
