"""Chat by XMPP with OMEMO, between devices that are known by their DNS names: no fingerprints, no trust at first use.

    python chat_slixmpp.py bob@xmpp.example bob.pem access.toml alice@xmpp.example "all well"

bob.pem: key and certificate of bob's name. access.toml: whose names count, at its door `chat`. It needs an account on a
server, and slixmpp-omemo, which is under the AGPL. A program of one's own keeps OMEMO's state in a file, not in memory.
"""

import asyncio
import getpass
import sys
from functools import cached_property
from typing import Any

import slixmpp
from omemo.storage import Just, Maybe, Nothing, Storage
from omemo.types import DeviceInformation, JSONType
from slixmpp.plugins.base import register_plugin
from slixmpp_omemo import XEP_0384

import dnsbound
from dnsbound.adapters.slixmpp_attestations import SlixmppAttestations
from dnsbound.edge.attested_keys import AttestedKeys, KeyTrust
from dnsbound.objects.jid_links import JidLinks


class InMemory(Storage):
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
    _btbv_enabled = False  # nobody is trusted blindly

    @cached_property
    def storage(self) -> Storage:
        return InMemory()

    async def _prompt_manual_trust(self, devices: frozenset[DeviceInformation], _identifier: str | None) -> None:
        await self.xmpp.attestations.judge(devices)


register_plugin(Omemo)


class Chatter(slixmpp.ClientXMPP):
    def __init__(self, jid: str, password: str, keys: AttestedKeys) -> None:
        super().__init__(jid, password)
        self.register_plugin("xep_0384", module=sys.modules[__name__])
        self.omemo: Any = self.plugin["xep_0384"]
        self.keys = keys
        self.attestations = SlixmppAttestations(self, keys, omemo=self.omemo.get_session_manager)
        self.ready, self.ended = asyncio.Event(), asyncio.Event()
        self.encrypted: asyncio.Queue[slixmpp.Message] = asyncio.Queue()
        self.add_event_handler("session_start", lambda _event: self.send_presence())
        self.add_event_handler("omemo_initialized", lambda _event: self.ready.set())
        self.add_event_handler("message", self._received)
        for word in ("failed_all_auth", "disconnected", "connection_failed"):
            self.add_event_handler(word, lambda _event: self.ended.set())

    async def say(self, address: str, text: str) -> None:
        """To all devices of the address that a name vouches for; an error of the OMEMO library where there is none."""
        await self.attestations.settle(address)
        stanza = self.make_message(mto=slixmpp.JID(address), mbody=text, mtype="chat")
        message, errors = await self.omemo.encrypt_message(stanza, slixmpp.JID(address))
        if errors or message is None:
            raise RuntimeError(f"not encrypted to everybody: {errors}")
        message.send()

    async def heard(self) -> tuple[str, str, KeyTrust]:
        """The next message: who wrote it, what, and whether a name vouches for the device that did."""
        received = await self.encrypted.get()
        sender = received["from"].bare
        await self.attestations.settle(sender)
        stanza, device = await self.omemo.decrypt_message(received)
        return sender, stanza["body"], self.keys.decide(sender, device.identity_key)

    def _received(self, message: slixmpp.Message) -> None:
        if self.omemo.is_encrypted(message):
            self.encrypted.put_nowait(message)

    async def online(self) -> None:
        waiting = [asyncio.ensure_future(each.wait()) for each in (self.ready, self.ended)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        if not self.ready.is_set():
            raise ConnectionError("the server did not let us in")


async def main(jid: str, credential: str, access: str, address: str, text: str) -> None:
    async with dnsbound.Resolver.from_system() as resolver:
        links = JidLinks(kinds=["_user", "_device"])  # bob@people.example is bob._user.people.example
        keys = AttestedKeys(dnsbound.AccessFile(access), resolver, door="chat", links=links)
        client = Chatter(jid, getpass.getpass(), keys)
        client.connect()
        try:
            await client.online()
            await client.attestations.publish(dnsbound.load_credential(credential))
            await client.say(address, text)
            print(*await client.heard())
        finally:
            keys.close()
            await client.attestations.close()
            await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
