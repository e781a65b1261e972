"""amqtt (extra `mqtt`), an MQTT broker in Python, whose clients are verified by DNS name.

amqtt's own TLS refuses certificates that no authority signed. Here its `external` listener gets connections that were
admitted at a Context, through the filter of the MQTT gate (`dnsbound.protocols.gate_mqtt`): the session's user name is
the verified name, its client identifier is bound to it, and publish and subscribe grants are kept.

    broker = Broker({
        "listeners": {"default": {"type": "external"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False}},
    })
    await broker.start()
    server = await serve_mqtt(broker, "0.0.0.0", 8883, context=context)

The broker speaks MQTT 3.1.1. `allow_anonymous` False lets in who has a user name, which here everybody has.
"""

import asyncio
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from amqtt.adapters import ReaderAdapter, WriterAdapter

from dnsbound.edge.context import Context
from dnsbound.edge.gate_client import client_of
from dnsbound.edge.listen import start_server
from dnsbound.protocols.gate_mqtt import MqttGate, MqttRules
from dnsbound.protocols.gated import NOTHING, GateIdentity, Step

if TYPE_CHECKING:
    from amqtt.broker import Broker

_READ_OCTETS: Final = 65_536


async def serve_mqtt(
    broker: "Broker",
    host: str | None,
    port: int,
    *,
    context: Context,
    listener: str = "default",
    rules: MqttRules | None = None,
) -> asyncio.Server:
    """Bring admitted clients to a started broker. context: of a server, whose policy requires clients.

    listener: the broker's listener of type `external`. rules: of the MQTT gate. Close the server before the broker.
    """
    kept = rules or MqttRules()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = writer.get_extra_info("verified_peer")
            client = client_of(cast("asyncio.Transport", writer.transport), "" if peer is None else peer.door)
            if isinstance(client, GateIdentity):
                talk = _Talk(client, MqttGate(client, kept), reader, writer)
                await broker.external_connected(_Reader(talk), _Writer(talk), listener)
        finally:
            writer.close()

    return await start_server(connected, host, port, context=context)


class _Talk:
    """One client's connection, and the filter between it and the broker."""

    def __init__(
        self, client: GateIdentity, gate: MqttGate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._client = client
        self._gate = gate
        self._reader = reader
        self.writer = writer
        self._for_broker = bytearray()
        self._ended = False

    async def read(self, count: int) -> bytes:
        """What the broker gets: as many octets as it wants, all there are for -1, or fewer where no more come."""
        while not self._ended and (count < 0 or len(self._for_broker) < count):
            octets = await self._reader.read(_READ_OCTETS)
            if not octets:
                self._ended = True
            else:
                self._say(self._renewed())
                if not self._ended:
                    await self._carry_out(self._gate.client_said(octets))
        taken = bytes(self._for_broker if count < 0 else self._for_broker[:count])
        del self._for_broker[: len(taken)]
        return taken

    def write(self, octets: bytes) -> None:
        self._say(self._renewed())
        if not self._ended:
            self._say(self._gate.backend_said(octets))

    def _renewed(self) -> Step:
        """The gate goes by the grants of now."""
        peer = self.writer.get_extra_info("verified_peer")
        if peer is None or peer.grants is self._client.grants:
            return NOTHING
        self._client = replace(self._client, grants=peer.grants, valid_until=peer.valid_until)
        return self._gate.renewed(self._client)

    async def _carry_out(self, step: Step) -> None:
        self._for_broker += step.to_backend
        self._say(step)
        if not self._ended:
            await self.writer.drain()

    def _say(self, step: Step) -> None:
        if step.to_client and not self.writer.is_closing():
            self.writer.write(step.to_client)
        if step.end is not None:
            self.end()

    def end(self) -> None:
        self._ended = True
        self.writer.close()


class _Reader(ReaderAdapter):  # type: ignore[misc] # amqtt has no types
    def __init__(self, talk: _Talk) -> None:
        self._talk = talk

    async def read(self, n: int = -1) -> bytes:
        try:
            return await self._talk.read(n)
        except OSError:  # a reset, or the client's access was withdrawn
            self._talk.end()
            return b""

    def feed_eof(self) -> None:
        self._talk.end()


class _Writer(WriterAdapter):  # type: ignore[misc]
    def __init__(self, talk: _Talk) -> None:
        self._talk = talk

    def write(self, data: bytes) -> None:
        self._talk.write(bytes(data))

    async def drain(self) -> None:
        await self._talk.writer.drain()

    def get_peer_info(self) -> tuple[str, int] | None:
        found = self._talk.writer.get_extra_info("peername")
        return (found[0], found[1]) if found else None

    def get_ssl_info(self) -> ssl.SSLObject | None:
        return None  # amqtt would read the certificate's common name

    async def close(self) -> None:
        self._talk.end()
