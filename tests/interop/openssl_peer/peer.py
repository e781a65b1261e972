"""OpenSSL's own TLS as a child process that is told each step: the program of `program/`, one object per process.

What arrives is told in octets, and what is sent is written here in octets, so that nothing of the package under test
takes part.
"""

import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from interop.daemon import stop
from interop.openssl_peer.build import program

PATIENCE: Final = 30.0
"""Seconds any single answer may take; the program itself waits half of that for its peer."""
DANE_CLIENTID: Final = 0xFF5A
"""The project's default code point, written out: the peer is told it as any user would tell it."""

Event = dict[str, Any]
Profile = Literal["ca13", "ca10", "cid07"]

PLACES: Final[dict[tuple[Profile, str], str]] = {
    ("ca13", "1.3"): "cr,ct",
    ("ca10", "1.3"): "cr,ct",
    ("cid07", "1.3"): "cr,ct",
    ("cid07", "1.2"): "ch,sh12",
}
"""Where dane_clientid stands in each profile and version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """PEM files of one credential. chain: None for a bare key."""

    key: Path
    public: Path
    chain: Path | None

    @classmethod
    def save(cls, directory: Path, stem: str, *, key: bytes, chain: Sequence[bytes]) -> Self:
        """key: DER PKCS#8; chain: DER certificates, leaf first."""
        private = load_der_private_key(key, None)
        made = cls(
            key=directory / f"{stem}.key.pem",
            public=directory / f"{stem}.public.pem",
            chain=directory / f"{stem}.chain.pem" if chain else None,
        )
        made.key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made.public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        if made.chain is not None:
            pem = (x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in chain)
            made.chain.write_bytes(b"".join(pem))
        return made

    def options(self, *, raw: bool = False) -> list[str]:
        """As this side's credential. raw: without the certificates, and as a raw public key."""
        shown = ["--own", "02"] if raw else ["--chain", str(self.chain)]
        return ["--key", str(self.key), *shown]


def says_name(name: bytes, *, profile: Profile = "ca13", version: str = "1.3") -> list[str]:
    """A client's options: dane_clientid with these octets behind their one-octet length."""
    where = "ch" if version == "1.2" else "ct"
    return sends(PLACES[profile, version], f"{where}:0:{bytes([len(name)]).hex()}{name.hex()}")


def asks_name(data: bytes = b"\0", *, profile: Profile = "ca13", version: str = "1.3") -> list[str]:
    """A server's options: dane_clientid with this extension_data."""
    where = "sh12" if version == "1.2" else "cr"
    return sends(PLACES[profile, version], f"{where}:0:{data.hex()}")


def sends(places: str, what: str, *, kind: int = DANE_CLIENTID) -> list[str]:
    return ["--extension", f"{kind}={places}", "--send", f"{kind}:{what}"]


class OpensslPeer:
    """A running program. Each method is one command and gives its one event."""

    def __init__(self, role: Literal["client", "server"], *options: str, datagram: bool = False) -> None:
        command = [str(program()), role, "datagram" if datagram else "stream", *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._collect)
        self._reader.start()
        try:
            self.ready = self._event()
        except BaseException:
            self._end()
            raise

    @property
    def port(self) -> int:
        return int(self.ready["port"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end()

    def tell(self, *words: str) -> None:
        """Give a command; `event` is its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def event(self, *expected: str) -> Event:
        """The next event, which must be one of these if any are named."""
        made = self._event()
        assert not expected or made["event"] in expected, made
        return made

    def command(self, *words: str, expected: str) -> Event:
        self.tell(*words)
        return self.event(expected)

    def accept(self) -> Event:
        return self.command("accept", expected="handshake")

    def connect(self, session: str = "") -> Event:
        return self.command("connect", session, expected="handshake")

    def read(self) -> bytes:
        return bytes.fromhex(self.command("read", expected="data")["octets"])

    def write(self, octets: bytes) -> None:
        self.command("write", octets.hex(), expected="written")

    def session(self) -> str:
        """The newest ticket's session, to be given to `connect`; empty without one."""
        return str(self.command("session", expected="session")["session"])

    def export(self, label: bytes, context: bytes, length: int) -> bytes:
        words = ("export", label.hex(), context.hex() or "-", str(length))
        return bytes.fromhex(self.command(*words, expected="exported")["octets"])

    def close(self) -> None:
        self.command("close", expected="closed")

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _event(self) -> Event:
        line = self._lines.get(timeout=PATIENCE)
        assert line is not None, f"the program has ended with {self.process.wait(PATIENCE)}"
        assert line.startswith("{"), line
        event: Event = json.loads(line)
        return event

    def _end(self) -> None:
        stop(self.process)
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def names_in(event: Event, *, kind: int = DANE_CLIENTID) -> list[tuple[str, int, bytes]]:
    """(place, entry, extension_data) of every arrival of the extension."""
    return [(place, entry, bytes.fromhex(data)) for number, place, entry, data in event["extensions"] if number == kind]
