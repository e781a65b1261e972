"""Clients of a server under trial, as stock programs are: Python's own TLS, with a certificate or without one."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.testing.front_trials.back_ends import GREETING, LINE_ANSWER
from dnsbound.times import Seconds

SECONDS: Final[Seconds] = 20.0
TLS_1_2: Final = ssl.TLSVersion.TLSv1_2
TLS_1_3: Final = ssl.TLSVersion.TLSv1_3


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the server is reached. roots: PEM file of who vouches for its certificate."""

    port: int
    server_name: str
    roots: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What a client saw. words: for people. session: to resume, where the server gave one."""

    words: str
    status: int | None = None
    """None where the connection ended without an answer."""
    fields: tuple[tuple[str, str], ...] = ()
    resumed: bool = False
    session: ssl.SSLSession | None = None


def context(way: Way, credential: Path | None, version: ssl.TLSVersion = TLS_1_3) -> ssl.SSLContext:
    """A client that speaks one version and shows what is in the PEM file, key and chain."""
    made = ssl.create_default_context(cafile=way.roots)
    made.minimum_version = made.maximum_version = version
    if credential is not None:
        made.load_cert_chain(credential)
    return made


def request(
    way: Way,
    tls: ssl.SSLContext,
    path: str,
    *,
    fields: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    session: ssl.SSLSession | None = None,
) -> Came:
    """One HTTP request over a connection of its own. Never raises for what the server does."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {way.server_name}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines += [f"Content-Length: {len(body)}"] if body is not None else []
    octets = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
    try:
        with _connected(way, tls, session) as connection:
            connection.sendall(octets)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answer.read()
            return Came(
                words=f"{answer.status}",
                status=answer.status,
                fields=tuple(answer.getheaders()),
                resumed=bool(connection.session_reused),
                session=connection.session,
            )
    except (OSError, http.client.HTTPException) as error:
        return Came(words=_words(error))


def line(way: Way, tls: ssl.SSLContext, key: str, *, speaks_first: bool = False) -> Came:
    """One line to a server that greets, before its greeting or after it. Status 1 where the back end's answer came, 0
    where its greeting did."""
    status = None
    try:
        with _connected(way, tls, None) as connection, connection.makefile("rwb", buffering=0) as stream:
            said = f"{key}\n".encode()
            if speaks_first:
                stream.write(said)
            greeting = stream.readline()
            if greeting != GREETING:
                return Came(words="closed before a word of the back end" if not greeting else repr(greeting))
            status = 0
            if not speaks_first:
                stream.write(said)
            answer = stream.readline()
            return Came(words=repr(answer), status=1 if answer == LINE_ANSWER else status)
    except OSError as error:
        return Came(words=_words(error), status=status)


@contextlib.contextmanager
def _connected(way: Way, tls: ssl.SSLContext, session: ssl.SSLSession | None) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", way.port), SECONDS) as plain,
        tls.wrap_socket(plain, server_hostname=way.server_name, session=session) as connection,
    ):
        yield connection


def _words(error: Exception) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
    return f"{reason or type(error).__name__}".lower().replace("_", " ")
