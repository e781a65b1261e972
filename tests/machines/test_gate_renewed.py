"""A session through the gate after the access list has changed what its client is granted."""

import asyncio
import socket
from pathlib import Path

import pytest

from dnsbound.cli.serving import listening as https_listening
from dnsbound.edge.gate_sockets import listen_at
from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.protocols.gate_mqtt import MqttGate, MqttRules
from dnsbound.protocols.gate_sip import GatedSip, SipOptions
from dnsbound.protocols.gate_smtp import GatedSmtp, SmtpOptions
from dnsbound.protocols.gate_xmpp import GatedXmpp, XmppOptions
from dnsbound.protocols.gated import GatedProtocol, GateIdentity, Step
from dnsbound.testing import World
from gated_clients import admitted
from machines.bio_client import BioClient
from machines.doors import LOOPS, car, run
from machines.gates import PATIENCE, back_end, gated

OTHER = {"role": "reader"}
ASK = b"GET / HTTP/1.1\r\nHost: api\r\n\r\n"


def listing(role: str) -> str:
    allowed = f'{{ names = ["*._device.cars.example"], grants = {{ role = "{role}" }} }}'
    return f"[door.api]\nallow = [{allowed}]\n"


async def tell_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        told = b"\n".join(line for line in head.split(b"\r\n") if line.startswith(b"Dnsbound-"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
        await writer.drain()


async def answer(client: BioClient) -> bytes:
    octets = b""
    while b"Dnsbound-Valid-Until" not in octets:
        more = await asyncio.wait_for(client.read(), PATIENCE)
        assert more, octets
        octets += more
    return octets


@pytest.mark.parametrize("kind", LOOPS)
def test_gw_34_requests_say_what_is_granted_now(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        access = listing("admin")
        async with (
            back_end(serve=tell_the_head) as (_, target),
            gated(world, tmp_path, target, 'protocol = "http"', access=access) as at,
        ):
            client = await BioClient.connect(at.client(car(world)), at.port)
            await client.write(ASK)
            assert b'{"role":"admin"}' in await answer(client)
            (connection,) = at.gate.connections
            (tmp_path / "access.toml").write_text(listing("reader"))
            at.server.reload()
            generation = at.gate.authenticator.access_generation
            (session,) = at.gate.authenticator.sessions
            await at.until(lambda: session.peer.access_generation == generation)
            await client.write(ASK)
            assert b'{"role":"reader"}' in await answer(client)
            assert at.gate.connections == {connection}
            await client.close()

    with World() as world:
        run(kind, lambda: main(world))


def begun(protocol: str) -> tuple[GatedProtocol, GateIdentity]:
    client = admitted(grants={"role": "admin"})
    match protocol:
        case "mqtt":
            return MqttGate(client, MqttRules()), client
        case "smtp":
            return GatedSmtp(client, SmtpOptions(host="mx.isp.example")), client
        case "xmpp":
            return GatedXmpp(client, XmppOptions(domain="isp.example", secret="s" * 22), "id"), client
        case _:
            return GatedSip(client, SipOptions(domain="isp.example")), client


@pytest.mark.parametrize("protocol", ["mqtt", "smtp", "xmpp", "sip"])
def test_gw_34_a_session_that_was_begun_by_grants_ends_with_them(protocol: str) -> None:
    gate, client = begun(protocol)
    later = admitted(grants=dict(client.grants))
    assert gate.renewed(later) == Step()
    assert gate.renewed(admitted(grants=OTHER)).end is not None


@pytest.mark.parametrize("kind", LOOPS)
def test_gw_35_nothing_waits_for_more_on_an_accepted_socket(kind: str) -> None:
    """TCP_NODELAY: an answer in two writes would wait for the client's delayed acknowledgement."""
    listening = [listen_at(Endpoint(host="127.0.0.1", port=0)), https_listening("127.0.0.1", 0)]

    async def accepted(sock: socket.socket) -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def met(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            made = writer.get_extra_info("socket")
            told.set_result(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        server = await asyncio.start_server(met, sock=sock)
        reader, writer = await asyncio.open_connection(*sock.getsockname()[:2])
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        return await told

    async def main() -> list[int]:
        return [await accepted(sock) for sock in listening]

    assert run(kind, main) == [1, 1]
