"""The stub resolver over UDP and TCP, against servers that answer, lie, stay silent or break off."""

import asyncio
import contextlib
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.cache import EvidenceCache
from dnsbound.edge.face import Face
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.upstream import Upstream
from dnsbound.errors import Misuse
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_server import serve_zones
from dnsbound.testing.zones import ZonePlan, ZoneTree

CAR = "car54._device.cars.example"
RECORD = "3 1 1 " + "ab" * 32
NOW = time.time()
TREE = ZoneTree.build(
    [
        ZonePlan.of("."),
        ZonePlan.of("example."),
        ZonePlan.of(
            "cars.example.",
            records=f"car54._device TLSA {RECORD}\n"
            + "".join(f"many TXT {'x' * 200}{n}\n" for n in range(20))
            + "".join(f"car{n}._device TLSA {RECORD}\n" for n in range(30, 40)),
        ),
    ],
    now=NOW,
)
ANCHORS = TrustAnchors.from_text(TREE.anchors())
ANSWERS = ZoneAnswers(TREE.zones, recursive=True)

Alter = Callable[[dns.message.Message], dns.message.Message | None]


class Server:
    """A resolver on loopback: what it was asked, and a way to alter what it says."""

    def __init__(self, alter: Alter | None = None) -> None:
        self.alter = alter
        self.asked: list[str] = []
        self.over_tcp = 0
        self.port = 0
        self.was_asked = threading.Event()

    def respond(self, packet: bytes, udp: bool) -> bytes | None:
        question = dns.message.from_wire(packet).question[0]
        self.asked.append(f"{question.name} {dns.rdatatype.to_text(question.rdtype)}")
        self.over_tcp += not udp
        self.was_asked.set()
        answer = ANSWERS.respond_wire(packet, udp=udp)
        if answer is None or self.alter is None:
            return answer
        altered = self.alter(dns.message.from_wire(answer))
        return None if altered is None else altered.to_wire(max_size=65535)

    @property
    def upstream(self) -> Upstream:
        return Upstream(address="127.0.0.1", port=self.port)


@contextlib.contextmanager
def serving(*servers: Server) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for server in servers:
            server.port = stack.enter_context(serve_zones(server.respond))
        yield


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    with serving(one):
        yield one


def resolving(*servers: Server, **options: object) -> Resolver:
    return Resolver([server.upstream for server in servers], ANCHORS, **options)  # type: ignore[arg-type]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def failing(rcode: dns.rcode.Rcode) -> Alter:
    def alter(message: dns.message.Message) -> dns.message.Message:
        message.answer, message.authority = [], []
        message.set_rcode(rcode)
        return message

    return alter


def stripping(message: dns.message.Message) -> dns.message.Message:
    """Signatures removed, and the AD bit set to make up for it."""
    message.answer = [rrset for rrset in message.answer if rrset.rdtype != dns.rdatatype.RRSIG]
    message.authority = [
        rrset for rrset in message.authority if rrset.rdtype not in (dns.rdatatype.RRSIG, dns.rdatatype.NSEC)
    ]
    message.flags |= dns.flags.AD
    return message


def lying(message: dns.message.Message) -> dns.message.Message:
    """Another key in place of the true one, with AD set."""
    for rrset in message.answer:
        if rrset.rdtype == dns.rdatatype.TLSA:
            rrset.clear()
            rrset.add(dns.rdata.from_text("IN", "TLSA", "3 1 1 " + "cd" * 32))
    message.flags |= dns.flags.AD
    return message


def test_blocking_and_asyncio_agree(server: Server) -> None:
    with resolving(server) as resolver:
        blocking = resolver.lookup_blocking(CAR, "TLSA")
    with resolving(server) as resolver:
        awaited = asyncio.run(resolver.lookup(CAR, "TLSA"))
    assert blocking.security is awaited.security is Security.SECURE
    assert blocking.records == awaited.records
    assert blocking.steps == awaited.steps


def test_evidence_is_cached_until_it_ends(server: Server) -> None:
    now = [NOW]
    with resolving(server, clock=lambda: now[0]) as resolver:
        first = resolver.lookup_blocking(CAR, "TLSA")
        asked = len(server.asked)
        assert resolver.lookup_blocking(CAR.upper(), "TLSA") is first
        assert resolver.cached(CAR, "TLSA") is first
        assert resolver.cached(dns.name.from_text(CAR), dns.rdatatype.TLSA) is first
        assert asyncio.run(resolver.lookup(CAR, "TLSA")) is first
        assert len(server.asked) == asked
        now[0] += 3601
        assert resolver.cached(CAR, "TLSA") is None
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
        assert len(server.asked) > asked


def test_warm_zone_costs_one_query(server: Server) -> None:
    with resolving(server) as resolver:
        resolver.lookup_blocking(CAR, "TLSA")
        server.asked.clear()
        assert resolver.lookup_blocking("car30._device.cars.example", "TLSA").security is Security.SECURE
        assert server.asked == ["car30._device.cars.example. TLSA"]


def test_name_is_asked_as_it_was_spelled(server: Server) -> None:
    with resolving(server) as resolver:
        resolver.lookup_blocking("Car54._device.Cars.example", "TLSA")
    assert "Car54._device.Cars.example. TLSA" in server.asked


def test_truncated_answers_come_over_tcp(server: Server) -> None:
    with resolving(server) as resolver:
        answer = resolver.lookup_blocking("many.cars.example", "TXT")
        assert answer.security is Security.SECURE
        assert len(answer.records) == 20
        assert server.over_tcp == 1


def test_queries_on_one_tcp_connection_share_it() -> None:
    def truncate(message: dns.message.Message) -> dns.message.Message:
        message.flags |= dns.flags.TC
        return message

    # One for each transport: both are asked at the same time, by several threads.
    server, over_udp = Server(), Server(truncate)
    connections: set[int] = set()

    def counting(packet: bytes, udp: bool) -> bytes | None:
        if udp:
            return over_udp.respond(packet, udp)
        connections.add(threading.get_ident())
        return server.respond(packet, udp)

    with serve_zones(counting) as server.port, resolving(server) as resolver:
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
        assert resolver.lookup_blocking("car30._device.cars.example", "TLSA").security is Security.SECURE
    assert len(connections) == 1
    assert server.over_tcp == 7


def test_tcp_connection_that_breaks_off(server: Server) -> None:
    broken = Server()

    def breaking(packet: bytes, udp: bool) -> bytes | None:
        if not udp:
            raise ConnectionResetError
        return broken.respond(packet, udp)

    with serve_zones(breaking) as broken.port:
        with resolving(broken) as resolver:
            answer = resolver.lookup_blocking("many.cars.example", "TXT")
            assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
            assert "closed the connection" in answer.detail
        with resolving(broken, server) as resolver:
            assert resolver.lookup_blocking("many.cars.example", "TXT").security is Security.SECURE


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR])
def test_next_resolver_is_asked_when_one_fails(rcode: dns.rcode.Rcode, server: Server) -> None:
    broken = Server(failing(rcode))
    with serving(broken), resolving(broken, server) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert answer.security is Security.SECURE
    assert broken.asked
    assert server.asked


def test_server_that_is_no_resolver_is_passed_over(server: Server) -> None:
    def refer(message: dns.message.Message) -> dns.message.Message:
        message.answer = []
        message.authority = [dns.rrset.from_text("cars.example.", 5, "IN", "NS", "ns.cars.example.")]
        return message

    authority = Server(refer)
    with serving(authority), resolving(authority, server) as resolver:
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
    with serving(authority), resolving(authority) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert "refers to other servers" in answer.detail


def test_failing_resolver_is_named_with_its_reason() -> None:
    def alter(message: dns.message.Message) -> dns.message.Message:
        message = failing(dns.rcode.SERVFAIL)(message) or message
        message.use_edns(0, options=[dns.edns.EDEOption(22, "all servers unreachable")])
        return message

    broken = Server(alter)
    with serving(broken), resolving(broken) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
        assert resolver.cached(CAR, "TLSA") is None
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert f"127.0.0.1 port {broken.port}: says SERVFAIL (22 all servers unreachable)" in answer.detail


def test_closed_port_is_passed_over_at_once(server: Server) -> None:
    closed = Upstream(address="127.0.0.1", port=free_port())
    with Resolver([closed, server.upstream], ANCHORS) as resolver:
        began = time.monotonic()
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
        assert time.monotonic() - began < 0.9
    with Resolver([closed], ANCHORS) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert "refused" in answer.detail


def test_silent_resolver_costs_patience_once(server: Server) -> None:
    silent = Server(lambda _: None)
    with serving(silent), resolving(silent, server) as resolver:
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
        silent.asked.clear()
        began = time.monotonic()
        assert resolver.lookup_blocking("car31._device.cars.example", "TLSA").security is Security.SECURE
        assert time.monotonic() - began < 0.9
        assert silent.asked == []


def test_deadline_is_kept_and_is_no_denial(server: Server) -> None:
    silent = Server(lambda _: None)
    with serving(silent), resolving(silent) as resolver:
        for answer in (
            resolver.lookup_blocking(CAR, "TLSA", deadline=0.2),
            asyncio.run(resolver.lookup(CAR, "TLSA", deadline=0.2)),
        ):
            assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
            assert answer.detail == f"no answer within 0.2 s from the resolver at 127.0.0.1 port {silent.port}"
        silent.alter = None
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE


def test_bogus_answer_of_one_resolver_is_asked_of_another(server: Server) -> None:
    for alter in (lying, stripping):
        liar = Server(alter)
        with serving(liar), resolving(liar, server) as resolver:
            answer = resolver.lookup_blocking(CAR, "TLSA")
        assert answer.security is Security.SECURE
        assert [record.to_text() for record in answer.records] == [RECORD]
        assert liar.asked


UNASKED = [f"car{number}._device.cars.example" for number in range(30, 34)]


@pytest.mark.parametrize("alter", [lying, stripping])
def test_an_upstream_whose_answer_was_bogus_is_asked_last(server: Server, alter: Alter) -> None:
    liar = Server(alter)

    async def on_a_loop(resolver: Resolver) -> None:
        async with resolver:
            assert (await resolver.lookup(CAR, "TLSA")).security is Security.SECURE
            for name in UNASKED:
                assert (await resolver.lookup(name, "TLSA")).security is Security.SECURE

    with serving(liar):
        with resolving(liar, server) as resolver:
            assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
            for name in UNASKED:
                assert resolver.lookup_blocking(name, "TLSA").security is Security.SECURE
        asyncio.run(on_a_loop(resolving(liar, server)))
    # The later ones: a query of the first attempt may still be on its way when that attempt is over.
    assert liar.asked
    assert [asked for asked in liar.asked if any(asked.startswith(name) for name in UNASKED)] == []


def test_an_upstream_whose_answer_was_bogus_still_serves_when_the_other_is_silent(server: Server) -> None:
    liar = Server(lying)
    with serving(liar), resolving(liar, server) as resolver:
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
        liar.alter, server.alter = None, lambda _: None
        assert resolver.lookup_blocking(UNASKED[0], "TLSA").security is Security.SECURE


def test_a_zone_that_is_broken_everywhere_costs_no_upstream_its_turn() -> None:
    one, other = Server(lying), Server(lying)
    with serving(one, other), resolving(one, other) as resolver:
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.BOGUS
        assert other.asked
        one.alter = other.alter = None
        other.asked.clear()
        for name in UNASKED:
            assert resolver.lookup_blocking(name, "TLSA").security is Security.SECURE
        assert other.asked == []


def test_the_time_of_a_bogus_upstream_passes() -> None:
    clock = [0.0]

    class Clock:
        def time(self) -> float:
            return clock[0]

    first, second = Upstream(address="127.0.0.1"), Upstream(address="127.0.0.2")
    face = Face(Clock(), (first, second), ..., EvidenceCache(), mix_case=False)  # type: ignore[arg-type]
    face.noted_bogus(first)
    face.noted(first, answered=True)
    assert face.in_order() == [second, first]
    face.noted(second, answered=False)
    assert face.in_order() == [first, second]
    clock[0] = 31.0
    assert face.in_order() == [first, second]
    face.noted(first, answered=False)
    assert face.in_order() == [second, first]


def test_bogus_everywhere_is_bogus() -> None:
    one, other = Server(lying), Server(lying)
    with serving(one, other), resolving(one, other) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
        assert resolver.cached(CAR, "TLSA") is None
    assert (answer.security, answer.outcome, answer.records) == (Security.BOGUS, Outcome.FAILED, ())
    assert "does not verify" in answer.detail
    assert other.asked


def test_forged_ad_bit_over_stripped_signatures_is_bogus_and_names_the_resolver() -> None:
    liar = Server(stripping)
    with serving(liar), resolving(liar) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert answer.security is Security.BOGUS
    assert f"the resolver at 127.0.0.1 port {liar.port} strips RRSIGs" in answer.detail


def test_octets_that_are_no_message() -> None:
    server = Server()

    def garbage(packet: bytes, udp: bool) -> bytes:
        return packet[:2] + b"\x84\x00" + packet[4:6] + b"\x00\x09" + packet[8:] + b"\xff\xff"

    with serve_zones(garbage) as server.port, resolving(server) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert "DNS message" in answer.detail


@contextlib.contextmanager
def datagrams(server: Server, say: Callable[[bytes], list[bytes]]) -> Iterator[None]:
    """A UDP server that says any number of datagrams to each query."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        address = listener.getsockname()
        server.port = address[1]

        def serve() -> None:
            while (request := listener.recvfrom(65535))[0] != b"stop":
                for datagram in say(request[0]):
                    listener.sendto(datagram, request[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"stop", address)
            thread.join(10)


def test_datagrams_that_answer_nothing_are_passed_over() -> None:
    """Guessed ids, other questions and octets of any kind before the true answer."""
    server = Server()

    def say(packet: bytes) -> list[bytes]:
        true = server.respond(packet, True)
        assert true is not None
        wrong_id = bytes([true[0] ^ 1]) + true[1:]
        other_question = true[:13] + bytes([true[13] ^ 1]) + true[14:]
        return [b"", b"x", packet, wrong_id, other_question, true[:12], true]

    with datagrams(server, say), resolving(server) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert answer.security is Security.SECURE, answer.detail


def test_resolver_at_an_ipv6_address() -> None:
    server = Server()
    try:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        listener.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")
    with listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]

        def serve() -> None:
            while (request := listener.recvfrom(65535))[0] != b"stop":
                answer = server.respond(request[0], True)
                assert answer is not None
                listener.sendto(answer, request[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Resolver([Upstream.parse(f"[::1]:{port}")], ANCHORS) as resolver:
            answer = resolver.lookup_blocking(CAR, "TLSA")
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"stop", ("::1", port))
        thread.join(10)
    assert answer.security is Security.SECURE, answer.detail


def test_flood_of_guesses_ends_the_exchange() -> None:
    server = Server()

    def say(packet: bytes) -> list[bytes]:
        return [bytes([packet[0] ^ 0xFF, guess]) + packet[2:] for guess in range(100)]

    with datagrams(server, say), resolving(server) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA")
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
    assert "too many datagrams" in answer.detail


def test_mixed_case_must_come_back_as_sent(server: Server) -> None:
    with resolving(server, mix_case=True) as resolver:
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
    assert any(name != name.lower() for name in (asked.split()[0] for asked in server.asked))

    def lower(packet: bytes, udp: bool) -> bytes | None:
        return server.respond(packet[:12] + packet[12:-11].lower() + packet[-11:], udp)

    lowering = Server()
    with serve_zones(lower) as lowering.port, resolving(lowering, mix_case=True) as resolver:
        answer = resolver.lookup_blocking(CAR, "TLSA", deadline=0.3)
    assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)


def test_same_question_at_the_same_time_is_asked_once(server: Server) -> None:
    async def crowd() -> None:
        answers = await asyncio.gather(*(resolver.lookup(CAR, "TLSA") for _ in range(50)))
        assert all(answer is answers[0] for answer in answers)

    with resolving(server) as resolver:
        asyncio.run(crowd())
    assert server.asked.count(f"{CAR}. TLSA") == 1


def test_threads_share_a_lookup() -> None:
    gate = threading.Event()

    def hold(message: dns.message.Message) -> dns.message.Message:
        assert gate.wait(5)
        return message

    server = Server(hold)
    with serving(server), resolving(server) as resolver:
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(resolver.lookup_blocking(CAR, "TLSA"))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        assert server.was_asked.wait(5)
        gate.set()
        for thread in threads:
            thread.join(10)
    assert len(answers) == 8
    assert {answer.security for answer in answers} == {Security.SECURE}
    assert server.asked.count(f"{CAR}. TLSA") == 1


def test_one_caller_giving_up_leaves_the_others_waiting(server: Server) -> None:
    gate = threading.Event()

    def hold(message: dns.message.Message) -> dns.message.Message:
        assert gate.wait(5)
        return message

    server.alter = hold

    async def two() -> None:
        patient = asyncio.ensure_future(resolver.lookup(CAR, "TLSA"))
        hasty = asyncio.ensure_future(resolver.lookup(CAR, "TLSA", deadline=0.1))
        cancelled = asyncio.ensure_future(resolver.lookup(CAR, "TLSA"))
        late = await hasty
        assert (late.security, late.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
        cancelled.cancel()
        gate.set()
        assert (await patient).security is Security.SECURE

    with resolving(server) as resolver:
        asyncio.run(two())


def test_uvloop_serves_as_well(server: Server) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def ask() -> list[Answer]:
        async with resolving(server) as resolver:
            names = [CAR, *(f"car{number}._device.cars.example" for number in range(30, 40))]
            answers = await asyncio.gather(*(resolver.lookup(name, "TLSA") for name in names))
            return [*answers, await resolver.lookup("many.cars.example", "TXT")]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(ask())
    assert {answer.security for answer in answers} == {Security.SECURE}
    assert server.over_tcp == 1


def test_loops_of_several_threads_share_a_resolver(server: Server) -> None:
    answers: list[Answer] = []
    with resolving(server) as resolver:
        names = [f"car{number}._device.cars.example" for number in range(30, 38)]
        threads = [
            threading.Thread(target=lambda name=name: answers.append(asyncio.run(resolver.lookup(name, "TLSA"))))
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert [answer.security for answer in answers] == [Security.SECURE] * 8


def test_one_resolver_on_many_loops(server: Server) -> None:
    with resolving(server, cache=EvidenceCache(positive_ttl=0)) as resolver:
        for number in range(30, 36):
            answer = asyncio.run(resolver.lookup(f"car{number}._device.cars.example", "TLSA"))
            assert answer.security is Security.SECURE
        assert len(resolver._faces) == 1


def test_closing_ends_what_is_in_flight() -> None:
    silent = Server(lambda _: None)

    async def closing() -> None:
        async with resolving(silent) as resolver:
            waiting = asyncio.ensure_future(resolver.lookup(CAR, "TLSA"))
            assert await asyncio.to_thread(silent.was_asked.wait, 5)
        answer = await asyncio.wait_for(waiting, 2)
        assert (answer.security, answer.outcome) == (Security.INDETERMINATE, Outcome.FAILED)
        assert "closed" in answer.detail

    with serving(silent):
        asyncio.run(closing())


def test_child_of_a_fork_has_sockets_of_its_own(server: Server) -> None:
    with resolving(server) as resolver:
        resolver.lookup_blocking(CAR, "TLSA")
        resolver.lookup_blocking("many.cars.example", "TXT")  # leaves a TCP connection open
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks with threads
            child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                answers = [
                    resolver.lookup_blocking(CAR, "TLSA"),
                    resolver.lookup_blocking("car33._device.cars.example", "TLSA"),
                    asyncio.run(resolver.lookup("car34._device.cars.example", "TLSA")),
                    resolver.lookup_blocking("many.cars.example", "TXT"),
                ]
                code = 0 if all(answer.security is Security.SECURE for answer in answers) else 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert resolver.lookup_blocking("car35._device.cars.example", "TLSA").security is Security.SECURE
        assert resolver.lookup_blocking("many.cars.example", "A").outcome is Outcome.NODATA


def test_system_configuration(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    assert [upstream.address for upstream in Resolver.from_system(path=path).upstreams] == ["192.0.2.1", "192.0.2.2"]
    path.write_text("search example\n")
    with pytest.raises(Misuse, match="names no name server"):
        Resolver.from_system(path=path)
    with pytest.raises(Misuse, match="No such file"):
        Resolver.from_system(path=tmp_path / "absent")


def test_misuse(server: Server) -> None:
    with pytest.raises(Misuse):
        Resolver([])
    with pytest.raises(Misuse):
        resolving(server, deadline=0)
    with resolving(server) as resolver:
        for name, rdtype in (("a..b", "TLSA"), ("a" * 64, "TLSA"), (CAR, "NOSUCH"), (CAR, "ANY"), (CAR, "AXFR")):
            with pytest.raises(Misuse):
                resolver.lookup_blocking(name, rdtype)
            with pytest.raises(Misuse):
                asyncio.run(resolver.lookup(name, rdtype))
        with pytest.raises(Misuse):
            resolver.lookup_blocking(CAR, "TLSA", deadline=-1)

        async def twice() -> None:
            for _ in range(2):
                with pytest.raises(Misuse):
                    await asyncio.wait_for(resolver.lookup(CAR, "ANY"), 1)

        asyncio.run(twice())
        for _ in range(2):
            with pytest.raises(Misuse):
                resolver.lookup_blocking(CAR, "ANY")
        assert server.asked == []
