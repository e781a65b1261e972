"""Every member a Context inherits from `ssl.SSLContext`, decided: forwarded to our engine, or refused with TLSMisuse.

A subclass inherits some forty members that act on the standard library's OpenSSL and would do nothing to ours: a
setting that looks made and is not. Here each of them changes `EngineSettings`, answers from the engine, or raises;
none is ignored (a test walks `dir(ssl.SSLContext)` on the running Python). Those that are always refused are in
`context_refused`. Nothing is stored in the inherited OpenSSL context, which trusts nobody and holds no key.

Weakening is refused unless the Context was made with `danger_unverified_server`: verify_mode = CERT_NONE and
check_hostname = False switch off what the name of this class promises.
"""

import logging
import os
import ssl
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

from dnsbound._native import Config
from dnsbound.edge.context_credential import Password, read_cert_chain
from dnsbound.edge.context_keylog import KeylogFile
from dnsbound.edge.context_refused import RefusedMembers
from dnsbound.edge.context_settings import SECURITY_LEVEL, EngineSettings
from dnsbound.edge.context_trust import TrustFile, certificates_of
from dnsbound.edge.key_exchange import KeyExchange, exchanged_by
from dnsbound.iana import DANE_CLIENTID, TLS_1_2, TLS_1_3, CertificateType
from dnsbound.tls.certificate_dict import certificate_dict
from dnsbound.tls.clientid import lowest_version
from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.flags import DEFAULT_SIGNAL, RECOGNISED_SIGNALS

if TYPE_CHECKING:
    StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_log: Final = logging.getLogger("dnsbound.context")

_ROLES: Final[dict[int, bool]] = {ssl.PROTOCOL_TLS_CLIENT: False, ssl.PROTOCOL_TLS_SERVER: True}
_VERSIONS: Final = {
    ssl.TLSVersion.MINIMUM_SUPPORTED: TLS_1_2,
    ssl.TLSVersion.TLSv1_2: TLS_1_2,
    ssl.TLSVersion.TLSv1_3: TLS_1_3,
    ssl.TLSVersion.MAXIMUM_SUPPORTED: TLS_1_3,
}
_OP_IGNORE_UNEXPECTED_EOF: Final = int(getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 1 << 7))
_OP_ALLOW_NO_DHE_KEX: Final = 1 << 10
_VERSION_OPTIONS: Final = int(ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3)

_CLIENT_VERIFICATION: Final = {
    ssl.CERT_NONE: "none",
    ssl.CERT_OPTIONAL: "verify",
    ssl.CERT_REQUIRED: "verify",
}
_SERVER_VERIFICATION: Final = {
    ssl.CERT_NONE: "none",
    ssl.CERT_OPTIONAL: "verify",
    ssl.CERT_REQUIRED: "verify-required",
}


class EngineContext(RefusedMembers):
    """The settings half of `dnsbound.Context`."""

    def __new__(cls, protocol: int | None = None, **_options: Any) -> Self:  # noqa: ANN401 (those of __init__)
        if protocol is None or protocol not in _ROLES:
            raise TLSMisuse(
                "name the role: Context.client(), Context.server(), or PROTOCOL_TLS_CLIENT or PROTOCOL_TLS_SERVER"
            )
        return super().__new__(cls, protocol)

    def __init__(self, protocol: int, *, danger_unverified_server: bool = False) -> None:
        self._server_side: Final = _ROLES[protocol]
        self._danger_unverified_server: Final = danger_unverified_server
        self._verify_mode = ssl.CERT_NONE if self._server_side else ssl.CERT_REQUIRED
        self._check_hostname = not self._server_side
        self._keylog_file: KeylogFile | None = None
        self._lock = threading.RLock()
        self._configs: dict[tuple[tuple[int, ...], int], Config] = {}
        self._initial_options: Final = int(super().options) & ~_OP_IGNORE_UNEXPECTED_EOF
        self._settings = EngineSettings(
            server_side=self._server_side,
            verification="none" if self._server_side else "verify",
            options=self._initial_options,
            verify_flags=int(super().verify_flags),
            # A client that sends the extension unasked is told so, by every server (RFC 9846 section 4.3).
            clientid=DANE_CLIENTID if self._server_side else None,
            signals=RECOGNISED_SIGNALS if self._server_side else (DEFAULT_SIGNAL,),
        )

    # --- the engine

    def _set(self, **changes: Any) -> None:  # noqa: ANN401 (fields of EngineSettings)
        """Change the settings; connections made from now on follow."""
        with self._lock:
            changed = replace(self._settings, **changes)
            if changed != self._settings:
                self._settings = changed
                self._configs = {}

    def engine_config(self, peer_types: tuple[int, ...] | None = None, *, at_least: int = TLS_1_2) -> Config:
        """The engine's Config of the settings as they are. peer_types: certificate types to take from the peer.
        at_least: the lowest version this one connection may speak."""
        with self._lock:
            settings = self._settings
            types = settings.peer_types if peer_types is None else peer_types
            minimum = max(settings.minimum, at_least)
            config = self._configs.get((types, minimum))
            if config is None:
                config = replace(settings, peer_types=types, minimum=minimum).build()
                self._configs[types, minimum] = config
            return config

    @property
    def clientid(self) -> int:
        """Code point of dane_clientid: the one given, or the project's own."""
        return DANE_CLIENTID if self._settings.clientid is None else self._settings.clientid

    @property
    def is_door(self) -> bool:
        """A server's Context whose clients are identified by name: its connections wait for a verdict."""
        return False

    def _floor(self) -> int:
        """The version below which nothing may be set: at a door, what its profiles allow (CA-02)."""
        return lowest_version(self._settings.profiles) if self.is_door else TLS_1_2

    def _speaks_tls_1_2(self) -> bool:
        return self._settings.minimum <= TLS_1_2 and not self._settings.options & ssl.OP_NO_TLSv1_2

    # --- versions, ciphers, options

    @property  # type: ignore[override] # typeshed's C base says int
    def minimum_version(self) -> ssl.TLSVersion:
        """Never below TLS 1.2; at a door TLS 1.3 (CA-02), unless it speaks the profile cid07."""
        return ssl.TLSVersion(self._settings.minimum)

    @minimum_version.setter
    def minimum_version(self, value: ssl.TLSVersion) -> None:
        version = _version(value)
        if value != ssl.TLSVersion.MINIMUM_SUPPORTED:
            self._refuse_below_floor(version)
        self._set(minimum=max(version, self._floor()))

    @property  # type: ignore[override] # typeshed's C base says int
    def maximum_version(self) -> ssl.TLSVersion:
        return ssl.TLSVersion(self._settings.maximum)

    @maximum_version.setter
    def maximum_version(self, value: ssl.TLSVersion) -> None:
        version = _version(value)
        self._refuse_below_floor(version)
        self._set(maximum=version)

    def _refuse_below_floor(self, version: int) -> None:
        if self._settings.datagrams is not None:
            raise TLSMisuse("a Context for datagrams speaks DTLS 1.2 and nothing else")
        if version < self._floor():
            raise TLSMisuse("a door that identifies clients by name speaks TLS 1.3 or later, without profile cid07")

    @property
    def options(self) -> ssl.Options:
        return ssl.Options(self._settings.options)

    @options.setter
    def options(self, value: int) -> None:
        bits = int(value)
        if bits & _OP_IGNORE_UNEXPECTED_EOF:
            raise TLSMisuse("OP_IGNORE_UNEXPECTED_EOF would let anybody cut a stream short unseen")
        if bits & _OP_ALLOW_NO_DHE_KEX:
            raise TLSMisuse("ALLOW_NO_DHE_KEX would let whoever gets a ticket key read resumed connections")
        one_version = self._floor() >= TLS_1_3
        if bits & _VERSION_OPTIONS and (one_version or bits & _VERSION_OPTIONS == _VERSION_OPTIONS):
            raise TLSMisuse("OP_NO_TLSv1_2 and OP_NO_TLSv1_3 leave no version to speak here")
        self._set(options=bits, cleared_options=self._initial_options & ~bits)

    def set_ciphers(self, cipherlist: str, /) -> None:
        """TLS 1.2 ciphers, as `ssl.SSLContext.set_ciphers`; those of TLS 1.3 stay, and so does the security level."""
        if "@SECLEVEL" in cipherlist.upper():
            # Level 0 brings ciphers without authentication: nothing of the server would then be verified.
            raise TLSMisuse("the security level is fixed: @SECLEVEL is not accepted in a cipher list")
        self._try(replace(self._settings, ciphers=cipherlist))
        self._set(ciphers=cipherlist)

    def get_ciphers(self) -> list[Any]:
        """Dictionaries with `name`, as far as the engine tells."""
        return [{"name": name} for name in self.engine_config().ciphers()]

    def set_ecdh_curve(self, name: str, /) -> None:
        """The one group for key exchange, such as `prime256v1` or `X25519`."""
        self.set_groups(name)

    def set_groups(self, grouplist: str, /) -> None:
        """Groups for key exchange in order of preference, colon separated."""
        self._try(replace(self._settings, groups=grouplist))
        self._set(groups=grouplist)

    def _exchange_keys(self, choice: KeyExchange | str, *, speaks_tls_1_2: bool) -> None:
        known = self._settings
        self._set(**exchanged_by(choice, speaks_tls_1_2=speaks_tls_1_2, over=known.datagrams, options=known.options))

    def _try(self, settings: EngineSettings) -> None:
        """Let the engine reject a setting now rather than at the first connection; files are not read again."""
        if settings.datagrams is not None and settings.datagrams.constrained:
            raise TLSMisuse("a constrained Context has the ciphers and groups of its profile and no others")
        replace(settings, trust_files=(), anchors=(), credential=None).build()

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        names = tuple(bytes(protocol, "ascii") for protocol in alpn_protocols)
        if any(not 0 < len(name) < 256 for name in names):
            raise TLSMisuse("ALPN protocols must be 1 to 255 in length")
        self._set(alpn=names)

    @property
    def security_level(self) -> int:  # type: ignore[override] # read-only in CPython, whatever typeshed says
        """OpenSSL's level, fixed."""
        return SECURITY_LEVEL

    # --- whom to trust

    @property
    def verify_mode(self) -> ssl.VerifyMode:
        """CERT_REQUIRED whenever the peer is authenticated, by certificate authorities or by TLSA."""
        return self._verify_mode

    @verify_mode.setter
    def verify_mode(self, value: int) -> None:
        mode = ssl.VerifyMode(value)
        if mode == self._verify_mode:
            return
        if self.is_door:
            raise TLSMisuse("a door's policy is stated when its Context is made: required or optional")
        if mode == ssl.CERT_NONE and self._check_hostname:
            raise ValueError("Cannot set verify_mode to CERT_NONE when check_hostname is enabled.")
        if mode == ssl.CERT_NONE and not self._server_side:
            self._weaken("servers are not verified at all")
        table = _SERVER_VERIFICATION if self._server_side else _CLIENT_VERIFICATION
        self._set(verification=table[mode])
        self._verify_mode = mode

    @property
    def check_hostname(self) -> bool:
        return self._check_hostname

    @check_hostname.setter
    def check_hostname(self, value: bool) -> None:
        if bool(value) == self._check_hostname:
            return
        if self._server_side:
            raise TLSMisuse("a server has no host name to check its clients for")
        if not value:
            self._weaken("servers' host names are not checked")
        elif self._verify_mode == ssl.CERT_NONE:
            self.verify_mode = ssl.CERT_REQUIRED
        self._check_hostname = bool(value)

    def _weaken(self, what: str) -> None:
        if not self._danger_unverified_server:
            raise TLSMisuse(f"{what}: a Context refuses that unless made with danger_unverified_server=True")
        _log.warning("danger: %s", what)

    @property
    def verify_flags(self) -> ssl.VerifyFlags:
        return ssl.VerifyFlags(self._settings.verify_flags)

    @verify_flags.setter
    def verify_flags(self, value: int) -> None:
        self._set(verify_flags=int(value))

    def load_verify_locations(
        self,
        cafile: "StrPath | None" = None,
        capath: "StrPath | None" = None,
        cadata: Any = None,  # noqa: ANN401 (PEM text or DER octets)
    ) -> None:
        """As `ssl.SSLContext.load_verify_locations`. Files are read again whenever the engine's Config is built."""
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        files = []
        for path, is_directory in ((cafile, False), (capath, True)):
            if path is not None:
                files.append(TrustFile.at(os.fsdecode(path), is_directory=is_directory))
        self._add_trust(files, () if cadata is None else certificates_of(cadata))

    def _add_trust(self, files: Iterable[TrustFile], anchors: Iterable[bytes]) -> None:
        with self._lock:
            known = self._settings
            new_files = [file for file in files if file not in known.trust_files]
            for file in new_files:
                file.load_into(Config(server_side=self._server_side))
            kept = tuple(old for old in known.trust_files if old.path not in {file.path for file in new_files})
            self._set(
                trust_files=(*kept, *new_files),
                anchors=tuple(dict.fromkeys((*known.anchors, *anchors))),
            )

    def set_default_verify_paths(self) -> None:
        """The system's certificate authorities, where Python's `ssl` finds them (SSL_CERT_FILE, SSL_CERT_DIR)."""
        paths = ssl.get_default_verify_paths()
        files = []
        for path, is_directory in ((paths.cafile, False), (paths.capath, True)):
            if path:
                files.append(TrustFile.at(path, is_directory=is_directory))
        self._add_trust(files, ())

    def load_default_certs(self, purpose: Any = ssl.Purpose.SERVER_AUTH) -> None:  # noqa: ANN401 (ssl.Purpose)
        if not isinstance(purpose, ssl.Purpose):
            raise TypeError(purpose)
        if sys.platform == "win32":
            raise TLSMisuse("the Windows certificate stores are not read; use load_verify_locations")
        self.set_default_verify_paths()

    def get_ca_certs(self, binary_form: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 (as `ssl` has it)
        """Trust anchors that were loaded from files and data; those in directories are found when needed."""
        anchors = self.engine_config().trust_anchors()
        return anchors if binary_form else [certificate_dict(anchor) for anchor in anchors]

    def cert_store_stats(self) -> dict[str, int]:
        count = len(self.engine_config().trust_anchors())
        return {"x509": count, "crl": 0, "x509_ca": count}

    # --- what this end shows

    def load_cert_chain(
        self,
        certfile: "StrPath",
        keyfile: "StrPath | None" = None,
        password: "Password" = None,
    ) -> None:
        """As `ssl.SSLContext.load_cert_chain`: PEM files, the key in either."""
        credential = read_cert_chain(certfile, keyfile, password)
        self._try_credential(replace(self._settings, credential=credential))
        self._set(credential=credential, own_types=(CertificateType.X509,))

    def _try_credential(self, settings: EngineSettings) -> None:
        replace(settings, trust_files=(), anchors=()).build()

    @property
    def signs_elsewhere(self) -> bool:
        """This end's key is not in this process, and a signature may take its time."""
        own = self._settings.credential
        return own is not None and not isinstance(own.key, bytes)

    # --- debugging

    @property
    def keylog_filename(self) -> Any:  # noqa: ANN401 (str or None; typeshed says str)
        """File that TLS secrets are appended to in the NSS key log form: whoever reads it reads the traffic."""
        return None if self._keylog_file is None else self._keylog_file.path

    @keylog_filename.setter
    def keylog_filename(self, value: Any) -> None:  # noqa: ANN401 (a path or None)
        self._keylog_file = None if value is None else KeylogFile(os.fsdecode(value))
        self._set(keylog=value is not None)

    # --- after the handshake

    @property
    def post_handshake_auth(self) -> bool:
        """Client: offer to authenticate after the handshake. Server: ask then, in TLS 1.3, and not in the handshake. A
        door is told when it is made (`post_handshake`), and may ask in both."""
        return self._settings.post_handshake_auth

    @post_handshake_auth.setter
    def post_handshake_auth(self, value: bool) -> None:
        if self.is_door:
            raise TLSMisuse("a door asks clients late if it was made with post_handshake=True")
        self._set(post_handshake_auth=bool(value))

    @property
    def num_tickets(self) -> int:
        """Tickets sent to each admitted client."""
        return 1 if self._settings.ticket_lifetime else 0

    @num_tickets.setter
    def num_tickets(self, value: int) -> None:
        if value != self.num_tickets:
            raise TLSMisuse("tickets are asked for by ticket_lifetime when a server's Context is made")


def _version(value: int) -> int:
    try:
        return _VERSIONS[ssl.TLSVersion(value)]
    except (ValueError, KeyError):
        raise TLSMisuse(f"this package speaks TLS 1.2 and TLS 1.3, not {value!r}") from None
