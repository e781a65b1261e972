"""Kamailio behind the gate, driven by sipp: it sees the verified identity of each request, and no other.

Debian's sipp is built without TLS, so a relay of the test's own brings its TCP to the gate with a device's credential.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dnsbound import Context
from dnsbound.credential.credential import Credential
from dnsbound.testing import Device, World
from interop.daemon import Daemon, free_port, program, run, started
from machines.gates import SERVER, Gated, gated

pytestmark = [pytest.mark.peer("kamailio"), pytest.mark.peer("sipp")]

DOMAIN = "isp.example"
NAME = "car54._device.cars.example"
SECONDS = 20
CONFIGURATION = """\
#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
tcp_children=2
listen=tcp:127.0.0.1:{port}
server_signature=no
mpath="{modules}/"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
request_route {{
  xlog("L_ERR", "saw $rm of $hdr(Dnsbound-Name) as $ai, $hdr(Remote-Party-ID) $(hdr(P-Asserted-Identity)[1])\\n");
  if (is_method("ACK")) exit;
  if (!is_present_hf("Dnsbound-Name")) {{ sl_send_reply("401", "Nobody"); exit; }}
  append_to_reply("X-Seen: $hdr(Dnsbound-Name)\\r\\n");
  sl_send_reply("200", "OK");
  exit;
}}
"""
SCENARIO = """\
<?xml version="1.0" encoding="UTF-8"?>
<scenario name="one">
  <send><![CDATA[
{method} sip:{domain} SIP/2.0
Via: SIP/2.0/TLS 127.0.0.1:5999;branch=[branch]
Max-Forwards: 10
From: <sip:{user}@{domain}>;tag=[call_number]
To: <sip:{to}@{domain}>
Call-ID: [call_id]
CSeq: 1 {method}
Contact: <sip:{user}@127.0.0.1:5999;transport=tls>
{more}Content-Length: 0

]]></send>
  <recv response="{answer}"/>
{ack}</scenario>
"""
ACK = """\
  <send><![CDATA[
ACK sip:{domain} SIP/2.0
Via: SIP/2.0/TLS 127.0.0.1:5999;branch=[branch]
From: <sip:{user}@{domain}>;tag=[call_number]
To: <sip:{to}@{domain}>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0

]]></send>
"""
FORGED = f"""\
P-Asserted-Identity: <sip:admin@{DOMAIN}>
Remote-Party-ID: <sip:admin@{DOMAIN}>
Dnsbound-Name: admin.{DOMAIN}
"""


@pytest.fixture(scope="module")
def kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Daemon]]:
    port = free_port()
    directory = tmp_path_factory.mktemp("kamailio")
    path = directory / "kamailio.cfg"
    path.write_text(CONFIGURATION.format(port=port, modules=next(Path("/usr/lib").glob("*/kamailio/modules"))))
    command = [program("kamailio"), "-DD", "-E", "-f", str(path), "-P", str(directory / "pid")]
    with started([*command, "-Y", str(directory), "-m", "64", "-M", "16"], directory / "log") as daemon:
        daemon.wait_for(lambda: _listens(port), "Kamailio listens")
        yield port, daemon


def _listens(port: int) -> bool:
    async def ask() -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    return asyncio.run(ask())


@contextlib.asynccontextmanager
async def gate(port: int, directory: Path) -> AsyncIterator[tuple[Gated, Device]]:
    table = f'protocol = "sip"\n[gate.one.options]\ndomain = "{DOMAIN}"\n'
    with World() as world:
        car = world.organisation("cars.example").device("car54")
        async with gated(world, directory, f"127.0.0.1:{port}", table, allow=(car.name.text,)) as at:
            yield at, car


@contextlib.asynccontextmanager
async def relay(at: Gated, credential: Credential) -> AsyncIterator[int]:
    """The port of a TCP listener that passes one connection at a time on to the gate, over TLS."""
    context = Context.client(credential)
    context.load_verify_locations(cadata=at.world.web_root_pem.decode())

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(
                "127.0.0.1", at.port, ssl=context, server_hostname=SERVER
            )
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def sipp(at: Gated, credential: Credential, directory: Path, **words: str) -> tuple[bool, str]:
    """Whether one call went as its scenario says, and what sipp reports."""
    values = {"method": "OPTIONS", "user": NAME, "to": NAME, "answer": "200", "more": "", "domain": DOMAIN} | words
    acked = ACK.format(**values) if values["method"] == "INVITE" else ""
    (directory / "scenario.xml").write_text(SCENARIO.format(ack=acked, **values))
    limits = ["-m", "1", "-l", "1", "-timeout", f"{SECONDS}s", "-timeout_error", "-recv_timeout", "8000", "-nostdin"]
    async with relay(at, credential) as port:
        command = [program("sipp"), f"127.0.0.1:{port}", "-sf", "scenario.xml", "-t", "t1", "-i", "127.0.0.1", *limits]
        done = await asyncio.to_thread(run, [*command, "-trace_err"], cwd=directory, seconds=2 * SECONDS)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE"])
def test_requests_carry_the_name(kamailio: tuple[int, Daemon], tmp_path: Path, method: str) -> None:
    async def main() -> None:
        port, daemon = kamailio
        async with gate(port, tmp_path) as (at, car):
            went, told = await sipp(at, car.credential, tmp_path, method=method, more=FORGED)
            assert went, told
            uri = f"sip:{car.name}@{DOMAIN}"
            assert f"saw {method} of {car.name} as {uri}, <null> <null>" in daemon.log.read_text()
            assert "admin" not in daemon.log.read_text()

    asyncio.run(main())


def test_nobody_calls_or_registers_as_somebody_else(kamailio: tuple[int, Daemon], tmp_path: Path) -> None:
    async def main() -> None:
        port, daemon = kamailio
        async with gate(port, tmp_path) as (at, car):
            for words in (
                {"user": "admin"},
                {"method": "REGISTER", "to": "admin"},
                {"method": "INVITE", "user": "admin"},
            ):
                before = daemon.log.read_text().count("saw ")
                went, told = await sipp(at, car.credential, tmp_path, answer="403", **words)
                assert went, told
                assert daemon.log.read_text().count("saw ") == before

    asyncio.run(main())


def test_who_is_not_let_in_never_reaches_kamailio(kamailio: tuple[int, Daemon], tmp_path: Path) -> None:
    """A stranger, the right name with another key, and a client whose record is gone."""

    async def main() -> None:
        port, daemon = kamailio
        async with gate(port, tmp_path) as (at, car):
            stranger = at.world.organisation("strangers.example").device("car54")
            before = daemon.log.read_text().count("saw ")
            for credential in (stranger.credential, Credential.generate(car.name, now=at.world.now())):
                went, told = await sipp(at, credential, tmp_path)
                assert not went, told
            assert daemon.log.read_text().count("saw ") == before

    asyncio.run(main())


def test_a_revoked_clients_connection_is_cut(kamailio: tuple[int, Daemon], tmp_path: Path) -> None:
    async def main() -> None:
        async with gate(kamailio[0], tmp_path) as (at, car):
            reader, writer = await at.connect(car)
            writer.write(b"\r\n\r\n")
            await at.until(lambda: bool(at.gate.connections))
            car.revoke()
            with contextlib.suppress(OSError):
                async with asyncio.timeout(SECONDS):
                    assert await reader.read() in (b"", b"\r\n")
            await at.until(lambda: not at.gate.connections)
            writer.close()

    asyncio.run(main())
