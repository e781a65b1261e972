"""A bounded load of questions and answers over TLS, TCP or a Unix socket, the same for every server that is compared.

Each of several connections has a thread and one question under way. With a rate, every question has a moment at which
it is due, whatever became of those before it, and its latency counts from there: a server that stands still for a
second is charged for all that should have been asked meanwhile. How late questions were asked is told beside it.

    python -m bench.exchanges, with Wanted as JSON on its standard input; prints Reached, as JSON

Run in its own process so that only the server's processor time is counted.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Self

from bench.load import client_config
from dnsbound import _native
from dnsbound.credential.credential import Credential

AT_MOST_SECONDS: Final = 120
_RECEIVED: Final = 65_536
_PUBACK_OCTETS: Final = 4

Answer = Literal["echo", "http", "puback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """place: a port of 127.0.0.1, or the path of a Unix socket. credential: with TLS, as this client. first: what each
    connection says at first, as hexadecimal digits, and first_answer: how many octets that is answered with. answer:
    how the end of an answer is known. each: questions in one connection. afresh: a connection for each question. rate:
    questions a second over all connections, 0: as fast as they are answered."""

    place: int | str
    question: str
    answer: Answer
    each: int
    connections: int = 1
    credential: str | None = None
    first: str = ""
    first_answer: int = 0
    afresh: bool = False
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Latencies in microseconds, from when a question was due. late_p99: by how much questions were asked
    too late, because this load was not on time or the answer before them was not."""

    answered: int
    seconds: float
    p50: float
    p99: float
    late_p99: float

    @property
    def each_second(self) -> float:
        return self.answered / self.seconds


def reach(wanted: Wanted) -> Reached:
    """Run the load in a process of its own; RuntimeError when not every question was answered."""
    command, said = [sys.executable, "-m", "bench.exchanges"], json.dumps(asdict(wanted))
    run = subprocess.run(command, input=said, capture_output=True, text=True, timeout=AT_MOST_SECONDS + 60, check=False)
    if run.returncode:
        raise RuntimeError(f"the load failed: {run.stderr.strip().splitlines()[-1]}")
    return Reached(**json.loads(run.stdout))


class Connection:
    """One, blocking. TLS where there is a configuration for it."""

    def __init__(self, wanted: Wanted, config: _native.Config | None, name: bytes) -> None:
        self._answer = wanted.answer
        self._tls: _native.Connection | None = None
        self._socket = _connected(wanted.place)
        if config is not None:
            self._tls = _native.Connection(config, server_hostname="api.cars.example", client_name=name)
            while not self._tls.do_handshake():
                self._socket.sendall(self._tls.drain())
                self._tls.feed(self._more())
        if wanted.first:
            self.write(bytes.fromhex(wanted.first))
            received = b""
            while len(received) < wanted.first_answer:
                received += self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def write(self, octets: bytes) -> None:
        if self._tls is not None:
            self._tls.write(octets)
            octets = self._tls.drain()
        self._socket.sendall(octets)

    def read(self) -> bytes:
        if self._tls is None:
            return self._more()
        while (plain := self._tls.read(_RECEIVED)) is None:
            self._tls.feed(self._more())
        if not plain:
            raise ConnectionError("the server ended the connection")
        return plain

    def ask(self, question: bytes) -> None:
        """Until its answer is here as a whole; ConnectionError where it is none."""
        self.write(question)
        received = self.read()
        while (wanted := _octets(self._answer, question, received)) > len(received):
            received += self.read()
        if wanted < len(received):
            raise ConnectionError(f"more than one answer: {received[:200]!r}")

    def _more(self) -> bytes:
        octets = self._socket.recv(_RECEIVED)
        if not octets:
            raise ConnectionError("the server hung up")
        return octets


def _connected(place: int | str) -> socket.socket:
    if isinstance(place, int):
        made = socket.create_connection(("127.0.0.1", place), timeout=AT_MOST_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(AT_MOST_SECONDS)
    made.connect(place)
    return made


def _octets(answer: Answer, question: bytes, received: bytes) -> int:
    """How many octets the answer has, or one more than there are while that cannot be known."""
    if answer == "echo":
        return len(question)
    if answer == "puback":
        return _PUBACK_OCTETS
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return len(received) + 1
    if not received.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"not a yes: {received[:200]!r}")
    lower = received[:head].lower()
    length = lower.index(b"content-length:") + len(b"content-length:")
    return head + 4 + int(lower[length:].split(b"\r\n", 1)[0])


@dataclass(slots=True)
class _Thread:
    """One connection's share. lates, latencies: in seconds."""

    wanted: Wanted
    opened: Callable[[], Connection]
    number: int
    begins: threading.Barrier
    latencies: list[float]
    lates: list[float]

    def run(self) -> None:
        wanted, question = self.wanted, bytes.fromhex(self.wanted.question)
        connection = None if wanted.afresh else self.opened()
        self.begins.wait()
        start = time.perf_counter()
        for index in range(wanted.each):
            due = start + (index * wanted.connections + self.number) / wanted.rate if wanted.rate else 0.0
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            asked = time.perf_counter()
            if connection is None:
                with self.opened() as fresh:
                    fresh.ask(question)
            else:
                connection.ask(question)
            self.latencies.append(time.perf_counter() - (due or asked))
            self.lates.append(asked - due if due else 0.0)
        if connection is not None:
            with connection:
                pass


def run(wanted: Wanted) -> Reached:
    """In this process."""
    config, name = None, b""
    if wanted.credential is not None:
        credential = Credential.from_pem(Path(wanted.credential).read_bytes())
        assert credential.name is not None
        config, name = client_config(credential), credential.name.to_wire()
    begins, latencies, lates = threading.Barrier(wanted.connections + 1), [], []  # type: ignore[var-annotated]

    def share(number: int) -> threading.Thread:
        one = _Thread(wanted, lambda: Connection(wanted, config, name), number, begins, latencies, lates)
        return threading.Thread(target=one.run)

    threads = [share(number) for number in range(wanted.connections)]
    for thread in threads:
        thread.start()
    begins.wait(AT_MOST_SECONDS)
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    if len(latencies) != wanted.each * wanted.connections:
        raise RuntimeError(f"{len(latencies)} of {wanted.each * wanted.connections} questions were answered")
    return Reached(
        answered=len(latencies),
        seconds=seconds,
        p50=_of(latencies, 0.5),
        p99=_of(latencies, 0.99),
        late_p99=_of(lates, 0.99),
    )


def _of(values: list[float], share: float) -> float:
    """That quantile, in microseconds."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1e6


if __name__ == "__main__":
    print(json.dumps(asdict(run(Wanted(**json.load(sys.stdin))))))
