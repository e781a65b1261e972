"""OMEMO through a real Prosody: messages go to the devices that DNS names attest, and to no others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from xml.etree import ElementTree as ET

import oldmemo.etree
import pytest
from omemo.session_manager import MessageNotForUs, NoEligibleDevices, SenderDistrusted, StillUndecided
from slixmpp import JID

from dnsbound.edge.attested_keys import AttestedBy, KeyTrust
from dnsbound.errors import Reason, Refused
from dnsbound.objects.jid_links import JidLinks
from dnsbound.objects.omemo_key import curve25519_form
from dnsbound.objects.xmpp_attestation import NODE, attest
from dnsbound.testing import Fault, World
from interop.xmpp_e2e.chat import CHATS, SECONDS, Chat, Client, prosody, put

pytestmark = [
    pytest.mark.peer("prosody"),
    # Of slixmpp-omemo 2.2 with slixmpp 1.17.
    pytest.mark.filterwarnings("ignore:Accessing plugins through the XMPP object:DeprecationWarning"),
]


NUMBERS = iter(range(CHATS))


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with prosody() as port:
        yield port


def run(server: int, main: Callable[[Chat], Awaitable[None]]) -> None:
    with World() as world:
        asyncio.run(main(Chat(server, world, next(NUMBERS))))


async def eventually(client: Client, condition: Callable[[], bool]) -> None:
    """Until it holds, looked at whenever somebody's trusted keys are others."""
    changed = asyncio.Event()
    client.keys.observe(lambda _jid: changed.set())
    async with asyncio.timeout(SECONDS):
        while not condition():
            await changed.wait()
            changed.clear()


def test_xe_01_names_alone_make_devices_trusted(server: int) -> None:
    async def main(chat: Chat) -> None:
        alice, bob = chat.person("alice"), chat.person("bob")
        async with chat.client("alice") as one, chat.client("bob") as two:
            await one.attestations.publish(alice.credential)
            await two.attestations.publish(bob.credential)
            await one.say(two.address, "all well")
            assert await two.hears() == (one.address, "all well", KeyTrust.TRUSTED)
            await two.say(one.address, "good")
            assert await one.hears() == (two.address, "good", KeyTrust.TRUSTED)
            (stated,) = one.keys.stated(two.address)
            assert stated.peer.name == bob.name

    run(server, main)


def test_xe_02_nothing_is_encrypted_to_a_device_without_an_attestation(server: int) -> None:
    async def main(chat: Chat) -> None:
        async with chat.client("alice") as one, chat.client("bob") as two:
            with pytest.raises(NoEligibleDevices):
                await one.say(two.address, "to whoever this is")
            assert two.encrypted.empty()

    run(server, main)


def test_xe_02_a_device_that_the_server_adds_gets_nothing(server: int) -> None:
    """Who has the server has the account: here a second login of bob's, with OMEMO keys of its own, which the device
    list names like any other."""

    async def main(chat: Chat) -> None:
        alice, bob = chat.person("alice"), chat.person("bob")
        async with chat.client("alice") as one, chat.client("bob") as two:
            await one.attestations.publish(alice.credential)
            await two.attestations.publish(bob.credential)
            async with chat.client("bob") as intruder:
                own, stranger = await two.device(), await intruder.device()
                assert {own.device_id, stranger.device_id} <= await listed(one, two.address)
                await one.say(two.address, "for bob alone")
                assert await two.hears() == (one.address, "for bob alone", KeyTrust.TRUSTED)
                async with asyncio.timeout(SECONDS):
                    came = await intruder.encrypted.get()
                with pytest.raises(MessageNotForUs):
                    await intruder.omemo.decrypt_message(came)
                assert one.keys.decide(two.address, stranger.identity_key) is KeyTrust.NOT_ATTESTED

    run(server, main)


async def listed(client: Client, address: str) -> set[int]:
    """The devices that the server says an address has."""
    pubsub: Any = client.plugin["xep_0060"]
    answer = await pubsub.get_items(JID(address), "eu.siacs.conversations.axolotl.devicelist")
    (item,) = answer["pubsub"]["items"]
    return set(oldmemo.etree.parse_device_list(item.xml[0]))


@pytest.mark.parametrize("known", [False, True], ids=["never-seen", "known-and-trusted"])
def test_xe_02_a_key_put_under_the_number_of_an_attested_device_gets_nothing(server: int, *, known: bool) -> None:
    """known: the OMEMO library has seen the true key and trusts the device, and begins a session only now."""

    async def main(chat: Chat) -> None:
        alice, carol = chat.person("alice"), chat.person("carol")
        async with chat.client("alice") as one, chat.client("carol") as two, chat.client("bob") as intruder:
            await one.attestations.publish(alice.credential)
            await two.attestations.publish(carol.credential)
            if known:
                await one.omemo.refresh_device_lists({JID(two.address)})
                await one.attestations.settle(two.address)
                sessions = await one.omemo.get_session_manager()
                (device,) = await sessions.get_device_information(two.address)
                assert device.trust_level_name == "TRUSTED"
            await swap(intruder, two)
            with pytest.raises((NoEligibleDevices, RuntimeError)):
                await one.say(two.address, "to the key that the server shows")
            assert two.encrypted.empty()
            assert intruder.encrypted.empty()

    run(server, main)


async def swap(intruder: Client, victim: Client) -> None:
    """The server shows the intruder's bundle in place of the victim's. Put there by the victim's login here, as the
    account's server can do at any time; in OMEMO's older version alone, which is what slixmpp-omemo encrypts with."""
    node = "eu.siacs.conversations.axolotl.bundles:{}"
    pubsub: Any = intruder.plugin["xep_0060"]
    theirs = await pubsub.get_items(JID(intruder.address), node.format((await intruder.device()).device_id))
    own = await pubsub.get_items(JID(victim.address), node.format((await victim.device()).device_id))
    (bundle,), (item,) = theirs["pubsub"]["items"], own["pubsub"]["items"]
    place = node.format((await victim.device()).device_id)
    await put(victim, place, bundle.xml[0], item["id"])
    pubsub = victim.plugin["xep_0060"]
    shown = await pubsub.get_items(JID(victim.address), place)
    (item,) = shown["pubsub"]["items"]
    intruders = (await intruder.device()).identity_key
    parsed = oldmemo.etree.parse_bundle(item.xml[0], victim.address, (await victim.device()).device_id)
    assert curve25519_form(parsed.identity_key) == curve25519_form(intruders)


def test_xe_04_what_is_published_at_the_wrong_address_counts_nowhere(server: int) -> None:
    """Bob's own statement at carol's address; carol's about bob's; one by a name that nobody permits."""

    async def main(chat: Chat) -> None:
        bob, carol = chat.person("bob"), chat.person("carol")
        stranger = chat.world.organisation("strangers.example").identity("carol._user")
        async with chat.client("alice") as one, chat.client("carol") as two:
            key, now = (await two.device()).identity_key, chat.world.now()
            await two.attestations.publish(stranger.credential)
            await two.attestations.publish(bob.credential)
            came = await one.attestations.fetch(two.address)
            reasons = {each.reason for each in came if isinstance(each, Refused)}
            assert reasons == {Reason.NOT_PERMITTED, Reason.NOT_LINKED}
            assert one.keys.decide(two.address, key) is KeyTrust.NOT_ATTESTED
            await put(two, NODE, around(attest(carol.credential, chat.address("bob"), now=now)), "another")
            assert not one.keys.stated(two.address)
            assert all(isinstance(each, Refused) for each in await one.attestations.fetch(two.address))

    run(server, main)


def around(token: str) -> ET.Element:
    element = ET.Element(f"{{{NODE}}}attestation")
    element.text = token
    return element


def test_xe_05_a_statement_that_the_server_changed_is_refused(server: int) -> None:
    async def main(chat: Chat) -> None:
        alice, bob = chat.person("alice"), chat.person("bob")
        async with chat.client("alice") as one, chat.client("bob") as two:
            await one.attestations.publish(alice.credential)
            token = await two.attestations.publish(bob.credential, omemo=[])
            head, _, signature = token.split(".")
            own = attest(alice.credential, two.address, now=chat.world.now()).split(".")[1]
            await put(two, NODE, around(f"{head}.{own}.{signature}"), bob.name.canonical)
            came = await one.attestations.fetch(two.address)
            assert not any(isinstance(each, AttestedBy) for each in came)
            with pytest.raises(NoEligibleDevices):
                await one.say(two.address, "to whoever this is")

    run(server, main)


def test_xe_07_with_the_record_trust_goes_and_sending_stops(server: int) -> None:
    async def main(chat: Chat) -> None:
        alice, bob = chat.person("alice"), chat.person("bob")
        async with chat.client("alice") as one, chat.client("bob") as two:
            await one.attestations.publish(alice.credential)
            await two.attestations.publish(bob.credential)
            await one.say(two.address, "all well")
            assert (await two.hears())[1] == "all well"
            await two.say(one.address, "good")
            assert (await one.hears())[1] == "good"
            bob.revoke()
            await eventually(one, lambda: not one.keys.stated(two.address))
            with pytest.raises(NoEligibleDevices):
                await one.say(two.address, "to whoever has the phone now")
            await two.say(one.address, "from whoever has the phone now")
            with pytest.raises(SenderDistrusted):
                await one.hears()

    run(server, main)


def test_xe_08_while_the_dns_is_silent_nothing_is_sent(server: int) -> None:
    async def main(chat: Chat) -> None:
        alice, bob = chat.person("alice"), chat.person("bob")
        async with chat.client("alice") as one, chat.client("bob") as two:
            await one.attestations.publish(alice.credential)
            await two.attestations.publish(bob.credential)
            chat.world.fault(bob.name.text, Fault.BOGUS)
            with pytest.raises(StillUndecided):
                await one.say(two.address, "to whoever this is")

    run(server, main)


def test_xe_12_what_a_name_says_anew_reaches_who_wrote_to_it(server: int) -> None:
    """By the server's push, and takes keys back."""

    async def main(chat: Chat) -> None:
        alice, bob = chat.person("alice"), chat.person("bob")
        async with chat.client("alice") as one, chat.client("bob") as two:
            await one.attestations.publish(alice.credential)
            await two.attestations.publish(bob.credential)
            await one.say(two.address, "all well")
            assert (await two.hears())[1] == "all well"
            key = (await two.device()).identity_key
            await two.attestations.publish(bob.credential, omemo=[])
            await eventually(one, lambda: one.keys.decide(two.address, key) is KeyTrust.NOT_ATTESTED)
            with pytest.raises(NoEligibleDevices):
                await one.say(two.address, "to a device that was given away")
            pubsub: Any = two.plugin["xep_0060"]
            await pubsub.retract(JID(two.address), NODE, bob.name.canonical, notify="true")
            await eventually(one, lambda: not one.keys.stated(two.address))

    run(server, main)


def test_xe_04_a_user_of_a_domain_is_linked_by_kind(server: int) -> None:
    """`NAME._user.DOMAIN` is believed about `NAME@DOMAIN`, and these two are of another domain, or of nobody's."""

    async def main(chat: Chat) -> None:
        bob = chat.person("bob")
        other = chat.world.organisation("xmpp.example").identity("bob._user")
        async with chat.client("alice", links=JidLinks(kinds=["_user"])) as one, chat.client("bob") as two:
            for credential in (bob.credential, other.credential):
                await two.attestations.publish(credential)
            reasons = {each.reason for each in await one.attestations.fetch(two.address) if isinstance(each, Refused)}
            assert reasons == {Reason.NOT_LINKED, Reason.NOT_PERMITTED}

    run(server, main)
