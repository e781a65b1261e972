"""What a TLS connection tells of itself, under the names that Python's `_ssl._SSLSocket` has for it: version, cipher,
the peer's certificate, channel bindings, session.

Half of `dnsbound.tls.shim`, which moves the octets. Nothing here changes the connection, and nothing is decided: who
the peer is in the DNS is said by `verified_peer()`, not by a certificate. RFC 5929 and RFC 9266 define the bindings.
"""

import weakref
from typing import Any

from dnsbound._native import Config, Connection, TlsError
from dnsbound.iana import TLS_1_2, VERSION_NAMES
from dnsbound.tls.certificate_dict import ChainCertificate, certificate_dict
from dnsbound.tls.channel_binding import BINDINGS, EXPORTER_LABEL, EXPORTER_OCTETS, server_end_point
from dnsbound.tls.errors import TLSMisuse, handshake_error
from dnsbound.tls.session import Session


class ConnectionFacts:
    """Facts of one connection, in either role.

    context, owner: as the standard library's object has them. config: what the connection was made of. server_hostname:
    as the caller gave it. own_leaf: DER of the certificate this end shows, for channel binding.
    """

    server_side = False

    def __init__(
        self,
        connection: Connection,
        *,
        context: Any,  # noqa: ANN401 (an ssl.SSLContext, which stands floors above)
        config: Config,
        owner: object,
        server_hostname: str | None,
        session: Session | None,
        own_leaf: bytes | None,
    ) -> None:
        self._connection = connection
        self._context = context
        self._config = config
        # Weak, as in the standard library: the owner holds this object.
        self._owner = _weakly(owner)
        self._session = session
        self._own_leaf = own_leaf
        self.server_hostname = server_hostname

    @property
    def context(self) -> Any:  # noqa: ANN401 (an ssl.SSLContext)
        return self._context

    @context.setter
    def context(self, context: object) -> None:
        if context is not self._context:
            raise TLSMisuse("a connection keeps the Context it was made with")

    @property
    def owner(self) -> object:
        return None if self._owner is None else self._owner()

    @owner.setter
    def owner(self, owner: object) -> None:
        self._owner = _weakly(owner)

    @property
    def session(self) -> Session | None:
        """The newest ticket's session, once the server sent one."""
        octets = self._connection.session()
        if octets is None:
            return self._session
        return Session(octets, context=self._context, config=self._config, server_hostname=self.server_hostname)

    @session.setter
    def session(self, session: object) -> None:  # noqa: ARG002 (the name `ssl` has)
        raise TLSMisuse("give the session to wrap_socket or wrap_bio")

    @property
    def session_reused(self) -> bool:
        return self._connection.session_reused()

    def version(self) -> str | None:
        return VERSION_NAMES.get(self._connection.version()) if self._connection.handshake_complete else None

    def cipher(self) -> tuple[str, str, int] | None:
        return self._connection.cipher()

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        """Server: what the client offered and this end has too, in the client's order; None on a client."""
        if not self.server_side or not self._connection.handshake_complete:
            return None
        return [_cipher(name) for name in self._connection.shared_ciphers()]

    def compression(self) -> None:
        return None

    def group(self) -> str | None:
        """Key exchange group, such as X25519MLKEM768."""
        return self._connection.group()

    def requested_server_name(self) -> str | None:
        """The host name in the client's server_name extension; None without one."""
        return self._connection.server_name()

    def selected_alpn_protocol(self) -> str | None:
        protocol = self._connection.selected_alpn()
        return None if protocol is None else protocol.decode("ascii", "backslashreplace")

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 (as `ssl` has it)
        """DER of the peer's certificate, or its contents as Python's `ssl` shows them.

        None for a raw public key or no credential; {} when nobody vouches for the contents, as on a server, where a
        client's key is what is verified and `verified_peer()` says who it is.
        """
        if not self._connection.handshake_complete:
            raise ValueError("handshake not done yet")
        chain = self._connection.peer_chain()
        if not chain:
            return None
        if binary_form:
            return chain[0]
        return certificate_dict(chain[0]) if self._contents_vouched_for() else {}

    def _contents_vouched_for(self) -> bool:
        """Whether somebody this end trusts vouches for what the peer's certificate says."""
        return False

    def get_unverified_chain(self) -> list[ChainCertificate]:
        """Certificates as the peer sent them."""
        return [ChainCertificate(der) for der in self._connection.peer_chain()]

    def get_verified_chain(self) -> list[ChainCertificate]:
        """Certificates of the path to the trust anchor that was found; empty where nothing was verified."""
        return [ChainCertificate(der) for der in self._connection.verified_chain()]

    def peer_raw_public_key(self) -> bytes | None:
        """DER SubjectPublicKeyInfo, when the peer presented a raw public key (RFC 7250)."""
        return self._connection.peer_raw_public_key()

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """tls-exporter (RFC 9266), tls-server-end-point and, before TLS 1.3, tls-unique (RFC 5929); None when the
        connection has no such binding."""
        if cb_type not in BINDINGS:
            raise ValueError(f"{cb_type!r} channel binding type not implemented")
        connection = self._connection
        if not connection.handshake_complete:
            return None
        if cb_type == "tls-exporter":
            return self.export_keying_material(EXPORTER_LABEL, EXPORTER_OCTETS, b"")
        if cb_type == "tls-unique":
            return self._tls_unique()
        leaf = self._own_leaf if self.server_side else next(iter(connection.peer_chain()), None)
        return None if leaf is None else server_end_point(leaf)

    def _tls_unique(self) -> bytes | None:
        if self._connection.version() != TLS_1_2:
            return None
        own, peers = self._connection.finished()
        # RFC 5929 section 3.1: the first Finished of the handshake, the client's unless a session is resumed.
        return own if self.server_side == self._connection.session_reused() else peers

    def hello_randoms(self) -> tuple[bytes, bytes]:
        """(client's, server's) random, 32 octets each, once the handshake is complete (RFC 5216 section 2.3)."""
        return self._connection.randoms()

    def export_keying_material(self, label: bytes, length: int, context: bytes | None = None) -> bytes:
        """Octets both ends derive alike (RFC 9846 section 7.5)."""
        try:
            return self._connection.export_keying_material(label, length, context)
        except TlsError as error:
            raise handshake_error(error) from error.__cause__


def _weakly(owner: object) -> weakref.ref[Any] | None:
    return None if owner is None else weakref.ref(owner)


def _cipher(name: str) -> tuple[str, str, int]:
    """As `cipher()` shows one. Every suite the engine has works with a key of 128 or 256 bits."""
    return name, "TLSv1.3" if name.startswith("TLS_") else "TLSv1.2", 128 if "128" in name else 256
