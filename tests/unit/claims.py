"""Claims and answers for the tests of the engine and what stands around it."""

from typing import Any

import dns.name
import dns.rdata
import dns.rdatatype

from dnsbound.credential.credential import Credential
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Seconds
from dnsbound.verify.claim import Claim, NameSource, Possession, Presented, Proved

NAME = "car54._device.cars.example"
DOOR = "api"
NOW = 1_780_000_000.0
CREDENTIAL = Credential.generate(NAME, now=NOW)
PROVED = Proved("test")


def claim(
    name: str = NAME,
    *,
    presented: Presented = CREDENTIAL.presented,
    possession: Possession = PROVED,
    door: str = DOOR,
    source: str = "192.0.2.7",
    carried_chain: bytes | None = None,
) -> Claim:
    return Claim(
        name=ClientName.parse(name),
        name_source=NameSource.EXTENSION,
        presented=presented,
        possession=possession,
        door=door,
        source=source,
        carried_chain=carried_chain,
    )


def answer(name: str = NAME, *records: TLSA, **fields: Any) -> Answer:
    """A secure answer with these records, good for a minute from NOW, unless told otherwise."""
    rdatas = tuple(dns.rdata.from_text("IN", "TLSA", record.to_text()) for record in records)
    known: dict[str, Any] = {
        "name": dns.name.from_text(name),
        "rdtype": dns.rdatatype.TLSA,
        "security": Security.SECURE,
        "outcome": Outcome.RECORDS if records else Outcome.NODATA,
        "records": rdatas,
        "ttl": 60.0,
        "validated_at": NOW,
        "earliest_expiry": NOW + 3600,
        "zone": dns.name.from_text(name).parent(),
    }
    return Answer(**(known | fields))


class Records:
    """A resolver that knows its answers beforehand, and what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = {known.name: known for known in answers}
        self.asked: list[tuple[str, bool]] = []
        self.at_hand: dict[dns.name.Name, Answer] = {}

    def cached(self, name: str, rdtype: dns.rdatatype.RdataType) -> Answer | None:
        assert rdtype == dns.rdatatype.TLSA
        return self.at_hand.get(dns.name.from_text(name))

    def lookup_blocking(
        self,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        *,
        deadline: Seconds,
        refresh: bool = False,
    ) -> Answer:
        assert rdtype == dns.rdatatype.TLSA
        assert deadline > 0
        self.asked.append((name.to_text(omit_final_dot=True), refresh))
        return self.answers[name]

    async def lookup(
        self,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        *,
        deadline: Seconds,
        refresh: bool = False,
    ) -> Answer:
        return self.lookup_blocking(name, rdtype, deadline=deadline, refresh=refresh)
