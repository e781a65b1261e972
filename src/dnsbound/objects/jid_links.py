"""Which DNS name may speak for which XMPP address. Nothing here is looked up: a server of XMPP says who has an address,
and this is about not having to believe it.

An address is a name's own

1. when its local part is the name: `car54._device.cars.example@any.domain`. Whoever registered it, the address says
   whose keys it wants;
2. when the access list grants it to the name: `grants = { jid = ["reports@xmpp.example"] }`, as at the gate;
3. when the application says so, in a table of addresses;
4. when it is `LOCAL@DOMAIN`, the name is `LOCAL.KIND.DOMAIN`, and the application lists KIND, such as `_user`. No kind
   is listed by itself: where anybody can have `bob._device` of a domain published, that device is not bob.

A domain that is merely a parent of the name is no link: one device of an organisation would speak for all its people.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dnsbound.errors import Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.objects.bare_jid import BareJid

JID_GRANT: Final = "jid"
"""The grant that lists addresses: a text or a list of them."""


class JidLinks:
    """The rules of one application. Immutable."""

    __slots__ = ("_kinds", "_table")

    def __init__(self, table: Mapping[str, Iterable[str]] | None = None, *, kinds: Iterable[str] = ()) -> None:
        """table: names by bare address. kinds: labels that may stand between the local part and the domain, each
        beginning with an underscore. Malformed for an address or name that is none, Misuse for such a label."""
        self._table: Final = {
            BareJid.parse(jid): frozenset(ClientName.parse(name) for name in names)
            for jid, names in (table or {}).items()
        }
        self._kinds: Final = frozenset(kind.lower() for kind in kinds)
        for kind in self._kinds:
            if not kind.startswith("_") or "." in kind:
                raise Misuse(f"a kind of name is one label that begins with an underscore, not {kind!r}")

    def check(self, jid: BareJid, name: ClientName, grants: Mapping[str, Any]) -> None:
        """Refused(NOT_LINKED) unless the name may speak for the address. grants: what the access list gives the
        name. Misuse for a grant `jid` that is neither a text nor a list of texts."""
        if not (
            jid.local == name.canonical
            or name in self._table.get(jid, ())
            or any(name.canonical == f"{jid.local}.{kind}.{jid.domain}" for kind in self._kinds)
            or jid in granted_addresses(grants)
        ):
            raise Refused(Reason.NOT_LINKED, f"{name.canonical} does not speak for {jid}")


def granted_addresses(grants: Mapping[str, Any]) -> tuple[BareJid, ...]:
    """The addresses of the grant. Misuse where it is something else: the access list is the operator's own."""
    value = grants.get(JID_GRANT, ())
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise Misuse(f"a grant {JID_GRANT} that is neither a text nor a list of texts")
    try:
        return tuple(BareJid.parse(text.lower()) for text in texts)
    except Malformed as error:
        raise Misuse(f"a grant {JID_GRANT} that is no bare address: {error}") from None
