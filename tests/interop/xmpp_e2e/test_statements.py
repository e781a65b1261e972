"""Statements at PEP nodes of a real Prosody: published whatever the node was, found, pushed, and taken back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from xml.etree import ElementTree as ET

import pytest
from slixmpp import JID

from dnsbound.edge.attested_keys import AttestedBy
from dnsbound.errors import Malformed
from dnsbound.objects.xmpp_attestation import NODE
from dnsbound.testing import World
from interop.xmpp_e2e.chat import CHATS, SECONDS, Chat, PlainClient, prosody, put

pytestmark = pytest.mark.peer("prosody")

NUMBERS = iter(range(CHATS))
OX = "1357B01865B2503C18453D208CAC2A9678548E35"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with prosody() as port:
        yield port


def run(server: int, main: Callable[[Chat, PlainClient, PlainClient], Awaitable[None]]) -> None:
    async def both(chat: Chat) -> None:
        async with (
            chat.keys() as ones,
            chat.keys() as others,
            PlainClient(server, chat.address("alice"), ones) as one,
            PlainClient(server, chat.address("bob"), others) as two,
        ):
            await main(chat, one, two)

    with World() as world:
        asyncio.run(both(Chat(server, world, next(NUMBERS))))


def test_xe_12_a_node_that_is_there_already_is_opened(server: int) -> None:
    """Somebody made it with another configuration, by which nobody else could read it."""

    async def main(chat: Chat, one: PlainClient, two: PlainClient) -> None:
        form = two.plugin["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#node_config")
        form.add_field(var="pubsub#access_model", value="whitelist")
        await two.pubsub.create_node(JID(two.address), NODE, config=form)
        assert await one.attestations.fetch(two.address) == ()
        await two.attestations.publish(chat.person("bob").credential, ox=[OX])
        (found,) = await one.attestations.fetch(two.address)
        assert isinstance(found, AttestedBy)
        assert one.keys.openpgp(two.address) == {OX}

    run(server, main)


def test_xe_12_what_is_no_statement_is_passed_over(server: int) -> None:
    async def main(chat: Chat, one: PlainClient, two: PlainClient) -> None:
        await put(two, NODE, ET.Element(f"{{{NODE}}}attestation"), "empty")
        await put(two, NODE, ET.Element("{urn:another}thing"), "another")
        bad = ET.Element(f"{{{NODE}}}attestation")
        bad.text = "\u00fcberall"
        await put(two, NODE, bad, "bad")
        await two.attestations.publish(chat.person("bob").credential, ox=[OX])
        came = await one.attestations.fetch(two.address)
        assert sum(isinstance(each, AttestedBy) for each in came) == 1
        assert all(isinstance(each, AttestedBy | Malformed) for each in came)
        assert one.keys.openpgp(two.address) == {OX}

    run(server, main)


@pytest.mark.parametrize("how", ["purge", "delete"])
def test_xe_12_a_node_that_is_emptied_takes_everything_back(server: int, how: str) -> None:
    async def main(chat: Chat, one: PlainClient, two: PlainClient) -> None:
        await two.attestations.publish(chat.person("bob").credential, ox=[OX])
        await one.attestations.fetch(two.address)
        assert one.keys.openpgp(two.address) == {OX}
        changed = asyncio.Event()
        one.keys.observe(lambda _jid: changed.set())
        await (two.pubsub.purge if how == "purge" else two.pubsub.delete_node)(JID(two.address), NODE)
        async with asyncio.timeout(SECONDS):
            await changed.wait()
        assert not one.keys.openpgp(two.address)

    run(server, main)
