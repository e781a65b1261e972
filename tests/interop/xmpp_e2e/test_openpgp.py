"""OpenPGP for XMPP (XEP-0373) through a real Prosody: which of the keys that a server shows are an address's own.

slixmpp has no plugin for it. Sequoia encrypts here, and what XEP-0373 asks of these tests is below: keys at their PEP
nodes, and `signcrypt` elements with their addressee inside.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from xml.etree import ElementTree as ET

import pysequoia
import pytest
import slixmpp
from slixmpp import JID

from dnsbound.edge.attested_keys import AttestedKeys
from dnsbound.testing import World
from interop.xmpp_e2e.chat import SECONDS, Chat, PlainClient, prosody, put

pytestmark = pytest.mark.peer("prosody")

OX = "urn:xmpp:openpgp:0"
LIST = f"{OX}:public-keys"


class OxClient(PlainClient):
    """As much of XEP-0373 as is needed."""

    def __init__(self, port: int, jid: str, keys: AttestedKeys) -> None:
        super().__init__(port, jid, keys)
        self.secret = pysequoia.Tsk.generate(f"xmpp:{jid}")
        self.own = self.secret.extract_certificate()
        self.messages: asyncio.Queue[slixmpp.Message] = asyncio.Queue()
        self.add_event_handler("message", self.messages.put_nowait)

    async def show(self, *certificates: pysequoia.Cert, instead: pysequoia.Cert | None = None) -> None:
        """Publish keys. instead: what the server shows under their fingerprints."""
        listed = ET.Element(f"{{{OX}}}public-keys-list")
        for certificate in certificates:
            fingerprint = certificate.fingerprint.upper()
            ET.SubElement(listed, f"{{{OX}}}pubkey-metadata", {"v4-fingerprint": fingerprint})
            shown = ET.Element(f"{{{OX}}}pubkey")
            data = ET.SubElement(shown, f"{{{OX}}}data")
            data.text = base64.b64encode(bytes(instead or certificate)).decode()
            await put(self, f"{LIST}:{fingerprint}", shown)
        await put(self, LIST, listed)

    async def certificates(self, address: str) -> list[pysequoia.Cert]:
        """The keys that the server shows and a name attests, and no others."""
        if not self.keys.stated(address):
            await self.attestations.fetch(address)
        attested = self.keys.openpgp(address)
        (item,) = (await self.pubsub.get_items(JID(address), LIST))["pubsub"]["items"]
        found = []
        for entry in item.xml[0]:
            fingerprint = entry.get("v4-fingerprint")
            if fingerprint in attested:
                (shown,) = (await self.pubsub.get_items(JID(address), f"{LIST}:{fingerprint}"))["pubsub"]["items"]
                found.append(pysequoia.Cert.from_bytes(base64.b64decode(shown.xml[0][0].text)))
        return [certificate for certificate in found if certificate.fingerprint.upper() in attested]

    async def say(self, address: str, text: str) -> None:
        recipients = await self.certificates(address)
        if not recipients:
            raise LookupError(f"no key of {address} is attested")
        content = ET.Element(f"{{{OX}}}signcrypt")
        ET.SubElement(content, f"{{{OX}}}to", {"jid": address})
        payload = ET.SubElement(content, f"{{{OX}}}payload")
        ET.SubElement(payload, "{jabber:client}body").text = text
        sealed = pysequoia.encrypt(
            ET.tostring(content), recipients=recipients, signer=self.secret.signer(), armor=False
        )
        message = self.make_message(mto=JID(address), mbody="This is for OpenPGP.", mtype="chat")
        element = ET.SubElement(message.xml, f"{{{OX}}}openpgp")
        element.text = base64.b64encode(sealed).decode()
        message.send()

    async def heard(self) -> tuple[str, str]:
        async with asyncio.timeout(SECONDS):
            while (element := (message := await self.messages.get()).xml.find(f"{{{OX}}}openpgp")) is None:
                pass
        sender = message["from"].bare
        senders = await self.certificates(sender)
        opened = pysequoia.decrypt(
            base64.b64decode(element.text), decryptor=self.secret.decryptor(), store=lambda _ids: senders
        )
        content = ET.fromstring(opened.bytes)
        assert content.find(f"{{{OX}}}to").get("jid") == self.address
        assert {each.certificate for each in opened.valid_sigs} <= {each.fingerprint for each in senders}
        return sender, content.find(f"{{{OX}}}payload/{{jabber:client}}body").text


@contextlib.asynccontextmanager
async def client(chat: Chat, label: str) -> AsyncIterator[OxClient]:
    async with chat.keys() as keys, OxClient(chat.port, chat.address(label), keys) as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with prosody() as port:
        yield port


def test_xe_13_messages_go_to_openpgp_keys_that_a_name_attests(server: int) -> None:
    """Also where the server lists another key, or shows another one under the attested fingerprint."""

    async def main(chat: Chat) -> None:
        alice, bob = chat.person("alice"), chat.person("bob")
        async with client(chat, "alice") as one, client(chat, "bob") as two:
            await one.show(one.own)
            await one.attestations.publish(alice.credential, ox=[one.own.fingerprint])
            await two.attestations.publish(bob.credential, ox=[two.own.fingerprint])
            intruder = pysequoia.Tsk.generate(f"xmpp:{two.address}").extract_certificate()
            await two.show(two.own, intruder)
            assert [each.fingerprint for each in await one.certificates(two.address)] == [two.own.fingerprint]
            await one.say(two.address, "all well")
            assert await two.heard() == (one.address, "all well")
            await two.show(two.own, instead=intruder)
            with pytest.raises(LookupError):
                await one.say(two.address, "to the key that the server shows")

    with World() as world:
        asyncio.run(main(Chat(server, world, 0)))


def test_xe_13_and_no_longer_when_its_record_is_gone(server: int) -> None:
    async def main(chat: Chat) -> None:
        bob = chat.person("bob")
        async with client(chat, "alice") as one, client(chat, "bob") as two:
            await two.show(two.own)
            await two.attestations.publish(bob.credential, ox=[two.own.fingerprint])
            assert len(await one.certificates(two.address)) == 1
            gone = asyncio.Event()
            one.keys.observe(lambda _jid: gone.set())
            bob.revoke()
            async with asyncio.timeout(SECONDS):
                await gone.wait()
            with pytest.raises(LookupError):
                await one.say(two.address, "to whoever has the phone now")

    with World() as world:
        asyncio.run(main(Chat(server, world, 1)))
