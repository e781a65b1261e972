"""A primary that misbehaves: it reads updates over TCP and answers each as the test says.

What it does not spoil it does: `held` is what a real server would hold afterwards.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dns.exception
import dns.message
import dns.rcode
import dns.tsig
import dns.update

from dnsbound.dns.tsig import TsigKey

Reply = Callable[["Request"], bytes | None]
"""What goes onto the wire for an update, without its length; None closes the connection."""


@dataclass(frozen=True)
class Request:
    """number: of this update, from 0. message: the update. connection: for those who want to write by themselves."""

    number: int
    message: dns.message.Message
    server: "HostilePrimary"
    connection: socket.socket

    def answer(self, rcode: int = dns.rcode.NOERROR) -> dns.message.Message:
        made = dns.message.make_response(self.message)
        made.set_rcode(rcode)
        return made

    def signed(self, rcode: int = dns.rcode.NOERROR) -> bytes:
        return self.answer(rcode).to_wire()

    def unsigned(self, rcode: int = dns.rcode.NOERROR) -> bytes:
        made = self.answer(rcode)
        made.tsig = None
        return made.to_wire()

    def done(self) -> bytes:
        """What an honest server does."""
        self.server.do(self.message)
        return self.signed()


@dataclass
class HostilePrimary:
    key: TsigKey
    reply: Reply
    held: set[tuple[str, str]] = field(default_factory=set)
    updates: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def do(self, message: dns.message.Message) -> None:
        assert isinstance(message, dns.update.UpdateMessage)
        with self._lock:
            for rrset in message.update:
                places = {(rrset.name.to_text(omit_final_dot=True), rdata.to_text()) for rdata in rrset}
                self.held = self.held - places if rrset.deleting else self.held | places

    def serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError):
            connection.settimeout(20)
            while True:
                wire = _read(connection, int.from_bytes(_read(connection, 2), "big"))
                keyring = {self.key.name: dns.tsig.Key(self.key.name, self.key.secret, self.key.algorithm)}
                message = dns.message.from_wire(wire, keyring=keyring)
                with self._lock:
                    number, self.updates = self.updates, self.updates + 1
                octets = self.reply(Request(number, message, self, connection))
                if octets is None:
                    return
                connection.sendall(len(octets).to_bytes(2, "big") + octets)


def _read(connection: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        more = connection.recv(count - len(octets))
        if not more:
            raise EOFError
        octets += more
    return octets


@contextmanager
def hostile_primary(key: TsigKey, reply: Reply) -> Iterator[tuple[HostilePrimary, str]]:
    """The server and its address, while the block lasts."""
    primary = HostilePrimary(key, reply)
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                thread = threading.Thread(target=primary.serve, args=(connection,), daemon=True)
                thread.start()
                threads.append(thread)

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield primary, f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(10)
        deadline = time.monotonic() + 10
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
