"""The status endpoint of gates, over HTTP on a loopback address: `/_status` and `/_metrics`, as ghostunnel names them.

`/_status` is a JSON object: each gate, its connections, and whether its back end or server accepts one now; 503 where
one does not. `/_metrics` (also `/_metrics/prometheus`) is for Prometheus. It is answered in threads, of the first
worker.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from dnsbound.cli.gate_metrics import GateCollector
from dnsbound.edge.gate_configuration import GateConfiguration, GateRule, ProxyMode
from dnsbound.edge.gate_counters import GateCounters
from dnsbound.edge.gate_totals import GateTotals
from dnsbound.edge.outward_configuration import OutwardRule
from dnsbound.errors import Misuse
from dnsbound.protocols.proxy_protocol import Command, ProxyHeader
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from dnsbound.edge.listening_endpoint import Endpoint
    from dnsbound.edge.shared_snapshots import SharedSnapshots

PROBE_SECONDS: Final[Seconds] = 2.0
"""For a back end to accept."""
_METRICS: Final = frozenset({"/_metrics", "/_metrics/prometheus"})

_Start = Callable[[str, list[tuple[str, str]]], Any]


class GateStatus:
    """A WSGI application. configuration: in force."""

    def __init__(self, configuration: Callable[[], GateConfiguration], snapshots: "SharedSnapshots") -> None:
        self._configuration = configuration
        self._snapshots = snapshots

    def __call__(self, environ: Mapping[str, Any], start: _Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            return _answered(start, "405 Method Not Allowed", {"error": "GET or HEAD"})
        if path == "/_status":
            return self._status(start)
        if path in _METRICS:
            return self._metrics(environ, start)
        return _answered(start, "404 Not Found", {"error": "/_status or /_metrics"})

    def _status(self, start: _Start) -> Iterable[bytes]:
        totals = GateTotals.of_all(self._snapshots)
        gates: dict[str, object] = {}
        all_well = True
        for rule in self._configuration().gates:
            error = probe(rule)
            all_well = all_well and error is None
            gates[rule.label] = {
                "connections": totals.gates.get(rule.label, GateCounters()).open,
                "target": str(rule.target),
                "backend_ok": error is None,
                "backend_error": error or "",
            }
        clients: dict[str, object] = {}
        for out in self._configuration().clients:
            error = probe_server(out)
            all_well = all_well and error is None
            clients[out.label] = {
                "connections": totals.gates.get(out.label, GateCounters()).open,
                "target": str(out.server),
                "server_ok": error is None,
                "server_error": error or "",
            }
        status = "200 OK" if all_well else "503 Service Unavailable"
        return _answered(start, status, {"ok": all_well, "gates": gates, "clients": clients})

    def _metrics(self, environ: Mapping[str, Any], start: _Start) -> Iterable[bytes]:
        if find_spec("prometheus_client") is None:
            return _answered(start, "501 Not Implemented", {"error": "pip install 'dnsbound[metrics]'"})
        from prometheus_client import CollectorRegistry, make_wsgi_app

        registry = CollectorRegistry()
        registry.register(GateCollector(self._snapshots))
        answered: Iterable[bytes] = make_wsgi_app(registry)(dict(environ), start)
        return answered


def probe(rule: GateRule) -> str | None:
    """What is wrong with a back end that does not accept a connection; None for one that does."""
    try:
        with _connected(rule) as probing:
            if rule.proxy is not ProxyMode.NONE:
                # What a back end that awaits a header makes of none would fill its log.
                probing.sendall(ProxyHeader(command=Command.LOCAL).to_wire())
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def probe_server(rule: OutwardRule) -> str | None:
    """What is wrong with a server that does not accept a connection; None for one that does. Its TLS is not tried."""
    try:
        socket.create_connection((rule.server.host, rule.server.port), timeout=PROBE_SECONDS).close()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _connected(rule: GateRule) -> socket.socket:
    target = rule.target
    if target.endpoint is not None:
        return socket.create_connection((target.endpoint.host, target.endpoint.port), timeout=PROBE_SECONDS)
    probing = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probing.settimeout(PROBE_SECONDS)
        probing.connect(str(target.path))
    except BaseException:
        probing.close()
        raise
    return probing


def _answered(start: _Start, status: str, value: object) -> Iterable[bytes]:
    body = json.dumps(value).encode() + b"\n"
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class _Quiet(WSGIRequestHandler):
    timeout = 5  # seconds; whoever asks for status and says nothing goes

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Nothing: a request each few seconds is no event."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: whoever asked has gone."""


@contextmanager
def served_status(at: "Endpoint | None", status: GateStatus) -> Iterator[str | None]:
    """Answer there while the block lasts; yields where. None: nowhere. Misuse where nothing can be listened on."""
    if at is None:
        yield None
        return
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    server_class = type("_Server", (_Server,), {"address_family": family})
    try:
        server = server_class((at.host, at.port), _Quiet)
    except OSError as error:
        raise Misuse(f"status at {at}: {(error.strerror or str(error)).lower()}") from None
    server.set_app(status)
    thread = threading.Thread(target=server.serve_forever, name="gate status", kwargs={"poll_interval": 0.2})
    thread.start()
    try:
        yield f"http://{at.host}:{server.server_port}/_status"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
