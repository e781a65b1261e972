"""XMPP addresses of a client: its verified name as a local part of the gate's domain, or what its grant `jid` lists.

A client name is letters, digits, hyphen, underscore and dots, in lower case. A local part may hold all of them as they
are, so nothing is escaped (XEP-0106 escapes ten characters, none of them of a name), and two names are never one
address. Sections: RFC 7622 section 3.3.
"""

from dnsbound.errors import Malformed, Misuse
from dnsbound.objects.bare_jid import LOCAL_PART
from dnsbound.objects.jid_links import JID_GRANT
from dnsbound.protocols.gated import GateIdentity
from dnsbound.protocols.sasl_external import granted_texts


class XmppIdentity:
    """Who a client is at one domain."""

    __slots__ = ("_domain", "_locals")

    def __init__(self, client: GateIdentity, domain: str) -> None:
        """Misuse for a grant that is no bare address of the domain."""
        self._domain = domain
        granted = granted_texts(client.grants, JID_GRANT)
        self._locals = tuple(self._local(jid) for jid in granted) or (client.name.canonical,)

    def _local(self, jid: str) -> str:
        local, at, domain = jid.lower().partition("@")
        if not at or domain != self._domain or LOCAL_PART.fullmatch(local) is None:
            raise Misuse(f"a grant {JID_GRANT} that is no address of {self._domain}: {jid!r}")
        return local

    def chosen(self, wanted: str) -> str:
        """The local part that a client logs in as. wanted: a bare address, or empty for the first of its own. Malformed
        for an address that is not the client's."""
        if not wanted:
            return self._locals[0]
        local, at, domain = wanted.lower().partition("@")
        if not at or domain != self._domain or local not in self._locals:
            raise Malformed("an XMPP address that is not the client's")
        return local
