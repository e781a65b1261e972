"""A server that is known by records held here instead of in the DNS: a pinned key, in the form of TLSA records.

    context = Context.client(credential, server_tlsa="require", resolver=PinnedServer("radius.isp.example", [record]))
    context.prepare_blocking("radius.isp.example", 2083)

It stands where a resolver stands and answers for one name; everything behind it, matching included, is that of looked
up records (RFC 7671). `3 1 1` pins a key, `3 0 1` one certificate, `2 1 1` whoever an authority vouches for. What is
pinned holds until the configuration says otherwise: nobody can withdraw it.
"""

from collections.abc import Iterable
from typing import Final

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from dnsbound.dns.answer import Answer, Outcome, Provenance, Security
from dnsbound.edge.context_server_tlsa import canonical_host
from dnsbound.errors import Misuse
from dnsbound.records.tlsa import TLSA

_FOR_EVER: Final = 10.0**10
"""Seconds."""


class PinnedServer:
    """A `ResolverLike` for one server. host: as it is given to `prepare`; any port. records: at least one."""

    def __init__(self, host: str, records: Iterable[TLSA]) -> None:
        self._name = dns.name.from_text(canonical_host(host) + ".")
        self._records = tuple(
            dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.TLSA, wire, 0, len(wire))
            for wire in (record.to_wire() for record in records)
        )
        if not self._records:
            raise Misuse("a pinned server needs at least one record")

    async def lookup(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: float = 0.0) -> Answer:
        """The records, where they are asked for; nothing for anybody else."""
        return self.lookup_blocking(name, rdtype, deadline=deadline)

    def lookup_blocking(
        self,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        *,
        deadline: float = 0.0,  # noqa: ARG002 (nobody is waited for)
    ) -> Answer:
        """The same."""
        found = self._records if rdtype is dns.rdatatype.TLSA and name.is_subdomain(self._name) else ()
        return Answer(
            name=name,
            rdtype=rdtype,
            security=Security.SECURE,
            outcome=Outcome.RECORDS if found else Outcome.NODATA,
            records=found,
            ttl=_FOR_EVER,
            validated_at=0.0,
            provenance=Provenance.PINNED,
        )
