"""What stands where Python's `ssl` has its `_ssl._SSLSocket`: one connection of ours behind an SSLObject or SSLSocket.

The standard library's wrappers stay around it, so whatever uses them keeps working. It moves octets between the native
engine and a transport, speaks Python's exceptions, and tells facts. `ServerShim` (`dnsbound.tls.server_shim`) adds the
wait for a verdict. Nothing is decided, looked up, or read from a clock or a socket here.

Rules of its users that it keeps: produced octets are at the transport before want-read is raised; `pending` counts
ciphertext that was taken and not yet read; a record is never encrypted twice; a stream that ends without close_notify
is an error; a peer without certificate yields None, never an exception.
"""

import contextlib
import ssl
import threading
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any

from dnsbound._native import Config, Connection, TlsError
from dnsbound.iana import TLS_1_2, VERSION_NAMES
from dnsbound.tls.authenticator_contexts import AuthenticatorContexts
from dnsbound.tls.authenticator_request import Role
from dnsbound.tls.certificate_dict import ChainCertificate, certificate_dict
from dnsbound.tls.channel_binding import BINDINGS, EXPORTER_LABEL, EXPORTER_OCTETS, server_end_point
from dnsbound.tls.errors import TLSMisuse, TLSPeerError, TLSUnexpectedEOF, handshake_error, want_read
from dnsbound.tls.exported_authenticator import AuthenticatorKeys, ContextForm
from dnsbound.tls.session import Session
from dnsbound.tls.transport import Transport, Until

Keylog = Callable[[list[str]], None]
"""Takes lines in the NSS key log form."""


class Shim:
    """What both roles share.

    context, owner: as the standard library's object has them. config: what the connection was made of. server_hostname:
    as the caller gave it. own_leaf: DER of the certificate this end shows, for channel binding. keylog: where secrets
    go, for debugging. blocked: makes the error why no handshake may begin; `do_handshake` raises it, since programs
    leak their socket when the wrapping itself raises.
    """

    server_side = False

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        *,
        context: Any,  # noqa: ANN401 (an ssl.SSLContext, which stands floors above)
        config: Config,
        owner: object,
        server_hostname: str | None = None,
        session: Session | None = None,
        own_leaf: bytes | None = None,
        keylog: Keylog | None = None,
        blocked: Callable[[], ssl.SSLError] | None = None,
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._context = context
        self._config = config
        # Weak, as in the standard library: the owner holds this object.
        self._owner = _weakly(owner)
        self._session = session
        self._own_leaf = own_leaf
        self._keylog = keylog
        self._blocked = blocked
        self._open = False
        self._shutdown_begun = False
        self._closed_by_peer = False
        self._owed = b""
        self._sending = threading.Lock()
        self.server_hostname = server_hostname

    # --- handshake

    def do_handshake(self) -> None:
        """Go on until application data may flow; want-read or want-write when the transport has to move first."""
        if not self._open:
            self._shake_hands()
            self._open = True

    def _shake_hands(self) -> None:
        if self._blocked is not None:
            raise self._blocked()
        connection = self._connection
        until = self._transport.begin()
        while True:
            try:
                done = connection.do_handshake()
            except TlsError as error:
                self._note_secrets()
                self._send_what_is_left()
                raise handshake_error(error) from error.__cause__
            self._note_secrets()
            self._transport.flush(connection, until)
            if done:
                return
            if connection.awaits_judgement():
                self._judge_server()
                continue
            self._await_ciphertext(until)

    def _judge_server(self) -> None:
        """A client that asked for a chain says what it makes of it, and the handshake goes on or ends."""
        raise TLSMisuse("only a client that asked for its server's chain judges it")

    def _await_ciphertext(self, until: Until) -> None:
        if not self._more_ciphertext(until):
            raise want_read()

    def _more_ciphertext(self, until: Until) -> bool:
        """Whether there was some; TLSUnexpectedEOF when there will be none."""
        if self._transport.fill(self._connection, until):
            return True
        if self._transport.ended:
            raise TLSUnexpectedEOF
        return False

    def _note_secrets(self) -> None:
        if self._keylog is not None and (lines := self._connection.take_keylog()):
            self._keylog(lines)

    def _send_what_is_left(self) -> None:
        """An alert is on its way out because of an error; that error is what the caller must see."""
        with contextlib.suppress(OSError):
            self._flush_beside_a_writer(self._transport.begin())

    # --- application data

    def read(self, size: int = 1024, buffer: Any = None) -> Any:  # noqa: ANN401 (octets or a count, as `ssl` has it)
        """Octets, or with a buffer their count; b"" or 0 after close_notify."""
        if buffer is None:
            if size < 0:
                raise ValueError("size should not be negative")
            return self._read(size) if size else b""
        with memoryview(buffer) as view, view.cast("B") as octets:
            if not 0 < size <= len(octets):
                size = len(octets)
            data = self._read(size) if size else b""
            octets[: len(data)] = data
            return len(data)

    def _read(self, size: int) -> bytes:
        data = self.read_arrived(size)
        if data is None:
            raise want_read()
        return data

    def read_arrived(self, size: int) -> bytes | None:
        """As `read`, with None in place of want-read: for whoever is told when more arrives."""
        if not self._open:
            self.do_handshake()
        if self._closed_by_peer:
            return b""
        connection, transport = self._connection, self._transport
        until = transport.begin()
        while True:
            data = self._decrypt(size)
            if data:
                return data
            if data is not None:
                self._closed_by_peer = True
                return b""
            if connection.pending_out():
                self._flush_beside_a_writer(until)
            if not self._more_ciphertext(until):
                return None

    def _decrypt(self, size: int) -> bytes | None:
        """What can be read of the ciphertext that is here; None when more is needed, b"" after close_notify."""
        try:
            return self._connection.read(size)
        except TlsError as error:
            self._send_what_is_left()
            raise handshake_error(error) from error.__cause__

    def _flush_beside_a_writer(self, until: Until) -> None:
        """A key update has to be answered. A writer in another thread flushes it after its own record, so never wait
        for it: the peer may be waiting for this thread to read."""
        if self._sending.acquire(blocking=False):
            try:
                self._transport.flush(self._connection, until)
            finally:
                self._sending.release()

    def write(self, data: Any) -> int:  # noqa: ANN401 (any buffer)
        """Octets taken. After want-write or a timeout, call again with the same data."""
        if not self._open:
            self.do_handshake()
        with self._sending, memoryview(data) as view, view.cast("B") as octets:
            until = self._transport.begin()
            done = self._settle(octets, until)
            self._refuse_after_shutdown()
            total = len(octets)
            limit = self._transport.write_limit or total
            while done < total:
                piece = octets[done : done + limit]
                try:
                    self._connection.write(piece)
                except TlsError as error:
                    raise handshake_error(error) from error.__cause__
                try:
                    self._transport.flush(self._connection, until)
                except OSError:
                    self._owed = bytes(piece)
                    if done:
                        return done
                    raise
                done += len(piece)
            return done

    def _settle(self, octets: memoryview, until: Until) -> int:
        """Finish the record that was encrypted by an earlier call; the count of its octets in this one's data."""
        owed = self._owed
        if owed and octets[: len(owed)] != owed:
            raise TLSMisuse("a write that did not complete must be repeated with the same data")
        self._transport.flush(self._connection, until)
        self._owed = b""
        return len(owed)

    def _refuse_after_shutdown(self) -> None:
        if self._shutdown_begun:
            raise TLSPeerError("protocol is shutdown", reason="PROTOCOL_IS_SHUTDOWN")

    def parked(self) -> int:
        """Octets that were written and wait while a handshake message of the peer has begun and not ended."""
        return self._connection.parked()

    def pending(self) -> int:
        """Octets that were taken from the transport and not yet read, ciphertext included."""
        return self._connection.pending_plain() + self._connection.pending_in()

    def shutdown(self) -> Any:  # noqa: ANN401 (a socket, or None)
        """Send close_notify and wait for the peer's; the socket underneath, or None over BIOs."""
        if not self._open:
            raise TLSPeerError("shutdown while in init", reason="SHUTDOWN_WHILE_IN_INIT")
        with self._sending:
            until = self._transport.begin()
            self._transport.flush(self._connection, until)
            self._shutdown_begun = True
            return self._shut_down(until)

    def _shut_down(self, until: Until) -> Any:  # noqa: ANN401 (a socket, or None)
        connection, transport = self._connection, self._transport
        while True:
            try:
                done = connection.shutdown()
            except TlsError as error:
                raise handshake_error(error) from error.__cause__
            transport.flush(connection, until)
            if done:
                self._closed_by_peer = True
                return transport.returned()
            if connection.pending_plain():
                raise TLSPeerError("application data after close notify", reason="APPLICATION_DATA_AFTER_CLOSE_NOTIFY")
            self._await_ciphertext(until)

    # --- facts

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

    def export_keying_material(self, label: bytes, length: int, context: bytes | None = None) -> bytes:
        """Octets both ends derive alike (RFC 9846 section 7.5)."""
        try:
            return self._connection.export_keying_material(label, length, context)
        except TlsError as error:
            raise handshake_error(error) from error.__cause__

    @property
    def is_open(self) -> bool:
        """Application data may flow: the handshake is complete, and at a door the client is in."""
        return self._open

    @cached_property
    def authenticator_contexts(self) -> AuthenticatorContexts:
        """Contexts of the exported authenticators on this connection."""
        return AuthenticatorContexts()

    def authenticator_keys(
        self, sender: Role, *, context_form: ContextForm = ContextForm.ZERO_LENGTH
    ) -> AuthenticatorKeys:
        """Keying material for the exported authenticators that `sender` makes on this connection.

        TLSMisuse unless the connection is open: both Finished messages were verified then (EA-06). PeerError where its
        version has no exported authenticators.
        """
        connection = self._connection
        digest = connection.handshake_digest()
        if not self._open or digest is None:
            raise TLSMisuse("exported authenticators need a connection that is open")
        return AuthenticatorKeys.export(
            self.export_keying_material,
            sender,
            version=connection.version(),
            digest=digest,
            extended_master_secret=connection.extended_master_secret(),
            context_form=context_form,
        )

    def verify_client_post_handshake(self) -> None:
        raise TLSMisuse("only a server asks for a certificate after the handshake")


def _weakly(owner: object) -> weakref.ref[Any] | None:
    return None if owner is None else weakref.ref(owner)


def _cipher(name: str) -> tuple[str, str, int]:
    """As `cipher()` shows one. Every suite the engine has works with a key of 128 or 256 bits."""
    return name, "TLSv1.3" if name.startswith("TLS_") else "TLSv1.2", 128 if "128" in name else 256
