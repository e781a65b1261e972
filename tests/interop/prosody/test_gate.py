"""Prosody behind the gate: devices log in with slixmpp by their DNS names, and speak with each other."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import pytest
import slixmpp

from dnsbound import Context
from dnsbound.protocols import xmpp_words as words
from dnsbound.testing import Device, World
from interop.daemon import free_port, program, run, started
from machines.gates import SERVER, Gated, gated

pytestmark = pytest.mark.peer("prosody")

DOMAIN = SERVER
SECRET = "0123456789abcdefghijklmnop"
PLUGIN = Path(__file__).parents[3] / "examples/gate/prosody/mod_auth_dnsbound_gate.lua"
SECONDS = 20.0
CONFIGURATION = """\
pidfile = "{directory}/pid"; data_path = "{directory}/data"; plugin_paths = {{ "{directory}/plugins" }}
run_as_root = true
interfaces = {{ "127.0.0.1" }}; c2s_ports = {{ {port} }}; s2s_ports = {{}}
log = {{ {{ levels = {{ min = "debug" }}; to = "file"; filename = "{directory}/log" }} }}
modules_enabled = {{ "saslauth", "disco", "roster" }}; modules_disabled = {{ "s2s", "posix", "tls" }}
c2s_require_encryption = false; allow_unencrypted_plain_auth = true
VirtualHost "{domain}"
  authentication = "dnsbound_gate"
  dnsbound_gate_secret_file = "{directory}/secret"
"""


@pytest.fixture(scope="module")
def prosody() -> Iterator[int]:
    """The port of one whose users come through the gate."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="dnsbound-prosody-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        (directory / "plugins").mkdir()
        (directory / "data").mkdir()
        shutil.copy(PLUGIN, directory / "plugins")
        (directory / "secret").write_text(SECRET + "\n")
        path = directory / "prosody.cfg.lua"
        path.write_text(CONFIGURATION.format(directory=directory, port=port, domain=DOMAIN))
        command = [program("prosody"), "-F", "--config", str(path)]
        if not os.geteuid():
            run(["chown", "-R", "prosody", str(directory)])
            command = ["setpriv", "--reuid=prosody", "--regid=prosody", "--clear-groups", *command]
        with started(command, directory / "output") as daemon:
            daemon.wait_for(lambda: _listens(port), "Prosody listens")
            yield port


def _listens(port: int) -> bool:
    async def ask() -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    return asyncio.run(ask())


@contextlib.asynccontextmanager
async def gate(port: int, directory: Path, options: str = "") -> AsyncIterator[tuple[Gated, World]]:
    secret = directory / "prosody.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    table = f'protocol = "xmpp"\n[gate.one.options]\ndomain = "{DOMAIN}"\nsecret_file = "prosody.secret"\n{options}'
    with World() as world:
        async with gated(world, directory, f"127.0.0.1:{port}", table, allow=("*._device.cars.example",)) as at:
            yield at, world


class Client(slixmpp.ClientXMPP):
    """slixmpp with a Context of ours: SASL EXTERNAL is what it is offered."""

    def __init__(self, at: Gated, context: Context, jid: str) -> None:
        super().__init__(jid, "", sasl_mech="EXTERNAL")
        self.ssl_context = context
        self.enable_direct_tls = False
        self.port = at.port
        self.messages: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.begun = asyncio.Event()
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("message", self._heard)
        for word in ("failed_all_auth", "disconnected", "connection_failed", "ssl_invalid_chain"):
            self.add_event_handler(word, lambda _event: self.ended.set())

    async def _started(self, _event: object) -> None:
        self.send_presence()
        self.begun.set()

    async def _heard(self, message: slixmpp.Message) -> None:
        await self.messages.put((message["from"].bare, message["body"]))

    async def __aenter__(self) -> Self:
        self.connect("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.abort()
        await asyncio.sleep(0)

    async def online(self) -> bool:
        """Whether it came in, or was turned away."""
        begun, ended = (asyncio.ensure_future(each.wait()) for each in (self.begun, self.ended))
        async with asyncio.timeout(SECONDS):
            await asyncio.wait((begun, ended), return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        ended.cancel()
        await asyncio.gather(begun, ended, return_exceptions=True)
        return self.begun.is_set()


def jid(device: Device) -> str:
    return f"{device.name}@{DOMAIN}"


def test_devices_log_in_by_name_and_write_to_each_other(prosody: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with gate(prosody, tmp_path) as (at, world):
            first, second = (world.organisation("cars.example").device(label) for label in ("car54", "car55"))
            async with (
                Client(at, at.client(first), jid(first)) as one,
                Client(at, at.client(second), jid(second)) as two,
            ):
                assert await one.online()
                assert await two.online()
                assert one.boundjid.bare == jid(first)
                one.send_message(mto=jid(second), mbody="all well")
                async with asyncio.timeout(SECONDS):
                    assert await two.messages.get() == (jid(first), "all well")
                two.send_message(mto=jid(first), mbody="good")
                async with asyncio.timeout(SECONDS):
                    assert await one.messages.get() == (jid(second), "good")

    asyncio.run(main())


def test_who_is_not_let_in(prosody: int, tmp_path: Path) -> None:
    """A stranger, and a client whose record is gone."""

    async def main() -> None:
        async with gate(prosody, tmp_path) as (at, world):
            stranger = world.organisation("strangers.example").device("car54")
            gone = world.organisation("cars.example").device("car60")
            gone.revoke()
            for device in (stranger, gone):
                async with Client(at, at.client(device), jid(device)) as client:
                    assert not await client.online()

    asyncio.run(main())


def test_a_device_is_who_it_is_whatever_address_it_is_configured_for(prosody: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with gate(prosody, tmp_path) as (at, world):
            car = world.organisation("cars.example").device("car54")
            async with Client(at, at.client(car), f"admin@{DOMAIN}") as client:
                assert await client.online()
                assert client.boundjid.bare == jid(car)

    asyncio.run(main())


def test_a_revoked_devices_session_is_cut(prosody: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with gate(prosody, tmp_path) as (at, world):
            car = world.organisation("cars.example").device("car54")
            async with Client(at, at.client(car), jid(car)) as client:
                assert await client.online()
                car.revoke()
                async with asyncio.timeout(SECONDS):
                    await client.ended.wait()

    asyncio.run(main())


def test_without_the_gates_secret_nobody_logs_in(prosody: int) -> None:
    async def main() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", prosody)
        head = words.stream_head(to=DOMAIN)
        writer.write(head + words.sasl_auth("PLAIN", "AGEAYg=="))
        async with asyncio.timeout(SECONDS):
            assert b"not-authorized" in await reader.readuntil(b"</failure>")
        writer.close()

    asyncio.run(main())
