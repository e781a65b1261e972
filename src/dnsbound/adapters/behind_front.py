"""Applications behind another server that knows the clients: our gate, nginx, HAProxy, and their likes.

    application = BehindFront(application)                     WSGI, on a Unix socket that the front alone may open
    app = AsgiBehindFront(app, fronts=["127.0.0.1"])           ASGI, on a port of a machine where nobody else is

put `dnsbound.front_peer` into the environment (WSGI) or `scope["extensions"]["dnsbound"]["front_peer"]` (ASGI): a
`FrontPeer`, or None. What it says is what the front says, by the fields `Dnsbound-Name` and its siblings: no key was
seen here, and no DNS was asked. It is believed from these places alone: Unix sockets (whose file's mode says who may
open them), and connections from the listed addresses. A name that stands there twice, or after its time, is nobody's.

A middleware for applications that see the clients' own TLS is `adapters.wsgi` or `adapters.asgi`.
"""

import datetime as dt
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dnsbound.adapters.asgi import EXTENSION, Receive, Scope, Send
from dnsbound.adapters.asgi import Application as AsgiApplication
from dnsbound.adapters.believed_fronts import BelievedFronts
from dnsbound.adapters.wsgi import Application, Environment, StartResponse
from dnsbound.errors import Malformed
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import DOOR, GRANTS, NAME, VALID_UNTIL
from dnsbound.times import Moment

FRONT_PEER: Final = "dnsbound.front_peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPeer:
    """A client as a front has told it. Not evidence: the front has that."""

    name: ClientName
    door: str
    grants: Mapping[str, Any] = field(hash=False)
    valid_until: Moment

    @classmethod
    def from_fields(cls, fields: Mapping[str, str], *, now: Moment) -> Self | None:
        """fields: by their names, as `identity_headers` spells them. None where no name is told; Malformed for what no
        front of ours writes, and for what has ended."""
        if not fields.get(NAME):
            return None
        try:
            grants = json.loads(fields.get(GRANTS, ""))
            until = dt.datetime.fromisoformat(fields.get(VALID_UNTIL, "")).timestamp()
        except (ValueError, RecursionError) as error:
            raise Malformed(f"the front's fields cannot be read: {error}") from None
        if not isinstance(grants, dict):
            raise Malformed(f"{GRANTS} is no object")
        if DOOR not in fields:
            raise Malformed(f"{DOOR} is missing: a front says all of these fields, or none")
        if until < now:
            raise Malformed(f"what the front says of {fields[NAME]} has ended")
        return cls(name=ClientName.parse(fields[NAME]), door=fields[DOOR], grants=grants, valid_until=until)


class _Fronts:
    """What believed fronts say."""

    def __init__(self, addresses: Collection[str], clock: Callable[[], Moment]) -> None:
        self._believed = BelievedFronts(addresses)
        self._clock = clock

    def peer(self, address: str, told: Iterable[tuple[str, str]]) -> FrontPeer | None:
        """address: where the connection is from. told: fields by their names in small letters."""
        if address not in self._believed:
            return None
        wanted = {name.lower(): name for name in (NAME, DOOR, GRANTS, VALID_UNTIL)}
        fields: dict[str, str] = {}
        for name, value in told:
            known = wanted.get(name)
            if known is not None and fields.setdefault(known, value) != value:
                return None
        try:
            return FrontPeer.from_fields(fields, now=self._clock())
        except Malformed:
            return None


class BehindFront:
    """WSGI. See the module. fronts: IP addresses beside Unix sockets."""

    def __init__(
        self, application: Application, *, fronts: Collection[str] = (), clock: Callable[[], Moment] = time.time
    ) -> None:
        self._application = application
        self._fronts = _Fronts(fronts, clock)

    def __call__(self, environ: Environment, start_response: StartResponse) -> Iterable[bytes]:
        told = [
            (key.removeprefix("HTTP_").replace("_", "-").lower(), value)
            for key, value in environ.items()
            if key.startswith("HTTP_") and isinstance(value, str)
        ]
        environ[FRONT_PEER] = self._fronts.peer(environ.get("REMOTE_ADDR", ""), told)
        return self._application(environ, start_response)


class AsgiBehindFront:
    """ASGI. See the module. fronts: IP addresses beside Unix sockets."""

    def __init__(
        self, app: AsgiApplication, *, fronts: Collection[str] = (), clock: Callable[[], Moment] = time.time
    ) -> None:
        self._app = app
        self._fronts = _Fronts(fronts, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        told = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        peer = self._fronts.peer(client[0] if client else "", told)
        extensions = {**(scope.get("extensions") or {}), EXTENSION: {"front_peer": peer}}
        await self._app({**scope, "extensions": extensions}, receive, send)
