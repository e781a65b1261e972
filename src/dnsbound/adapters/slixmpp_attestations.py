"""slixmpp: keys of end-to-end encryption that are trusted by DNS name.

    attestations = SlixmppAttestations(client, keys, omemo=client.plugin["xep_0384"].get_session_manager)
    await attestations.publish(credential)
    await attestations.settle(jid)          # before anything is encrypted to the address, or decrypted from it

A statement (`dnsbound.objects.xmpp_attestation`) is an item of the PEP node `urn:dnsbound:e2e:0`, called by the name
that makes it (XEP-0163, XEP-0060). This publishes one's own, and brings those of others to `AttestedKeys`, which judges
them: those that contacts' servers push, and those that are asked for. What it comes to is written into the trust of an
OMEMO library, which has to be one with python-omemo's `SessionManager`, such as slixmpp-omemo. It must trust nothing by
itself: no blind trust, and no trust at first use.

What this is not: OMEMO, or OpenPGP for XMPP. slixmpp 1.17 has neither; for OpenPGP `AttestedKeys.openpgp` says which
keys are an address's own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout, XMPPError

from dnsbound.credential.credential import Credential
from dnsbound.edge.attested_keys import AttestedBy, AttestedKeys, KeyTrust
from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.objects.bare_jid import BareJid
from dnsbound.objects.omemo_key import OmemoKey
from dnsbound.objects.xmpp_attestation import LIFETIME, NODE, attest
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from slixmpp.stanza import Message

_log: Final = logging.getLogger("dnsbound.attestations")

TRUST_LEVELS: Final[Mapping[KeyTrust, str]] = MappingProxyType(
    {KeyTrust.TRUSTED: "TRUSTED", KeyTrust.NOT_ATTESTED: "DISTRUSTED", KeyTrust.UNDECIDED: "UNDECIDED"}
)
"""What slixmpp-omemo calls them. An undecided device makes encryption fail as a whole: it may be tried again."""
_MOST_ITEMS: Final = 64
"""Of one answer or event; an address has one for each of its names."""
_EVENT: Final = "dnsbound_e2e"
_EVENTS: Final = "{http://jabber.org/protocol/pubsub#event}"
_ELEMENT: Final = f"{{{NODE}}}attestation"
_OPTIONS: Final = {"persist_items": "true", "access_model": "open", "max_items": "max"}
"""Of the node: everybody may read what each name says."""


class SlixmppAttestations:
    """Of one client, which has its plugins xep_0060 and xep_0163 already or gets them now."""

    def __init__(
        self,
        client: ClientXMPP,
        keys: AttestedKeys,
        *,
        omemo: Callable[[], Awaitable[Any]] | None = None,
        trust_levels: Mapping[KeyTrust, str] = TRUST_LEVELS,
    ) -> None:
        """keys: what is judged is kept there. omemo: gives python-omemo's SessionManager, if the client has one.
        trust_levels: that library's words. Make it before the client connects."""
        self._client = client
        self._keys = keys
        self._omemo = omemo
        self._trust_levels = trust_levels
        self._held: object = None
        """The OMEMO library that uses attested keys alone."""
        self._asked: Final[set[str]] = set()
        """Addresses whose servers tell of changes."""
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        for plugin in ("xep_0004", "xep_0060", "xep_0163"):
            client.register_plugin(plugin)
        self._pubsub: Final = _plugin(client, "xep_0060")
        self._forms: Final = _plugin(client, "xep_0004")
        self._pubsub.map_node_event(NODE, _EVENT)
        client.add_event_handler(f"{_EVENT}_publish", self._published)
        client.add_event_handler(f"{_EVENT}_retract", self._taken_back)
        for word in ("purge", "delete"):
            client.add_event_handler(f"{_EVENT}_{word}", self._emptied)
        client.plugin["xep_0163"].add_interest(NODE)
        keys.observe(self._changed)

    async def publish(
        self,
        credential: Credential,
        *,
        omemo: Sequence[OmemoKey] | None = None,
        ox: Sequence[str] = (),
        lifetime: Seconds = LIFETIME,
    ) -> str:
        """Say which keys are this address's own, by the credential's name; the statement. What the name said before
        counts no longer: to take keys back, publish without them. omemo: None for this device's own.

        Publish anew before it ends. XMPPError when the server does not take it, Misuse as `attest`.
        """
        if omemo is None:
            omemo = () if self._omemo is None else (await self._own_key(),)
        token = attest(credential, self._own, omemo=omemo, ox=ox, now=self._keys.now(), lifetime=lifetime)
        element = ET.Element(_ELEMENT)
        element.text = token
        assert credential.name is not None
        await self._put(credential.name.canonical, element)
        return token

    async def fetch(self, jid: str) -> tuple[AttestedBy | DnsboundError, ...]:
        """Ask for the statements at an address and judge them; what each came to. None where the address has none, or
        its server does not answer, which is in the log."""
        await self._subscribe(jid)
        try:
            answer = await self._pubsub.get_items(JID(jid), NODE)
        except (IqError, IqTimeout) as error:
            _log.info("no statements at %s: %s", jid, error)
            return ()
        return tuple([await self._received(jid, item.xml) for item in list(answer["pubsub"]["items"])[:_MOST_ITEMS]])

    async def settle(self, jid: str) -> None:
        """Write into the OMEMO library what is to be thought of every device of the address, and of one's own: before
        anything is encrypted to it or decrypted from it. Asks for statements where none counts."""
        for address in dict.fromkeys((jid, self._own)):
            # One's own server pushes what is said at one's own address: that is asked for once.
            if not self._stated(address) and not (address == self._own and address in self._asked):
                await self.fetch(address)
            await self._keys.ask_again(address)
            await self._write(address)

    async def judge(self, devices: Iterable[Any]) -> None:
        """Write into the OMEMO library what is to be thought of devices that it asks about: python-omemo's
        DeviceInformation, in `_prompt_manual_trust` of slixmpp-omemo."""
        sessions = await self._sessions()
        for device in devices:
            level = self._trust_levels[self._decided(device.bare_jid, device.identity_key)]
            await sessions.set_trust(device.bare_jid, device.identity_key, level)

    async def close(self) -> None:
        """Wait for what is being written."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- the server of XMPP

    @property
    def _own(self) -> str:
        return str(self._client.boundjid.bare)

    async def _put(self, item: str, element: ET.Element) -> None:
        own = JID(self._own)
        try:
            await self._pubsub.publish(own, NODE, item, element, self._form("publish-options"))
        except IqError as error:
            if error.condition != "conflict":
                raise
            # XEP-0060 section 7.1.5: the node is there already, and is configured in another way.
            await self._pubsub.set_node_config(own, NODE, self._form("node_config"))
            await self._pubsub.publish(own, NODE, item, element)

    def _form(self, kind: str) -> Any:  # noqa: ANN401 (slixmpp's)
        form = self._forms.make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value=f"http://jabber.org/protocol/pubsub#{kind}")
        for name, value in _OPTIONS.items():
            form.add_field(var=f"pubsub#{name}", value=value)
        return form

    async def _subscribe(self, jid: str) -> None:
        """Servers push to contacts and to oneself by themselves, and to others who ask (XEP-0163 section 4)."""
        if jid in self._asked:
            return
        try:
            if jid != self._own:
                await self._pubsub.subscribe(JID(jid), NODE)
        except XMPPError as error:
            _log.debug("%s does not say when its statements change: %s", jid, error)
        else:
            self._asked.add(jid)

    async def _published(self, message: "Message") -> None:
        for item in _pushed(message, "item"):
            await self._received(message["from"].bare, item)

    async def _received(self, jid: str, item: ET.Element) -> AttestedBy | DnsboundError:
        element = item.find(_ELEMENT)
        try:
            if element is None or not element.text:
                raise Malformed("an item without a statement")
            return await self._keys.receive(jid, element.text, source=jid)
        except DnsboundError as error:
            _log.info("what is said about keys of %s does not count: %s", jid, error)
            return error

    def _taken_back(self, message: "Message") -> None:
        for item in _pushed(message, "retract"):
            with suppress(Malformed):
                self._keys.withdraw(message["from"].bare, ClientName.parse(item.get("id", "")))

    def _emptied(self, message: "Message") -> None:
        with suppress(Malformed):
            self._keys.withdraw(message["from"].bare)

    # --- the OMEMO library

    async def _own_key(self) -> OmemoKey:
        own, _ = await (await self._sessions()).get_own_device_information()
        return OmemoKey(device=own.device_id, identity_key=own.identity_key)

    def _stated(self, jid: str) -> bool:
        with suppress(Malformed):
            return bool(self._keys.stated(jid))
        return False

    def _changed(self, jid: BareJid) -> None:
        task = asyncio.get_running_loop().create_task(self._rewrite(jid.to_text()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _rewrite(self, jid: str) -> None:
        try:
            await self._write(jid)
        except Exception:  # noqa: BLE001 (whatever the library or its store raises)
            # What is written before each message tries again, and fails where its sender sees it.
            _log.exception("what is thought of the devices of %s could not be written down", jid)

    async def _write(self, jid: str) -> None:
        if self._omemo is not None:
            await self.judge(await (await self._sessions()).get_device_information(jid))

    async def _sessions(self) -> Any:  # noqa: ANN401 (python-omemo's SessionManager)
        """The OMEMO library, held to keys that are attested."""
        if self._omemo is None:
            raise Misuse("there is no OMEMO library to write trust into")
        sessions = await self._omemo()
        if self._held is not sessions:
            self._hold(sessions)
        return sessions

    def _hold(self, sessions: Any) -> None:  # noqa: ANN401 (as above)
        """Let it use no bundle with a key that nobody attests.

        python-omemo 2.1 trusts a device by the key of the first bundle it saw, and encrypts to that of whichever bundle
        the server shows when a session begins: another version's, or a later one. They are not compared there.
        """
        from omemo.session_manager import BundleDownloadFailed

        download = sessions._download_bundle  # noqa: SLF001 (what python-omemo has its users write)

        async def attested(namespace: str, bare_jid: str, device_id: int) -> Any:  # noqa: ANN401 (as above)
            bundle = await download(namespace, bare_jid, device_id)
            if self._decided(bare_jid, bundle.identity_key) is KeyTrust.NOT_ATTESTED:
                raise BundleDownloadFailed(f"nobody attests the key of device {device_id} of {bare_jid}")
            return bundle

        sessions._download_bundle = attested  # noqa: SLF001 (as above)
        self._held = sessions

    def _decided(self, jid: str, identity_key: bytes) -> KeyTrust:
        try:
            return self._keys.decide(jid, identity_key)
        except Malformed:
            return KeyTrust.NOT_ATTESTED


def _pushed(message: "Message", kind: str) -> list[ET.Element]:
    """Of an event's items. From the elements: slixmpp is walking through its own list of them when it tells us, and two
    walks through one of its lists never end."""
    return list(message.xml.iterfind(f"{_EVENTS}event/{_EVENTS}items/{_EVENTS}{kind}"))[:_MOST_ITEMS]


def _plugin(client: ClientXMPP, name: str) -> Any:  # noqa: ANN401 (slixmpp types none of their methods)
    plugins: Any = client.plugin
    return plugins[name]
