"""`ssl.SSLObject` and `ssl.SSLSocket` around a connection of ours: the standard library's own, with a few more facts.

Nothing of theirs is replaced: the checks of `SSLSocket._create` (octets buffered before the handshake, CVE-2023-40217;
stream sockets only) stay in the path.
"""

import ssl
from typing import TYPE_CHECKING, Any

from dnsbound.records.tlsa import TLSA
from dnsbound.tls.client_shim import ClientShim
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.server_shim import Authentication, ServerShim
from dnsbound.tls.shim import Shim
from dnsbound.verify.peer import VerifiedPeer

if TYPE_CHECKING:
    from dnsbound.verify.claim import Claim


class _Facts:
    """What both have beyond the standard library's."""

    _sslobj: Any

    @property
    def shim(self) -> Shim:
        """The connection itself; it takes the verdict on a server (`dnsbound.tls.server_shim`)."""
        if not isinstance(self._sslobj, Shim):
            raise TLSMisuse("the socket is not connected, or closed")
        return self._sslobj

    def _server_shim(self) -> ServerShim:
        shim = self.shim
        if not isinstance(shim, ServerShim):
            raise TLSMisuse("only the server's end of a connection knows a verified client")
        return shim

    def verified_peer(self) -> VerifiedPeer | None:
        """On a server: the client's evidence. None only where the policy is `optional` and the client claimed nothing.
        Raises TLSMisuse before the verdict or on a client, and the refusal after one."""
        return self._server_shim().verified_peer()

    @property
    def authentication(self) -> Authentication:
        """On a server: what is known of the client."""
        return self._server_shim().authentication

    @property
    def pending_claim(self) -> "Claim | None":
        """On a server: the claim that waits for a verdict."""
        return self._server_shim().pending_claim

    @property
    def server_claim(self) -> "Claim":
        """On a server: what the client claimed, whose evidence `verified_peer` is. TLSMisuse where it claimed
        nothing."""
        claim = self._server_shim().claim
        if claim is None:
            raise TLSMisuse("the client made no claim")
        return claim

    def requested_server_name(self) -> str | None:
        """The server's name as the client asked for it (RFC 6066 section 3); None where it named none."""
        return self.shim.requested_server_name()

    def server_tlsa(self) -> TLSA | None:
        """On a client: the record that authenticated the server; None when certificate authorities did."""
        shim = self.shim
        if not isinstance(shim, ClientShim):
            raise TLSMisuse("only the client's end of a connection knows its server's record")
        return shim.server_tlsa()

    def group(self) -> str | None:
        """The key exchange that was agreed on, as OpenSSL names it; None before. `ssl` has it from Python 3.15 on."""
        return self.shim.group()

    def export_keying_material(self, label: bytes, length: int, context: bytes | None = None) -> bytes:
        """Octets both ends derive alike (RFC 9846 section 7.5)."""
        return self.shim.export_keying_material(label, length, context)


class TLSObject(_Facts, ssl.SSLObject):
    """An `ssl.SSLObject` over a connection of ours."""


class TLSSocket(_Facts, ssl.SSLSocket):
    """An `ssl.SSLSocket` over a connection of ours."""

    def authenticate_client(self, *, required: bool | None = None, seconds: float | None = None) -> VerifiedPeer | None:
        """On a server, in a thread that may wait: ask the client who it is, in TLS 1.3, and judge its answer. As
        `authenticate_client` of a transport (`dnsbound.edge.server_transport`); `verify_client_post_handshake` asks and
        does not wait. What the client sends before it answers is kept for `recv`."""
        from dnsbound.edge.late_socket import authenticate_client

        return authenticate_client(self, required=required, seconds=seconds)
