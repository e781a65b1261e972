"""What a network access server reports of a session: that it began, goes on, ended, and what it has carried.

Reports are believed as far as the access server is. They come late, twice, and in the wrong order: an event says when
it happened, by the access server's clock if it has one, otherwise by how long it was delayed.

Sections: RFC 2866 sections 4.1 and 5, RFC 2869 sections 2.1, 5.1 to 5.3, RFC 4372 section 2.2.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final, Self

from dnsbound.errors import Malformed
from dnsbound.iana import AcctStatusType, AcctTerminateCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket
from dnsbound.protocols.radius_attributes import Attributes, integer, read_address, read_integer, read_text
from dnsbound.protocols.radius_nas import NasFacts
from dnsbound.times import Moment

GIGAWORD: Final = 2**32
"""How often a counter of octets has come round."""

OF_A_SESSION: Final = frozenset({AcctStatusType.START, AcctStatusType.STOP, AcctStatusType.INTERIM_UPDATE})
"""The others are about the access server: all its sessions are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountingEvent:
    """One Accounting-Request.

    session_id, multi_session_id: octets, as dynamic authorisation says them back; session_id is empty only where the
    event is of no session. classes: of the Access-Accept, in order. octets and packets: from the client's side,
    `input` is what it sent; None where nothing was said. delay: seconds the report waited at the access server.
    timestamp: by the access server's clock.
    """

    status: AcctStatusType
    session_id: bytes
    nas: NasFacts
    multi_session_id: bytes | None = None
    user_name: bytes | None = None
    classes: tuple[bytes, ...] = ()
    chargeable_user_identity: bytes | None = None
    framed_address: str | None = None
    session_seconds: int | None = None
    input_octets: int | None = None
    output_octets: int | None = None
    input_packets: int | None = None
    output_packets: int | None = None
    terminate_cause: int | None = None
    delay: int = 0
    timestamp: int | None = None

    @classmethod
    def of(cls, request: RadiusPacket) -> Self:
        """Read a request; Malformed for one that does not say of what it is, or says it in numbers that are none."""
        if request.code is not RadiusCode.ACCOUNTING_REQUEST:
            raise Malformed(f"{request.code.name} is no report")
        status = _status(request)
        session_id = request.first(RadiusAttribute.ACCT_SESSION_ID) or b""
        if status in OF_A_SESSION and not session_id:
            raise Malformed("Accounting-Request of a session without Acct-Session-Id")
        address = request.first(RadiusAttribute.FRAMED_IP_ADDRESS)
        return cls(
            status=status,
            session_id=session_id,
            nas=NasFacts.of(request),
            multi_session_id=request.first(RadiusAttribute.ACCT_MULTI_SESSION_ID),
            user_name=request.first(RadiusAttribute.USER_NAME),
            classes=request.all(RadiusAttribute.CLASS),
            chargeable_user_identity=request.first(RadiusAttribute.CHARGEABLE_USER_IDENTITY),
            framed_address=None if address is None else str(read_address(RadiusAttribute.FRAMED_IP_ADDRESS, address)),
            session_seconds=_integer(request, RadiusAttribute.ACCT_SESSION_TIME),
            input_octets=_octets(request, RadiusAttribute.ACCT_INPUT_OCTETS, RadiusAttribute.ACCT_INPUT_GIGAWORDS),
            output_octets=_octets(request, RadiusAttribute.ACCT_OUTPUT_OCTETS, RadiusAttribute.ACCT_OUTPUT_GIGAWORDS),
            input_packets=_integer(request, RadiusAttribute.ACCT_INPUT_PACKETS),
            output_packets=_integer(request, RadiusAttribute.ACCT_OUTPUT_PACKETS),
            terminate_cause=_integer(request, RadiusAttribute.ACCT_TERMINATE_CAUSE),
            delay=_integer(request, RadiusAttribute.ACCT_DELAY_TIME) or 0,
            timestamp=_integer(request, RadiusAttribute.EVENT_TIMESTAMP),
        )

    def happened(self, received: Moment) -> Moment:
        """When it happened, of a report received now. A clock of the access server that is ahead of ours is not
        believed: the report's delay is."""
        if self.timestamp is not None and self.timestamp <= received:
            return float(self.timestamp)
        return received - self.delay

    @property
    def cause_text(self) -> str:
        """For people: why the session ended; empty where nothing was said."""
        return cause_text(self.terminate_cause)

    @property
    def user_text(self) -> str | None:
        return None if self.user_name is None else read_text(self.user_name)

    def to_attributes(self) -> Attributes:
        """What an access server would say: all of it but `nas`, which it adds to every request."""
        low = {
            RadiusAttribute.ACCT_STATUS_TYPE: int(self.status),
            RadiusAttribute.ACCT_SESSION_TIME: self.session_seconds,
            RadiusAttribute.ACCT_INPUT_PACKETS: self.input_packets,
            RadiusAttribute.ACCT_OUTPUT_PACKETS: self.output_packets,
            RadiusAttribute.ACCT_TERMINATE_CAUSE: self.terminate_cause,
            RadiusAttribute.ACCT_DELAY_TIME: self.delay,
            RadiusAttribute.EVENT_TIMESTAMP: self.timestamp,
        }
        for counted, gigawords, octets in (
            (RadiusAttribute.ACCT_INPUT_OCTETS, RadiusAttribute.ACCT_INPUT_GIGAWORDS, self.input_octets),
            (RadiusAttribute.ACCT_OUTPUT_OCTETS, RadiusAttribute.ACCT_OUTPUT_GIGAWORDS, self.output_octets),
        ):
            if octets is not None:
                low |= {counted: octets % GIGAWORD, gigawords: octets // GIGAWORD}
        address = self.framed_address
        said = {
            RadiusAttribute.FRAMED_IP_ADDRESS: None if address is None else ipaddress.IPv4Address(address).packed,
            RadiusAttribute.ACCT_SESSION_ID: self.session_id or None,
            RadiusAttribute.ACCT_MULTI_SESSION_ID: self.multi_session_id,
            RadiusAttribute.USER_NAME: self.user_name,
            RadiusAttribute.CHARGEABLE_USER_IDENTITY: self.chargeable_user_identity,
            **{number: None if value is None else integer(value) for number, value in low.items()},
        }
        given = tuple((int(number), value) for number, value in said.items() if value is not None)
        return given + tuple((int(RadiusAttribute.CLASS), value) for value in self.classes)


def cause_text(cause: int | None) -> str:
    """An Acct-Terminate-Cause (RFC 2866 section 5.10) in words; empty for None."""
    if cause is None:
        return ""
    try:
        return AcctTerminateCause(cause).name.lower().replace("_", "-")
    except ValueError:
        return f"cause {cause}"


def _status(request: RadiusPacket) -> AcctStatusType:
    number = _integer(request, RadiusAttribute.ACCT_STATUS_TYPE)
    try:
        return AcctStatusType(number or 0)
    except ValueError:
        raise Malformed(f"Accounting-Request with Acct-Status-Type {number}") from None


def _integer(request: RadiusPacket, attribute: RadiusAttribute) -> int | None:
    value = request.first(attribute)
    return None if value is None else read_integer(attribute, value)


def _octets(request: RadiusPacket, counted: RadiusAttribute, gigawords: RadiusAttribute) -> int | None:
    low, rounds = _integer(request, counted), _integer(request, gigawords)
    return None if low is None and rounds is None else (rounds or 0) * GIGAWORD + (low or 0)
