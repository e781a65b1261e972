"""What a broker says to a client behind the gate: passed on, completed, and the gate's own answers between packets.

It completes the CONNACK of a client that left its identifier empty, keeps the number of topic aliases to what the gate
remembers, and puts refusals into the SUBACK of a subscription that was passed on in part.

Sections: MQTT 5.0 sections 3.2.2.3.7, 3.2.2.3.8, 3.8.4 and 3.9.3; MQTT 3.1.1 section 3.9.3.
"""

from typing import Final

from dnsbound.door_limits import MQTT_MESSAGE_OCTETS, MQTT_PACKET_OCTETS, MQTT_TOPIC_ALIASES, MQTT_UNANSWERED
from dnsbound.errors import LimitExceeded, PeerError
from dnsbound.protocols.gated import BackendError
from dnsbound.protocols.mqtt_packets import (
    SUBSCRIPTION_FAILED,
    ConnectAnswer,
    Property,
    ReasonCode,
    SubscribeAnswer,
)
from dnsbound.protocols.mqtt_stream import MQTT_5, Packet, PacketSizes, PacketStream, PacketType, PublishHead
from dnsbound.wire import prefixed

_SIZES: Final = PacketSizes(packet=MQTT_PACKET_OCTETS.maximum, message=MQTT_MESSAGE_OCTETS.maximum)
"""A broker is the operator's own."""
_FROM_CLIENTS_ALONE: Final = frozenset(
    {PacketType.CONNECT, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE, PacketType.PINGREQ, PacketType.AUTH}
)


class BrokerAnswers:
    """The broker's direction of one connection. assigned: the client identifier that a client of version 5 has to be
    told, None where it chose its own."""

    __slots__ = ("_assigned", "_connected", "_inside", "_refused", "_stream", "_version", "_waiting")

    def __init__(self, *, version: int, assigned: str | None) -> None:
        self._version = version
        self._assigned = assigned
        self._stream = PacketStream(_SIZES, version=version)
        self._connected = False
        self._inside = False
        """A message is on its way, and its payload not complete."""
        self._waiting = bytearray()
        self._refused: dict[int, tuple[bool, ...]] = {}

    def receive(self, octets: bytes) -> bytes:
        """What the client gets for these octets of the broker; Malformed, LimitExceeded or BackendError."""
        out = bytearray()
        for piece in self._stream.receive(octets):
            if isinstance(piece, Packet):
                out += self._packet(piece)
            elif not self._connected:
                raise BackendError("the broker did not answer CONNECT")
            else:
                self._inside = bool(piece.remaining) if isinstance(piece, PublishHead) else not piece.last
                out += piece.octets
            if not self._inside:
                out += self._waiting
                self._waiting.clear()
        return bytes(out)

    def insert(self, octets: bytes) -> bytes:
        """A packet of the gate's own: what the client gets of it now. The rest waits for the end of a message."""
        if self._connected and not self._inside:
            return octets
        self._waiting += octets
        if len(self._waiting) > MQTT_PACKET_OCTETS.default:
            raise LimitExceeded(MQTT_PACKET_OCTETS.name, "answers that wait for the end of a message")
        return b""

    def refuse(self, identifier: int, granted: tuple[bool, ...]) -> None:
        """Remember which filters of a SUBSCRIBE were granted, until its SUBACK."""
        if identifier in self._refused:
            raise PeerError(f"SUBSCRIBE {identifier} before the answer to the one before")
        if len(self._refused) >= MQTT_UNANSWERED.default:
            raise LimitExceeded(MQTT_UNANSWERED.name, "subscriptions that are not answered")
        self._refused[identifier] = granted

    def refused(self, identifier: int) -> bytes:
        """The SUBACK to one of which nothing was passed on."""
        return self._answer(SubscribeAnswer(identifier=identifier, codes=b"", properties=self._no_properties))

    @property
    def _no_properties(self) -> bytes | None:
        return b"" if self._version >= MQTT_5 else None

    def _packet(self, piece: Packet) -> bytes:
        if not self._connected:
            if piece.kind is not PacketType.CONNACK:
                raise BackendError(f"the broker answered CONNECT with {piece.kind.name}")
            self._connected = True
            return self._connack(piece)
        if piece.kind is PacketType.CONNACK or piece.kind in _FROM_CLIENTS_ALONE:
            raise BackendError(f"{piece.kind.name} from the broker")
        if piece.kind is PacketType.SUBACK and self._refused:
            answer = SubscribeAnswer.from_wire(piece.body, version=self._version)
            return self._answer(answer) if answer.identifier in self._refused else piece.octets
        return piece.octets

    def _connack(self, piece: Packet) -> bytes:
        answer = ConnectAnswer.from_wire(piece.body, version=self._version)
        if answer.properties is None or answer.code != ReasonCode.SUCCESS:
            return piece.octets
        remembered = MQTT_TOPIC_ALIASES.default.to_bytes(2, "big")
        changed = [
            (identifier, min(value, remembered) if identifier == Property.TOPIC_ALIAS_MAXIMUM else value)
            for identifier, value in answer.properties
            if identifier != Property.ASSIGNED_CLIENT_IDENTIFIER
        ]
        if self._assigned is not None:
            changed.append((Property.ASSIGNED_CLIENT_IDENTIFIER, prefixed(self._assigned.encode(), 2)))
        return ConnectAnswer(
            session_present=answer.session_present, code=answer.code, properties=tuple(changed)
        ).to_wire()

    def _answer(self, answer: SubscribeAnswer) -> bytes:
        """The broker's codes for what was passed on, and refusals for the rest."""
        granted = self._refused.pop(answer.identifier)
        if len(answer.codes) != sum(granted):
            raise BackendError("the broker answered another number of topic filters")
        refusal = ReasonCode.NOT_AUTHORIZED if self._version >= MQTT_5 else SUBSCRIPTION_FAILED
        codes = iter(answer.codes)
        told = bytes(next(codes) if good else refusal for good in granted)
        return SubscribeAnswer(identifier=answer.identifier, codes=told, properties=answer.properties).to_wire()
