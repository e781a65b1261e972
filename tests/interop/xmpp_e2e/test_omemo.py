"""OMEMO through a real Prosody: messages go to the devices that DNS names attest, and to no others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from dnsbound.testing import World
from interop.xmpp_e2e.chat import PEOPLE, Chat, prosody

pytestmark = [
    pytest.mark.peer("prosody"),
    pytest.mark.filterwarnings("ignore:Accessing plugins through the XMPP object:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with prosody(*PEOPLE) as port:
        yield port


def run(server: int, main: Callable[[Chat], Awaitable[None]]) -> None:
    with World() as world:
        asyncio.run(main(Chat(server, world, [])))


def test_xe_01_names_alone_make_devices_trusted(server: int) -> None:
    async def main(chat: Chat) -> None:
        alice, bob = chat.person("alice"), chat.person("bob")
        async with chat.client("alice") as one, chat.client("bob") as two:
            await one.attestations.publish(alice.credential)
            await two.attestations.publish(bob.credential)
            await one.say(two.address, "all well")
            assert await two.heard() == (one.address, "all well")
            await two.say(one.address, "good")
            assert await one.heard() == (two.address, "good")
            (stated,) = one.keys.stated(two.address)
            assert stated.peer.name == bob.name

    run(server, main)
