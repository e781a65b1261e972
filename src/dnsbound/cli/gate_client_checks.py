"""What `dnsbound gate client --check` looks at: its own places, the credential, and the server as far as its verdict.

The handshake is made with the credential itself. A server of TLS 1.3 says after it whether the name is let in: one that
has sent no alert within a while has not refused it.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.cli.checks import Finding, Level, upstream
from dnsbound.cli.gate_options import Asked
from dnsbound.cli.opened import opened_resolver, trust_anchors
from dnsbound.errors import DnsboundError, Malformed, Misuse, Undecided
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from dnsbound.edge.outward_configuration import OutwardRule
    from dnsbound.edge.outward_target import OutwardTarget
    from dnsbound.edge.resolver import Resolver

_TIMEOUT: Final[Seconds] = 5.0
VERDICT_SECONDS: Final[Seconds] = 3.0
"""For a server to refuse the name after the handshake."""


def client_findings(asked: Asked, resolver: list[str] | None, anchors: Path | None) -> Iterator[Finding]:
    """Findings about client-side gates, in the order in which an operator would mend them."""
    try:
        configuration = asked.load()
    except DnsboundError as error:
        yield Finding(check="configuration", level=Level.FAIL, found=str(error), remedy="see docs/howto/gate-client.md")
        return
    yield Finding(check="configuration", level=Level.OK, found=f"{len(configuration.clients)} client-side gates")
    for rule in configuration.clients:
        yield from _places(rule)
    try:
        trusted = trust_anchors(anchors)
        with opened_resolver(resolver, anchors) as opened:
            for server in opened.upstreams:
                yield from upstream(server, trusted, timeout=_TIMEOUT)
            for rule in configuration.clients:
                yield _server(rule, opened)
    except (Malformed, Misuse) as error:
        yield Finding(check="resolver", level=Level.FAIL, found=str(error))


def _places(rule: "OutwardRule") -> Iterator[Finding]:
    for place in rule.open_places:
        found = (
            "every user of this machine may speak as its name"
            if place.is_loopback
            else "whoever reaches this address may speak as its name"
        )
        remedy = "say whose programs may (users), or listen on a Unix socket"
        yield Finding(check=f"client {rule.label} at {place}", level=Level.WARN, found=found, remedy=remedy)


def _server(rule: "OutwardRule", resolver: "Resolver") -> Finding:
    from dnsbound.edge.outward_target import OutwardTarget

    check = f"client {rule.label}: {rule.server}"
    try:
        target = OutwardTarget(rule.server, rule.tls, resolver)
    except DnsboundError as error:
        return Finding(check=check, level=Level.FAIL, found=str(error), remedy="mend credential")
    try:
        refusal = asyncio.run(_tried(target, rule.times.connect))
    except Undecided as error:
        return Finding(check=check, level=Level.UNKNOWN, found=str(error), remedy="dnsbound doctor")
    except OSError as error:
        found = str(error) or "no answer in time"
        return Finding(check=check, level=Level.FAIL, found=found, remedy="dnsbound check NAME tells more")
    if refusal is not None:
        remedy = "have the name put on its access list, and its record published"
        return Finding(check=check, level=Level.FAIL, found=f"it refuses this name: {refusal}", remedy=remedy)
    found = f"it is known by {rule.tls.server_auth.value}, and has not refused this name"
    return Finding(check=check, level=Level.OK, found=found)


async def _tried(target: "OutwardTarget", seconds: float) -> Exception | None:
    """What the server says after the handshake, if it refuses. OSError where it does not come so far."""
    ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    class Listening(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            if not ended.done():
                ended.set_result(exc)

    async with asyncio.timeout(seconds):
        transport = await target.connect(Listening)
    try:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(ended), VERDICT_SECONDS)
    finally:
        transport.abort()
        await ended
    return None
