"""One connection through the gate, from admission to its end: the client's TLS on one side, the back end on the other,
and the filter of its protocol between them.

The back end is connected when the client is in, never before. Each side is read only as fast as the other takes what
comes of it. A side that ends in order is told to the other (close_notify, or the end of a socket's stream), which may
go on; one that does not is made visible as that: the back end's connection is reset, or the client's TLS ends without
its close_notify, so that nobody takes half a message for a whole one.

What this is not: the verdict (`server_protocol`), or what is said (`dnsbound.protocols.gated`).
"""

import asyncio
import contextlib
import logging
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from dnsbound.edge.gate_client import client_of, proxy_header
from dnsbound.edge.gate_counters import Ended, TurnedAway
from dnsbound.edge.server_transport import ServerTransport
from dnsbound.errors import Refused, Undecided
from dnsbound.limits import LINGER_SECONDS
from dnsbound.protocols.gated import BackendError, GateIdentity, Step

if TYPE_CHECKING:
    from dnsbound.edge.gate_ways import Taking
    from dnsbound.protocols.gated import GateClient, GatedProtocol
    from dnsbound.verify.peer import VerifiedPeer

_log: Final = logging.getLogger("dnsbound.gate")

_RESET: Final = struct.pack("ii", 1, 0)
"""struct linger: close at once, with a reset."""
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 6))
"""A peer whose machine or path is gone is noticed after three minutes, whatever idle_seconds says."""


class GateConnection(asyncio.Protocol):
    """The protocol of an admitted client's transport; it is also told what its back end says. replay: what a
    stranger said in clear already, for the filter."""

    def __init__(self, gate: "Taking", *, replay: bytes = b"") -> None:
        self._gate = gate
        self._rule = gate.rule
        """In force when it began; it goes on so."""
        self._loop: Final = asyncio.get_running_loop()
        self._replay = replay
        self._client: asyncio.Transport
        self._backend: asyncio.Transport | None = None
        self._filter: GatedProtocol
        self.identity: GateClient
        self._peer: VerifiedPeer | None = None
        """By whose evidence the filter goes."""
        self._name: str | None = None
        self._is_in = False
        self._connecting: asyncio.Task[None] | None = None
        self._is_unreachable = False
        self._client_ended = self._backend_ended = False
        self._client_full = self._backend_full = False
        self._answered_client = self._answered_backend = False
        """The filter itself has answered a side that does not take its answers: that side has to wait too."""
        self._holds_client = True
        self._holds_backend = False
        self._moved_at = self._began_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._ended: Ended | None = None

    # --- the client's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = transport = cast("asyncio.Transport", transport)
        transport.pause_reading()
        self.identity = client_of(transport, self._rule.door)
        self._peer = transport.get_extra_info("verified_peer")
        self._name = self.identity.name.canonical if isinstance(self.identity, GateIdentity) else None
        refused = self._gate.enter(self, self._name)
        if refused is not None:
            self._turn_away(refused)
            return
        self._is_in = True
        transport.set_write_buffer_limits(high=self._rule.buffer_octets)
        keep_alive(transport)
        self._filter = self._rule.filter_of(self.identity)
        self._connecting = self._loop.create_task(self._connect())
        self._arm()

    def data_received(self, data: bytes) -> None:
        if self._ended is not None:
            return
        self._moved_at = self._loop.time()
        if not self._still_holds():
            return
        step = self._filter.client_said(data)
        if step.to_client and self._client_full:
            self._answered_client = True
        self._carry_out(step)

    def eof_received(self) -> bool:
        """True: the client's connection stays open for what the back end has still to say."""
        if self._ended is not None:
            return False
        self._client_ended = True
        self._moved_at = self._loop.time()
        self._carry_out(self._filter.client_ended())
        self._one_side_ended()
        return self._ended is None

    def pause_writing(self) -> None:
        self._client_full = True
        self._pace()

    def resume_writing(self) -> None:
        self._client_full = self._answered_client = False
        self._pace()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, Refused | Undecided):
            self._end_at_once(Ended.CUT, exc)
        elif self._client_ended:
            self._end_in_order(Ended.ORDERLY)  # All it had to say was said, and has still to reach the back end.
        else:
            self._end_at_once(Ended.CLIENT_GONE, exc)
        if self._is_in:
            self._is_in = False
            self._gate.leave(self, self._name, self._ended or Ended.ORDERLY)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _still_holds(self) -> bool:
        """Tell the filter of newer evidence. False where the connection has ended of it."""
        peer = self._client.get_extra_info("verified_peer")
        if peer is None or peer is self._peer:
            return True
        self._peer = peer
        if not isinstance(self.identity, GateIdentity):
            return True
        self.identity = replace(self.identity, grants=peer.grants, valid_until=peer.valid_until)
        step = self._filter.renewed(self.identity)
        if step.end is not None:
            _log.info("gate %s: the connection of %s is ended: %s", self._rule.label, self._who, step.end)
            self._end_at_once(Ended.CUT, step.end)
        return step.end is None

    def _turn_away(self, why: TurnedAway) -> None:
        self._ended = Ended.CLIENT_FAULT
        _log.debug("gate %s: a connection of %s is closed: %s", self._rule.label, self._who, why)
        self._client.close()

    # --- the back end's side

    async def _connect(self) -> None:
        """Reach the back end and begin; whatever goes wrong in it ends this connection, and no other."""
        try:
            try:
                async with asyncio.timeout(self._rule.times.connect):
                    transport = await self._rule.target.connect(lambda: _Backend(self))
            except OSError as error:
                self._connecting = None
                self._unreachable(error)
                return
            self._connecting = None
            if self._ended is not None or self._client.is_closing():
                reset(transport)
            else:
                self._connected(transport)
        except Exception as error:  # noqa: BLE001 (as asyncio does for every callback of a protocol)
            self._loop.call_exception_handler(
                {"message": "a gated connection was ended by an error in its filter", "exception": error}
            )
            self._end_at_once(Ended.BACKEND_FAULT, error)

    def _connected(self, transport: asyncio.Transport) -> None:
        self._backend = transport
        self._moved_at = self._loop.time()
        transport.set_write_buffer_limits(high=self._rule.buffer_octets)
        keep_alive(transport)
        header = proxy_header(self._rule.proxy, self.identity, self._client)
        if header:
            transport.write(header)
        self._begin(self._filter.begin())

    def _unreachable(self, error: OSError) -> None:
        why = str(error) or "no answer in time"
        self._is_unreachable = True
        self._gate.backend_failed(self._rule, why)
        if self._ended is None:
            self._begin(self._filter.unreachable(BackendError(f"{self._rule.target}: {why}")))

    def _begin(self, step: Step) -> None:
        self._carry_out(step)
        if self._replay and self._ended is None:
            replay, self._replay = self._replay, b""
            self._carry_out(self._filter.client_said(replay))
        self._holds_client = False
        if self._ended is None:
            self._pace()
            if not self._holds_client:
                self._client.resume_reading()

    def backend_said(self, data: bytes) -> None:
        if self._ended is not None:
            return
        self._moved_at = self._loop.time()
        if not self._still_holds():
            return
        step = self._filter.backend_said(data)
        if step.to_backend and self._backend_full:
            self._answered_backend = True
        self._carry_out(step)

    def backend_ended(self) -> None:
        if self._ended is not None:
            return
        self._backend_ended = True
        self._moved_at = self._loop.time()
        self._carry_out(self._filter.backend_ended())
        self._one_side_ended()

    def backend_full(self, *, is_full: bool) -> None:
        self._backend_full = is_full
        self._answered_backend = self._answered_backend and is_full
        self._pace()

    def backend_lost(self, error: Exception | None) -> None:
        self._backend = None
        if self._backend_ended:
            self._end_in_order(Ended.ORDERLY)
        elif self._ended is None:
            self._gate.backend_failed(self._rule, str(error or "it closed its connection"))
            self._end_at_once(Ended.BACKEND_GONE, error)

    @property
    def _who(self) -> str:
        """For logs: programs of this machine, at a client-side gate, have no name."""
        return self._name or "a local program"

    # --- what the filter wants

    def _carry_out(self, step: Step) -> None:
        if self._ended is not None:
            return
        if step.to_backend and self._backend is not None:
            self._gate.counters.from_clients += len(step.to_backend)
            self._backend.write(step.to_backend)
        if step.to_client:
            self._gate.counters.to_clients += len(step.to_client)
            self._client.write(step.to_client)
        if step.end is not None:
            if self._is_unreachable:  # reported by whoever looked for the server
                self._end_in_order(Ended.UNREACHABLE)
            else:
                _log.info("gate %s: the connection of %s is ended: %s", self._rule.label, self._who, step.end)
                self._end_in_order(Ended.BACKEND_FAULT if isinstance(step.end, BackendError) else Ended.CLIENT_FAULT)

    def _pace(self) -> None:
        """Hold a side back while the other is full of what comes of it."""
        if self._ended is not None:
            return
        hold = self._connecting is not None or self._backend_full or self._answered_client
        if hold is not self._holds_client:
            self._holds_client = hold
            (self._client.pause_reading if hold else self._client.resume_reading)()
        hold = self._client_full or self._answered_backend
        if hold is not self._holds_backend and self._backend is not None and not self._backend_ended:
            self._holds_backend = hold
            (self._backend.pause_reading if hold else self._backend.resume_reading)()

    # --- ends

    def _one_side_ended(self) -> None:
        """Tell the other side, and end both when there is nothing more to come from either."""
        if self._ended is not None:
            return
        if (self._client_ended and self._backend_ended) or not self._rule.times.close or self._backend is None:
            self._end_in_order(Ended.ORDERLY)
        elif self._client_ended:
            if self._backend.can_write_eof():
                self._backend.write_eof()
        elif isinstance(self._client, ServerTransport):
            self._client.half_close()
        else:
            self._client.write_eof()
        self._arm()

    def _end_in_order(self, how: Ended) -> None:
        """Send what was written, then close both sides."""
        if self._ended is not None:
            return
        self._ended = how
        self._stop_connecting()
        self._client.close()
        if self._backend is not None:
            self._backend.close()
            if self._backend.get_write_buffer_size():
                # A back end that takes nothing any more holds nothing up for ever.
                self._loop.call_later(LINGER_SECONDS.default, self._backend.abort)

    def _end_at_once(self, how: Ended, error: Exception | None) -> None:
        """Close both sides so that neither takes it for an orderly end, unless it was one."""
        if self._ended is not None:
            return
        self._ended = how
        self._stop_connecting()
        if error is not None:
            _log.debug("gate %s: the connection of %s ended: %s", self._rule.label, self._who, error)
        self._client.abort()
        if self._backend is not None:
            reset(self._backend)

    def drain(self) -> None:
        """End now: the gate ends."""
        self._end_at_once(Ended.DRAINED, None)

    def _stop_connecting(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None

    # --- time

    def _due(self) -> tuple[float, Ended] | None:
        """When this connection has lasted, or been silent, for too long."""
        times = self._rule.times
        dues: list[tuple[float, Ended]] = []
        if times.lifetime:
            dues.append((self._began_at + times.lifetime, Ended.LIFETIME))
        if self._client_ended or self._backend_ended:
            dues.append((self._moved_at + times.close, Ended.HALF_CLOSED))
        elif times.idle:
            dues.append((self._moved_at + times.idle, Ended.IDLE))
        return min(dues) if dues else None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._due()
        if due is not None and self._ended is None:
            self._timer = self._loop.call_at(due[0], self._look)

    def _look(self) -> None:
        """Octets that moved meanwhile have put the end off."""
        self._timer = None
        due = self._due()
        if due is None or due[0] > self._loop.time():
            self._arm()
        else:
            self._end_at_once(due[1], None)


class _Backend(asyncio.Protocol):
    """The back end's transport has a protocol of its own, which tells its GateConnection."""

    def __init__(self, connection: GateConnection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._connection.backend_said(data)

    def eof_received(self) -> bool:
        self._connection.backend_ended()
        return True

    def pause_writing(self) -> None:
        self._connection.backend_full(is_full=True)

    def resume_writing(self) -> None:
        self._connection.backend_full(is_full=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.backend_lost(exc)


def keep_alive(transport: asyncio.Transport) -> None:
    """Have the system ask whether a silent peer is still there; of no meaning for a Unix socket."""
    bound = transport.get_extra_info("socket")
    if bound is not None and bound.family in {socket.AF_INET, socket.AF_INET6}:
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                bound.setsockopt(socket.IPPROTO_TCP, option, value)


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that its peer sees a reset; a Unix socket has none."""
    bound = transport.get_extra_info("socket")
    if bound is not None and bound.family in {socket.AF_INET, socket.AF_INET6}:
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
