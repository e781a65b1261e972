"""What stands where Python's `ssl` has its `_ssl._SSLSocket`: one connection of ours behind an SSLObject or SSLSocket.

The standard library's wrappers stay around it, so whatever uses them keeps working. It moves octets between the native
engine and a transport and speaks Python's exceptions; what it tells of the connection is in `connection_facts`.
`ServerShim` (`dnsbound.tls.server_shim`) adds the wait for a verdict. Nothing is decided, looked up, or
read from a clock or a socket here.

Rules of its users that it keeps: produced octets are at the transport before want-read is raised; `pending` counts
ciphertext that was taken and not yet read; a record is never encrypted twice; a stream that ends without close_notify
is an error; a peer without certificate yields None, never an exception.
"""

import contextlib
import ssl
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

from dnsbound._native import Config, Connection, TlsError
from dnsbound.tls.authenticator_contexts import AuthenticatorContexts
from dnsbound.tls.authenticator_request import Role
from dnsbound.tls.connection_facts import ConnectionFacts
from dnsbound.tls.errors import TLSMisuse, TLSPeerError, TLSUnexpectedEOF, handshake_error, want_read
from dnsbound.tls.exported_authenticator import AuthenticatorKeys, ContextForm
from dnsbound.tls.session import Session
from dnsbound.tls.transport import Transport, Until

Keylog = Callable[[list[str]], None]
"""Takes lines in the NSS key log form."""


class Shim(ConnectionFacts):
    """What both roles share.

    keylog: where secrets go, for debugging. blocked: makes the error why no handshake may begin; `do_handshake` raises
    it, since programs leak their socket when the wrapping itself raises. The others: see `ConnectionFacts`.
    """

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
        super().__init__(
            connection,
            context=context,
            config=config,
            owner=owner,
            server_hostname=server_hostname,
            session=session,
            own_leaf=own_leaf,
        )
        self._transport = transport
        self._keylog = keylog
        self._blocked = blocked
        self._open = False
        self._shutdown_begun = False
        self._closed_by_peer = False
        self._owed = b""
        self._sending = threading.Lock()

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

    # --- exported authenticators

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
