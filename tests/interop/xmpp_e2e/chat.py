"""A real Prosody with accounts, and the clients of the example: slixmpp with OMEMO, trusting what DNS names attest.

slixmpp-omemo and python-omemo are other people's: they encrypt, and ask for nothing but a word about each device.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

import slixmpp
from examples.chat_slixmpp import Chatter
from omemo.types import DeviceInformation

from dnsbound.adapters.slixmpp_attestations import SlixmppAttestations
from dnsbound.edge.attested_keys import AttestedKeys, KeyTrust
from dnsbound.objects.jid_links import JidLinks
from dnsbound.testing import Device, World
from dnsbound.verify.access import AccessList
from dnsbound.verify.decision import Decision
from interop.daemon import free_port, program, run, started

DOMAIN = "xmpp.example"
DOOR = "chat"
PASSWORD = "of loopback alone"
SECONDS = 20.0
PEOPLE = ("alice", "bob", "carol")
CHATS = 20
"""Each has accounts of its own: a server keeps what devices were there before."""
CONFIGURATION = """\
pidfile = "{directory}/pid"; data_path = "{directory}/data"
run_as_root = true
interfaces = {{ "127.0.0.1" }}; c2s_ports = {{ {port} }}; s2s_ports = {{}}
log = {{ {{ levels = {{ min = "debug" }}; to = "file"; filename = "{directory}/log" }} }}
modules_enabled = {{ "saslauth", "disco", "roster", "pep" }}; modules_disabled = {{ "s2s", "posix", "tls" }}
c2s_require_encryption = false; allow_unencrypted_plain_auth = true
VirtualHost "{domain}"
  authentication = "internal_plain"
"""


@contextlib.contextmanager
def prosody() -> Iterator[int]:
    """The port of a server where the people of each chat have accounts."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="dnsbound-prosody-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        store = directory / "data" / DOMAIN.replace(".", "%2e") / "accounts"
        store.mkdir(parents=True)
        for account in (f"{label}{number}" for label in PEOPLE for number in range(CHATS)):
            (store / f"{account}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}"; }};\n')
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
        await writer.wait_closed()
        return True

    return asyncio.run(ask())


class Client(Chatter):
    """One device of an account: its own OMEMO keys, and what it makes of others' by their names."""

    def __init__(self, port: int, jid: str, keys: AttestedKeys) -> None:
        super().__init__(jid, PASSWORD, keys)
        self._port = port
        self.enable_direct_tls, self.enable_starttls, self.enable_plaintext = False, False, True
        self.plugin["feature_mechanisms"].unencrypted_plain = True

    @property
    def address(self) -> str:
        return self.boundjid.bare

    async def hears(self) -> tuple[str, str, KeyTrust]:
        async with asyncio.timeout(SECONDS):
            return await self.heard()

    async def device(self) -> DeviceInformation:
        """What OMEMO knows this device by."""
        own, _ = await (await self.omemo.get_session_manager()).get_own_device_information()
        return own

    async def __aenter__(self) -> Self:
        self.connect("127.0.0.1", self._port)
        async with asyncio.timeout(SECONDS):
            await self.online()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.keys.close()
        await self.attestations.close()
        await self.disconnect()


class PlainClient(slixmpp.ClientXMPP):
    """One without OMEMO: statements alone."""

    def __init__(self, port: int, jid: str, keys: AttestedKeys) -> None:
        super().__init__(jid, PASSWORD)
        self._port = port
        self.enable_direct_tls, self.enable_starttls, self.enable_plaintext = False, False, True
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.keys, self.attestations = keys, SlixmppAttestations(self, keys)
        plugins: Any = self.plugin
        self.pubsub = plugins["xep_0060"]
        self.begun = asyncio.Event()
        self.add_event_handler("session_start", self._started)

    def _started(self, _event: object) -> None:
        self.send_presence()
        self.begun.set()

    @property
    def address(self) -> str:
        return self.boundjid.bare

    async def __aenter__(self) -> Self:
        self.connect("127.0.0.1", self._port)
        async with asyncio.timeout(SECONDS):
            await self.begun.wait()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.keys.close()
        await self.attestations.close()
        await self.disconnect()


@dataclass
class Chat:
    """The server, the world of names, and what was decided about them."""

    port: int
    world: World
    number: int
    decisions: list[Decision] = field(default_factory=list)

    def person(self, label: str) -> Device:
        return self.world.organisation("people.example").identity(f"{label}._user")

    def address(self, label: str) -> str:
        return f"{label}{self.number}@{DOMAIN}"

    @contextlib.asynccontextmanager
    async def keys(self, links: JidLinks | None = None) -> AsyncIterator[AttestedKeys]:
        """Of one who believes all people of people.example, about their own addresses."""
        async with self.world.resolver() as resolver:
            keys = AttestedKeys(
                AccessList.allowing(DOOR, ["*._user.people.example"]),
                resolver,
                door=DOOR,
                links=links or JidLinks({self.address(each): [f"{each}._user.people.example"] for each in PEOPLE}),
                clock=self.world.now,
                on_decision=self.decisions.append,
            )
            try:
                yield keys
            finally:
                keys.close()

    @contextlib.asynccontextmanager
    async def client(self, label: str, *, links: JidLinks | None = None) -> AsyncIterator[Client]:
        async with self.keys(links) as keys, Client(self.port, self.address(label), keys) as client:
            yield client


async def put(client: slixmpp.ClientXMPP, node: str, element: ET.Element, item: str = "current") -> None:
    """Publish something for everybody at the client's address: what its server can do at any time as well."""
    plugins: Any = client.plugin
    form = plugins["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    form.add_field(var="pubsub#access_model", value="open")
    await plugins["xep_0060"].publish(slixmpp.JID(client.boundjid.bare), node, item, element, form)
