"""What a Context is set to, as one value, and the native Config built of it.

A Config is frozen by its first connection, while programs keep setting things on a Context for each connection. So the
Context holds this value, and builds a Config only when the value has changed.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from dnsbound._native import Config, TicketKeys, TlsError
from dnsbound.credential.signer import Signer
from dnsbound.edge.context_datagram import Datagrams
from dnsbound.edge.context_quic import check_settings
from dnsbound.edge.context_trust import TrustFile
from dnsbound.iana import DNSSEC_CHAIN, TLS_1_2, TLS_1_3, CertificateType, SignatureScheme
from dnsbound.tls.clientid import Profile
from dnsbound.tls.errors import TLSMisuse, configuration_error
from dnsbound.tls.flags import RequestSignal

SECURITY_LEVEL: Final = 2
"""112 bits: what Python's `ssl` asks of OpenSSL."""

X509_ONLY: Final = (CertificateType.X509,)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCredential:
    """What this end presents. chain: DER, leaf first, empty for a raw key; key: DER PKCS#8, or who signs with a key
    that is elsewhere."""

    chain: tuple[bytes, ...]
    key: bytes | Signer

    def put_into(self, config: Config) -> None:
        if isinstance(self.key, bytes):
            config.set_credential(self.chain, self.key)
        else:
            config.set_credential_signer(self.chain, self.key.spki, self.key.schemes, partial(_sign, self.key))

    def __repr__(self) -> str:
        return f"OwnCredential({len(self.chain)} certificates)"


def _sign(signer: Signer, scheme: int, message: bytes) -> bytes:
    return signer.sign(message, SignatureScheme(scheme))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """All a Config is made of. verification: the native engine's word. clientid: code point of
    dane_clientid; clientid_request: a server asks for it; profiles: texts of it that are spoken. held_flight: a server
    of TLS 1.2 waits for a verdict with its last flight. danger_no_extended_master_secret: TLS 1.2 may do without
    RFC 7627. signals: request signals that are known; may_signal: a client sends the first, when it has a credential.
    dnssec_chain: a server's chain may be in the handshake. carried_chain: code point of a client's;
    carried_chain_request: a server asks for it. datagrams: how DTLS is spoken; None speaks TLS. quic: for the
    handshakes of QUIC, which is TLS 1.3."""

    server_side: bool
    verification: str
    credential: OwnCredential | None = None
    own_types: tuple[int, ...] = X509_ONLY
    peer_types: tuple[int, ...] = X509_ONLY
    minimum: int = TLS_1_2
    maximum: int = TLS_1_3
    options: int = 0
    cleared_options: int = 0
    ciphers: str | None = None
    groups: str | None = None
    alpn: tuple[bytes, ...] = ()
    anchors: tuple[bytes, ...] = ()
    trust_files: tuple[TrustFile, ...] = ()
    verify_flags: int = 0
    clientid: int | None = None
    clientid_request: bool = False
    signals: tuple[RequestSignal, ...] = ()
    may_signal: bool = True
    profiles: tuple[Profile, ...] = (Profile.CA13,)
    held_flight: bool = False
    danger_no_extended_master_secret: bool = False
    dnssec_chain: bool = False
    carried_chain: int | None = None
    carried_chain_request: bool = False
    ticket_lifetime: int = 0
    ticket_context: bytes = b""
    ticket_keys: TicketKeys | None = None
    datagrams: Datagrams | None = None
    quic: bool = False
    post_handshake_auth: bool = False
    keylog: bool = False

    def __post_init__(self) -> None:
        numbers = [self.clientid, self.carried_chain, *(signal.extension_type for signal in self.signals)]
        if self.dnssec_chain:
            numbers.append(DNSSEC_CHAIN)
        used = [number for number in numbers if number is not None]
        if len(set(used)) < len(used):
            raise TLSMisuse(f"two TLS extensions with one code point, among {', '.join(f'0x{at:04X}' for at in used)}")

    def build(self) -> Config:
        """A Config; TLSMisuse where the engine rejects a setting."""
        config = Config(server_side=self.server_side, datagram=self.datagrams is not None, quic=self.quic)
        try:
            self._set_protocol(config)
            self._set_identity(config)
            self._set_trust(config)
        except TlsError as error:
            raise configuration_error(error, "TLS configuration") from None
        except (ValueError, RuntimeError) as error:
            raise TLSMisuse(f"TLS configuration: {error}") from None
        return config

    def _set_protocol(self, config: Config) -> None:
        config.set_security_level(SECURITY_LEVEL)
        if self.quic:
            check_settings(maximum=self.maximum, options=self.options, late=self.post_handshake_auth)
        elif self.datagrams is None:
            config.set_versions(self.minimum, self.maximum)
        config.set_options(set_bits=self.options, clear_bits=self.cleared_options)
        if self.ciphers is not None:
            config.set_cipher_list(self.ciphers)
        if self.groups is not None:
            config.set_groups(self.groups)
        if self.alpn:
            config.set_alpn(self.alpn)
        if self.post_handshake_auth:
            config.set_post_handshake_auth(True)
        if self.keylog:
            config.set_keylog(True)
        if self.datagrams is not None:
            self.datagrams.set_up(config)
        if self.server_side and self.ticket_lifetime:
            config.set_tickets(lifetime=self.ticket_lifetime, context=self.ticket_context, keys=self.ticket_keys)
        if self.held_flight:
            config.set_held_flight(True)
        if self.danger_no_extended_master_secret:
            config.set_danger_no_extended_master_secret(True)

    def _set_identity(self, config: Config) -> None:
        if self.credential is not None:
            self.credential.put_into(config)
        if self.own_types != X509_ONLY or self.peer_types != X509_ONLY:
            config.set_certificate_types(own=self.own_types, peer=self.peer_types)
        if self.clientid is not None:
            profiles = [profile.value for profile in self.profiles]
            config.set_clientid(self.clientid, request=self.clientid_request, profiles=profiles)
        if self.signals and self.datagrams is None:
            send = not self.server_side and self.may_signal and self.credential is not None
            config.set_request_signal([(signal.extension_type, signal.flag) for signal in self.signals], send=send)
        if self.dnssec_chain and self.datagrams is None:
            config.set_dnssec_chain(DNSSEC_CHAIN)
        if self.carried_chain is not None and self.datagrams is None:
            config.set_carried_chain(self.carried_chain, request=self.carried_chain_request)

    def _set_trust(self, config: Config) -> None:
        config.set_peer_verification(self.verification)
        config.set_verify_flags(self.verify_flags)
        if self.anchors:
            config.add_trust_anchors(self.anchors)
        for file in self.trust_files:
            file.load_into(config)
