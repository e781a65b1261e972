"""An MQTT client as stock programs are, of version 3.1.1, for trials of brokers: one connection, short packets.

Sections: MQTT 3.1.1 sections 3.1 to 3.4, 3.8 and 3.9.
"""

import socket
import ssl
from collections import deque
from typing import Final, Self

from dnsbound.errors import PeerError
from dnsbound.protocols.mqtt_stream import PacketType, packet, variable_integer
from dnsbound.testing.front_trials.clients import SECONDS, Way

_CLEAN_SESSION: Final = 0x02
_PASSWORD: Final = 0x40
_USER_NAME: Final = 0x80
_QOS_1: Final = 0x02
_LENGTH_BITS: Final = 21


class MqttClient:
    """Open when made."""

    def __init__(
        self, way: Way, tls: ssl.SSLContext, identifier: str, *, user: str = "", seconds: float = SECONDS
    ) -> None:
        """user: a user name, with a password beside it. OSError or PeerError when it is not let in."""
        plain = socket.create_connection(("127.0.0.1", way.port), seconds)
        try:
            self._socket = tls.wrap_socket(plain, server_hostname=way.server_name)
        except BaseException:
            plain.close()
            raise
        self._early: Final[deque[bytes]] = deque()
        """Messages that came before the answer that was waited for."""
        try:
            flags = _CLEAN_SESSION | (_USER_NAME | _PASSWORD if user else 0)
            body = _text("MQTT") + bytes((4, flags, 0, 60)) + _text(identifier)
            body += _text(user) + _text("password") if user else b""
            self._socket.sendall(packet(PacketType.CONNECT, body))
            self._taken()
        except BaseException:
            self._socket.close()
            raise

    def _taken(self) -> None:
        kind, answer = self._read()
        if kind is not PacketType.CONNACK or answer[1:] != b"\0":
            raise PeerError(f"the broker answered {kind.name} {answer.hex()}")

    def subscribe(self, topic: str) -> bool:
        """Whether the broker takes it."""
        self._socket.sendall(packet(PacketType.SUBSCRIBE, b"\0\1" + _text(topic) + b"\0"))
        kind, body = self._answer()
        return kind is PacketType.SUBACK and body[2] < 0x80

    def publish(self, topic: str, message: str) -> None:
        """With quality of service 1: the broker has it when this ends. PeerError, OSError."""
        body = _text(topic) + b"\0\2" + message.encode()
        head = bytes(((PacketType.PUBLISH << 4) | _QOS_1,))
        self._socket.sendall(head + variable_integer(len(body)) + body)
        kind, _ = self._answer()
        if kind is not PacketType.PUBACK:
            raise PeerError(f"the broker answered {kind.name}")

    def heard(self) -> tuple[str, str]:
        """Topic and text of the next message, of quality of service 0."""
        body = self._early.popleft() if self._early else self._message()
        end = 2 + int.from_bytes(body[:2])
        return body[2:end].decode(errors="replace"), body[end:].decode(errors="replace")

    def heard_at(self, topic: str) -> str:
        """The next message of this topic; others are passed over."""
        while True:
            where, message = self.heard()
            if where == topic:
                return message

    def _message(self) -> bytes:
        kind, body = self._read()
        if kind is not PacketType.PUBLISH:
            raise PeerError(f"the broker sent {kind.name}")
        return body

    def _answer(self) -> tuple[PacketType, bytes]:
        """What the broker says to what was sent last; messages may come before it."""
        while True:
            kind, body = self._read()
            if kind is not PacketType.PUBLISH:
                return kind, body
            self._early.append(body)

    def ended(self, seconds: float) -> bool:
        """Wait for the end of the connection, so long."""
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(4096):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> tuple[PacketType, bytes]:
        """One packet. Section 2.2.3: seven bits of its length in each octet, the lowest first."""
        first, length, shift = self._exactly(1)[0], 0, 0
        while True:
            octet = self._exactly(1)[0]
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80 or shift > _LENGTH_BITS:
                return PacketType(first >> 4), self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            part = self._socket.recv(count - len(octets))
            if not part:
                raise PeerError("the connection was closed")
            octets += part
        return octets


def _text(text: str) -> bytes:
    return len(text).to_bytes(2) + text.encode()
