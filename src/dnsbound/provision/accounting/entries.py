"""What is written into the accounting database, and what is read from it, as values.

Admitted, Marked, Ended, Renewed    what this server did
Reported                            what an access server said (RFC 2866)
AdmissionRow, ReportRow             what is kept of the two
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self, TypeAlias

from dnsbound.errors import Malformed
from dnsbound.iana import AcctStatusType
from dnsbound.times import Moment, Seconds
from dnsbound.verify.claim import Claim

LARGEST: Final = 2**63 - 1
"""Of a counter that both databases hold. Gigawords can say twice that; no network has carried as much."""

Identification: TypeAlias = tuple[tuple[int, bytes], ...]
"""RADIUS attributes by which an access server knows a session."""


class AdmissionState(StrEnum):
    """What became of an admission."""

    LIVE = "live"
    CUTTING = "cutting"
    """It is to end, and its access server has not said yet that it has."""
    STOPPED = "stopped"
    """The access server reported its end."""
    REPLACED = "replaced"
    """The same client was admitted again at the same place."""
    EXPIRED = "expired"
    """Its time is over, and nothing was heard of it."""
    DISCONNECTED = "disconnected"
    """The access server ended it when it was asked to."""
    GONE = "gone"
    """The access server did not know it any more when it was asked to end it, or has restarted since."""
    LEFT = "left"
    """It should have ended, and the access server could not be brought to end it: it lasts until its time is over."""

    @property
    def is_in(self) -> bool:
        return self in (AdmissionState.LIVE, AdmissionState.CUTTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A client was let in.

    worker: the process that keeps account of it. name: canonical. client: the label of the RADIUS client. address:
    where its Access-Request came from. nas: how the access server names itself. holds_until: the end of the evidence.
    session_timeout: as it was told. expires_at: when the session is over unless something is heard of it.
    """

    access_class: bytes
    worker: int
    network: str
    name: str
    client: str
    address: str
    nas: str
    calling_station: str
    identification: Identification
    claim: Claim
    admitted_at: Moment
    holds_until: Moment
    session_timeout: Seconds
    expires_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """It is to end; why: in a few words."""

    access_class: bytes
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """It is over for this server."""

    access_class: bytes
    state: AdmissionState
    at: Moment
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """There is newer evidence."""

    access_class: bytes
    holds_until: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What one Accounting-Request says, of one session or (ACCOUNTING_ON, ACCOUNTING_OFF) of a whole access server.

    at: when it happened. access_class: only one that was found to be ours and this client's. seconds, octets, packets:
    as counted until then; 0 where nothing was said.
    """

    status: AcctStatusType
    client: str
    nas: str
    session: str
    at: Moment
    access_class: bytes | None = None
    user_name: str = ""
    calling_station: str = ""
    seconds: int = 0
    input_octets: int = 0
    output_octets: int = 0
    input_packets: int = 0
    output_packets: int = 0
    cause: int | None = None

    def bounded(self) -> Self:
        """With counters that can be kept."""
        return replace(
            self, input_octets=min(self.input_octets, LARGEST), output_octets=min(self.output_octets, LARGEST)
        )


Entry: TypeAlias = Admitted | Marked | Ended | Renewed | Reported


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One session as its access server tells of it. heard_at: of the last report. cause: Acct-Terminate-Cause."""

    number: int
    client: str
    nas: str
    session: str
    user_name: str
    calling_station: str
    started_at: Moment
    heard_at: Moment
    stopped_at: Moment | None
    seconds: int
    input_octets: int
    output_octets: int
    input_packets: int
    output_packets: int
    cause: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRow:
    """One admission, and the newest report that belongs to it."""

    number: int
    access_class: bytes
    network: str
    name: str
    client: str
    address: str
    nas: str
    calling_station: str
    identification: Identification
    admitted_at: Moment
    holds_until: Moment
    expires_at: Moment
    state: AdmissionState
    ended_at: Moment | None
    why: str
    report: ReportRow | None


def identification_to_wire(identification: Identification) -> bytes:
    """As attributes stand in a packet (RFC 2865 section 5)."""
    return b"".join(bytes((number, len(value) + 2)) + value for number, value in identification)


def identification_from_wire(octets: bytes) -> Identification:
    """What `identification_to_wire` made; Malformed for anything else."""
    found, at = [], 0
    while at < len(octets):
        end = at + (octets[at + 1] if at + 1 < len(octets) else 0)
        if end < at + 2 or end > len(octets):
            raise Malformed("kept attributes are cut short", at)
        found.append((octets[at], octets[at + 2 : end]))
        at = end
    return tuple(found)
