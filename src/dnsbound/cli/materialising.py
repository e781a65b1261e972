"""`dnsbound serve authz --materialise-once`: write the files of authz.toml's materialisers, and end.

For timers, and to see what would be written before a server relies on it. No socket is opened.
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from dnsbound.cli.as_service import log_to_stderr
from dnsbound.cli.door_process import write_decisions
from dnsbound.cli.opened import opened_resolver
from dnsbound.cli.output import emit, say
from dnsbound.edge.authz_configuration import AuthzConfiguration
from dnsbound.edge.authz_server import AuthzServer, BoundFronts
from dnsbound.errors import Misuse


def materialise_once(
    configuration: AuthzConfiguration, *, resolver: list[str] | None, anchors: Path | None, as_json: bool
) -> None:
    """Misuse where there is nothing to write, or it cannot be written."""
    if not configuration.materials:
        raise Misuse(f"{configuration.path}: there is no [materialise.NAME]")
    log_to_stderr()
    changed = asyncio.run(_rounds(configuration, resolver, anchors))
    if as_json:
        emit({"changed": changed})
        return
    for label, names in changed.items():
        say(f"{label}: {len(names)} files changed.")


async def _rounds(
    configuration: AuthzConfiguration, resolver: list[str] | None, anchors: Path | None
) -> dict[str, list[str]]:
    changed = {}
    async with AsyncExitStack() as held:
        lookups = held.enter_context(opened_resolver(resolver, anchors))
        write_decisions(held, configuration.server.decisions)
        for materialiser in AuthzServer(configuration, lookups, BoundFronts({}, {})).materialisers():
            materialiser.open()
            changed[materialiser.settings.label] = await materialiser.round()
    return changed
