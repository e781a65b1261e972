"""A server's TLSA records: which questions are asked, and what each answer leads to (RFC 7671 sections 7 and 10)."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.edge.context import Context
from dnsbound.edge.context_server_tlsa import ServerTLSA, ServerTLSACache, find_server_tlsa
from dnsbound.errors import Misuse, Reason, Refused, Undecided
from dnsbound.records.tlsa import TLSA

RECORD = f"3 1 1 {'ab' * 32}"
NOW = 1000.0


def answer(
    *records: str,
    security: Security = Security.SECURE,
    outcome: Outcome = Outcome.RECORDS,
    aliases: Sequence[str] = (),
    ttl: float = 300,
    limit: str = "",
) -> Answer:
    """An answer to whatever was asked; records in presentation form."""
    return Answer(
        name=dns.name.from_text("asked.example"),
        rdtype=dns.rdatatype.TLSA,
        security=security,
        outcome=outcome,
        records=tuple(dns.rdata.from_text("IN", "TLSA", text) for text in records),
        aliases=tuple(dns.name.from_text(alias) for alias in aliases),
        ttl=ttl,
        validated_at=NOW,
        limit=limit,
    )


ADDRESS = answer()
NODATA = answer(outcome=Outcome.NODATA)


def run(host: str, port: int, answers: Sequence[Answer]) -> tuple[ServerTLSA, list[str]]:
    """What was found, and what was asked: names and types."""
    steps = find_server_tlsa(host, port)
    asked = []
    question = next(steps)
    for one in answers:
        asked.append(f"{question[0].to_text()} {dns.rdatatype.to_text(question[1])}")
        try:
            question = steps.send(one)
        except StopIteration as done:
            assert one is answers[-1], "answers were left over"
            return done.value, asked
    raise AssertionError(f"asks on: {question}")


def test_host_without_aliases() -> None:
    found, asked = run("API.cars.example.", 443, [ADDRESS, answer(RECORD)])
    assert asked == ["api.cars.example. A", "_443._tcp.api.cars.example. TLSA"]
    assert found.base_domain == found.host == "api.cars.example"
    assert found.records == (TLSA.from_text(RECORD),)
    assert found.valid_until == NOW + 300
    assert found.port == 443


def test_secure_aliases_make_the_last_name_the_base() -> None:
    address = answer(aliases=["a.example", "Host.Example"], ttl=30)
    found, asked = run("www.example", 8443, [address, answer(RECORD)])
    assert asked == ["www.example. A", "_8443._tcp.Host.Example. TLSA"]
    assert (found.host, found.base_domain) == ("www.example", "host.example")
    assert found.valid_until == NOW + 30, "the alias is evidence as well"


def test_name_as_given_is_the_second_choice() -> None:
    address = answer(aliases=["host.example"])
    found, asked = run("www.example", 443, [address, NODATA, answer(RECORD)])
    assert asked[1:] == ["_443._tcp.host.example. TLSA", "_443._tcp.www.example. TLSA"]
    assert found.base_domain == "www.example"
    assert found.valid_until == NOW + 300


def test_insecure_aliases_are_not_followed() -> None:
    address = answer(aliases=["host.example"], security=Security.INSECURE)
    found, asked = run("www.example", 443, [address, answer(RECORD)])
    assert asked[1:] == ["_443._tcp.www.example. TLSA"]
    assert found.base_domain == "www.example"


@pytest.mark.parametrize(
    ("answers", "error", "reason"),
    [
        ([ADDRESS, NODATA], Refused, Reason.NO_TLSA),
        ([ADDRESS, answer(outcome=Outcome.NXDOMAIN)], Refused, Reason.NO_TLSA),
        ([answer(aliases=["b.example"]), NODATA, NODATA], Refused, Reason.NO_TLSA),
        ([ADDRESS, answer(RECORD, security=Security.INSECURE)], Refused, Reason.INSECURE),
        ([ADDRESS, answer(outcome=Outcome.NODATA, security=Security.INSECURE)], Refused, Reason.INSECURE),
        ([ADDRESS, answer("9 9 9 00")], Refused, Reason.TLSA_UNUSABLE),
        ([ADDRESS, answer(security=Security.BOGUS, outcome=Outcome.FAILED)], Undecided, Reason.BOGUS),
        ([answer(security=Security.BOGUS, outcome=Outcome.FAILED)], Undecided, Reason.BOGUS),
        ([ADDRESS, answer(security=Security.INDETERMINATE)], Undecided, Reason.INDETERMINATE),
        (
            [ADDRESS, answer(security=Security.INDETERMINATE, outcome=Outcome.FAILED)],
            Undecided,
            Reason.DNS_FAILED,
        ),
        ([answer(security=Security.INDETERMINATE, outcome=Outcome.FAILED)], Undecided, Reason.DNS_FAILED),
        (
            [ADDRESS, answer(security=Security.INDETERMINATE, outcome=Outcome.FAILED, limit="signature-checks")],
            Undecided,
            Reason.WORK_BUDGET,
        ),
    ],
)
def test_each_failure_has_its_reason(answers: list[Answer], error: type[Any], reason: Reason) -> None:
    with pytest.raises(error) as caught:
        run("www.example", 443, answers)
    assert caught.value.reason is reason


def test_record_of_a_wrong_length_is_unusable_and_spoils_nothing() -> None:
    """The validator keeps such data as plain octets (RFC 6698 section 4.1)."""
    short = dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.TLSA, bytes.fromhex("030101abcd"))
    good = answer(RECORD)
    found, _asked = run("www.example", 443, [ADDRESS, replace(good, records=(short, *good.records))])
    assert found.records[1] == TLSA.from_text(RECORD)
    with pytest.raises(Refused) as caught:
        run("www.example", 443, [ADDRESS, replace(good, records=(short,))])
    assert caught.value.reason is Reason.TLSA_UNUSABLE


def test_unusable_records_beside_a_usable_one() -> None:
    found, _asked = run("www.example", 443, [ADDRESS, answer("9 9 9 00", RECORD)])
    assert TLSA.from_text(RECORD) in found.records


@pytest.mark.parametrize("host", ["", ".", "a..b", "x" * 64 + ".example", "ü" * 300])
def test_what_is_no_host_name(host: str) -> None:
    with pytest.raises(Misuse):
        run(host, 443, [ADDRESS])


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_what_is_no_port(port: int) -> None:
    with pytest.raises(Misuse):
        run("www.example", port, [ADDRESS])


def test_name_too_long_for_tlsa_has_none() -> None:
    host = ".".join(["x" * 61] * 4)
    with pytest.raises(Refused) as caught:
        run(host, 443, [ADDRESS])
    assert caught.value.reason is Reason.NO_TLSA


@pytest.mark.parametrize(
    ("records", "expected"),
    [([RECORD], True), ([f"2 1 1 {'ab' * 32}"], False), ([f"3 0 1 {'ab' * 32}"], False), (["9 9 9 00", RECORD], True)],
)
def test_raw_keys_need_a_record_for_keys(records: list[str], expected: bool) -> None:
    found, _asked = run("www.example", 443, [ADDRESS, answer(*records)])
    assert found.vouches_for_raw_keys is expected


def kept(host: str, *, port: int = 443, until: float = 2000.0) -> ServerTLSA:
    return ServerTLSA(host=host, port=port, base_domain=host, records=(TLSA.from_text(RECORD),), valid_until=until)


def test_evidence_is_kept_until_it_ends() -> None:
    cache = ServerTLSACache()
    cache.store(kept("a.example"), NOW)
    assert cache.fresh("A.Example.", 1999.9) is not None
    assert cache.fresh("a.example", 2000.0) is None
    cache.store(kept("b.example", until=9999.0), 3000.0)
    assert set(cache._known) == {"b.example"}, "what has ended does not pile up"


class Canned:
    """A resolver with answers in order, asked without blocking or not."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)

    async def lookup(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: float = 5) -> Answer:
        return self.lookup_blocking(name, rdtype, deadline=deadline)

    def lookup_blocking(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, deadline: float = 5) -> Answer:
        assert deadline == 2
        return self.answers.pop(0)


def test_both_faces_find_the_same() -> None:
    blocking = Context.client(resolver=Canned(ADDRESS, answer(RECORD)), server_tlsa="require", clock=lambda: NOW)
    waiting = Context.client(resolver=Canned(ADDRESS, answer(RECORD)), server_tlsa="require", clock=lambda: NOW)
    assert blocking.prepare_blocking("www.example", 443, deadline=2) == asyncio.run(
        waiting.prepare("www.example", 443, deadline=2)
    )


def test_one_context_serves_one_port_of_a_host() -> None:
    resolver = Canned(ADDRESS, answer(RECORD), ADDRESS, answer(RECORD))
    context = Context.client(resolver=resolver, server_tlsa="require", clock=lambda: NOW)
    context.prepare_blocking("www.example", 443, deadline=2)
    with pytest.raises(Misuse):
        context.prepare_blocking("www.example", 8443, deadline=2)
    context.prepare_blocking("WWW.example.", 443, deadline=2)


def test_internationalised_host_is_found_by_either_form() -> None:
    context = Context.client(resolver=Canned(ADDRESS, answer(RECORD)), server_tlsa="require", clock=lambda: NOW)
    assert context.prepare_blocking("bücher.example", 443, deadline=2).host == "xn--bcher-kva.example"
    for host in ("bücher.example", "xn--bcher-kva.example", b"xn--bcher-kva.example"):
        made = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=host)
        with pytest.raises(ssl.SSLWantReadError):
            made.do_handshake()


@pytest.mark.parametrize("alias", ["\\000\\255x.example", "a\\032b.example", "*.host.example", "localhost"])
def test_alias_to_what_is_no_host_name_is_no_base(alias: str) -> None:
    found, asked = run("www.example", 443, [answer(aliases=[alias]), answer(RECORD)])
    assert asked[1:] == ["_443._tcp.www.example. TLSA"]
    assert found.base_domain == "www.example"


def test_servers_by_tlsa_cannot_be_left_unverified() -> None:
    context = Context.client(resolver=Canned(), server_tlsa="require", danger_unverified_server=True)
    with pytest.raises(Misuse):
        context.check_hostname = False
    assert context.check_hostname


def test_preparing_needs_to_be_asked_for() -> None:
    with pytest.raises(Misuse):
        Context.client().prepare_blocking("www.example", 443)
