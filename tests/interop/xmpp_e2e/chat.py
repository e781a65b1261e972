"""A real Prosody with accounts, and slixmpp clients with the OMEMO plugin, whose trust is attested by DNS names."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import slixmpp
from omemo.storage import Just, Maybe, Nothing, Storage
from omemo.types import JSONType
from slixmpp.plugins.base import register_plugin
from slixmpp_omemo import XEP_0384

from interop.daemon import free_port, program, run, started

DOMAIN = "xmpp.example"
PASSWORD = "not a secret: loopback alone"
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
    """Without blind trust."""

    _btbv_enabled = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._memory = MemoryStorage()

    @property
    def storage(self) -> Storage:
        return self._memory

    async def _prompt_manual_trust(self, manually_trusted, identifier) -> None:
        sm = await self.get_session_manager()
        for d in manually_trusted:
            await sm.set_trust(d.bare_jid, d.identity_key, "TRUSTED")


class Client(slixmpp.ClientXMPP):
    def __init__(self, port: int, local: str) -> None:
        super().__init__(f"{local}@{DOMAIN}", PASSWORD)
        self.enable_direct_tls = False
        self.enable_starttls = False
        self.enable_plaintext = True
        self._address = ("127.0.0.1", port)
        register_plugin(Omemo)
        for plugin in ("xep_0030", "xep_0060", "xep_0163", "xep_0280", "xep_0334"):
            self.register_plugin(plugin)
        self.register_plugin("xep_0384", module=__import__("sys").modules[__name__])
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.begun = asyncio.Event()
        self.ready = asyncio.Event()
        self.messages: asyncio.Queue = asyncio.Queue()
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("omemo_initialized", lambda _e: self.ready.set())
        self.add_event_handler("message", self.messages.put_nowait)

    async def _started(self, _event: object) -> None:
        self.send_presence()
        self.begun.set()

    async def __aenter__(self) -> Self:
        self.connect(*self._address)
        async with asyncio.timeout(SECONDS):
            await self.begun.wait()
            await self.ready.wait()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.disconnect()
