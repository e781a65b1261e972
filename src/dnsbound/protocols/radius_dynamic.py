"""Dynamic authorisation: telling a network access server to end a session or to change it, and its answer; both sides.

Such requests travel the other way round: the RADIUS server sends, the access server answers. They carry the time they
were made at, so that an old one that is sent again ends nothing. Which session is meant, identification attributes
say; access servers that do not know one of them refuse the whole request, so no more are sent than are needed.

Not here: sending, sending again, and to whom.

Sections: RFC 5176 sections 2.1, 2.2, 3, 3.1, 3.3, 3.5, 3.6 and 6.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from dnsbound.errors import Misuse
from dnsbound.iana import ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import (
    Discard,
    Discarded,
    RadiusPacket,
    answer_to,
    read_request,
)
from dnsbound.protocols.radius_attributes import Attributes, integer, read_integer
from dnsbound.times import Moment

TIME_WINDOW: Final = 300
"""Seconds by which Event-Timestamp and the reader's clock may differ (RFC 5176 section 3.3)."""

REQUESTS: Final = frozenset({RadiusCode.DISCONNECT_REQUEST, RadiusCode.COA_REQUEST})
_ACKNOWLEDGED: Final = frozenset({RadiusCode.DISCONNECT_ACK, RadiusCode.COA_ACK})


SESSION_NAMES: Final = frozenset(
    {
        *(RadiusAttribute.USER_NAME, RadiusAttribute.NAS_PORT, RadiusAttribute.CALLING_STATION_ID),
        *(RadiusAttribute.ACCT_SESSION_ID, RadiusAttribute.ACCT_MULTI_SESSION_ID),
        RadiusAttribute.CHARGEABLE_USER_IDENTITY,
    }
)
"""One of these must be there: NAS-Identifier or Called-Station-Id alone is everybody at an access point."""


class Meaning(StrEnum):
    """What an answer means for the session that was to end or to change."""

    DONE = "done"
    GONE = "gone"
    """The access server knows no such session: it is over."""
    UNSUPPORTED = "unsupported"
    """It will say the same to every request of this form: told to people, and not tried again."""
    UNROUTABLE = "unroutable"
    """A proxy on the way could not bring it there."""
    LATER = "later"
    """Not now: worth another try."""
    REFUSED = "refused"
    """It will not, and says no more."""


MEANING_OF_CAUSE: Final[Mapping[ErrorCause, Meaning]] = MappingProxyType(
    {
        ErrorCause.RESIDUAL_SESSION_CONTEXT_REMOVED: Meaning.DONE,
        ErrorCause.INVALID_EAP_PACKET: Meaning.REFUSED,
        ErrorCause.UNSUPPORTED_ATTRIBUTE: Meaning.UNSUPPORTED,
        ErrorCause.MISSING_ATTRIBUTE: Meaning.UNSUPPORTED,
        ErrorCause.NAS_IDENTIFICATION_MISMATCH: Meaning.UNROUTABLE,
        ErrorCause.INVALID_REQUEST: Meaning.UNSUPPORTED,
        ErrorCause.UNSUPPORTED_SERVICE: Meaning.UNSUPPORTED,
        ErrorCause.UNSUPPORTED_EXTENSION: Meaning.UNSUPPORTED,
        ErrorCause.INVALID_ATTRIBUTE_VALUE: Meaning.UNSUPPORTED,
        ErrorCause.ADMINISTRATIVELY_PROHIBITED: Meaning.UNSUPPORTED,
        ErrorCause.REQUEST_NOT_ROUTABLE: Meaning.UNROUTABLE,
        ErrorCause.SESSION_CONTEXT_NOT_FOUND: Meaning.GONE,
        ErrorCause.SESSION_CONTEXT_NOT_REMOVABLE: Meaning.LATER,
        ErrorCause.OTHER_PROXY_PROCESSING_ERROR: Meaning.UNROUTABLE,
        ErrorCause.RESOURCES_UNAVAILABLE: Meaning.LATER,
        ErrorCause.REQUEST_INITIATED: Meaning.LATER,
        ErrorCause.MULTIPLE_SESSION_SELECTION_UNSUPPORTED: Meaning.UNSUPPORTED,
    }
)
"""Table: what a refusal with this cause means (RFC 5176 section 3.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicAnswer:
    """acknowledged: it did what it was told. cause: the number of Error-Cause, where there is one."""

    acknowledged: bool
    cause: int | None

    @classmethod
    def of(cls, answer: RadiusPacket) -> Self:
        """What an answer that was found to be one says; Malformed for an Error-Cause that is no number."""
        cause = answer.first(RadiusAttribute.ERROR_CAUSE)
        return cls(
            acknowledged=answer.code in _ACKNOWLEDGED,
            cause=None if cause is None else read_integer(RadiusAttribute.ERROR_CAUSE, cause),
        )

    @property
    def meaning(self) -> Meaning:
        """A refusal without a cause, or with one that is not registered, says no more than that."""
        if self.acknowledged:
            return Meaning.DONE
        try:
            return MEANING_OF_CAUSE[ErrorCause(self.cause or 0)]
        except ValueError:
            return Meaning.REFUSED

    @property
    def text(self) -> str:
        """For people: `acknowledged`, or the cause in words."""
        if self.acknowledged:
            return "acknowledged"
        try:
            return ErrorCause(self.cause or 0).name.lower().replace("_", "-")
        except ValueError:
            return "refused" if self.cause is None else f"refused, cause {self.cause}"


# --- the RADIUS server's side


def dynamic_attributes(session: Attributes, *, now: Moment, changes: Attributes = ()) -> Attributes:
    """What a Disconnect-Request says, or a CoA-Request with the attributes that change: which session, as the access
    server itself said it, and when. Misuse where nothing names one: that would be all of them."""
    if not any(number in SESSION_NAMES for number, _ in session):
        raise Misuse("nothing says which session is meant")
    return (*session, (int(RadiusAttribute.EVENT_TIMESTAMP), integer(int(now))), *changes)


# --- the access server's side


def read_dynamic_request(octets: bytes, secret: bytes, *, now: Moment) -> RadiusPacket:
    """A Disconnect-Request or CoA-Request made within five minutes of now, by somebody who has the secret. Malformed,
    or Discarded with the reason."""
    request = read_request(octets, secret)
    if request.code not in REQUESTS:
        raise Discarded(Discard.NOT_A_REQUEST, request.code.name)
    made = request.first(RadiusAttribute.EVENT_TIMESTAMP)
    if made is None:
        raise Discarded(Discard.NO_TIME)
    if abs(read_integer(RadiusAttribute.EVENT_TIMESTAMP, made) - now) > TIME_WINDOW:
        raise Discarded(Discard.OUT_OF_TIME)
    return request


def dynamic_answer(request: RadiusPacket, secret: bytes, *, cause: ErrorCause | None = None) -> bytes:
    """ACK on the wire; with a cause, NAK."""
    disconnect = request.code is RadiusCode.DISCONNECT_REQUEST
    if cause is None:
        code = RadiusCode.DISCONNECT_ACK if disconnect else RadiusCode.COA_ACK
        return answer_to(request, code, (), secret)
    code = RadiusCode.DISCONNECT_NAK if disconnect else RadiusCode.COA_NAK
    return answer_to(request, code, ((int(RadiusAttribute.ERROR_CAUSE), integer(cause)),), secret)
