"""The whole corpus behind one server, and one real Unbound that validates it from the corpus's own root."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from dnsbound.dns.answer import Outcome, Security
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Query, Question, Response
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_corpus import Corpus
from dnsbound.testing.zone_server import serve_zones
from dnsbound.testing.zone_situations import Situation

Seen = tuple[Security | None, Outcome | None]

START_SECONDS = 20.0
STARTS = 3
REPLY_SECONDS = 10.0

CONFIGURATION = """
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: "{directory}/unbound.log"
    do-daemonize: no
    interface: 127.0.0.1
    port: {port}
    num-threads: 1
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    do-ip6: no
    edns-buffer-size: 1232
    ede: yes
    val-log-level: 2
    # The same windows and the same limit as the validator under test.
    val-sig-skew-min: 0
    val-sig-skew-max: 0
    val-nsec3-keysize-iterations: "1024 100 2048 100 4096 100"
    # Each situation is judged by its own records, not by what others left in the cache.
    aggressive-nsec: no
    harden-below-nxdomain: no
    qname-minimisation: no
    rrset-roundrobin: no
    module-config: "validator iterator"
{anchors}
remote-control:
    control-enable: no
{stubs}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbound:
    """A running Unbound."""

    port: int
    log: Path

    def look_up(self, question: Question) -> Response:
        """Its response to a query of the validator's: CD is set, it validates nothing."""
        query = Query(1, name_of(question.key), question.rdtype)
        return Response.from_wire(self._exchange(query.to_wire()), source="Unbound")

    def judge(self, situation: Situation) -> Seen:
        """Its own judgement as its clients see it: SERVFAIL, or an outcome with AD (secure) or without."""
        response = self.ask(situation)
        if response.rcode() == dns.rcode.SERVFAIL:
            return None, None
        security = Security.SECURE if response.flags & dns.flags.AD else Security.INSECURE
        if response.rcode() == dns.rcode.NXDOMAIN:
            return security, Outcome.NXDOMAIN
        assert response.rcode() == dns.rcode.NOERROR
        found = any(rrset.rdtype == situation.rdtype for rrset in response.answer)
        return security, Outcome.RECORDS if found else Outcome.NODATA

    def ask(self, situation: Situation) -> dns.message.Message:
        """Its own, validated response to a situation's question."""
        query = dns.message.make_query(situation.question, situation.rdtype, want_dnssec=True)
        query.flags |= dns.flags.AD
        return dns.message.from_wire(self._exchange(query.to_wire()))

    def log_of(self, situation: Situation) -> str:
        """What it wrote about the situation's names."""
        lines = self.log.read_text().splitlines()
        return "\n".join(line for line in lines if f"{situation.name}.corpus." in line)

    def _exchange(self, query: bytes) -> bytes:
        # Octets, not messages: dnspython shuffles the records it writes, and their order is part of a situation.
        with socket.create_connection(("127.0.0.1", self.port), REPLY_SECONDS) as connection:
            connection.sendall(len(query).to_bytes(2) + query)
            with connection.makefile("rb") as stream:
                return stream.read(int.from_bytes(stream.read(2)))


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return Corpus.read(Path(__file__).parents[2] / "vectors" / "corpus", now=time.time())


@pytest.fixture(scope="session")
def start_unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Corpus], Unbound]]:
    """Starts an Unbound that validates a corpus; it runs until the session ends."""
    with contextlib.ExitStack() as end:

        def start(corpus: Corpus) -> Unbound:
            answers = ZoneAnswers(corpus.tree.zones)
            server = end.enter_context(serve_zones(lambda packet, udp: answers.respond_wire(packet, udp=udp)))
            return _started(corpus, tmp_path_factory.mktemp("unbound"), server, end)

        yield start


@pytest.fixture(scope="session")
def unbound(corpus: Corpus, start_unbound: Callable[[Corpus], Unbound]) -> Unbound:
    return start_unbound(corpus)


def _started(corpus: Corpus, directory: Path, server: int, end: contextlib.ExitStack) -> Unbound:
    """A running Unbound. It is told its port, which another process may take first: then with another one."""
    configuration = directory / "unbound.conf"
    complaints = []
    for _ in range(STARTS):
        running = Unbound(port=_free_port(), log=directory / "unbound.log")
        text = CONFIGURATION.format(
            directory=directory, port=running.port, anchors=_anchors(corpus), stubs=_stubs(corpus, server)
        )
        configuration.write_text(text)
        process = end.enter_context(_running(configuration))
        if _answers(running, process):
            return running
        complaints.append((directory / "unbound.err").read_text())
    raise AssertionError(f"Unbound does not start: {complaints}")


def _anchors(corpus: Corpus) -> str:
    lines = [f'    trust-anchor: "{line}"' for line in corpus.anchors.splitlines()]
    return "\n".join(lines + [f"    domain-insecure: {name}" for name in corpus.negative_anchors])


def _stubs(corpus: Corpus, port: int) -> str:
    # One for each zone: a learnt NS would otherwise send Unbound to port 53 of that zone's server.
    return "\n".join(
        f"stub-zone:\n    name: {zone.origin}\n    stub-addr: 127.0.0.1@{port}" for zone in corpus.tree.zones
    )


def _free_port() -> int:
    """A port nobody has, over TCP or over UDP, at this moment."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        ):
            stream.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                datagrams.bind(stream.getsockname())
                return int(stream.getsockname()[1])


@contextlib.contextmanager
def _running(configuration: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("unbound", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program is not None
    with (
        configuration.with_suffix(".err").open("wb") as complaints,
        subprocess.Popen([program, "-d", "-c", str(configuration)], stderr=complaints) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(REPLY_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(unbound: Unbound, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it answers; False when it ends or says nothing for too long."""
    end = time.monotonic() + START_SECONDS
    query = dns.message.make_query(".", dns.rdatatype.SOA)
    while process.poll() is None and time.monotonic() < end:
        try:
            dns.query.udp(query, "127.0.0.1", port=unbound.port, timeout=0.25)
            return True
        except (dns.exception.DNSException, OSError):
            time.sleep(0.05)
    return False
