"""What stands in a connection that the gate passes on: one filter between an admitted client and its back end.

A filter sees both directions after the verdict, may change what goes to either side, and knows who the client is. It
does no input or output: each call gives a Step, which the gate carries out in order (`dnsbound.edge.gate_connection`).
Protocols that begin in clear (STARTTLS) have a second, smaller machine for the words before TLS, spoken by the gate
itself: no back end is connected for a client that nobody has judged yet.

The table of protocols is `dnsbound.edge.gate_protocols`. What this is not: TLS, the verdict, or flow control, which is
the gate's: it reads no more of a side whose octets the other side does not take.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from dnsbound.errors import DnsboundError, PeerError
from dnsbound.names import ClientName
from dnsbound.times import Moment

Address: TypeAlias = tuple[str, int]
"""Host in text form, and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStranger:
    """A client that was let in without a name, at a gate that allows that. client, server: the ends of its connection,
    as it or the load balancer before the gate sees them. tls_version: such as `TLSv1.3`, empty for none."""

    door: str
    tls_version: str
    client: Address
    server: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class GateIdentity:
    """Who an admitted client is. certificate: its leaf as DER, None where it showed a bare key. spki: of its key, DER.
    valid_until: of the evidence at the time of admission; the gate itself asks again. Otherwise as `GateStranger`."""

    name: ClientName
    grants: Mapping[str, Any]
    door: str
    valid_until: Moment
    tls_version: str
    certificate: bytes | None
    spki: bytes
    client: Address
    server: Address


GateClient: TypeAlias = GateIdentity | GateStranger


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a filter wants done. upgrade: of a ClearGreeting alone: what is to be sent, then TLS. in_clear: of one alone
    too: no TLS for this client, which goes on as a GateStranger, where strangers may; its filter hears `to_backend`
    first. end: close both sides after what is to be sent, for this reason; None goes on."""

    to_client: bytes = b""
    to_backend: bytes = b""
    upgrade: bool = False
    in_clear: bool = False
    end: DnsboundError | None = None


NOTHING: Final = Step()


class GatedProtocol(Protocol):
    """The filter of one connection. No call raises for what a side says: it gives a Step whose `end` is a PeerError or
    LimitExceeded for what a client did, and a BackendError for what the back end did.

    client_ended, backend_ended: that side will say no more. After the Step the gate ends its own sending to the other
    side, and the connection lasts until both have ended.
    """

    def begin(self) -> Step:
        """Once, when the back end is connected."""
        ...

    def unreachable(self, error: "BackendError") -> Step:
        """In place of `begin`, when it is not: what the client is told. Without an `end` the client may go on speaking
        to the filter alone, whose `to_backend` goes nowhere."""
        ...

    def client_said(self, octets: bytes) -> Step: ...

    def backend_said(self, octets: bytes) -> Step: ...

    def client_ended(self) -> Step: ...

    def backend_ended(self) -> Step: ...

    def renewed(self, identity: GateIdentity) -> Step:
        """The same client by newer evidence, before what either side says next. A filter that has told its back end
        something that does not hold any more, such as grants, says so anew or ends the connection."""
        ...


def ended_by_grants(before: "GateClient | None", now: GateIdentity) -> Step:
    """What `GatedProtocol.renewed` gives where a session was begun by grants: it ends when they have changed."""
    if not isinstance(before, GateIdentity) or before.grants == now.grants:
        return NOTHING
    return Step(end=PeerError(f"the access list grants {now.name} something else by now"))


class ClearGreeting(Protocol):
    """What the gate says in clear before TLS begins. A Step with `upgrade` is the last: octets that came with or after
    the words that caused it are an injection, and end the connection (CVE-2011-0411)."""

    def begin(self) -> Step:
        """Once, when the client has connected."""
        ...

    def client_said(self, octets: bytes) -> Step: ...


class BackendError(DnsboundError):
    """The back end broke the protocol it speaks, or could not be reached: no fault of the client's."""


class PassedThrough:
    """The filter that changes nothing: `protocol = "tcp"`."""

    __slots__ = ()

    def begin(self) -> Step:
        return NOTHING

    def unreachable(self, error: BackendError) -> Step:
        return Step(end=error)

    def client_said(self, octets: bytes) -> Step:
        return Step(to_backend=octets)

    def backend_said(self, octets: bytes) -> Step:
        return Step(to_client=octets)

    def client_ended(self) -> Step:
        return NOTHING

    def backend_ended(self) -> Step:
        return NOTHING

    def renewed(self, identity: GateIdentity) -> Step:  # noqa: ARG002 (the interface's signature)
        """A back end is told no grants here."""
        return NOTHING
