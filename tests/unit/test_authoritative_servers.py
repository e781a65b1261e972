"""What every authoritative server of a zone serves: real sockets, servers that lag, lie, stay silent or are lame."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.served import UNDECIDED_LACKS, Lack, Wanted
from dnsbound.edge.authoritative_servers import CouldNotTell, NotYet, Observation, Observer, Progress, ServedEverywhere
from dnsbound.edge.nameservers import ZoneServers, find_servers, find_servers_blocking
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from dnsbound.errors import Malformed, Misuse, Reason, Undecided
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_server import Respond, serve_zones
from dnsbound.testing.zones import ZonePlan, ZoneTree

CAR = "car54._device.cars.example"
NEW = "3 1 1 " + "ab" * 32
OLD = "3 1 1 " + "cd" * 32
NOW = time.time()
TTL = 3600

Alter = Callable[[dns.message.Message], dns.message.Message | None]


def tree(records: str, **options: object) -> ZoneTree:
    """The zone alone, signed now."""
    return ZoneTree.build([ZonePlan.of("cars.example.", records=records, **options)], now=NOW)


FRESH = tree(f"car54._device TLSA {NEW}\n")
ANCHORS = TrustAnchors.from_text(FRESH.anchors("cars.example."))
STALE = tree(f"car54._device TLSA {OLD}\n")
BOTH = tree(f"car54._device TLSA {NEW}\ncar54._device TLSA {OLD}\n")
EMPTY = tree("")
UNSIGNED = tree(f"car54._device TLSA {NEW}\n", keys=[])
EXPIRED = tree(f"car54._device TLSA {NEW}\n", faults=["expired car54._device TLSA"])
FOREIGN_KEY = tree(f"car54._device TLSA {NEW}\n", keys=["csk 13 label=stranger"])
WILDCARD = tree(f"*._device TLSA {NEW}\n")
ALIAS = tree("car54._device CNAME car1._device.maker.example.\n")
OTHER_ZONE = ZoneTree.build([ZonePlan.of("other.example.")], now=NOW)

WANTED = Wanted.from_text(CAR, "TLSA", present=[NEW], absent=[OLD])
GONE = Wanted.from_text(CAR, "TLSA", absent=[NEW])


def answers(of: ZoneTree, alter: Alter | None = None) -> Respond:
    served = ZoneAnswers(of.zones)

    def respond(packet: bytes, udp: bool) -> bytes | None:
        octets = served.respond_wire(packet, udp=udp)
        if octets is None or alter is None:
            return octets
        altered = alter(dns.message.from_wire(octets))
        return None if altered is None else altered.to_wire(max_size=65_535)

    return respond


def silent(_packet: bytes, _udp: bool) -> bytes | None:
    return None


def with_rcode(rcode: dns.rcode.Rcode) -> Alter:
    def alter(message: dns.message.Message) -> dns.message.Message:
        for section in (message.answer, message.authority, message.additional):
            section.clear()
        message.set_rcode(rcode)
        return message

    return alter


def without_authority(message: dns.message.Message) -> dns.message.Message:
    message.flags &= ~dns.flags.AA
    return message


@contextlib.contextmanager
def observed(*servers: Respond, anchors: TrustAnchors | None = ANCHORS, **options: object) -> Iterator[Observer]:
    """An Observer of these servers."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(serve_zones(respond)) for respond in servers]
        zone = ZoneServers.of("cars.example", [f"127.0.0.1:{port}" for port in ports], anchors=anchors)
        yield Observer(zone, **options)  # type: ignore[arg-type]


def one(observer: Observer, wanted: Wanted = WANTED) -> Observation:
    [seen] = observer.observe_blocking([wanted])
    return seen


def test_served_by_all_signed_and_validated() -> None:
    with observed(answers(FRESH), answers(FRESH), answers(FRESH)) as observer:
        outcome = one(observer).outcome
    assert isinstance(outcome, ServedEverywhere)
    assert outcome.validated
    assert outcome.ttl == TTL
    assert NOW < outcome.signed_until <= NOW + 86_400


def test_the_same_from_asyncio() -> None:
    async def ask(observer: Observer) -> list[Observation]:
        return [seen async for seen in observer.observe([WANTED, GONE])]

    with observed(answers(FRESH), answers(FRESH)) as observer:
        first, second = sorted(asyncio.run(ask(observer)), key=lambda seen: seen.wanted is GONE)
    assert isinstance(first.outcome, ServedEverywhere)
    assert isinstance(second.outcome, NotYet)


@pytest.mark.parametrize(
    ("third", "lack"),
    [
        pytest.param(answers(STALE), Lack.STALE, id="stale"),
        pytest.param(answers(BOTH), Lack.STALE, id="the old one is still there"),
        pytest.param(answers(EMPTY), Lack.STALE, id="nothing yet"),
        pytest.param(answers(WILDCARD), Lack.STALE, id="a wildcard answers"),
        pytest.param(answers(ALIAS), Lack.ALIAS, id="an alias answers"),
        pytest.param(answers(UNSIGNED), Lack.UNSIGNED, id="unsigned"),
        pytest.param(answers(EXPIRED), Lack.SIGNATURE, id="expired"),
        pytest.param(answers(FOREIGN_KEY), Lack.SIGNATURE, id="signed by another key"),
        pytest.param(answers(OTHER_ZONE), Lack.LAME, id="refuses"),
        pytest.param(answers(FRESH, with_rcode(dns.rcode.NOTAUTH)), Lack.LAME, id="not its zone"),
        pytest.param(answers(FRESH, without_authority), Lack.LAME, id="no authority"),
        pytest.param(answers(FRESH, with_rcode(dns.rcode.SERVFAIL)), Lack.FAILED, id="fails"),
        pytest.param(lambda packet, _udp: packet[:2] + b"\x84\x00\0\1\0\x09" + packet[8:], Lack.FAILED, id="octets"),
        pytest.param(silent, Lack.SILENT, id="silent"),
    ],
)
def test_one_of_three_is_different(third: Respond, lack: Lack) -> None:
    with observed(answers(FRESH), answers(FRESH), third, answer_seconds=0.5) as observer:
        seen = one(observer)
    outcome = seen.outcome
    assert isinstance(outcome, CouldNotTell if lack in UNDECIDED_LACKS else NotYet)
    assert outcome.why.lack is lack
    assert outcome.server == observer.servers.servers[2].label
    assert [server for server, _ in seen.by_server] == [server.label for server in observer.servers.servers]


def test_a_server_that_lags_outweighs_one_that_is_silent() -> None:
    with observed(silent, answers(STALE), answer_seconds=0.3) as observer:
        outcome = one(observer).outcome
    assert isinstance(outcome, NotYet)
    assert outcome.why.lack is Lack.STALE


def test_a_port_where_nobody_listens() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    zone = ZoneServers.of("cars.example", [f"127.0.0.1:{port}"], anchors=ANCHORS)
    outcome = one(Observer(zone, answer_seconds=0.5)).outcome
    assert isinstance(outcome, CouldNotTell)
    assert outcome.why.lack in {Lack.FAILED, Lack.SILENT}


def test_removal_is_a_validated_denial() -> None:
    with observed(answers(EMPTY), answers(EMPTY)) as observer:
        outcome = one(observer, GONE).outcome
    assert isinstance(outcome, ServedEverywhere)
    assert outcome.validated
    assert outcome.ttl == TTL


@pytest.mark.parametrize("denial", ["nsec", "nsec3", "compact"])
def test_removal_in_every_way_of_denial(denial: str) -> None:
    with observed(answers(tree("", denial=denial))) as observer:
        outcome = one(observer, GONE).outcome
    assert isinstance(outcome, ServedEverywhere)
    assert outcome.validated


def test_removal_without_a_signed_denial() -> None:
    def stripped(message: dns.message.Message) -> dns.message.Message:
        message.authority = [rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA]
        return message

    with observed(answers(EMPTY, stripped)) as observer:
        outcome = one(observer, GONE).outcome
    assert isinstance(outcome, NotYet)
    assert outcome.why.lack is Lack.UNSIGNED


def test_removal_below_a_wildcard_leaves_what_the_wildcard_says() -> None:
    wildcard = tree(f"*._device TLSA {OLD}\n")
    with observed(answers(wildcard)) as observer:
        outcome = one(observer, GONE).outcome
    assert isinstance(outcome, ServedEverywhere)


def test_records_of_others_matter_only_where_it_is_said() -> None:
    beside = Wanted.from_text(CAR, "TLSA", present=[NEW])
    alone = Wanted.from_text(CAR, "TLSA", present=[NEW], exactly=True)
    with observed(answers(BOTH)) as observer:
        assert isinstance(one(observer, beside).outcome, ServedEverywhere)
        assert isinstance(one(observer, alone).outcome, NotYet)


def test_another_ttl() -> None:
    with observed(answers(FRESH)) as observer:
        right = one(observer, Wanted.from_text(CAR, "TLSA", present=[NEW], ttl=TTL)).outcome
        wrong = one(observer, Wanted.from_text(CAR, "TLSA", present=[NEW], ttl=60)).outcome
    assert isinstance(right, ServedEverywhere)
    assert isinstance(wrong, NotYet)
    assert wrong.why.lack is Lack.TTL


def test_an_alias_can_be_what_is_wanted() -> None:
    leased = Wanted.from_text(CAR, "CNAME", present=["CAR1._device.Maker.example."])
    with observed(answers(ALIAS)) as observer:
        assert isinstance(one(observer, leased).outcome, ServedEverywhere)
        # The TLSA record that was there is gone, whatever the alias leads to.
        assert isinstance(one(observer, GONE).outcome, ServedEverywhere)


def test_a_wildcard_can_be_what_is_wanted() -> None:
    wanted = Wanted.from_text("*._device.cars.example", "TLSA", present=[NEW])
    with observed(answers(WILDCARD)) as observer:
        assert isinstance(one(observer, wanted).outcome, ServedEverywhere)


class TestWithoutAnAnchor:
    """Dates are looked at, and the answer says that nothing was validated."""

    def test_signed(self) -> None:
        with observed(answers(FOREIGN_KEY), anchors=None) as observer:
            outcome = one(observer).outcome
        assert isinstance(outcome, ServedEverywhere)
        assert not outcome.validated

    @pytest.mark.parametrize(("zone", "lack"), [(EXPIRED, Lack.SIGNATURE), (UNSIGNED, Lack.UNSIGNED)])
    def test_not_signed_now(self, zone: ZoneTree, lack: Lack) -> None:
        with observed(answers(zone), anchors=None) as observer:
            outcome = one(observer).outcome
        assert isinstance(outcome, NotYet)
        assert outcome.why.lack is lack


def test_signatures_are_judged_by_the_clock_that_is_given() -> None:
    with observed(answers(FRESH), clock=lambda: NOW + 2 * 86_400) as observer:
        outcome = one(observer).outcome
    assert isinstance(outcome, NotYet)
    assert outcome.why.lack is Lack.SIGNATURE


def test_truncated_answers_are_asked_for_over_tcp() -> None:
    records = [f"3 1 0 {number:02x}{'ab' * 600}" for number in range(3)]
    large = tree("".join(f"car54._device TLSA {record}\n" for record in records))
    over_tcp: list[bool] = []

    def noted(packet: bytes, udp: bool) -> bytes | None:
        over_tcp.append(not udp)
        return answers(large)(packet, udp)

    with observed(noted) as observer:
        outcome = one(observer, Wanted.from_text(CAR, "TLSA", present=records)).outcome
    assert isinstance(outcome, ServedEverywhere)
    assert any(over_tcp)


def test_spoofed_datagrams_are_passed_over() -> None:
    """What has another id, or answers another question, ends nothing; the true answer behind it counts."""
    stop = threading.Event()
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)

        def serve() -> None:
            true, false = answers(FRESH), answers(STALE)
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    packet, peer = server.recvfrom(4096)
                    forged = false(packet, True) or b""
                    server.sendto(bytes([forged[0] ^ 1]) + forged[1:], peer)
                    server.sendto((true(packet, True) or b""), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            servers = ZoneServers.of("cars.example", [f"127.0.0.1:{server.getsockname()[1]}"], anchors=ANCHORS)
            outcome = one(Observer(servers)).outcome
        finally:
            stop.set()
            thread.join(5)
    assert isinstance(outcome, ServedEverywhere)


def test_thousands_at_a_time_in_bounded_memory() -> None:
    count, most = 3000, 64
    drawn = 0
    seen = 0
    ahead: list[int] = []

    def wanted() -> Iterator[Wanted]:
        nonlocal drawn
        for number in range(count):
            drawn += 1
            ahead.append(drawn - seen)
            yield Wanted.from_text(f"car{number}._device.cars.example", "TLSA", present=[NEW])

    with observed(answers(WILDCARD), at_once=most, per_second=1_000_000) as observer:
        for observation in observer.observe_blocking(wanted()):
            seen += 1
            assert isinstance(observation.outcome, NotYet)
    assert seen == count
    assert max(ahead) <= 2 * most + 1


def test_questions_per_second() -> None:
    wanted = [Wanted.from_text(f"car{number}._device.cars.example", "TLSA") for number in range(30)]
    began = time.monotonic()
    with observed(answers(EMPTY), per_second=20) as observer:
        assert len(list(observer.observe_blocking(wanted))) == 30
    assert time.monotonic() - began >= 0.4


def test_a_server_that_falls_silent_is_not_asked_everything() -> None:
    """The rest of the round goes on without it, and names it."""
    greeted = threading.Event()

    def falls_silent(packet: bytes, udp: bool) -> bytes | None:
        if dns.message.from_wire(packet).question[0].rdtype == dns.rdatatype.TLSA:
            greeted.set()
            return None
        return answers(FRESH)(packet, udp)

    wanted = [Wanted.from_text(f"car{number}._device.cars.example", "TLSA") for number in range(400)]
    began = time.monotonic()
    with observed(answers(EMPTY), falls_silent, at_once=40, answer_seconds=0.3) as observer:
        observations = list(observer.observe_blocking(wanted))
    assert greeted.is_set()
    assert len(observations) == 400
    assert {type(seen.outcome) for seen in observations} == {CouldNotTell}
    assert time.monotonic() - began < 5


def test_errors_of_what_is_wanted_reach_the_caller() -> None:
    def broken() -> Iterator[Wanted]:
        yield WANTED
        raise ZeroDivisionError

    async def ask(observer: Observer) -> None:
        async for _ in observer.observe(broken()):
            pass

    with observed(answers(FRESH)) as observer:
        with pytest.raises(ZeroDivisionError):
            list(observer.observe_blocking(broken()))
        with pytest.raises(ZeroDivisionError):
            asyncio.run(ask(observer))


def test_nothing_wanted() -> None:
    with observed(answers(FRESH)) as observer:
        assert list(observer.observe_blocking([])) == []
        assert observer.wait_until_served_blocking([], seconds=5).is_complete


def test_serials_of_all_servers() -> None:
    with observed(answers(FRESH), answers(OTHER_ZONE), silent, answer_seconds=0.3) as observer:
        serials = observer.serials_blocking()
        again = asyncio.run(observer.serials())
    first, second, third = (serials[server.label] for server in observer.servers.servers)
    assert first == 1
    assert (second.lack, third.lack) == (Lack.LAME, Lack.SILENT)  # type: ignore[union-attr]
    assert again == serials


class TestWaiting:
    def test_until_the_last_server_has_it(self) -> None:
        asked = 0
        reports: list[Progress] = []

        def catches_up(packet: bytes, udp: bool) -> bytes | None:
            nonlocal asked
            asked += dns.message.from_wire(packet).question[0].rdtype == dns.rdatatype.TLSA
            return answers(STALE if asked < 3 else FRESH)(packet, udp)

        with observed(answers(FRESH), catches_up) as observer:
            waited = observer.wait_until_served_blocking([WANTED], seconds=20, progress=reports.append)
        assert waited.is_complete
        assert (waited.served, waited.ttl) == (1, TTL)
        assert [report.waiting for report in reports] == [1, 1, 0]
        assert reports[0].behind is not None
        assert isinstance(reports[0].behind.outcome, NotYet)

    def test_until_the_time_is_over(self) -> None:
        with observed(answers(FRESH), answers(STALE)) as observer:
            began = time.monotonic()
            waited = asyncio.run(observer.wait_until_served([WANTED], seconds=0.6))
        assert time.monotonic() - began < 5
        [behind] = waited.missing
        assert isinstance(behind.outcome, NotYet)
        assert behind.outcome.why.lack is Lack.STALE

    def test_what_could_not_even_be_asked_is_undecided(self) -> None:
        with observed(answers(FRESH)) as observer:
            waited = observer.wait_until_served_blocking([WANTED], seconds=0)
        [behind] = waited.missing
        assert isinstance(behind.outcome, CouldNotTell)
        assert behind.outcome.why.lack is Lack.UNASKED


class TestFinding:
    def test_by_ns_and_addresses_with_the_keys_as_anchor(self) -> None:
        with resolver() as asked:
            found = find_servers_blocking("cars.example", resolver=asked)
            assert asyncio.run(find_servers("cars.example", resolver=asked)) == found
        [server] = found.servers
        assert (server.host, server.address, server.port) == ("ns.cars.example", "127.0.0.1", 53)
        assert server.label == "ns.cars.example (127.0.0.1)"
        assert found.anchors is not None
        assert found.without_address == ()

    def test_hosts_and_addresses_that_are_given(self) -> None:
        with resolver() as asked:
            given = ["[::1]:5300", "ns.cars.example"]
            found = find_servers_blocking("cars.example", resolver=asked, servers=given)
        assert [server.label for server in found.servers] == ["::1 port 5300", "ns.cars.example (127.0.0.1)"]

    def test_a_host_without_an_address_leaves_it_undecided(self) -> None:
        with resolver() as asked, serve_zones(answers(FRESH)) as port:
            given = [f"127.0.0.1:{port}", "cars.example"]
            found = find_servers_blocking("cars.example", resolver=asked, servers=given)
            outcome = one(Observer(found)).outcome
        assert found.without_address == ("cars.example",)
        assert isinstance(outcome, CouldNotTell)
        assert (outcome.server, outcome.why.lack) == ("cars.example", Lack.UNREACHABLE)

    def test_an_insecure_zone_has_no_anchor(self) -> None:
        with resolver(ds=()) as asked:
            assert find_servers_blocking("cars.example", resolver=asked).anchors is None

    def test_a_bogus_zone_is_undecided(self) -> None:
        with resolver(ds=("sha256 wrong",)) as asked, pytest.raises(Undecided) as caught:
            find_servers_blocking("cars.example", resolver=asked)
        assert caught.value.reason is Reason.BOGUS

    def test_a_dead_resolver_is_undecided(self) -> None:
        with serve_zones(silent) as port:
            dead = Resolver([Upstream(address="127.0.0.1", port=port)], anchors=ANCHORS, deadline=0.3)
            with dead, pytest.raises(Undecided) as caught:
                find_servers_blocking("cars.example", resolver=dead)
        assert caught.value.reason is Reason.DNS_FAILED

    def test_a_name_that_is_no_zone(self) -> None:
        with resolver() as asked, pytest.raises(Misuse, match="no NS records"):
            find_servers_blocking("absent.cars.example", resolver=asked)

    @pytest.mark.parametrize("text", ["", "http://ns.example/", "[::1", "a..b"])
    def test_texts_that_name_no_server(self, text: str) -> None:
        with resolver() as asked, pytest.raises(Malformed):
            find_servers_blocking("cars.example", resolver=asked, servers=[text])

    def test_no_server_at_all(self) -> None:
        with pytest.raises(Misuse):
            ZoneServers.of("cars.example", [])


@contextlib.contextmanager
def resolver(ds: Sequence[str] | None = None) -> Iterator[Resolver]:
    """Of a root whose zone cars.example is signed."""
    whole = ZoneTree.build(
        [ZonePlan.of("."), ZonePlan.of("example."), ZonePlan.of("cars.example.", ds=ds)], now=time.time()
    )
    recursive = ZoneAnswers(whole.zones, recursive=True)
    with serve_zones(lambda packet, udp: recursive.respond_wire(packet, udp=udp)) as port:
        upstream = Upstream(address="127.0.0.1", port=port)
        with Resolver([upstream], anchors=TrustAnchors.from_text(whole.anchors())) as made:
            yield made
