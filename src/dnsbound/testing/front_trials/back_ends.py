"""What stands behind a server under trial: it remembers what reached it, so that `out` means that nothing did."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, StreamRequestHandler, ThreadingTCPServer
from typing import Final

HTTP_ANSWER: Final = b"the back end\n"
GREETING: Final = b"back end\r\n"
LINE_ANSWER: Final = b"done\r\n"
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""Of the PROXY protocol's second version; its section 2.2."""
_MAX_LINE: Final = 65_536
_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A request as it reached the back end."""

    key: str
    """By which the trial knows its own: the path, or the line."""
    method: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    proxy_header: bytes = b""
    """Of the PROXY protocol, as it came."""


class BackEnd:
    """Runs on a thread and a free port of 127.0.0.1. Made by `http_back_end` and `tcp_back_end`."""

    def __init__(self) -> None:
        self.port = 0
        self._lock = threading.Lock()
        self._arrived: dict[str, Arrived] = {}

    def add(self, arrived: Arrived) -> None:
        """Remember it; from any thread."""
        with self._lock:
            self._arrived[arrived.key] = arrived

    def arrived(self, key: str) -> Arrived | None:
        """What came under this key, if anything did."""
        with self._lock:
            return self._arrived.get(key)


@contextlib.contextmanager
def http_back_end() -> Iterator[BackEnd]:
    """An HTTP server that says yes to everything."""
    back_end = BackEnd()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SECONDS

        def answer(self) -> None:
            octets = int(self.headers.get("Content-Length") or 0)
            fields, body = tuple(self.headers.items()), self.rfile.read(octets)
            back_end.add(Arrived(key=self.path, method=self.command, fields=fields, body=body))
            self.send_response(200)
            self.send_header("Content-Length", str(len(HTTP_ANSWER)))
            self.end_headers()
            self.wfile.write(HTTP_ANSWER)

        do_GET = do_POST = answer  # noqa: N815 (the names that http.server looks for)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its own signature)
            """Nothing: what arrived is remembered."""

    with _HttpServer(("127.0.0.1", 0), Handler) as server, _served(server):
        back_end.port = server.server_address[1]
        yield back_end


@contextlib.contextmanager
def tcp_back_end() -> Iterator[BackEnd]:
    """A server that speaks first, as mail servers do, then answers one line; with a PROXY header before it or not."""
    back_end = BackEnd()

    class Handler(StreamRequestHandler):
        timeout = _SECONDS

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.wfile.write(GREETING)
                header, line = b"", self.rfile.readline(_MAX_LINE)
                if line == _SIGNATURE[:2]:
                    header = line + self.rfile.read(14)
                    header += self.rfile.read(int.from_bytes(header[14:16]))
                    line = self.rfile.readline(_MAX_LINE)
                if line.endswith(b"\n"):
                    back_end.add(Arrived(key=line.strip().decode("latin-1"), proxy_header=header))
                    self.wfile.write(LINE_ANSWER)

    with _TcpServer(("127.0.0.1", 0), Handler) as server, _served(server):
        back_end.port = server.server_address[1]
        yield back_end


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is none of ours."""


class _TcpServer(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def _served(server: BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="back-end", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
