"""`dnsbound.Context`: an `ssl.SSLContext` whose connections carry DNS names.

    Context.client(credential)                       for any library that takes an ssl_context
    Context.server(credential, authenticator=door)   for servers on a dnsbound event loop, or blocking ones

As a client it verifies the server as `ssl.create_default_context()` does, and, with a credential, says its name in
dane_clientid when the server asks (draft-ietf-dance-client-auth sections 7 and 8.1). Authenticating the server by TLSA
is opt-in and looked up before the handshake (`prepare`). As a server it is a door: clients are identified by name, and
nothing flows before the verdict (section 8.2).

Its connections are made in `context_connections`; inherited members are in `context_members`. This is not a place for
policy (the access list) or DNS (the resolver).
"""

import logging
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal, Self

from dnsbound import iana
from dnsbound.edge.context_arguments import (
    X509_AND_RAW,
    client_name,
    code_point,
    door_of,
    own_types,
)
from dnsbound.edge.context_chain import (
    ChainRequest,
    ServedChains,
    served_chains,
    takes_chains,
)
from dnsbound.edge.context_connections import ConnectingContext
from dnsbound.edge.context_credential import CredentialLike, own_credential, presented_by
from dnsbound.edge.context_datagram import Datagrams, asked_over, datagrams_of
from dnsbound.edge.context_door import AuthenticatorLike, teller_of
from dnsbound.edge.context_prepare import ServerTLSAMode
from dnsbound.edge.context_profiles import ClearNameHosts, heard_by, profiles_of, said_by
from dnsbound.edge.context_quic import carried_over
from dnsbound.edge.context_server_tlsa import ResolverLike
from dnsbound.edge.context_signal import Ask, Signals, door_verification, signals_of
from dnsbound.edge.context_tickets import TicketKeysLike, session_context, ticket_keys_of
from dnsbound.edge.handshake_slots import HandshakeSlots
from dnsbound.edge.key_exchange import KeyExchange
from dnsbound.iana import CertificateType
from dnsbound.names import ClientName
from dnsbound.times import Moment
from dnsbound.tls.clientid import lowest_version
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.flags import DEFAULT_SIGNAL, RECOGNISED_SIGNALS, RequestSignal
from dnsbound.tls.server_shim import Policy
from dnsbound.verify.claim import NameSource

if TYPE_CHECKING:
    from dnsbound.edge.chain_source import ChainSource

_log: Final = logging.getLogger("dnsbound.context")


class Context(ConnectingContext):
    """An `ssl.SSLContext` of ours. Make one with `client` or `server`; `Context(ssl.PROTOCOL_TLS_CLIENT)` and
    `Context(ssl.PROTOCOL_TLS_SERVER)` give bare ones, set up by members as an SSLContext is."""

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
        quic: bool = False,
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
        place of TLS, in profile `cid07`. quic: for `open_quic_connection`. danger_unverified_server: lets verify_mode
        and check_hostname be switched off; it switches nothing off itself.
        """
        self = cls(ssl.PROTOCOL_TLS_CLIENT, danger_unverified_server=danger_unverified_server, clock=clock)
        over = datagrams_of(datagram, chains=(dnssec_chain, carry_chain))
        self._authenticate_servers(server_tlsa, resolver, dnssec_chain)
        self._clear_name_to = ClearNameHosts(clear_name_to)
        self._set(signals=signals_of(request_signal), **carried_over(over, quic=quic, clear=bool(self._clear_name_to)))
        if sys.version_info >= (3, 13):
            self.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        self.load_default_certs()
        keylog = os.environ.get("SSLKEYLOGFILE")
        if keylog and not sys.flags.ignore_environment:
            _log.warning("SSLKEYLOGFILE: the secrets of connections go to %s", keylog)
            self.keylog_filename = keylog
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
        quic: bool = False,
        post_handshake: bool = False,
        handshakes_at_once: int | None = None,
        handshakes_per_source: int | None = None,
        handshake_seconds: int | None = None,
        danger_no_extended_master_secret: bool = False,
    ) -> Self:
        """A door: a server's Context whose clients are identified by name, over TLS 1.3 unless profiles say otherwise.

        credential: the server's own certificate and key. authenticator: judges each claim. policy: `required`, or
        `optional` where a client that claims nothing may come in unauthenticated; there only clients that send a
        `request_signal` are asked for a certificate, unless ask is `always`. claim_from: where a name may come from.
        profiles: texts of dane_clientid that are spoken, in order of preference; `cid07` opens the door to TLS 1.2
        (docs/tls12.md). ticket_lifetime: seconds a session may be resumed, 0 for never; each resumption is judged
        again. ticket_keys: a file of secrets that several processes share; without it this Context has keys of its own.
        dnssec_chain: shown to clients that ask for it (RFC 9102). carried_chain: code point under which clients carry
        chains of theirs, which are asked for where the authenticator takes any. raw_public_keys: clients may present
        bare keys (RFC 7250). show_raw_public_key: clients that ask for the server's bare key get it. key_exchange: with
        ML-KEM or without. datagram: speak DTLS 1.2 in place of TLS, in profile `cid07`. quic: for `start_quic_server`.
        post_handshake: `authenticate_client` of a connection may ask its client after the handshake.
        handshakes_at_once, handshakes_per_source, handshake_seconds: see `HandshakeSlots` and `dnsbound.limits`.
        danger_no_extended_master_secret: TLS 1.2 also with clients that do not have it (docs/tls12.md).
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
            dnssec_chain=bool(self._served_chains),
            carried_chain=code_point(carried_chain),
            carried_chain_request=takes_chains(authenticator),
            ticket_lifetime=ticket_lifetime,
            ticket_context=session_context(self._door, authenticator, raw_public_keys=raw_public_keys),
            ticket_keys=None if self._ticket_keys is None else self._ticket_keys.keys,
            **heard_by(spoken, danger_no_extended_master_secret=danger_no_extended_master_secret),
            **carried_over(over, quic=quic, profiles=spoken, ticket_lifetime=ticket_lifetime, late=post_handshake),
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
