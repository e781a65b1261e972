"""A real Prosody with accounts, and slixmpp clients with OMEMO whose trust is what DNS names attest.

slixmpp-omemo and python-omemo are other people's: they encrypt, and ask for nothing but a word about each device.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import slixmpp
from omemo.storage import Just, Maybe, Nothing, Storage
from omemo.types import DeviceInformation, JSONType
from slixmpp.plugins.base import register_plugin
from slixmpp_omemo import XEP_0384

from dnsbound.adapters.slixmpp_attestations import SlixmppAttestations
from dnsbound.edge.attested_keys import AttestedKeys
from dnsbound.objects.jid_links import JidLinks
from dnsbound.testing import Device, World
from dnsbound.verify.access import AccessList
from dnsbound.verify.decision import Decision
from interop.daemon import free_port, program, run, started

DOMAIN = "xmpp.example"
DOOR = "chat"
PASSWORD = "of loopback alone"
SECONDS = 20.0
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
def prosody(*accounts: str) -> Iterator[int]:
    """The port of a server where these local parts have accounts."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="dnsbound-prosody-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        store = directory / "data" / DOMAIN.replace(".", "%2e") / "accounts"
        store.mkdir(parents=True)
        for account in accounts:
            encoded = "".join(each if each.isalnum() else f"%{ord(each):02x}" for each in account)
            (store / f"{encoded}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}"; }};\n')
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


class MemoryStorage(Storage):
    """OMEMO's state, for as long as the test."""

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, JSONType] = {}

    async def _load(self, key: str) -> Maybe[JSONType]:
        return Just(self._values[key]) if key in self._values else Nothing()

    async def _store(self, key: str, value: JSONType) -> None:
        self._values[key] = value

    async def _delete(self, key: str) -> None:
        self._values.pop(key, None)


class Omemo(XEP_0384):
    """Trusts nobody by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._memory = MemoryStorage()

    @property
    def storage(self) -> Storage:
        return self._memory

    @property
    def _btbv_enabled(self) -> bool:
        return False

    async def _prompt_manual_trust(self, manually_trusted: frozenset[DeviceInformation], identifier: object) -> None:
        await self.xmpp.attestations.judge(manually_trusted)


register_plugin(Omemo)


class Client(slixmpp.ClientXMPP):
    """One device of an account: its own OMEMO keys, and what it makes of others' by their names."""

    def __init__(self, port: int, local: str, keys: AttestedKeys) -> None:
        super().__init__(f"{local}@{DOMAIN}", PASSWORD)
        self._port = port
        self.keys = keys
        self.enable_direct_tls, self.enable_starttls, self.enable_plaintext = False, False, True
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.register_plugin("xep_0384", module=sys.modules[__name__])
        self.omemo = self.plugin["xep_0384"]
        self.attestations = SlixmppAttestations(self, keys, omemo=self.omemo.get_session_manager)
        self.begun, self.ready = asyncio.Event(), asyncio.Event()
        self.messages: asyncio.Queue[slixmpp.Message] = asyncio.Queue()
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("omemo_initialized", lambda _event: self.ready.set())
        self.add_event_handler("message", self._heard)

    @property
    def address(self) -> str:
        return self.boundjid.bare

    async def say(self, to: str, text: str) -> None:
        """Encrypted to every device of the address that is trusted. What the OMEMO library raises where none is."""
        await self.attestations.settle(to)
        message = self.make_message(mto=slixmpp.JID(to), mbody=text, mtype="chat")
        encrypted, errors = await self.omemo.encrypt_message(message, slixmpp.JID(to))
        assert encrypted is not None
        assert not errors
        encrypted.send()

    async def heard(self) -> tuple[str, str]:
        """Who says what: the next message that was encrypted to this device, by a device that is trusted."""
        async with asyncio.timeout(SECONDS):
            message = await self.messages.get()
        await self.attestations.settle(message["from"].bare)
        plain, device = await self.omemo.decrypt_message(message)
        assert str(self.keys.decide(device.bare_jid, device.identity_key)) == "trusted"
        return device.bare_jid, plain["body"]

    async def _started(self, _event: object) -> None:
        self.send_presence()
        self.begun.set()

    def _heard(self, message: slixmpp.Message) -> None:
        if self.omemo.is_encrypted(message):
            self.messages.put_nowait(message)

    async def __aenter__(self) -> Self:
        self.connect("127.0.0.1", self._port)
        async with asyncio.timeout(SECONDS):
            await self.begun.wait()
            await self.ready.wait()
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
    decisions: list[Decision]

    def keys(self, *allowed: str, links: JidLinks | None = None, **grants: object) -> AttestedKeys:
        """What one client makes of others. allowed: names and patterns of its access list."""
        return AttestedKeys(
            AccessList.allowing(DOOR, allowed or ("*._user.people.example", "*._device.cars.example"), grants=grants),
            self.world.resolver(),
            door=DOOR,
            links=links or JidLinks({f"{each}@{DOMAIN}": [name_of(each)] for each in PEOPLE}),
            clock=self.world.now,
            on_decision=self.decisions.append,
        )

    def person(self, label: str) -> Device:
        return self.world.organisation("people.example").identity(f"{label}._user")

    @contextlib.asynccontextmanager
    async def client(self, local: str, keys: AttestedKeys | None = None) -> AsyncIterator[Client]:
        async with Client(self.port, local, keys or self.keys()) as client:
            yield client


PEOPLE = ("alice", "bob", "carol")


def name_of(label: str) -> str:
    return f"{label}._user.people.example"
