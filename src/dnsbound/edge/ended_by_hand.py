"""Ending network sessions that an accounting database says are in, from a command: each access server is asked once.

The server that looks after them need not run; if it does, it hears of their end by their access servers' reports.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from dnsbound.edge.dynamic_authorisation import Disconnection, DynamicAuthoriser, reach_of
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.errors import Misuse
from dnsbound.iana import RadiusAttribute
from dnsbound.limits import DISCONNECTS_AT_ONCE
from dnsbound.protocols.radius_dynamic import Meaning
from dnsbound.provision.accounting.entries import AdmissionRow, AdmissionState, Ended
from dnsbound.provision.accounting.ledger import Ledger
from dnsbound.times import Moment

WHY: Final = "by hand"


def end_sessions(configuration: RadiusConfiguration, rows: Sequence[AdmissionRow]) -> list[Disconnection]:
    """What came of asking, in the order of the rows. Blocks; not for a thread that runs an event loop."""
    return asyncio.run(_end_all(configuration, rows))


def note_end(ledger: Ledger, row: AdmissionRow, outcome: Disconnection, *, now: Moment) -> None:
    """Keep that a session is over, if it is. AccountingFailed."""
    if outcome.is_over:
        state = AdmissionState.GONE if outcome.meaning is Meaning.GONE else AdmissionState.DISCONNECTED
        ledger.write([Ended(access_class=row.access_class, state=state, at=now, why=WHY)])


async def _end_all(configuration: RadiusConfiguration, rows: Sequence[AdmissionRow]) -> list[Disconnection]:
    authoriser, slots = DynamicAuthoriser(), asyncio.Semaphore(DISCONNECTS_AT_ONCE.default)

    async def one(row: AdmissionRow) -> Disconnection:
        async with slots:
            return await _end(configuration, authoriser, row)

    return list(await asyncio.gather(*(one(row) for row in rows)))


async def _end(configuration: RadiusConfiguration, authoriser: DynamicAuthoriser, row: AdmissionRow) -> Disconnection:
    client = next((client for client in configuration.clients if client.label == row.client), None)
    reach = None if client is None else reach_of(client, row.address)
    if reach is None:
        over_its_own = client is not None and client.dynamic_connection
        ways = "it over its connection to the server alone" if over_its_own else "no dynamic authorisation"
        said = f"the client {row.client} takes {ways}"
        return Disconnection(meaning=Meaning.UNSUPPORTED, said=said)
    identification = dict(row.identification)
    if row.report is not None:
        identification[int(RadiusAttribute.ACCT_SESSION_ID)] = row.report.session.encode()
    try:
        return await authoriser.disconnect(reach, tuple(sorted(identification.items())))
    except Misuse as error:
        return Disconnection(meaning=Meaning.UNSUPPORTED, said=str(error))
