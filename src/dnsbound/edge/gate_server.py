"""The gates of one process: made from a configuration, told of newer ones, drained when the process ends.

    server = GateServer(configuration, resolver, sockets)
    async with server:
        server.reload()                 # SIGHUP: credentials, access list, configuration
        ...
        await server.drain()            # no more are accepted; those that are in may end

What is read again is taken whole or not at all. Connections that are there go on as they began; only a change of the
access list, or of their records, ends them. What cannot change while it runs is where it listens.

What this is not: processes (`worker_processes`), or one connection (`gate_connection`).
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final, Self

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.edge.access_file import AccessFile
from dnsbound.edge.access_in_force import AccessInForce
from dnsbound.edge.authenticator import Authenticator, LookupSource
from dnsbound.edge.context import Context
from dnsbound.edge.context_tickets import TicketKeysLike
from dnsbound.edge.gate import Gate
from dnsbound.edge.gate_configuration import GateConfiguration, GateRule
from dnsbound.edge.gate_context import gate_context
from dnsbound.edge.gate_counters import GateCounters
from dnsbound.edge.gate_sockets import BACKLOG, Bound
from dnsbound.edge.outward_gate import OutwardGate, OutwardWay
from dnsbound.edge.ticket_keys import OwnTicketKeys
from dnsbound.errors import DnsboundError, Misuse
from dnsbound.times import Moment
from dnsbound.verify.access import AccessList, AccessSource
from dnsbound.verify.carried import CarriedChains
from dnsbound.verify.decision import Decision
from dnsbound.verify.lookup_budget import LookupBudget

_log: Final = logging.getLogger("dnsbound.gate")

TicketKeysOf = Callable[[str], TicketKeysLike]
"""Gives the ticket keys of a door."""


class GateServer:
    """See the module. For the thread of its event loop alone; an asynchronous context manager that ends every
    connection."""

    def __init__(
        self,
        configuration: GateConfiguration,
        resolver: LookupSource,
        sockets: Bound,
        *,
        access: AccessList | None = None,
        reread: Callable[[], GateConfiguration] | None = None,
        ticket_keys: TicketKeysOf | None = None,
        anchors: TrustAnchors | None = None,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        """sockets: listening, for each gate of either direction; they are closed with the server. access: in place
        of the configuration's file. reread: reads the configuration again. ticket_keys: where several processes share
        them. anchors: under which chains that clients carry are judged, the root's by default. Misuse or Malformed when
        a file cannot be used."""
        self._resolver = resolver
        self._sockets = sockets
        self._reread = reread
        self._shared_keys = ticket_keys
        self._own_keys: dict[tuple[str, int], OwnTicketKeys] = {}
        self._anchors = anchors
        self._clock = clock
        self._listeners: list[asyncio.Server] = []
        self._closing: list[asyncio.Future[None]] = []
        """Done once a listener and all connections of it are gone."""
        if access is None and not configuration.gates:
            access = AccessList.allowing("", ())  # Nobody comes in: there are client-side gates alone.
        self._file = None if access is not None else AccessInForce(_access_file(configuration))
        self._access: AccessSource = access if self._file is None else self._file  # type: ignore[assignment] # one is there
        self._authenticators: list[Authenticator] = []
        self._timer: asyncio.TimerHandle | None = None
        self._lookups = _lookup_budget(configuration)
        self.configuration = configuration
        configuration.check_doors(self._access.current().doors)
        self.gates: dict[str, Gate] = {}
        for rule in configuration.gates:
            counters = GateCounters()
            authenticator = self._authenticator(rule, counters)
            self.gates[rule.label] = Gate(rule, self._context(rule, authenticator), authenticator, counters)
        self.clients: dict[str, OutwardGate] = {
            rule.label: OutwardGate(OutwardWay(rule, resolver), GateCounters()) for rule in configuration.clients
        }

    # --- serving

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for label, gate in self._all.items():
            for listening in self._sockets[label]:
                listens = loop.create_unix_server if listening.family == socket.AF_UNIX else loop.create_server
                listener = await listens(gate.protocol, sock=listening, backlog=BACKLOG)
                self._listeners.append(listener)
        self._plan_reload()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stop_listening()
        gone = asyncio.gather(*self._closing)
        for _ in range(_ABANDON_TRIES):
            # Again, since a connection that was accepted just now has not begun yet.
            for gate in self._all.values():
                gate.abandon()
            await asyncio.wait([gone], timeout=_ABANDON_SECONDS)
            if gone.done():
                return
        gone.cancel()
        _log.error("connections are left that cannot be ended")

    async def _stop_listening(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for listener in self._listeners:
            # From before the end: `wait_closed` of Python 3.11 waits for nothing once `close` was called.
            self._closing.append(asyncio.ensure_future(listener.wait_closed()))
        await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def drain(self, seconds: float | None = None) -> None:
        """Accept nobody any more, and wait until those that are in have ended: at most so long, by default as the
        configuration says. What is left then is cut."""
        await self._stop_listening()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.configuration.server.shutdown_seconds if seconds is None else seconds):
                await self._wait_empty()
        for gate in self._all.values():
            for connection in list(gate.connections):
                connection.drain()

    async def _wait_empty(self) -> None:
        for gate in self._all.values():
            await gate.empty.wait()

    @property
    def _all(self) -> Mapping[str, Gate | OutwardGate]:
        return {**self.gates, **self.clients}

    def counted(self) -> dict[str, GateCounters]:
        """As it stands, by label."""
        return {label: gate.counted() for label, gate in self._all.items()}

    @property
    def authenticators(self) -> tuple[Authenticator, ...]:
        """Of each gate, and of doors that a gate had before, live sessions of which may be left."""
        return tuple(self._authenticators)

    # --- reading again

    def _plan_reload(self) -> None:
        seconds = self.configuration.server.reload_seconds
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._timed_reload)

    def _timed_reload(self) -> None:
        self.reload()
        self._plan_reload()

    def reload(self) -> None:
        """Read the files again and serve by them. What is wrong with them is logged, and all stays as it was then."""
        try:
            configuration = self.configuration if self._reread is None else self._reread()
            self._take(configuration)
        except (DnsboundError, OSError) as error:
            _log.error("%s; the gates stay as they were", error)
        else:
            _log.info("the configuration was read again: %d gates", len(self._all))

    def _take(self, configuration: GateConfiguration) -> None:
        if _places(self.configuration) != _places(configuration):
            raise Misuse("which gates there are and where they listen changes with a new start alone")
        file = None if self._file is None else _access_file(configuration)
        access = self._access.current() if file is None else file.current()
        configuration.check_doors(access.doors)
        made: list[tuple[Gate, GateRule, Context, Authenticator]] = []
        for rule in configuration.gates:
            gate = self.gates[rule.label]
            stays = (gate.rule.door, gate.rule.tls.carried_from) == (rule.door, rule.tls.carried_from)
            authenticator = gate.authenticator if stays else self._authenticator(rule, gate.counters)
            made.append((gate, rule, self._context(rule, authenticator), authenticator))
        ways = [OutwardWay(rule, self._resolver) for rule in configuration.clients]
        if self._file is not None and file is not None:
            self._file.follow(file)
        self.configuration = configuration
        for gate, rule, context, authenticator in made:
            gate.configure(rule, context, authenticator)
        for way in ways:
            self.clients[way.label].configure(way)

    # --- doors

    def _authenticator(self, rule: GateRule, counters: GateCounters) -> Authenticator:
        def decided(decision: Decision) -> None:
            counters.verdicts[decision.verdict if decision.reason is None else decision.reason] += 1

        carried = None
        if rule.tls.carried_from:
            carried = CarriedChains(rule.tls.carried_from, anchors=self._anchors)
        authenticator = Authenticator(
            self._access,
            self._resolver,
            door=rule.door,
            lookups=self._lookups,
            clock=self._clock,
            on_decision=decided,
            carried_chains=carried,
        )
        self._authenticators.append(authenticator)
        return authenticator

    def _context(self, rule: GateRule, authenticator: Authenticator) -> Context:
        return gate_context(rule, authenticator, self._ticket_keys(rule) if rule.tls.ticket_seconds else None)

    def _ticket_keys(self, rule: GateRule) -> TicketKeysLike:
        if self._shared_keys is not None:
            return self._shared_keys(rule.door)
        seconds = rule.tls.ticket_seconds
        return self._own_keys.setdefault((rule.door, seconds), OwnTicketKeys(seconds))


_ABANDON_SECONDS: Final = 0.2
_ABANDON_TRIES: Final = 50


def _places(configuration: GateConfiguration) -> dict[str, tuple[object, ...]]:
    gates = {rule.label: tuple[object, ...](rule.listen) for rule in configuration.gates}
    return gates | {rule.label: rule.listen for rule in configuration.clients}


def _access_file(configuration: GateConfiguration) -> AccessFile:
    if configuration.server.access is None:
        raise Misuse("the configuration names no access list")
    return AccessFile(configuration.server.access)


def _lookup_budget(configuration: GateConfiguration) -> LookupBudget:
    settings = configuration.server
    return LookupBudget(per_source=settings.lookups_per_source, per_zone=settings.lookups_per_zone)
