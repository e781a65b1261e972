"""The native engine over a loopback socket, and peers as child processes; every wait is bounded."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dnsbound import _native
from interop.daemon import stop
from machines.native_pairs import Identity

PATIENCE = 15.0
"""Seconds any single wait may take."""


class Wire:
    """One Connection on one socket, blocking."""

    def __init__(self, connection: _native.Connection, sock: socket.socket) -> None:
        self.connection = connection
        self.socket = sock
        sock.settimeout(PATIENCE)

    def flush(self) -> None:
        if data := self.connection.drain():
            self.socket.sendall(data)

    def pull(self) -> None:
        data = self.socket.recv(65536)
        if data:
            self.connection.feed(data)
        else:
            self.connection.feed_eof()

    def handshake(self) -> None:
        try:
            while not self.connection.do_handshake():
                self.flush()
                self.pull()
        finally:
            self.flush()

    def write(self, data: bytes) -> None:
        self.connection.write(data)
        self.flush()

    def read(self, size: int = 65536) -> bytes:
        """At least one octet, or b"" after close_notify."""
        while (data := self.connection.read(size)) is None:
            self.flush()
            self.pull()
        return data

    def read_until(self, end: bytes) -> bytes:
        data = b""
        while end not in data:
            more = self.read()
            assert more, data
            data += more
        return data

    def close(self) -> None:
        """close_notify and the end of the transport; a peer that is gone already is no error."""
        with contextlib.suppress(OSError, _native.TlsError):
            self.connection.shutdown()
            self.flush()
        self.socket.close()


def call(config: _native.Config, port: int, **wishes: object) -> Wire:
    """Connect, patiently: some peers say that they listen just before they do."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    return Wire(_native.Connection(config, **wishes), sock)  # type: ignore[arg-type]


@contextlib.contextmanager
def serving(config: _native.Config, speak: Callable[[Wire], None], *, times: int = 1) -> Iterator[int]:
    """A server thread that accepts `times` connections and speaks on each; its failure is the test's."""
    failures: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def run() -> None:
            try:
                for _ in range(times):
                    sock, _address = listener.accept()
                    wire = Wire(_native.Connection(config), sock)
                    try:
                        speak(wire)
                    finally:
                        wire.close()
            except BaseException as failure:  # noqa: BLE001  handed to the test's thread
                failures.append(failure)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(2 * PATIENCE)
            assert not thread.is_alive(), "the server thread does not end"
    if failures:
        raise failures[0]


def run(command: Sequence[str], *, text: str = "", patience: float = PATIENCE) -> tuple[int, str]:
    """Exit code and both outputs of a program that ends by itself."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, errors="replace", timeout=patience, check=False
    )
    return done.returncode, done.stdout + done.stderr


class Peer:
    """A program that runs beside the test; its output is collected, and it is ended by its own id."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        self.output = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._collect)
        self._reader.start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        while data := self.process.stdout.read(4096):
            with self._changed:
                self.output += data.decode(errors="replace")
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, text: str) -> str:
        """The output so far, once it contains `text`."""
        with self._changed:
            found = self._changed.wait_for(lambda: text in self.output or not self._reader.is_alive(), PATIENCE)
            assert found, f"no {text!r} in {self.output!r}"
            assert text in self.output, self.output
            return self.output

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        stop(self.process)
        self._reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def save(identity: Identity, directory: Path, stem: str) -> dict[str, str]:
    """PEM files of an identity: chain, key, raw public key."""
    chain = b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in identity.chain)
    contents = {
        "chain": chain,
        "key": identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "raw": identity.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    }
    paths = {}
    for kind, content in contents.items():
        path = directory / f"{stem}.{kind}.pem"
        path.write_bytes(content)
        paths[kind] = str(path)
    return paths
