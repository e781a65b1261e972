"""DNS over TLS, strict: who is believed, who is not, and that no query is sent before that is known."""

import asyncio
import base64
import contextlib
import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.rdatatype
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.dns.messages import Query
from dnsbound.edge import stream_connection
from dnsbound.edge.reactor import BlockingReactor
from dnsbound.edge.resolver import Resolver
from dnsbound.edge.stream_connection import StreamConnection, tls_context
from dnsbound.edge.upstream import Upstream
from dnsbound.testing.web_authority import WebAuthority
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zones import ZonePlan, ZoneTree

CAR = "car54._device.cars.example"
RECORD = "3 1 1 " + "ab" * 32
NOW = time.time()
NAME = "dns.cars.example"


class TlsServer:
    """A DNS-over-TLS server: its certificate, its connections, and the queries that reached it, in order."""

    def __init__(self, directory: Path, *names: str, issued: float = NOW) -> None:
        self.authority = WebAuthority("Test authority", now=NOW)
        credential = self.authority.issue(*(names or (NAME,)), now=issued)
        self.certificate = credential.chain[0]
        self.roots = directory / "roots.pem"
        self.roots.write_bytes(self.authority.root_pem)
        pem = directory / "server.pem"
        pem.write_bytes(credential.to_pem())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.context.set_alpn_protocols(["dot"])
        self.asked: list[str] = []
        self.connections = 0
        self.hold_first: threading.Event | None = None
        self.close_after: int | None = None
        self.mute_connections = 0
        self.tlsa: tuple[str, ...] = ()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []

    @property
    def public_key(self) -> bytes:
        public = x509.load_der_x509_certificate(self.certificate).public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        here = f"_{self.port}._tcp.{NAME}."
        records = f"car54._device TLSA {RECORD}\nother TLSA {RECORD}\n"
        records += "".join(f"{here} TLSA {record}\n" for record in self.tlsa)
        tree = ZoneTree.build(
            [ZonePlan.of("."), ZonePlan.of("example."), ZonePlan.of("cars.example.", records=records)], now=NOW
        )
        self.anchors = TrustAnchors.from_text(tree.anchors())
        self._answers = ZoneAnswers(tree.zones, recursive=True)
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()
        try:
            yield
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for thread in (accepting, *self._threads):
                thread.join(10)

    def upstream(self, proof: str = NAME, *, opportunistic: bool = False, roots: Path | None = None) -> Upstream:
        text = f"tls://127.0.0.1:{self.port}" + (f"#{proof}" if proof else "")
        return Upstream.parse(text, ca_file=roots or self.roots, danger_opportunistic=opportunistic)

    def look_up(self, proof: str = NAME, *, opportunistic: bool = False, roots: Path | None = None) -> Answer:
        with Resolver([self.upstream(proof, opportunistic=opportunistic, roots=roots)], self.anchors) as resolver:
            return resolver.lookup_blocking(CAR, "TLSA")

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                is_mute = self.connections <= self.mute_connections
                thread = threading.Thread(target=self._serve, args=(connection, is_mute), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket, is_mute: bool) -> None:
        plain.settimeout(10)
        with plain, contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as connection:
            held: list[bytes] = []
            served = 0
            while packet := self._read(connection):
                question = dns.message.from_wire(packet).question[0]
                self.asked.append(f"{question.name} {dns.rdatatype.to_text(question.rdtype)}")
                if is_mute:
                    continue
                response = self._answers.respond_wire(packet, udp=False)
                assert response is not None
                held.append(len(response).to_bytes(2, "big") + response)
                if self.hold_first is not None and not self.hold_first.is_set() and len(held) < 2:
                    continue
                if self.hold_first is not None:
                    self.hold_first.set()
                for octets in reversed(held):
                    connection.sendall(octets)
                served += len(held)
                held.clear()
                if served == self.close_after:
                    return

    def _read(self, connection: ssl.SSLSocket) -> bytes:
        octets = b""
        while len(octets) < 2 or len(octets) < 2 + int.from_bytes(octets[:2], "big"):
            wanted = 2 - len(octets) if len(octets) < 2 else 2 + int.from_bytes(octets[:2], "big") - len(octets)
            part = connection.recv(wanted)
            if not part:
                return b""
            octets += part
        return octets[2:]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    one = TlsServer(tmp_path)
    with one.running():
        yield one


def refused(answer: Answer, word: str) -> None:
    assert (answer.security, answer.outcome, answer.records) == (Security.INDETERMINATE, Outcome.FAILED, ())
    assert word in answer.detail, answer.detail


def pin(public_key: bytes) -> str:
    return "sha256/" + base64.b64encode(hashlib.sha256(public_key).digest()).decode()


def test_name_under_a_certificate_authority(server: TlsServer) -> None:
    answer = server.look_up()
    assert answer.security is Security.SECURE, answer.detail


def test_another_name_is_refused_before_any_query(server: TlsServer) -> None:
    refused(server.look_up("other.cars.example"), "certificate is refused")
    assert server.asked == []


def test_another_authority_is_refused_before_any_query(server: TlsServer, tmp_path: Path) -> None:
    strangers = tmp_path / "strangers.pem"
    strangers.write_bytes(WebAuthority("Strangers", now=NOW).root_pem)
    refused(server.look_up(roots=strangers), "certificate is refused")
    assert server.asked == []


def test_expired_certificate_is_refused_before_any_query(tmp_path: Path) -> None:
    server = TlsServer(tmp_path, issued=NOW - 20 * 365 * 86_400)
    with server.running():
        refused(server.look_up(), "certificate is refused")
        assert server.asked == []


def test_pinned_key(server: TlsServer) -> None:
    assert server.look_up(pin(server.public_key)).security is Security.SECURE
    assert server.look_up(f"{pin(b'old')},{pin(server.public_key)}").security is Security.SECURE


def test_pin_makes_name_and_authority_unnecessary(tmp_path: Path) -> None:
    server = TlsServer(tmp_path, "something.else.example")
    with server.running():
        assert server.look_up(f"{NAME},{pin(server.public_key)}").security is Security.SECURE


def test_key_that_is_not_pinned_is_refused_before_any_query(server: TlsServer) -> None:
    refused(server.look_up(pin(b"another key")), "none of the pinned")
    refused(server.look_up(f"{NAME},{pin(b'another key')}"), "none of the pinned")
    assert server.asked == []


@pytest.mark.parametrize("form", ["3 1 1", "3 1 2", "3 0 1", "3 1 0"])
def test_key_published_as_tlsa(form: str, tmp_path: Path) -> None:
    server = TlsServer(tmp_path, "something.else.example")
    octets = server.certificate if form[2] == "0" else server.public_key
    data = {"0": octets, "1": hashlib.sha256(octets).digest(), "2": hashlib.sha512(octets).digest()}[form[4]]
    server.tlsa = ("3 1 1 " + "00" * 32, f"{form} {data.hex()}")
    with server.running():
        assert server.look_up(f"{NAME},tlsa").security is Security.SECURE
        assert server.connections == 1
        before = server.asked.index(f"{CAR}. TLSA")
        assert f"_{server.port}._tcp.{NAME}. TLSA" in server.asked[:before]


@pytest.mark.parametrize(
    ("records", "word"),
    [
        (("3 1 1 " + "00" * 32,), "tlsa-mismatch"),
        (("2 1 1 " + "00" * 32,), "tlsa-unusable"),
        ((), "no TLSA records"),
    ],
)
def test_key_not_published_as_tlsa_gets_no_query_but_for_its_records(
    records: tuple[str, ...], word: str, tmp_path: Path
) -> None:
    server = TlsServer(tmp_path)
    server.tlsa = records
    with server.running():
        refused(server.look_up(f"{NAME},tlsa"), word)
        assert f"{CAR}. TLSA" not in server.asked


def test_tlsa_that_cannot_be_validated_is_no_proof(tmp_path: Path) -> None:
    server = TlsServer(tmp_path)
    server.tlsa = (f"3 1 1 {hashlib.sha256(server.public_key).hexdigest()}",)
    with server.running():
        server.anchors = TrustAnchors.root()
        refused(server.look_up(f"{NAME},tlsa"), "bogus")
        assert f"{CAR}. TLSA" not in server.asked


def test_opportunistic_asks_anybody(tmp_path: Path) -> None:
    server = TlsServer(tmp_path, "nobody.example")
    with server.running():
        assert server.look_up("", opportunistic=True).security is Security.SECURE


def test_plain_server_is_no_tls_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = Upstream.parse(f"tls://127.0.0.1:{listener.getsockname()[1]}#{NAME}")

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x00\x0cnot a TLS record")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with Resolver([upstream], TrustAnchors.root()) as resolver:
            refused(resolver.lookup_blocking(CAR, "TLSA", deadline=3), "TLS failed")
        thread.join(5)


def test_one_connection_carries_many_lookups(server: TlsServer) -> None:
    with Resolver([server.upstream()], server.anchors) as resolver:
        for name in (CAR, "other.cars.example", "absent.cars.example"):
            assert resolver.lookup_blocking(name, "TLSA").security is Security.SECURE
    assert server.connections == 1
    assert len(server.asked) == 8


def test_asyncio_carries_many_lookups_at_once(server: TlsServer) -> None:
    async def crowd() -> list[Answer]:
        async with Resolver([server.upstream()], server.anchors) as resolver:
            names = (CAR, "other.cars.example", "absent.cars.example")
            return await asyncio.gather(*(resolver.lookup(name, "TLSA") for name in names))

    assert {answer.security for answer in asyncio.run(crowd())} == {Security.SECURE}
    assert server.connections == 1


def test_answers_may_come_in_another_order(server: TlsServer) -> None:
    server.hold_first = threading.Event()
    answer = server.look_up()
    assert answer.security is Security.SECURE, answer.detail
    assert server.hold_first.is_set()


def test_connection_the_server_closed_is_made_again(server: TlsServer) -> None:
    server.close_after = 6
    with Resolver([server.upstream()], server.anchors) as resolver:
        assert resolver.lookup_blocking(CAR, "TLSA").security is Security.SECURE
        server.close_after = None
        assert resolver.lookup_blocking("other.cars.example", "TLSA").security is Security.SECURE
    assert server.connections == 2


def test_loop_that_ends_leaves_nothing_behind(server: TlsServer) -> None:
    resolver = Resolver([server.upstream()], server.anchors)
    assert asyncio.run(resolver.lookup(CAR, "TLSA")).security is Security.SECURE
    assert asyncio.run(resolver.lookup("other.cars.example", "TLSA")).security is Security.SECURE
    assert server.connections == 2
    resolver.close()


def test_crowd_that_waits_for_the_proof_does_not_stop_it(tmp_path: Path) -> None:
    """More queries wait on the connection than it takes; those of its own proof must still find ids."""
    server = TlsServer(tmp_path)
    server.tlsa = (f"3 1 1 {hashlib.sha256(server.public_key).hexdigest()}",)

    async def crowd() -> list[Answer]:
        async with Resolver([server.upstream(f"{NAME},tlsa")], server.anchors) as resolver:
            names = [f"a{number}.cars.example" for number in range(300)]
            return await asyncio.gather(*(resolver.lookup(name, "TLSA", deadline=20) for name in names))

    with server.running():
        answers = asyncio.run(crowd())
        assert {(answer.security, answer.outcome) for answer in answers} == {(Security.SECURE, Outcome.NXDOMAIN)}


def test_answer_and_close_that_arrive_together_are_an_answer(server: TlsServer) -> None:
    query = Query(7, dns.name.from_text(CAR), dns.rdatatype.TLSA)
    response = dns.message.make_response(dns.message.from_wire(query.to_wire())).to_wire()
    octets = len(response).to_bytes(2, "big") + response

    def answer_once(listener: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server.context.wrap_bio(incoming, outgoing, server_side=True)
        connection, _ = listener.accept()
        connection.settimeout(10)

        def step(work: Callable[[], object]) -> None:
            while True:
                try:
                    work()
                    return
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65536))

        with connection:
            step(tls.do_handshake)
            connection.sendall(outgoing.read())
            step(lambda: tls.read(65536))
            tls.write(octets)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.unwrap()
            connection.sendall(outgoing.read())

    results: list[bytes | OSError] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_once, args=(listener,), daemon=True)
        thread.start()
        reactor = BlockingReactor()
        connection = StreamConnection(
            reactor,
            ("127.0.0.1", listener.getsockname()[1]),
            closed=lambda _: None,
            tls=(tls_context(str(server.roots), verify=True), NAME),
        )
        connection.ask(query, results.append)
        reactor.run_until(lambda: bool(results), reactor.time() + 10)
        thread.join(10)
        reactor.run_until(lambda: not connection.is_open, reactor.time() + 10)
        reactor.close()
    assert results == [response]


def test_connection_that_fell_silent_is_not_asked_again(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_connection, "SILENCE_SECONDS", 0.2)
    server.mute_connections = 1
    with Resolver([server.upstream()], server.anchors) as resolver:
        refused(resolver.lookup_blocking(CAR, "TLSA", deadline=0.5), "no answer within")
        assert resolver.lookup_blocking(CAR, "TLSA", deadline=5).security is Security.SECURE
    assert server.connections == 2


def test_proof_that_never_ends_ends_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_connection, "OPENING_SECONDS", 0.3)
    server = TlsServer(tmp_path)
    server.tlsa = (f"3 1 1 {hashlib.sha256(server.public_key).hexdigest()}",)
    server.mute_connections = 1
    with server.running(), Resolver([server.upstream(f"{NAME},tlsa")], server.anchors) as resolver:
        refused(resolver.lookup_blocking(CAR, "TLSA", deadline=5), "not ready for queries")
        assert f"{CAR}. TLSA" not in server.asked
        assert resolver.lookup_blocking(CAR, "TLSA", deadline=5).security is Security.SECURE


def test_handshake_that_never_ends_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_connection, "OPENING_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = Upstream.parse(f"tls://127.0.0.1:{listener.getsockname()[1]}#{NAME}")
        with Resolver([upstream], TrustAnchors.root()) as resolver:
            refused(resolver.lookup_blocking(CAR, "TLSA", deadline=5), "not ready for queries")
