"""OpenSSL's TLS over memory BIOs. Mechanism only: no policy, no DNS, no input or output, no threads.

Every object may be used from several threads, one call at a time; a call that runs cryptography releases the GIL.
Nothing here decides whether a peer is who it says: callers read the facts and decide.

Three kinds of exception: TlsError (OpenSSL or the peer); RuntimeError (a call this state does not allow: a frozen
Config changed, reading before the handshake is complete); ValueError, OverflowError or TypeError (an argument that can
never be right). After a TlsError from do_handshake, read, write, shutdown or send_ticket a Connection stays failed:
each later call raises the same, without a `__cause__`.
"""

from collections.abc import Callable, Sequence
from typing import Final, final

__all__ = [
    "OPENSSL_VERSION",
    "OPENSSL_VERSION_NUMBER",
    "VENDORED",
    "Config",
    "Connection",
    "CookieListener",
    "TicketKeys",
    "TlsError",
    "client_hello_random",
]

OPENSSL_VERSION: Final[str]
OPENSSL_VERSION_NUMBER: Final[int]
VENDORED: Final[bool]

class TlsError(Exception):
    """An error OpenSSL put on its queue, or a connection that ended without close_notify.

    Numbers, not texts, are to be compared: texts differ between versions.
    """

    library: int
    """ERR_LIB_* number, 0 when there is none."""
    reason: int
    """Reason number inside the library (SSL_R_*, X509_R_*, ...), 0 when there is none."""
    text: str
    """OpenSSL's own words, for logs; ours where a signer failed, whose exception is `__cause__`."""
    alert_received: int | None
    """AlertDescription the peer sent, when that is the cause."""
    alert_sent: int | None
    """AlertDescription we sent, when OpenSSL produced one."""
    verify_code: int
    """X509_V_* number, 0 when the certificate was not the cause."""
    verify_text: str
    unexpected_eof: bool
    """The transport ended (feed_eof) without close_notify."""

@final
class Config:
    """What connections of one role share: an SSL_CTX. Frozen once the first Connection was made from it.

    Always: TLS 1.2 or later, renegotiation and compression off, extended master secret required in TLS 1.2, no
    automatic chain building, common names not taken for host names.
    """

    def __new__(cls, *, server_side: bool, datagram: bool = False, quic: bool = False) -> Config:
        """datagram: DTLS. Its connections keep no session and take no ticket; a server's come from a CookieListener.
        quic: TLS 1.3 for a QUIC stack that lives elsewhere (RFC 9001). No tickets either; ValueError for both.
        """
    @property
    def server_side(self) -> bool: ...
    @property
    def datagram(self) -> bool: ...
    @property
    def quic(self) -> bool: ...
    @property
    def frozen(self) -> bool:
        """A change raises RuntimeError from now on."""
    def set_versions(self, minimum: int, maximum: int) -> None:
        """0x0303 (TLS 1.2) or 0x0304 (TLS 1.3); over datagrams 0xfefd (DTLS 1.2), since OpenSSL has no DTLS 1.3."""
    def set_options(self, *, set_bits: int, clear_bits: int = 0) -> int:
        """SSL_OP_* bits; returns the resulting bits.

        NO_RENEGOTIATION and NO_COMPRESSION stay set; IGNORE_UNEXPECTED_EOF, ALLOW_UNSAFE_LEGACY_RENEGOTIATION and
        ALLOW_NO_DHE_KEX stay clear; a server's NO_TICKET is set_tickets' to change. Such bits are ignored.
        """
    def set_cipher_list(self, ciphers: str) -> None:
        """TLS 1.2 cipher string."""
    def set_cipher_suites(self, suites: str) -> None:
        """TLS 1.3 cipher suites, colon separated."""
    def set_groups(self, groups: str) -> None: ...
    def set_signature_algorithms(self, algorithms: str) -> None: ...
    def set_security_level(self, level: int) -> None: ...
    def set_alpn(self, protocols: Sequence[bytes]) -> None:
        """Client: offered. Server: preference order; no overlap is no_application_protocol."""
    def set_credential(self, chain: Sequence[bytes], private_key: bytes) -> None:
        """chain: DER certificates, leaf first, empty for a bare raw public key; private_key: DER PKCS#8.

        Raises TlsError when key and leaf do not belong together. One credential per kind of key (RSA, EC, Ed25519):
        a second one of the same kind replaces the first.
        RuntimeError after set_credential_signer.
        """
    def set_credential_signer(
        self,
        chain: Sequence[bytes],
        spki: bytes,
        schemes: Sequence[int],
        sign: Callable[[int, bytes], bytes],
    ) -> None:
        """The same with a private key that is elsewhere: spki is DER SubjectPublicKeyInfo of its public half (EC, RSA,
        Ed25519, Ed448 or ML-DSA), schemes are the SignatureSchemes it signs with, and no other is negotiated.

        `sign(scheme, message)` gives the signature over the message, not over its digest, within a call that drives a
        Connection: do_handshake, in TLS 1.2 and 1.3, as client and as server. That call holds its Connection, and the
        GIL for `sign` alone, so a slow signer holds up its own thread and nobody else's. What it raises, or a value
        that can be no signature, ends the handshake with internal_error; the exception is the TlsError's `__cause__`.
        KeyboardInterrupt and its likes come out as they are, once. `sign` may use other Connections, not its own
        (RuntimeError). RSA's key transport in TLS 1.2 (TLS_RSA cipher suites) needs decryption and fails. A `sign` that
        holds its Config, or a Connection of it, keeps both for ever: that cycle is not the garbage collector's to see.

        One credential per Config: RuntimeError when there is one already. Without a chain, spki must be in the form
        OpenSSL writes (uncompressed points), since that is what the peer is shown.
        """
    def set_certificate_types(self, *, own: Sequence[int], peer: Sequence[int]) -> None:
        """RFC 7250 lists in preference order: 0 X.509, 2 raw public key.

        A peer that does not know RFC 7250 means X.509. Where that is not in `peer`, its certificate is refused
        (unsupported_certificate); a client that has it not in `own` shows no certificate.
        """
    def add_trust_anchors(self, certificates: Sequence[bytes]) -> None:
        """DER certificates that may end a peer's chain."""
    def set_default_verify_paths(self) -> None:
        """OpenSSL's compiled-in places and SSL_CERT_FILE, SSL_CERT_DIR. A vendored build's places are empty on most
        systems: pass what ssl.get_default_verify_paths() names to load_verify_locations instead.
        """
    def load_verify_locations(self, cafile: str | None, capath: str | None) -> None: ...
    def trust_anchors(self) -> list[bytes]:
        """DER; those of a capath appear once they were used."""
    def set_verify_flags(self, flags: int) -> None:
        """X509_V_FLAG_* bits, in place of those set before."""
    def set_host_flags(self, flags: int) -> None:
        """X509_CHECK_FLAG_* bits, in place of the default NO_PARTIAL_WILDCARDS | NEVER_CHECK_SUBJECT (0x24)."""
    def set_peer_verification(self, mode: str) -> None:
        """One of these modes.

        "verify" (a client's default): chain, dates and (client) host name are checked by OpenSSL during the handshake.
        A raw key passes only by set_server_tlsa.
        "verify-required": the same, and a server refuses a client that sends none (certificate_required).
        "accept": any certificate or raw key is taken whose key reaches the security level; possession is proved by the
        handshake, nothing else is: no chain, dates, names, key usage.
        "accept-required": the same, and a server refuses a client that sends none (certificate_required).
        "accept-signalled", a server's alone: as "accept", and only clients whose ClientHello had the request flag
        (set_request_signal) or dane_clientid (profile cid07) are asked.
        "none" (a server's default): a client verifies nothing; a server asks for nothing (no CertificateRequest).
        """
    def set_clientid(self, code_point: int, *, request: bool = True, profiles: Sequence[str] | None = None) -> None:
        """Speak dane_clientid under this code point. profiles: any of "ca13" (the default), "ca10", "cid07".

        TLS 1.3, every profile. Server: sent in every CertificateRequest, as a zero-length name (one octet), or as no
        octets where cid07 is the only profile; a copy that arrives unasked is answered with unsupported_extension.
        Client: answered from Connection.client_name in the first entry, only when asked.
        TLS 1.2 and DTLS 1.2, cid07 alone. Client: in the ClientHello of a connection with clear_name, where it is read
        in clear even if TLS 1.3 is then chosen. Server: no octets in ServerHello, when the client sent it. Without
        cid07 a copy in a ClientHello is illegal_parameter.
        Shape is checked here, on arrival: octets that do not fit the one-octet length, no octets at all where neither
        ca10 nor cid07 is spoken, and an answer of zero length where only cid07 is, are decode_error; a name in the
        server's request, the extension in two entries, and a Certificate whose name is not the ClientHello's are
        illegal_parameter.
        request=False: a server does not ask; it knows the extension only to refuse it in a Certificate, and heeds none
        in a ClientHello.
        """
    def set_danger_no_extended_master_secret(self, allowed: bool) -> None:
        """Let (D)TLS 1.2 do without the extended master secret (RFC 7627), which is refused otherwise."""
    def set_held_flight(self, held: bool) -> None:
        """Server: before TLS 1.3, keep the flight that completes a handshake (ChangeCipherSpec, Finished) until
        Connection.release_flight. Off by default. TLS 1.3 has no such flight.
        """
    def set_dnssec_chain(self, code_point: int) -> None:
        """Speak dnssec_chain (RFC 9102) under this code point, in TLS 1.3 and TLS 1.2.

        Server: answers with the first of Connection.served_chains whose host is the client's SNI, in any case, and
        whose port is the one asked for; else not at all. Client: asks where Connection.chain_port is given, and then
        stops before the server's certificate is verified, whether a chain came or not: do_handshake returns False and
        awaits_judgement is true. On arrival: a question of other than two octets is decode_error, an answer that was
        not asked for unsupported_extension, one in a later entry illegal_parameter.
        """
    def set_carried_chain(self, code_point: int, *, request: bool = True) -> None:
        """Speak, under this code point, the private extension in which a client carries its own DNSSEC chain. TLS 1.3.

        Server, with `request`: asks with an empty extension_data in every CertificateRequest. Client: answers with
        Connection.carried_chain in the first entry, only when asked. On arrival: a question that is not empty or an
        answer that is, is decode_error; an answer that was not asked for unsupported_extension; one in a later entry
        illegal_parameter.
        """
    def set_request_signal(self, signals: Sequence[tuple[int, int]], *, send: bool = False) -> None:
        """Know the request flag of TLS 1.3's tls_flags under these (extension type, flag number), two at most, each of
        another extension type.

        Server: recognises each, and repeats in its CertificateRequest what the ClientHello had. Client: with `send`,
        the first is in every ClientHello. illegal_parameter, on arrival: no flag at all or a last octet of zero; the
        flag in a CertificateRequest that was not signalled for, or in a NewSessionTicket; the extension in any message
        but ClientHello, CertificateRequest and NewSessionTicket. Other flags there are passed over.
        """
    def set_tickets(self, *, lifetime: int, context: bytes | None = None, keys: TicketKeys | None = None) -> None:
        """Server: seconds a ticket may be resumed; 0 (the default) never resumes. Tickets are only ever sent by
        Connection.send_ticket, and never allow early data. Stateless. 604800 at most. TLS 1.2 has no tickets and no
        session cache: it never resumes here.

        context: at most 32 octets; the ticket of a Config with another context, whatever its keys, is a full handshake.
        keys: what seals and opens tickets; without them this Config has keys of its own that live as long as it does.
        """
    def set_datagrams(self, *, mtu: int = 1200, first_timeout: int = 1000, longest_timeout: int = 60000) -> None:
        """mtu: octets of a datagram of ours at most, 256 to 4096; handshake messages are cut to fit. first_timeout,
        longest_timeout: milliseconds until an unanswered flight is sent again, doubled each time (RFC 6347 section
        4.2.4.1); after twelve times the connection fails. Below about 15 ms OpenSSL rounds to nothing.
        """
    def set_post_handshake_auth(self, enabled: bool) -> None:
        """Client: offer to authenticate after the handshake (RFC 9846 section 4.7.2); TLS 1.3. Off otherwise.

        Server: ask by Connection.request_client_certificate alone, and not in a handshake of TLS 1.3. Without it a
        server may ask in both.
        """
    def set_keylog(self, enabled: bool) -> None: ...
    def ciphers(self) -> list[str]: ...

@final
class CookieListener:
    """A server's stateless answer to datagrams from addresses it knows nothing of (RFC 6347 section 4.2.1)."""

    def __new__(cls, config: Config) -> CookieListener:
        """config: of a server over datagrams."""
    def receive(
        self, datagram: bytes | bytearray | memoryview, *, address: bytes, keys: Sequence[bytes]
    ) -> bytes | Connection | None:
        """What a datagram leads to. bytes: the HelloVerifyRequest to answer with, shorter than the datagram; nothing
        was kept. Connection: the hello showed its cookie and was consumed; do_handshake goes on. None: no ClientHello,
        or one that cannot be answered without keeping something; send nothing.

        address: octets of the peer's address and port, 1 to 255. keys: the newest first, 16 octets each at least; the
        first makes cookies, all verify them. A cookie is an HMAC over address, client_version, random and session_id.
        """

def client_hello_random(datagram: bytes | bytearray | memoryview) -> bytes | None:
    """The 32 octets of random of the ClientHello in epoch 0 that a datagram begins with; None for anything else."""

@final
class Connection:
    """One TLS connection over two memory BIOs, or over two queues of datagrams."""

    def __new__(
        cls,
        config: Config,
        *,
        server_hostname: str | None = None,
        verify_hostname: str | None = None,
        client_name: bytes | None = None,
        clear_name: bool = False,
        session: bytes | None = None,
        chain_port: int | None = None,
        served_chains: Sequence[tuple[str, int, bytes]] | None = None,
        carried_chain: bytes | None = None,
    ) -> Connection:
        """server_hostname: SNI to send. verify_hostname: name or address the server's certificate must show.
        client_name: octets of ClientName, without the length. clear_name: it may stand in the ClientHello, in clear.
        session: what `session()` gave earlier. chain_port: ask for the server's DNSSEC chain for this port; it takes
        server_hostname too. carried_chain: this client's own, for a server that asks. served_chains: a server's (host,
        port, extension_data); the others are a client's. Chains have 1 to 65000 octets.

        Names are ASCII (A-labels); an address is never sent as SNI; verify_hostname needs a
        Config that verifies, client_name (1 to 255 octets; none, for an extension without a name, where ca10 or cid07
        is spoken) one with set_clientid, clear_name one with cid07. A resumed connection checks no
        certificate: callers offer a session only to the name, port and Config it came from, and TLS 1.3's only once.
        """

    # --- transport side
    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Ciphertext from the peer. No limit here: callers that have enough stop reading their transport."""
    def feed_eof(self) -> None:
        """The transport has ended; feeding afterwards raises RuntimeError."""
    def drain(self) -> bytes:
        """Ciphertext to send, all that there is."""
    def feed_datagram(self, datagram: bytes | bytearray | memoryview) -> None:
        """One datagram from the peer; dropped while the last flight is held, when nothing new can come. After a held
        flight was refused, a client that repeats its own gets the alert again, twelve times at most.

        Of the two kinds of feeding and taking only the Config's own works; the other raises RuntimeError.
        """
    def take_datagrams(self) -> list[bytes]:
        """Datagrams to send, in order."""
    def set_transport_parameters(self, parameters: bytes) -> None:
        """QUIC, before the handshake, once: what this side says of itself (RFC 9000 section 18), 1 to 65000 octets.
        do_handshake raises RuntimeError without them.

        A connection of a Config for QUIC has these six methods in place of feed, drain and their likes, which raise
        RuntimeError, as do read, write and shutdown: its application data is in QUIC's streams.
        """
    def feed_crypto(self, level: int, data: bytes | bytearray | memoryview) -> None:
        """Octets of CRYPTO frames in order, each once. level: 0 Initial, 2 Handshake, 3 1-RTT. No limit here.

        Only those of the level that is read now are used. A level that ends with octets unread ends the handshake, with
        alert unexpected_message (RFC 9001 section 4.1.3).
        """
    def take_crypto(self) -> list[tuple[int, bytes]]:
        """(level, octets) to send in CRYPTO frames, in order."""
    def take_secrets(self) -> list[tuple[int, bool, int, bytes]]:
        """(level, for what this side writes, cipher suite's number in TLS, traffic secret) since the last call. Those
        of a server's level 3 are here before its client has proved anything: see handshake_complete."""
    def peer_transport_parameters(self) -> bytes | None:
        """As they arrived; the peer's word alone until the handshake is complete. None before, and from a peer that
        sent none."""
    def alert(self) -> int | None:
        """QUIC: the alert that ended the connection, for a CONNECTION_CLOSE to carry (RFC 9001 section 4.8)."""
    def timeout(self) -> float | None:
        """Seconds until the last flight has to be sent again; None when none waits for an answer. By OpenSSL's own
        clock, which no caller can set.
        """
    def handle_timeout(self) -> bool:
        """Send the last flight again when its time has come; whether it had."""
    def data_mtu(self) -> int:
        """Octets of application data that fit one datagram; 0 before the handshake is complete."""
    def pending_in(self) -> int:
        """Octets fed and not yet consumed by OpenSSL (ciphertext)."""
    def pending_out(self) -> int: ...
    def pending_plain(self) -> int:
        """Decrypted octets that a read returns without more ciphertext (SSL_pending)."""

    # --- TLS side
    def do_handshake(self) -> bool:
        """True when the handshake is complete, False when more ciphertext is needed. Produced octets are in drain()."""
    def read(self, size: int) -> bytes | None:
        """One TLS record's plaintext at most. None: more ciphertext is needed. b"": the peer sent close_notify."""
    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Octets taken; always all of them, since memory BIOs do not fill up. They wait while a handshake message of
        the peer has begun and not ended: the rest of it must be read first. A peer that never sends the rest is no
        reason to keep everything: once 1 MiB waits, the next write is a TlsError, and final. Datagrams do not wait:
        they count as lost."""
    def parked(self) -> int:
        """How many octets wait so. Whoever writes without end looks at this as at pending_out()."""
    def shutdown(self) -> bool:
        """Send close_notify, once; True when the peer's has arrived as well. Data before that stays readable."""
    def send_alert(self, description: int) -> None:
        """Fatal alert after the handshake; the last thing drain() or take_datagrams() gives, and nothing can be read
        or written after it.

        A held flight is dropped, and the alert goes in clear, as the peer still reads. Raises TlsError where this build
        cannot (a shared OpenSSL).
        """
    def release_flight(self) -> None:
        """Server: let the held flight go to drain() or take_datagrams(); nothing to do where none is held. Until then
        reading, writing and shutdown raise RuntimeError.
        """
    def send_ticket(self, lifetime: int, application_data: bytes) -> None:
        """Server, TLS 1.3, after the handshake: one NewSessionTicket that lives `lifetime` seconds at most and
        carries application_data sealed inside, 16384 octets at most.

        `lifetime` is cut to set_tickets'. OpenSSL seals the peer's leaf certificate or raw key in as well, but not the
        rest of its chain and not its ClientName: what the resuming side must know of those goes into application_data.
        """

    # --- authentication after the handshake (RFC 9846 section 4.7.2)
    def request_client_certificate(self) -> None:
        """Server: ask; the request is in drain(). Whatever the Config's mode, a client may decline.

        TlsError, which leaves the connection as it was, where the client did not offer (SSL_R_EXTENSION_NOT_RECEIVED)
        and in TLS 1.2 (SSL_R_WRONG_SSL_VERSION); RuntimeError while a request is open, which is OpenSSL's limit.
        From now until `settle_late_answer` the facts below stay those of the credential shown before.
        """
    def forbid_late_requests(self) -> None:
        """Client: a request after the handshake ends the connection from now on (internal_error)."""
    def late_answer_awaited(self) -> bool:
        """Server: a request is out, and its answer is not complete. It arrives while reading."""
    def late_answer(self) -> tuple[list[bytes], bytes | None, list[tuple[int, bytes | None]]] | None:
        """Server: what the client shows, once its signature and its Finished were checked; None before, and once it is
        settled. DER certificates, leaf first; DER SubjectPublicKeyInfo, where the handshake agreed on raw keys; (entry
        index, octets of ClientName) as `client_names`, with None for an extension without a ClientName inside. All
        empty for a client that declined. `carried_chain` is this answer's.
        """
    def settle_late_answer(self, accept: bool) -> None:
        """accept: the facts tell of this answer's credential from now on; otherwise they stay. RuntimeError without an
        answer."""

    # --- facts; empty or None before they are known
    @property
    def handshake_complete(self) -> bool: ...
    @property
    def server_side(self) -> bool: ...
    @property
    def flight_held(self) -> bool: ...
    def version(self) -> int:
        """0x0303, 0x0304 or 0xfefd; 0 before."""
    def cipher(self) -> tuple[str, str, int] | None:
        """Name, protocol, secret bits."""
    def handshake_digest(self) -> str | None:
        """hashlib's name of the hash that the cipher suite, in TLS 1.2 its PRF, derives keys with."""
    def extended_master_secret(self) -> bool:
        """TLS 1.2: negotiated (RFC 7627). TLS 1.3: False, since there is no other."""
    def shared_ciphers(self) -> list[str]:
        """Server: the client's cipher suites that this side has too, in the client's order."""
    def group(self) -> str | None: ...
    def selected_alpn(self) -> bytes | None: ...
    def server_name(self) -> str | None:
        """SNI as received (server) or sent (client); None when it is not ASCII."""
    def peer_chain(self) -> list[bytes]:
        """DER certificates as the peer sent them, leaf first; empty for a raw key or none. Resumed: the leaf alone."""
    def peer_raw_public_key(self) -> bytes | None:
        """DER SubjectPublicKeyInfo, when the peer sent a raw public key: in its own octets; resumed, in OpenSSL's."""
    def verified_chain(self) -> list[bytes]:
        """Leaf to anchor, DER; empty unless this Config verifies, and after resumption."""
    def verify_result(self) -> int:
        """X509_V_* number; 0 in the modes that accept anything."""
    def certificate_types(self) -> tuple[int, int]:
        """Negotiated (client's, server's)."""
    def clientid_requested(self) -> bool:
        """The extension was in the CertificateRequest, or in the ServerHello of TLS 1.2, we sent or received."""
    def client_names(self) -> list[tuple[int, bytes]]:
        """Server: (entry index, octets of ClientName) of the entry that carried the extension; one at most. The name in
        the ClientHello of TLS 1.2 has index 0; with TLS 1.3 it counts for nothing. Empty until the handshake is
        complete, since only then possession is proved, and after resumption.
        """
    def clientid_empty(self) -> bool:
        """Server: the extension came without a ClientName inside (ca10, cid07), where client_names would tell one of
        entry 0.
        """
    def awaits_judgement(self) -> bool:
        """Client: the server's certificate is here and not verified, since its chain is to be judged first."""
    def judge_server(self, allowed: bool) -> None:
        """Client, while awaits_judgement: True lets do_handshake go on and verify, by the records of set_server_tlsa if
        there are any; False has it fail with X509_V_ERR_APPLICATION_VERIFICATION and handshake_failure.
        """
    def server_chain(self) -> bytes | None:
        """Client: extension_data of the server's dnssec_chain, from awaits_judgement on; None when it sent none."""
    def carried_chain_requested(self) -> bool:
        """The extension was in the CertificateRequest we sent or received."""
    def carried_chain(self) -> bytes | None:
        """Server: the DNSSEC chain that the client carried. None until the handshake is complete, since only then
        possession is proved, and after resumption.
        """
    def request_signalled(self) -> bool:
        """Server: the client's hello had the request flag. Client: the CertificateRequest had it, in answer to ours."""
    def certificate_requested(self) -> bool:
        """Client: the server asked for a certificate."""
    def set_server_tlsa(self, base_domain: str, records: Sequence[tuple[int, int, int, bytes]]) -> int:
        """Client, before the handshake or while awaits_judgement: authenticate the server by these secure TLSA records
        (RFC 7671), usages 0-3, in place of the trust anchors alone. Returns how many were usable; with none,
        verification goes on as without DANE. Needs a Config that verifies; once per connection. base_domain replaces
        verify_hostname, and is the SNI where none was given; DANE-EE ignores names and dates.
        """
    def server_tlsa_match(self) -> tuple[int, int, int, bytes] | None: ...
    def session(self) -> bytes | None:
        """Client: the newest ticket's session, serialised."""
    def session_reused(self) -> bool: ...
    def ticket_application_data(self) -> bytes | None:
        """Server, resumed: what send_ticket sealed in."""
    def export_keying_material(self, label: bytes, length: int, context: bytes | None) -> bytes: ...
    def finished(self) -> tuple[bytes, bytes]:
        """(own, peer) Finished, for tls-unique in TLS 1.2."""
    def randoms(self) -> tuple[bytes, bytes]:
        """(client's, server's) random of the hellos, 32 octets each; RuntimeError before the handshake is complete."""
    def take_keylog(self) -> list[str]:
        """NSS key log lines since the last call."""

@final
class TicketKeys:
    """Keys of session tickets, for any number of Configs; may be replaced while they are in use.

    A key is 80 octets: 16 of name, 32 for AES-256-CBC, 32 for HMAC-SHA-256. The first one seals, each one opens. A
    ticket of a key that is not there is a full handshake.
    """

    def __new__(cls, keys: Sequence[bytes]) -> TicketKeys:
        """ValueError for no key, another length, or two of one name."""
    def replace(self, keys: Sequence[bytes]) -> None: ...
