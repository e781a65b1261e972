"""HTTP requests to a server's API, within a time and a size: on the standard library's client, blocking.

    origin = HttpOrigin.parse("https://dns.example:8443", ca_file=None)
    with HttpClient(origin, headers={"X-API-Key": key}) as client:
        reply = client.exchange("GET", "/api/v1/servers/localhost", seconds=10)

TLS is checked against the system's authorities, or one's own; clear text goes to this machine alone. The time is for
the whole exchange, however slowly the other side sends. Redirects are answers like others: a key is sent to nobody
else. A connection is used again where the server lets it live.

Not here: what requests mean, and trying again.

Sections: RFC 9112 sections 9.3 and 9.6 (persistence), RFC 9110 section 15.
"""

import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from dnsbound.errors import Malformed, Misuse
from dnsbound.limits import PUBLISH_ANSWER_OCTETS
from dnsbound.provision.publish.publisher import ServerUnclear
from dnsbound.times import Seconds

_PORTS: Final = {"https": 443, "http": 80}
_CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOrigin:
    """Where the API is. prefix: of every path, without a final slash. ca_file: authorities instead of the system's."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    ca_file: Path | None = None

    @classmethod
    def parse(cls, text: str, *, ca_file: Path | None = None) -> Self:
        """`https://HOST[:PORT][/PREFIX]`, or http to a loopback address. Malformed; Misuse for http to elsewhere."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise Malformed(f"{text!r}: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
            raise Malformed(f"{text!r} is not https://HOST:PORT, nor http:// and a loopback address")
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise Malformed(f"{text!r} has characters that no URL has")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise Misuse(f"{text}: the API key would travel in clear text; use https, or a loopback address")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            prefix=parts.path.rstrip("/"),
            ca_file=ca_file,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """A whole response. content_type: without parameters, in lower case."""

    status: int
    content_type: str
    body: bytes


class HttpClient:
    """One connection at a time to one origin; for one thread."""

    def __init__(self, origin: HttpOrigin, *, headers: Mapping[str, str]) -> None:
        """headers: sent with every request. Misuse when the file of authorities cannot be used."""
        self.origin: Final = origin
        self._headers = dict(headers)
        self._tls = _tls(origin) if origin.scheme == "https" else None
        self._connection: _Connection | None = None

    def exchange(
        self, method: str, path: str, body: bytes | None = None, *, seconds: Seconds, octets: int | None = None
    ) -> HttpReply:
        """One request and its response. ServerUnclear when there is none in time, whole, and of at most `octets`.

        A request may then have been carried out all the same.
        """
        most = PUBLISH_ANSWER_OCTETS.checked(octets)
        deadline = time.monotonic() + seconds
        kept = self._connection is not None
        try:
            try:
                return self._once(method, path, body, deadline, most)
            except (http.client.RemoteDisconnected, ConnectionError):
                # RFC 9112 section 9.3.1: a connection that was kept may have been closed meanwhile. Our requests are
                # idempotent.
                if not kept:
                    raise
                self.close()
                return self._once(method, path, body, deadline, most)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ServerUnclear(f"{self.origin}: {_told(error, seconds)}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _once(self, method: str, path: str, body: bytes | None, deadline: Seconds, most: int) -> HttpReply:
        connection = self._connection
        if connection is None:
            connection = self._connection = _Connection(self.origin, self._tls)
        connection.deadline = deadline
        connection.request(method, self.origin.prefix + path, body, self._headers)
        response = connection.getresponse()
        received = bytearray()
        while chunk := response.read(min(_CHUNK, most + 1 - len(received))):
            received += chunk
            if len(received) > most:
                raise ServerUnclear(f"{self.origin} answered more than {most} octets")
        if response.length:
            raise ServerUnclear(f"{self.origin} broke off in the middle of an answer")
        if response.will_close:
            self.close()
        content_type = response.headers.get_content_type() if "content-type" in response.headers else ""
        return HttpReply(status=response.status, content_type=content_type, body=bytes(received))


class _Connection(http.client.HTTPConnection):
    """A connection all of whose waiting ends at `deadline`, which may be set anew for each exchange."""

    deadline: Seconds = 0.0

    def __init__(self, origin: HttpOrigin, tls: ssl.SSLContext | None) -> None:
        super().__init__(origin.host, origin.port)
        self._tls = tls

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), timeout=_left(self))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(_left(self))
            open_socket = plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
        self.sock = _Hurried(open_socket, self)


class _Hurried:
    """The part of a socket that http.client uses, with the time left set before each call that may wait."""

    def __init__(self, open_socket: socket.socket, connection: _Connection) -> None:
        self._socket = open_socket
        self._connection = connection

    def sendall(self, octets: bytes) -> None:
        self._socket.settimeout(_left(self._connection))
        self._socket.sendall(octets)

    def makefile(self, _mode: str) -> io.BufferedReader:
        # The reader counts as a user of the socket: closing the connection leaves the response readable.
        return io.BufferedReader(_HurriedReader(self._socket, self._connection))

    def close(self) -> None:
        self._socket.close()


class _HurriedReader(io.RawIOBase):
    def __init__(self, open_socket: socket.socket, connection: _Connection) -> None:
        self._socket = open_socket
        self._raw = open_socket.makefile("rb", buffering=0)
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 (a writable buffer, as RawIOBase has it)
        self._socket.settimeout(_left(self._connection))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(connection: _Connection) -> Seconds:
    left = connection.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _tls(origin: HttpOrigin) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if origin.ca_file is None else str(origin.ca_file))
    except (OSError, ValueError) as error:
        raise Misuse(f"{origin.ca_file}: no certificates of authorities: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _told(error: Exception, seconds: Seconds) -> str:
    if isinstance(error, TimeoutError):
        return f"no whole answer within {seconds:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"no HTTP: {type(error).__name__}: {error}" if isinstance(error, http.client.HTTPException) else str(error)
