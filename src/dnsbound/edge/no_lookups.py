"""The resolver of a door that has none: whatever it is asked stays unknown, and nobody is asked."""

import dns.name
import dns.rdatatype

from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.times import Seconds

_DETAIL = "this door asks no resolver, and the client carried no chain that it takes"


class NoLookups:
    """A `LookupSource` that never knows anything."""

    def cached(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer | None:
        del name, rdtype
        return None

    async def lookup(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: Seconds, refresh: bool = False
    ) -> Answer:
        return self.lookup_blocking(name, rdtype, deadline=deadline, refresh=refresh)

    def lookup_blocking(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: Seconds, refresh: bool = False
    ) -> Answer:
        del deadline, refresh
        return Answer(name=name, rdtype=rdtype, security=Security.INDETERMINATE, outcome=Outcome.FAILED, detail=_DETAIL)
