"""The DNSSEC chains that are kept with reports, so that they can be judged again when the records are gone.

A chain is built anew once its records' time in caches is over; in between the same one serves every report of a name.
What it says is judged again whenever the report is (`dnsbound.edge.report_archive`).
"""

import asyncio
from collections import OrderedDict
from typing import Protocol

import dns.name
import dns.rdatatype

from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.chain_building import BuiltChain
from dnsbound.errors import LimitExceeded, Reason, Undecided
from dnsbound.names import ClientName
from dnsbound.object_limits import REPORT_CHAINS
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment
from dnsbound.verify.read_answers import tlsa_records


class ChainSource(Protocol):
    """What builds chains: a `dnsbound.Resolver`."""

    async def chain(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> BuiltChain: ...


class ReportChains:
    """Chains by name, the ones used last kept. For one event loop."""

    def __init__(self, source: ChainSource, *, most: int | None = None) -> None:
        """most: how many names' chains are kept."""
        self._source = source
        self._most = REPORT_CHAINS.checked(most)
        self._built: OrderedDict[str, BuiltChain] = OrderedDict()
        self._building: dict[str, asyncio.Task[BuiltChain]] = {}

    async def chain_of(self, name: ClientName, *, now: Moment, record: TLSA | None = None) -> bytes:
        """An AuthenticationChain (RFC 9102 section 2.3) that shows TLSA records of this name now, `record` among them.
        Undecided where none can be built, or it shows other records than were found a moment ago."""
        built = self._built.get(name.canonical)
        if built is None or now >= built.valid_until or not _shows(built, record):
            built = await self._build(name)
            if not _shows(built, record):
                raise Undecided(Reason.INDETERMINATE, f"the chain of {name} shows other records than were found for it")
            self._keep(name, built)
        self._built.move_to_end(name.canonical)
        return built.octets

    async def _build(self, name: ClientName) -> BuiltChain:
        """Once, however many reports of the name wait for it."""
        building = self._building.get(name.canonical)
        if building is None:
            building = asyncio.ensure_future(self._asked(name))
            self._building[name.canonical] = building
            building.add_done_callback(lambda _done: self._building.pop(name.canonical))
        return await asyncio.shield(building)

    async def _asked(self, name: ClientName) -> BuiltChain:
        try:
            return await self._source.chain(dns.name.from_text(name.canonical), dns.rdatatype.TLSA)
        except LimitExceeded as error:
            raise Undecided(Reason.WORK_BUDGET, str(error)) from error

    def _keep(self, name: ClientName, built: BuiltChain) -> None:
        self._built[name.canonical] = built
        if len(self._built) > self._most:
            self._built.popitem(last=False)


def _shows(built: BuiltChain, record: TLSA | None) -> bool:
    answer = built.answer
    if answer.security is not Security.SECURE or answer.outcome is not Outcome.RECORDS:
        return False
    return record is None or record in tlsa_records(answer)
