"""`dnsbound.Context`: an `ssl.SSLContext` whose connections carry DNS names.

    Context.client(credential)                       for any library that takes an ssl_context
    Context.server(credential, authenticator=door)   for servers on a dnsbound event loop, or blocking ones

As a client it verifies the server as `ssl.create_default_context()` does, and, with a credential, says its name in
dane_clientid when the server asks (draft-ietf-dance-client-auth sections 7 and 8.1). Authenticating the server by TLSA
is opt-in and looked up before the handshake (`prepare`). As a server it is a door: clients are identified by name, and
nothing flows before the verdict (section 8.2).

`_wrap_bio` and `_wrap_socket` are private names of the standard library, the same in 3.11 to 3.13; a test guards them.
Inherited members are in `context_members`. This is not a place for policy (the access list) or DNS (the resolver).
"""

import logging
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from dnsbound import iana
from dnsbound._native import Connection, TlsError
from dnsbound.edge.context_arguments import (
    RAW_AND_X509,
    X509_AND_RAW,
    address_of,
    check_host,
    client_name,
    code_point,
    door_of,
    is_address,
    own_types,
)
from dnsbound.edge.context_chain import (
    ChainRequest,
    ServedChain,
    ServedChains,
    checked_octets,
    served_chains,
    served_octets,
    takes_chains,
)
from dnsbound.edge.context_credential import CredentialLike, own_credential, presented_by
from dnsbound.edge.context_datagram import Datagrams, asked_over, datagrams_of
from dnsbound.edge.context_door import AuthenticatorLike, TurnedAway, judge_in_place, teller_of
from dnsbound.edge.context_objects import TLSObject, TLSSocket
from dnsbound.edge.context_prepare import PreparingContext, ServerTLSAMode
from dnsbound.edge.context_profiles import TLS_1_2_CIPHERS, ClearNameHosts, profiles_of, said_by
from dnsbound.edge.context_server_tlsa import ResolverLike, evidence_missing
from dnsbound.edge.context_signal import Ask, Signals, door_verification, signals_of
from dnsbound.edge.context_socket import SocketTransport
from dnsbound.edge.context_tickets import TicketKeysLike, session_context, ticket_keys_of
from dnsbound.edge.handshake_slots import HandshakeSlots
from dnsbound.edge.key_exchange import KeyExchange
from dnsbound.iana import CertificateType
from dnsbound.names import ClientName
from dnsbound.times import Moment
from dnsbound.tls.client_shim import ClientShim
from dnsbound.tls.clientid import lowest_version
from dnsbound.tls.errors import TLSMisuse, configuration_error
from dnsbound.tls.flags import DEFAULT_SIGNAL, RECOGNISED_SIGNALS, RequestSignal
from dnsbound.tls.server_shim import Door, Judge, Policy, ServerShim
from dnsbound.tls.session import session_octets
from dnsbound.tls.transport import BioTransport, Transport
from dnsbound.verify.claim import NameSource

if TYPE_CHECKING:
    from dnsbound.edge.chain_source import ChainSource
    from dnsbound.edge.ticket_keys import TicketKeySource

_log: Final = logging.getLogger("dnsbound.context")


class Context(PreparingContext):
    """An `ssl.SSLContext` of ours. Make one with `client` or `server`; `Context(ssl.PROTOCOL_TLS_CLIENT)` and
    `Context(ssl.PROTOCOL_TLS_SERVER)` give bare ones, set up by members as an SSLContext is."""

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

    # --- making one

    @classmethod
    def client(
        cls,
        credential: CredentialLike | None = None,
        *,
        name: ClientName | str | None = None,
        clientid: int = iana.DANE_CLIENTID,
        profiles: Iterable[str] | None = None,
        clear_name_to: Iterable[str] = (),
        raw_public_key: bool | None = None,
        resolver: ResolverLike | None = None,
        server_tlsa: ServerTLSAMode = "off",
        dnssec_chain: ChainRequest | None = None,
        carry_chain: "ChainSource | None" = None,
        carried_chain: int = iana.CARRIED_CHAIN,
        request_signal: RequestSignal | None = DEFAULT_SIGNAL,
        key_exchange: KeyExchange | str = KeyExchange.DEFAULT,
        datagram: Datagrams | bool = False,
        danger_unverified_server: bool = False,
        clock: Callable[[], Moment] = time.time,
    ) -> Self:
        """A client's Context.

        credential: who this client is; None is an ordinary TLS client. name: the full TLSA owner name to state; the
        credential's own without it. clientid: code point of dane_clientid. profiles: texts of it that are spoken;
        `cid07` speaks TLS 1.2 as well, where name and certificate are in clear, with the servers of clear_name_to alone
        (host names, addresses, `*.plant.example`; docs/tls12.md). raw_public_key: present the bare key (RFC 7250)
        instead of the certificates; by default when there are no certificates. server_tlsa: `require` authenticates
        servers by TLSA, looked up with `resolver` in `prepare` or shown in the handshake. dnssec_chain: asks servers to
        show it there (RFC 9102); where server_tlsa is `off`, a server that shows nothing may still be known by
        certificate authorities. carry_chain: the chain of this client's own record, for servers that ask for it;
        carried_chain: code point of that. request_signal: sent with a credential, so that servers which ask only some
        clients ask this one; None sends nothing. key_exchange: with ML-KEM or without. datagram: speak DTLS 1.2 in
        place of TLS, in profile `cid07`. danger_unverified_server: lets verify_mode and check_hostname be switched off;
        it switches nothing off itself.
        """
        self = cls(ssl.PROTOCOL_TLS_CLIENT, danger_unverified_server=danger_unverified_server, clock=clock)
        over = datagrams_of(datagram, chains=(dnssec_chain, carry_chain))
        self._authenticate_servers(server_tlsa, resolver, dnssec_chain)
        self._set(signals=signals_of(request_signal), datagrams=over)
        if sys.version_info >= (3, 13):
            self.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        self.load_default_certs()
        keylog = os.environ.get("SSLKEYLOGFILE")
        if keylog and not sys.flags.ignore_environment:
            _log.warning("SSLKEYLOGFILE: the secrets of connections go to %s", keylog)
            self.keylog_filename = keylog
        self._clear_name_to = ClearNameHosts(clear_name_to)
        if credential is not None:
            self._client_name = client_name(name, credential)
            presented = presented_by(credential, self._client_name, raw=raw_public_key)
            spoken = profiles_of(profiles, datagram=self.datagram)
            self._set(
                **presented, **said_by(self._client_name, clientid, spoken, self._clear_name_to, datagram=self.datagram)
            )
        elif name is not None or raw_public_key or self._clear_name_to or carry_chain is not None:
            raise TLSMisuse("a name, a raw public key or the chain of a record needs a credential")
        self._exchange_keys(key_exchange, speaks_tls_1_2=bool(self._clear_name_to))
        if carry_chain is not None:
            self._carry_chain = carry_chain
            self._set(carried_chain=code_point(carried_chain))
        return self

    @classmethod
    def server(
        cls,
        credential: CredentialLike,
        *,
        authenticator: AuthenticatorLike,
        policy: Literal["required", "optional"] = "required",
        ask: Ask | None = None,
        request_signal: Signals = RECOGNISED_SIGNALS,
        claim_from: Iterable[str] = ("extension", "san"),
        profiles: Iterable[str] | None = None,
        ticket_lifetime: int = 0,
        ticket_keys: TicketKeysLike | None = None,
        dnssec_chain: ServedChains = None,
        clientid: int = iana.DANE_CLIENTID,
        carried_chain: int = iana.CARRIED_CHAIN,
        raw_public_keys: bool = True,
        show_raw_public_key: bool = False,
        key_exchange: KeyExchange | str = KeyExchange.DEFAULT,
        datagram: Datagrams | bool = False,
        post_handshake: bool = False,
        handshakes_at_once: int | None = None,
        handshakes_per_source: int | None = None,
        handshake_seconds: int | None = None,
    ) -> Self:
        """A door: a server's Context whose clients are identified by name, over TLS 1.3 unless profiles say otherwise.

        credential: the server's own certificate and key. authenticator: judges each claim. policy: `required`, or
        `optional` where a client that claims nothing may come in unauthenticated; there only clients that send a
        `request_signal` are asked for a certificate, unless ask is `always`. claim_from: where a name may come from.
        profiles: texts of dane_clientid that are spoken, in order of preference; `cid07` opens the door to TLS 1.2
        (docs/tls12.md). ticket_lifetime: seconds a session may be resumed, 0 for never; each resumption is judged
        again. ticket_keys: a file of secrets that several processes share; without it this Context has keys of its own.
        dnssec_chain: shown to clients that ask for it (RFC 9102). carried_chain: code point under which clients carry
        chains of theirs, which are asked for where the authenticator takes any.
        raw_public_keys: clients may present bare keys (RFC 7250). show_raw_public_key: clients that ask for the
        server's bare key get it. key_exchange: with ML-KEM or without. datagram: speak DTLS 1.2 in place of TLS, in
        profile `cid07`. post_handshake: `authenticate_client` of a connection may ask its client after the handshake.
        handshakes_at_once, handshakes_per_source, handshake_seconds: see `HandshakeSlots` and `dnsbound.limits`.
        """
        self = cls(ssl.PROTOCOL_TLS_SERVER)
        own, signals = own_credential(credential), signals_of(request_signal)
        over = datagrams_of(datagram, chains=(dnssec_chain,))
        spoken = profiles_of(profiles, datagram=over is not None)
        self._door = door_of(
            authenticator.door,
            policy=policy,
            claim_from=claim_from,
            ticket_lifetime=ticket_lifetime,
            profiles=spoken,
            post_handshake=post_handshake,
        )
        self._ticket_keys = ticket_keys_of(self._door, ticket_keys, datagram=over is not None)
        self._served_chains = served_chains(dnssec_chain)
        self._authenticator = authenticator
        self._turned_away = teller_of(authenticator)
        self._slots = HandshakeSlots(
            at_once=handshakes_at_once, per_source=handshakes_per_source, seconds=handshake_seconds
        )
        self._verify_mode = ssl.CERT_REQUIRED if self._door.policy is Policy.REQUIRED else ssl.CERT_OPTIONAL
        self._set(
            credential=own,
            own_types=own_types(bool(own.chain), show_raw_public_key=show_raw_public_key),
            peer_types=X509_AND_RAW if raw_public_keys else (CertificateType.X509,),
            verification=door_verification(self._door.policy, asked_over(over, ask), signals),
            signals=signals,
            clientid=code_point(clientid),
            # Not asked for, the extension is still known, so that a client that sends it unasked is told so.
            clientid_request=NameSource.EXTENSION in self._door.rules.name_sources,
            profiles=spoken,
            held_flight=True,
            minimum=lowest_version(spoken),
            ciphers=TLS_1_2_CIPHERS,
            dnssec_chain=bool(self._served_chains),
            carried_chain=code_point(carried_chain),
            carried_chain_request=takes_chains(authenticator),
            ticket_lifetime=ticket_lifetime,
            ticket_context=session_context(self._door, authenticator, raw_public_keys=raw_public_keys),
            ticket_keys=None if self._ticket_keys is None else self._ticket_keys.keys,
            datagrams=over,
        )
        self._exchange_keys(key_exchange, speaks_tls_1_2=lowest_version(spoken) < iana.TLS_1_3)
        return self

    # --- facts

    @property
    def is_door(self) -> bool:
        """Made by `Context.server`: its clients are identified by name, and its connections wait for a verdict."""
        return self._door is not None

    @property
    def authenticator(self) -> AuthenticatorLike:
        """Who judges the claims of this door."""
        if self._authenticator is None:
            raise TLSMisuse("only a door has an authenticator: make it with Context.server")
        return self._authenticator

    @property
    def requires_claim(self) -> bool:
        """A door whose policy is `required`."""
        return self._door is not None and self._door.policy is Policy.REQUIRED

    @property
    def handshake_slots(self) -> HandshakeSlots:
        """How many handshakes this door has under way, and what became of the others."""
        if self._slots is None:
            raise TLSMisuse("only a door counts its handshakes")
        return self._slots

    @property
    def datagram(self) -> bool:
        """Its connections are associations of DTLS; none can be wrapped around a stream."""
        return self._settings.datagrams is not None

    # --- connections

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
