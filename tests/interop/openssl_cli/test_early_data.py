"""No door takes early data: no ticket allows it, and what a client sends all the same is thrown away (0-RTT is off)."""

import asyncio
import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbound import start_server
from dnsbound.testing import World
from interop.native_sockets import Peer
from machines.doors import SERVER, Door, car, door, run
from machines.test_native_ticket_keys import fields

pytestmark = pytest.mark.peer("openssl")
EARLY = b"GET /early HTTP/1.1\r\n\r\n"


def with_early_data(session: bytes, octets: int) -> bytes:
    """The session as if its ticket had allowed early data: field 15 of OpenSSL's form, which comes before 16 and on."""
    head = 4 if session[1] == 0x82 else 3
    body, at = session[head:], 0
    while at < len(body) and not (body[at] & 0xC0 == 0x80 and body[at] & 0x1F > 15):
        length, size = body[at + 1], 2
        if length & 0x80:
            size += length & 0x7F
            length = int.from_bytes(body[at + 2 : at + size], "big")
        at += size + length
    field = b"\xaf\x04\x02\x02" + octets.to_bytes(2, "big")
    whole = body[:at] + field + body[at:]
    return b"\x30\x82" + len(whole).to_bytes(2, "big") + whole


def der_of(file: Path) -> bytes:
    return base64.b64decode(re.sub(r"-----[^-]+-----|\s", "", file.read_text()))


def s_client(port: int, files: Path, *more: str) -> list[str]:
    own = ["-cert", str(files / "car.pem"), "-key", str(files / "car.pem"), "-CAfile", str(files / "root.pem")]
    return ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-servername", SERVER, *own, *more]


def visit(port: int, files: Path) -> str:
    """A first visit for a ticket, then one with early data; what s_client says of the second."""
    first = files / "first.pem"
    with Peer(s_client(port, files, "-sess_out", str(first))) as peer:
        peer.wait_for("welcome")
        peer.say("bye\n")
        peer.process.wait(15)
    assert "Max Early Data: 0" in peer.output
    session = der_of(first)
    assert 15 not in fields(session)
    changed = with_early_data(session, 1000)
    assert 15 in fields(changed)
    second, early = files / "second.pem", files / "early.txt"
    text = base64.encodebytes(changed).decode()
    second.write_text(f"-----BEGIN SSL SESSION PARAMETERS-----\n{text}-----END SSL SESSION PARAMETERS-----\n")
    early.write_bytes(EARLY)
    with Peer(s_client(port, files, "-sess_in", str(second), "-early_data", str(early))) as peer:
        peer.wait_for("welcome")
        peer.say("late\n")
        peer.process.wait(15)
    return peer.output


def serve(at: Door, files: Path, visit: Callable[[int, Path], str]) -> tuple[list[bytes], str]:
    delivered: list[bytes] = []
    output: list[str] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome\n")
        delivered.append(await reader.readline())
        writer.close()

    async def main() -> None:
        server = await start_server(greet, "127.0.0.1", 0, context=at.context)
        async with server:
            output.append(await asyncio.to_thread(visit, server.sockets[0].getsockname()[1], files))
        await at.resolver.aclose()

    run("asyncio", main)
    return delivered, output[0]


def test_early_data_is_never_delivered(world: World, tmp_path: Path) -> None:
    device, at = car(world, ttl=60), door(world, "car54._device.cars.example", ticket_lifetime=600)
    (tmp_path / "car.pem").write_bytes(device.credential.to_pem())
    (tmp_path / "root.pem").write_bytes(world.web_root_pem)
    delivered, output = serve(at, tmp_path, visit)
    assert "Early data was rejected" in output
    assert delivered == [b"bye\n", b"late\n"]
    assert at.reasons == ["admitted", "admitted"]
    assert at.decisions[-1].possession == "proved by TLS session resumption"
