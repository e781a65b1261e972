"""paho-mqtt over our Context: non-blocking reads driven by select and `pending()`, against a small MQTT 3.1.1 server on
the standard library's TLS."""

import contextlib
import gc
import queue
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from dnsbound.edge.context import Context
from dnsbound.tls.errors import TLSAlertReceived, TLSCertificateRefused
from interop.python_clients.conftest import HOST, WAIT, Files

CONNACK = b"\x20\x02\x00\x00"
PUBLISH, SUBSCRIBE, DISCONNECT = 0x30, 0x82, 0xE0
BURST = 5


def packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def message(topic: str, payload: bytes) -> bytes:
    return packet(PUBLISH, len(topic).to_bytes(2, "big") + topic.encode() + payload)


def receive(made: ssl.SSLSocket) -> tuple[int, bytes]:
    head = take(made, 2)
    assert head[1] < 128
    return head[0], take(made, head[1])


def take(made: ssl.SSLSocket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        more = made.recv(count - len(octets))
        if not more:
            raise EOFError
        octets += more
    return octets


class Broker:
    """Takes one client; answers a subscription with a burst, and keeps what is published."""

    def __init__(self, context: ssl.SSLContext, *, one_record: bool) -> None:
        self._context = context
        self._one_record = one_record
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(WAIT)
        self.port = self._listening.getsockname()[1]
        self.published: queue.Queue[bytes] = queue.Queue()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        plain, _ = self._listening.accept()
        plain.settimeout(WAIT)
        try:
            with self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as made:
                self._serve(made)
        except (OSError, EOFError) as error:
            self.error = error

    def _serve(self, made: ssl.SSLSocket) -> None:
        try:
            made.do_handshake()
        except ssl.SSLError:
            # A client keeps its socket until somebody collects it.
            with contextlib.suppress(OSError):
                made.settimeout(0.2)
                socket.socket.shutdown(made, socket.SHUT_WR)
                while socket.socket.recv(made, 65536):
                    pass
            raise
        receive(made)
        made.sendall(CONNACK)
        while True:
            first, body = receive(made)
            if first == DISCONNECT:
                return
            if first == SUBSCRIBE:
                self._burst(made, b"\x90\x03" + body[:2] + b"\x00")
            elif first == PUBLISH:
                self.published.put(body)

    def _burst(self, made: ssl.SSLSocket, acknowledgement: bytes) -> None:
        burst = [acknowledgement, *(message("burst", b"%d" % number) for number in range(BURST))]
        for octets in [b"".join(burst)] if self._one_record else burst:
            made.sendall(octets)

    def close(self) -> None:
        self._thread.join(WAIT)
        self._listening.close()
        assert not self._thread.is_alive()


@pytest.fixture
def broker(files: Callable[[str], Files]) -> Iterator[Callable[..., Broker]]:
    started: list[Broker] = []

    def start(case: str, *, one_record: bool = True) -> Broker:
        its = files(case)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(its.certificate, its.key)
        context.load_verify_locations(its.clients)
        context.verify_mode = ssl.CERT_REQUIRED
        started.append(Broker(context, one_record=one_record))
        return started[-1]

    yield start
    for one in started:
        one.close()


def new_client(context: Context) -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="car54")
    client.tls_set_context(context)
    return client


@pytest.mark.parametrize("one_record", [True, False])
def test_burst_arrives_whole(context: Context, broker: Callable[..., Broker], one_record: bool) -> None:
    """Five messages at once, in one TLS record and in five: each is delivered without another octet from the broker."""
    server = broker("good", one_record=one_record)
    client = new_client(context)
    arrived: queue.Queue[bytes] = queue.Queue()
    client.on_message = lambda _client, _userdata, one: arrived.put(one.payload)
    client.on_connect = lambda made, *_rest: made.subscribe("burst")
    client.connect(HOST, server.port)
    client.loop_start()
    try:
        assert [arrived.get(timeout=WAIT) for _ in range(BURST)] == [b"%d" % number for number in range(BURST)]
        large = [b"x" * 100 + b"%d" % number for number in range(20)]
        for payload in large:
            client.publish("up", payload)
        assert [server.published.get(timeout=WAIT)[4:] for _ in large] == large
    finally:
        client.disconnect()
        client.loop_stop()
    assert server.error is None


@pytest.mark.parametrize(("case", "code"), [("unknown authority", 18), ("wrong name", 62), ("expired", 10)])
def test_broker_that_is_not_authentic(context: Context, broker: Callable[..., Broker], case: str, code: int) -> None:
    server = broker(case)
    with pytest.raises(TLSCertificateRefused) as caught:
        new_client(context).connect(HOST, server.port)
    assert caught.value.verify_code == code
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # paho leaves its socket to the collector
        del caught
        gc.collect()


def test_refusal_ends_the_loop(context: Context, broker: Callable[..., Broker]) -> None:
    server = broker("refuses the client")
    client = new_client(context)
    seen: list[Any] = []
    client.on_log = lambda *arguments: seen.append(arguments)
    client.connect(HOST, server.port)
    codes = [client.loop(timeout=1.0) for _ in range(3)]
    assert codes[0] != mqtt.MQTT_ERR_SUCCESS or codes[1] != mqtt.MQTT_ERR_SUCCESS
    assert not client.is_connected()


def test_insecure_needs_danger(context: Context) -> None:
    """paho's tls_insecure_set(True) switches host names off on our Context: it is refused, unless made with danger."""
    from dnsbound.errors import Misuse

    with pytest.raises(Misuse):
        new_client(context).tls_insecure_set(True)


def test_unread_alert_is_an_error_of_ours(context: Context, broker: Callable[..., Broker]) -> None:
    server = broker("refuses the client")
    with (
        socket.create_connection((HOST, server.port), timeout=WAIT) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as made,
        pytest.raises(TLSAlertReceived),
    ):
        made.recv(1)
