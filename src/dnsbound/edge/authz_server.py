"""The verify service in one process: authz.toml, its sockets, and a face behind each.

    sockets = bind_fronts(configuration)                      # before any worker is forked
    async with AuthzServer(configuration, resolver, sockets) as server:
        ...

`reload` reads authz.toml, the secrets and the access list again. With an error in any of them all stays as it was, and
one line says what is wrong. Where it listens, and by which protocol, is what it began with.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Self

from dnsbound.edge.access_file import AccessFile
from dnsbound.edge.authenticator import Authenticator, LookupSource
from dnsbound.edge.authz_configuration import AuthzConfiguration
from dnsbound.edge.authz_faces import FACES
from dnsbound.edge.authz_sockets import bind_front, remove_socket
from dnsbound.edge.front import Asked, FrontDoor
from dnsbound.edge.materialiser import Materialiser
from dnsbound.edge.served_front import FrontSettings, ServedFront
from dnsbound.errors import DnsboundError
from dnsbound.times import Moment
from dnsbound.verify.decision import Decision
from dnsbound.verify.lookup_budget import LookupBudget
from dnsbound.verify.peer import VerifiedPeer

if TYPE_CHECKING:
    from dnsbound.edge.door_board import DoorBoard

_log: Final = logging.getLogger("dnsbound.authz")


class BoundFronts:
    """Listening sockets by the label of the front."""

    def __init__(self, fronts: Mapping[str, FrontSettings], sockets: Mapping[str, socket.socket]) -> None:
        self._fronts = fronts
        self.sockets: Final = sockets

    def places(self) -> dict[str, str]:
        """Where each is reached, as text, ports that were free to choose included."""
        found: dict[str, str] = {}
        for label, bound in self.sockets.items():
            if bound.family == socket.AF_UNIX:
                found[label] = f"unix:{bound.getsockname()}"
            else:
                host, port = bound.getsockname()[:2]
                found[label] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return found

    def close(self) -> None:
        """Close them all, and take the files of Unix sockets away."""
        for label, bound in self.sockets.items():
            remove_socket(self._fronts[label].place, bound)


def bind_fronts(configuration: AuthzConfiguration) -> BoundFronts:
    """Misuse, in one line, for a place that cannot be had; nothing is bound then."""
    fronts = {settings.front.label: settings for settings in configuration.fronts}
    bound: dict[str, socket.socket] = {}
    with contextlib.ExitStack() as undo:
        for label, settings in fronts.items():
            bound[label] = bind_front(settings.place)
            undo.callback(remove_socket, settings.place, bound[label])
        undo.pop_all()
    return BoundFronts(fronts, bound)


class AuthzServer:
    """Serves while it is entered. To be made in the process that serves, in its event loop.

    bound: its sockets, which are the caller's to close. on_decision: told of every verdict. Misuse or Malformed, in one
    line, for an access list that cannot be used. A front whose door is not in the list lets nobody in (`check_doors`).
    """

    def __init__(
        self,
        configuration: AuthzConfiguration,
        resolver: LookupSource,
        bound: BoundFronts,
        *,
        on_decision: Callable[[Decision], None] | None = None,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        self._resolver = resolver
        self._bound = bound
        self._on_decision = on_decision
        self._clock = clock
        self._access = AccessFile(configuration.server.access)
        self._lookups = LookupBudget(
            per_source=configuration.server.lookups_per_source, per_zone=configuration.server.lookups_per_zone
        )
        self.configuration = configuration
        self.board: DoorBoard | None = None
        """Told of whom fronts let in."""
        self.fronts: Final = {
            settings.front.label: ServedFront(settings, self._door(settings)) for settings in configuration.fronts
        }
        self._open: contextlib.AsyncExitStack

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as opening:
            for label, served in self.fronts.items():
                face = await FACES[served.front.protocol].serve(served, self._bound.sockets[label])
                opening.push_async_callback(face.aclose)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._open.aclose()

    def authenticators(self) -> list[Authenticator]:
        """Those in force."""
        return [served.door.authenticator for served in self.fronts.values()]

    def reload(self) -> None:
        """Read everything again. With an error in it all stays as it was, and a line of the log says what is wrong."""
        former = self.configuration
        try:
            configuration = AuthzConfiguration.load(former.path)
            access = self._access
            if configuration.server.access == access.path:
                access.reload()
            else:
                access = AccessFile(configuration.server.access)
            configuration.check_doors(access.current().doors)
        except DnsboundError as error:
            _log.error("%s; what was read before stays in force", error)
            return
        self._access, self.configuration = access, configuration
        later = self._configure(configuration)
        if configuration.server != former.server:
            later.append("[server]")
        if configuration.materials != former.materials:
            later.append("[materialise]")
        if later:
            _log.warning("%s: %s: takes effect at the next start", former.path, ", ".join(later))
        _log.info("%s: %d fronts in force", former.path, len(self.fronts))

    def _configure(self, configuration: AuthzConfiguration) -> list[str]:
        """What has to wait for the next start."""
        wanted = {settings.front.label: settings for settings in configuration.fronts}
        later = [f"[front.{label}]" for label in wanted.keys() - self.fronts.keys()]
        for label in self.fronts.keys() - wanted.keys():
            self.fronts[label].retire()
        for label in wanted.keys() & self.fronts.keys():
            served, settings = self.fronts[label], wanted[label]
            if (settings.place, settings.front.protocol) != (served.settings.place, served.front.protocol):
                later.append(f"[front.{label}]")
                continue
            served.configure(settings, self._door(settings, of=served.door))
        return sorted(later)

    def materialisers(self) -> list[Materialiser]:
        """What writes files. To be entered in one process alone."""
        return [
            Materialiser(settings, self._authenticator(settings.door), self._resolver, clock=self._clock)
            for settings in self.configuration.materials
        ]

    def _door(self, settings: FrontSettings, *, of: FrontDoor | None = None) -> FrontDoor:
        counters = None if of is None else of.counters
        authenticator = self._authenticator(settings.front.door)
        return FrontDoor(settings.front, authenticator, counters=counters, on_allowed=self._seen)

    def _authenticator(self, door: str) -> Authenticator:
        return Authenticator(
            self._access,
            self._resolver,
            door=door,
            lookups=self._lookups,
            clock=self._clock,
            on_decision=self._on_decision,
        )

    def _seen(self, peer: VerifiedPeer, asked: Asked) -> None:
        if self.board is not None:
            self.board.seen(peer, source=asked.source, protocol=asked.protocol)
