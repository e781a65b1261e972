"""The connections of a Context: what the standard library asks an `ssl.SSLContext` for when it wraps a stream.

`_wrap_bio` and `_wrap_socket` are private names of the standard library, the same in 3.11 to 3.13; a test guards them.
What a Context is set to is decided in `context`; nothing here reads an access list or asks the DNS.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dnsbound._native import Connection, TlsError
from dnsbound.edge.context_arguments import RAW_AND_X509, address_of, check_host, is_address
from dnsbound.edge.context_chain import ServedChain, checked_octets, served_octets
from dnsbound.edge.context_door import AuthenticatorLike, TurnedAway, judge_in_place
from dnsbound.edge.context_objects import TLSObject, TLSSocket
from dnsbound.edge.context_prepare import PreparingContext
from dnsbound.edge.context_profiles import ClearNameHosts
from dnsbound.edge.context_server_tlsa import evidence_missing
from dnsbound.edge.context_socket import SocketTransport
from dnsbound.times import Moment
from dnsbound.tls.client_shim import ClientShim
from dnsbound.tls.errors import TLSMisuse, configuration_error
from dnsbound.tls.server_shim import Door, Judge, ServerShim
from dnsbound.tls.session import session_octets
from dnsbound.tls.transport import BioTransport, Transport

if TYPE_CHECKING:
    from dnsbound.edge.chain_source import ChainSource
    from dnsbound.edge.handshake_slots import HandshakeSlots
    from dnsbound.edge.ticket_keys import TicketKeySource
    from dnsbound.names import ClientName

_log: Final = logging.getLogger("dnsbound.context")


class ConnectingContext(PreparingContext):
    """Makes the connections of `Context`; not to be made by itself."""

    sslobject_class = TLSObject
    sslsocket_class = TLSSocket

    def __init__(
        self,
        protocol: int,
        *,
        danger_unverified_server: bool = False,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        super().__init__(protocol, danger_unverified_server=danger_unverified_server, clock=clock)
        self._client_name: ClientName | None = None
        self._clear_name_to = ClearNameHosts()
        self._carry_chain: ChainSource | None = None
        self._served_chains: tuple[ServedChain, ...] = ()
        self._door: Door | None = None
        self._authenticator: AuthenticatorLike | None = None
        self._turned_away: TurnedAway | None = None
        self._said_why = threading.Event()
        self._slots: HandshakeSlots | None = None
        self._ticket_keys: TicketKeySource | None = None

    @property
    def datagram(self) -> bool:
        """Its connections are associations of DTLS; none can be wrapped around a stream."""
        return self._settings.datagrams is not None

    @property
    def quic(self) -> bool:
        """Its connections are those of QUIC; none can be wrapped around a stream."""
        return self._settings.quic

    @property
    def alpn_protocols(self) -> tuple[bytes, ...]:
        """What `set_alpn_protocols` set."""
        return self._settings.alpn

    def accept(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, source: str = "") -> TLSObject:
        """A server's connection over memory BIOs, for a caller that brings the verdict: it takes `pending_claim` when
        `do_handshake` has raised SSLWantReadError and calls the shim's `admit` or `refuse`. source: who the client is
        to budgets and logs."""
        return self.serve(BioTransport(incoming, outgoing), source=source)[0]

    def serve(self, transport: Transport, *, source: str = "") -> tuple[TLSObject, ServerShim]:
        """The same over a transport of the caller's."""
        if not self._server_side:
            raise TLSMisuse("a client's Context accepts nobody")
        self._check_role(server_side=True)
        made = TLSObject.__new__(TLSObject)
        shim = self.server_shim(transport, owner=made, source=source)
        made._sslobj = shim  # noqa: SLF001 (as SSLObject._create does)
        return made, shim

    def _wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool,  # noqa: FBT001 (the standard library's signature)
        server_hostname: str | None = None,
        *,
        owner: object = None,
        session: Any = None,  # noqa: ANN401 (a Session)
    ) -> ClientShim | ServerShim:
        self._check_role(server_side=server_side)
        transport = BioTransport(incoming, outgoing)
        if not server_side:
            return self.client_shim(transport, server_hostname, owner=owner, session=session)
        blocked = None if self._door is None else self._cannot_wait
        return self.server_shim(transport, owner=owner, blocked=blocked)

    def _cannot_wait(self) -> TLSMisuse:
        """A stock event loop runs the handshake again only when the client sends: a late verdict would hang it."""
        why = (
            "this event loop cannot wait for a verdict, so every connection is refused: run the server on "
            "dnsbound.loop_factory, or use dnsbound.start_server"
        )
        if not self._said_why.is_set():
            self._said_why.set()
            _log.error("door %s: %s", self._door and self._door.rules.door, why)
        return TLSMisuse(why)

    def _wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool,  # noqa: FBT001 (the standard library's signature)
        server_hostname: str | None = None,
        *,
        owner: object = None,
        session: Any = None,  # noqa: ANN401 (a Session)
    ) -> ClientShim | ServerShim:
        self._check_role(server_side=server_side)
        transport = SocketTransport(sock)
        if not server_side:
            return self.client_shim(transport, server_hostname, owner=owner, session=session)
        judge = None if self._authenticator is None else judge_in_place(self._authenticator, transport)
        return self.server_shim(transport, owner=owner, judge=judge, source=address_of(sock))

    def _check_role(self, *, server_side: bool) -> None:
        if self.quic:
            raise TLSMisuse("a Context for QUIC wraps no stream: start_quic_server, open_quic_connection")
        if self.datagram:
            raise TLSMisuse("a Context for datagrams wraps no stream: start_datagram_server, open_datagram_connection")
        if server_side and not self._server_side:
            raise TLSMisuse("Cannot create a server socket with a PROTOCOL_TLS_CLIENT context")
        if self._server_side and not server_side:
            raise TLSMisuse("Cannot create a client socket with a PROTOCOL_TLS_SERVER context")

    def client_shim(
        self,
        transport: Transport,
        server_hostname: str | None,
        *,
        owner: object = None,
        session: object = None,
    ) -> ClientShim:
        """A client's connection over a transport of the caller's."""
        check_host(server_hostname, required=self._check_hostname)
        if self.datagram and self._client_name is not None:
            self._clear_name_to.require(server_hostname)
        evidence = self._fresh_evidence(server_hostname)
        chain = self._requested_chain(server_hostname) if evidence is None else None
        tlsa_missing = evidence is None and chain is None and self._server_tlsa == "require"
        sni = server_hostname if evidence is None else evidence.base_domain
        raw_servers = evidence is not None and evidence.vouches_for_raw_keys
        lowest = self._clear_name_to.lowest_version(server_hostname)
        types = RAW_AND_X509 if raw_servers else None if chain is None else chain.peer_types
        config = self.engine_config(types, at_least=lowest)
        if (evidence is not None or chain is not None) and session is not None:
            raise TLSMisuse("a server authenticated by TLSA is authenticated in every handshake: resume no session")
        try:
            connection = Connection(
                config,
                server_hostname=sni if sni and not is_address(sni) else None,
                verify_hostname=sni if self._check_hostname else None,
                client_name=None if self._client_name is None else self._client_name.to_wire(),
                clear_name=self._clear_name_to.include(server_hostname) and self._speaks_tls_1_2(),
                session=session_octets(session, context=self, config=config, server_hostname=server_hostname),
                chain_port=None if chain is None else chain.port,
                carried_chain=checked_octets(self._carry_chain),
            )
        except TlsError as error:
            raise configuration_error(error, f"connection to {server_hostname}") from None
        transport.attach(connection)
        return ClientShim(
            connection,
            transport,
            config=config,
            base_domain=None if evidence is None else evidence.base_domain,
            records=() if evidence is None else evidence.records,
            server_chain=chain,
            server_verified=self._verify_mode != ssl.CERT_NONE,
            blocked=partial(evidence_missing, server_hostname) if tlsa_missing else None,
            context=self,
            owner=owner,
            server_hostname=server_hostname,
            session=session,
            keylog=None if self._keylog_file is None else self._keylog_file.append,
        )

    def server_shim(
        self,
        transport: Transport,
        *,
        connection: Connection | None = None,
        owner: object = None,
        judge: Judge | None = None,
        source: str = "",
        blocked: Callable[[], ssl.SSLError] | None = None,
    ) -> ServerShim:
        """A server's connection over a transport of the caller's. connection: one that was made already."""
        own = self._settings.credential
        if self._ticket_keys is not None:
            self._ticket_keys.refresh()
        config = self.engine_config()
        if connection is None:
            connection = Connection(config, served_chains=served_octets(self._served_chains))
        transport.attach(connection)
        return ServerShim(
            connection,
            transport,
            config=config,
            door=self._door,
            judge=judge,
            source=source,
            turned_away=self._turned_away,
            blocked=blocked,
            chain_verified=self._door is None and self._verify_mode != ssl.CERT_NONE,
            context=self,
            owner=owner,
            own_leaf=own.chain[0] if own is not None and own.chain else None,
            keylog=None if self._keylog_file is None else self._keylog_file.append,
        )
