"""A client with paho: MQTT over TLS, its name instead of a password."""

import asyncio
import queue
import threading

import paho.mqtt.client as mqtt
import stage
from paho.mqtt.enums import CallbackAPIVersion

import dnsbound


def publish(context: dnsbound.Context, host: str, port: int, topic: str, payload: bytes) -> None:
    connected = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: connected.set()
    client.tls_set_context(context)
    client.connect(host, port)
    client.loop_start()
    if not connected.wait(20):
        raise TimeoutError
    client.publish(topic, payload).wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


async def broker(context: dnsbound.Context, port: "queue.SimpleQueue[int]", ended: asyncio.Event) -> None:
    """As much of MQTT 3.1.1 as one publisher needs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = dnsbound.verified_peer()
        assert peer is not None
        while (head := await reader.readexactly(2))[0] != 0xE0:  # DISCONNECT
            packet = await reader.readexactly(head[1])
            if head[0] == 0x10:  # CONNECT
                writer.write(b"\x20\x02\x00\x00")
            if head[0] & 0xF0 == 0x30:  # PUBLISH
                topic = packet[2 : 2 + packet[1]]
                print(f"{peer.name} published {packet[2 + packet[1] :]!r} to {topic!r}")
        writer.close()

    server = await dnsbound.start_server(serve, "localhost", 0, context=context)
    port.put(server.sockets[0].getsockname()[1])
    await ended.wait()
    server.close()


if __name__ == "__main__":
    ports: queue.SimpleQueue[int] = queue.SimpleQueue()
    with stage.stage() as at:
        context = stage.door(at.files, at.world.resolver())
        with stage.running(lambda ended: broker(context, ports, ended)):
            publish(stage.client(at.files), "localhost", ports.get(timeout=20), "cars/54", b"all well")
