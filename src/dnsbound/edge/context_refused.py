"""Members of `ssl.SSLContext` that a Context never forwards: each raises TLSMisuse, which says why.

Where a member can be read, or set to what already holds, that does no harm and is allowed. Members whose refusal
depends on the Context (a door, a client) are in `context_members`.
"""

import ssl
from collections.abc import Iterable

from dnsbound.tls.errors import TLSMisuse


class RefusedMembers(ssl.SSLContext):
    """What is not spoken here, whatever the role."""

    def set_npn_protocols(self, npn_protocols: Iterable[str]) -> None:  # noqa: ARG002 (as `ssl` has it)
        raise TLSMisuse("NPN is obsolete; use set_alpn_protocols")

    def load_dh_params(self, path: str, /) -> None:  # noqa: ARG002 (as `ssl` has it)
        raise TLSMisuse("finite-field Diffie-Hellman parameters are not loaded: the engine uses named groups")

    def session_stats(self) -> dict[str, int]:
        raise TLSMisuse("there is no session cache to count; sessions are resumed by tickets")

    @property
    def sni_callback(self) -> None:
        return None

    @sni_callback.setter
    def sni_callback(self, value: object) -> None:
        if value is not None:
            raise TLSMisuse("a Context serves one name; SNI callbacks are not forwarded")

    def set_servername_callback(self, server_name_callback: object) -> None:
        self.sni_callback = server_name_callback

    def set_psk_client_callback(self, callback: object) -> None:
        if callback is not None:
            raise TLSMisuse("external pre-shared keys are not spoken")

    def set_psk_server_callback(self, callback: object, identity_hint: str | None = None) -> None:
        if callback is not None or identity_hint is not None:
            raise TLSMisuse("external pre-shared keys are not spoken")

    @property
    def _msg_callback(self) -> None:
        return None

    @_msg_callback.setter
    def _msg_callback(self, callback: object) -> None:
        if callback is not None:
            raise TLSMisuse("the engine has no message callback; keylog_filename serves debugging")

    def _set_alpn_protocols(self, protos: object) -> None:  # noqa: ARG002 (as `ssl` has it)
        raise TLSMisuse("use set_alpn_protocols")

    def _load_windows_store_certs(self, storename: str, purpose: object) -> None:  # noqa: ARG002 (as `ssl` has it)
        raise TLSMisuse("the Windows certificate stores are not read; use load_verify_locations")

    @property
    def _host_flags(self) -> int:
        raise TLSMisuse("host flags are fixed: no partial wildcards, no common names")

    @property
    def hostname_checks_common_name(self) -> bool:
        """Host names come from subjectAltName only (RFC 9525)."""
        return False

    @hostname_checks_common_name.setter
    def hostname_checks_common_name(self, value: bool) -> None:
        if value:
            raise TLSMisuse("host names in the subject's common name are not accepted (RFC 9525)")
