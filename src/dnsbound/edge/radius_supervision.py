"""A RADIUS server's live sessions and its accounting, put together for one worker process.

    async with supervised(configuration, worker=0, workers=1, marked=...) as live:
        async with RadiusServer(configuration, ..., supervision=live, recorder=live) as server:
            await look_after(live, server)

Where there are several workers, each looks after the sessions it let in.

Without an accounting database live sessions are those of this process, and a restart forgets them.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from dnsbound.edge.accounting_writer import AccountingWriter
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.dynamic_authorisation import AskBack
from dnsbound.edge.radius_clients import RadiusClient
from dnsbound.edge.radius_configuration import RadiusConfiguration, ServerSettings
from dnsbound.edge.radius_live import LiveAccess
from dnsbound.edge.radius_server import RadiusServer
from dnsbound.protocols.radius_class import AccessClasses
from dnsbound.protocols.radius_routing import KEY_OCTETS, RANDOM_OCTETS
from dnsbound.provision.accounting.ledger import CLASS, ROUTING, Ledger
from dnsbound.provision.accounting.reading import kept


@asynccontextmanager
async def supervised(
    configuration: RadiusConfiguration,
    *,
    worker: int = 0,
    workers: int = 1,
    marked: Callable[[bytes], bytes] | None = None,
    **options: Any,  # noqa: ANN401 (of LiveAccess)
) -> AsyncIterator[LiveAccess]:
    """marked: makes the mark of a Class of random octets. AccountingFailed, or Misuse, for a database that cannot be
    used."""
    mark = marked or bytes((worker,)).__add__
    loop = asyncio.get_running_loop()
    ledger = await loop.run_in_executor(None, _ledger, configuration.server)
    key = os.urandom(KEY_OCTETS) if ledger is None else await loop.run_in_executor(None, ledger.secret, CLASS)
    writer = None if ledger is None else AccountingWriter(ledger, keep_seconds=configuration.server.accounting_keep)
    live = LiveAccess(
        worker=worker,
        kept=None if ledger is None else partial(kept, ledger, worker=worker, workers=workers),
        classes=AccessClasses(key),
        mark=lambda: mark(os.urandom(RANDOM_OCTETS)),
        writer=writer,
        **options,
    )
    try:
        yield live
    finally:
        await live.aclose()
        if ledger is not None and writer is not None:
            await loop.run_in_executor(None, writer.close)
            ledger.close()


async def look_after(live: LiveAccess, server: RadiusServer, *, ask_back: AskBack | None = None) -> None:
    """Look after the sessions of this server, those included that were in before it started. ask_back: asks over
    connections of any worker; by default of this one. AccountingFailed."""

    def authenticator_of(label: str) -> Authenticator | None:
        return next((network.authenticator for network in server.networks if network.label == label), None)

    def client_of(label: str) -> RadiusClient | None:
        return next((client for client in server.clients() if client.label == label), None)

    await live.begin(authenticator_of=authenticator_of, client_of=client_of, ask_back=ask_back or server.ask_back)


def keeps_account(settings: ServerSettings) -> bool:
    """Whether access servers' reports are taken: to be kept, or to be discarded on purpose."""
    return settings.accounting_database is not None or settings.accounting_discard


def kept_routing_key(settings: ServerSettings) -> bytes | None:
    """The key by which a session's reports find its worker, the same after a restart; None where nothing is kept.
    AccountingFailed, or Misuse, for a database that cannot be used."""
    ledger = _ledger(settings)
    if ledger is None:
        return None
    with ledger:
        return ledger.secret(ROUTING)


def _ledger(settings: ServerSettings) -> Ledger | None:
    return None if settings.accounting_database is None else Ledger.open(settings.accounting_database, create=True)
