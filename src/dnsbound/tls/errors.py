"""Errors of the TLS face: each is one of ours and an `ssl.SSLError`, so that both kinds of caller can name it.

Python's TLS users (asyncio, uvloop, httpx, urllib3, anyio) handle `ssl.SSLError` and log a traceback for anything else,
hence both bases. `handshake_error` is the only place where OpenSSL's numbers become classes; its texts are for people.

Alerts: RFC 9846 section 6.2. Verification codes: X509_V_ERR_* of OpenSSL.
"""

import ssl
from types import MappingProxyType
from typing import Any, Final, TypeVar

from dnsbound._native import TlsError
from dnsbound.errors import Misuse, PeerError, Reason, Refused, Undecided
from dnsbound.iana import AlertDescription

ERR_LIB_SSL: Final = 20
ERR_LIB_X509: Final = 11
SSL_R_CERTIFICATE_VERIFY_FAILED: Final = 134

_LIBRARY_NAMES: Final = MappingProxyType(
    {0: "", 2: "SYS", 6: "EVP", 9: "PEM", ERR_LIB_X509: "X509", 13: "ASN1", 20: "SSL"}
)

_ALERT_REASONS: Final = MappingProxyType(
    {
        AlertDescription.CLOSE_NOTIFY: "SSLV3_ALERT_CLOSE_NOTIFY",
        AlertDescription.UNEXPECTED_MESSAGE: "SSLV3_ALERT_UNEXPECTED_MESSAGE",
        AlertDescription.BAD_RECORD_MAC: "SSLV3_ALERT_BAD_RECORD_MAC",
        AlertDescription.RECORD_OVERFLOW: "TLSV1_ALERT_RECORD_OVERFLOW",
        AlertDescription.HANDSHAKE_FAILURE: "SSLV3_ALERT_HANDSHAKE_FAILURE",
        AlertDescription.BAD_CERTIFICATE: "SSLV3_ALERT_BAD_CERTIFICATE",
        AlertDescription.UNSUPPORTED_CERTIFICATE: "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        AlertDescription.CERTIFICATE_REVOKED: "SSLV3_ALERT_CERTIFICATE_REVOKED",
        AlertDescription.CERTIFICATE_EXPIRED: "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        AlertDescription.CERTIFICATE_UNKNOWN: "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        AlertDescription.ILLEGAL_PARAMETER: "SSLV3_ALERT_ILLEGAL_PARAMETER",
        AlertDescription.UNKNOWN_CA: "TLSV1_ALERT_UNKNOWN_CA",
        AlertDescription.ACCESS_DENIED: "TLSV1_ALERT_ACCESS_DENIED",
        AlertDescription.DECODE_ERROR: "TLSV1_ALERT_DECODE_ERROR",
        AlertDescription.DECRYPT_ERROR: "TLSV1_ALERT_DECRYPT_ERROR",
        AlertDescription.PROTOCOL_VERSION: "TLSV1_ALERT_PROTOCOL_VERSION",
        AlertDescription.INSUFFICIENT_SECURITY: "TLSV1_ALERT_INSUFFICIENT_SECURITY",
        AlertDescription.INTERNAL_ERROR: "TLSV1_ALERT_INTERNAL_ERROR",
        AlertDescription.INAPPROPRIATE_FALLBACK: "TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
        AlertDescription.USER_CANCELED: "TLSV1_ALERT_USER_CANCELLED",
        AlertDescription.MISSING_EXTENSION: "TLSV13_ALERT_MISSING_EXTENSION",
        AlertDescription.UNSUPPORTED_EXTENSION: "TLSV1_UNSUPPORTED_EXTENSION",
        AlertDescription.UNRECOGNIZED_NAME: "TLSV1_UNRECOGNIZED_NAME",
        AlertDescription.BAD_CERTIFICATE_STATUS_RESPONSE: "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE",
        AlertDescription.UNKNOWN_PSK_IDENTITY: "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY",
        AlertDescription.CERTIFICATE_REQUIRED: "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        AlertDescription.GENERAL_ERROR: "TLSV13_ALERT_GENERAL_ERROR",
        AlertDescription.NO_APPLICATION_PROTOCOL: "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
    }
)
"""What Python's `ssl` calls each alert in `SSLError.reason`; programs compare these words."""


class TLSPeerError(PeerError, ssl.SSLError):
    """The peer broke the protocol, or the two ends have nothing in common.

    errno, library, reason: as Python's `ssl` sets them. alert_received, alert_sent: AlertDescription numbers or None.
    """

    library: str
    reason: str

    def __init__(self, text: str, *, reason: str, library: str = "SSL", errno: int = ssl.SSL_ERROR_SSL) -> None:
        ssl.SSLError.__init__(self, errno, f"[{library}: {reason}] {text}" if library else text)
        self.library = library
        self.reason = reason
        self.alert_received: int | None = None
        self.alert_sent: int | None = None


class TLSAlertReceived(TLSPeerError):
    """The peer sent a fatal alert. In TLS 1.3 a server's refusal of the client arrives so, on the first read."""


class TLSUnexpectedEOF(TLSPeerError, ssl.SSLEOFError):
    """The transport ended without close_notify: what was read may have been cut short by anybody."""

    def __init__(self) -> None:
        super().__init__(
            "EOF occurred in violation of protocol", reason="UNEXPECTED_EOF_WHILE_READING", errno=ssl.SSL_ERROR_EOF
        )


class TLSCertificateRefused(TLSPeerError, ssl.SSLCertVerificationError):
    """The peer's certificate or raw key did not authenticate it. verify_code: X509_V_ERR_*; verify_message: words."""

    def __init__(self, text: str, *, verify_code: int, verify_message: str) -> None:
        super().__init__(text, reason="CERTIFICATE_VERIFY_FAILED")
        self.verify_code = verify_code
        self.verify_message = verify_message


class TLSMisuse(Misuse, ssl.SSLError):
    """The caller's code or configuration asks for something this Context cannot do or will not weaken."""

    def __init__(self, text: str) -> None:
        ssl.SSLError.__init__(self, ssl.SSL_ERROR_SSL, text)
        self.library = "DNSBOUND"
        self.reason = "MISUSE"


class TLSSignerFailed(TLSMisuse):
    """This end's own key did not sign: `__cause__` says why, such as a token that was taken out. The peer was sent
    internal_error."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.reason = "SIGNER_FAILED"
        self.alert_received: int | None = None
        self.alert_sent: int | None = None


class TLSRefused(Refused, ssl.SSLError):
    """Decided: no. reason: a `Reason`, which is a str as well."""

    reason: Reason

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        _describe(self, reason, detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.detail)


class TLSUndecided(Undecided, ssl.SSLError):
    """Could not find out, so not let in. reason: a `Reason`, which is a str as well."""

    reason: Reason

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        _describe(self, reason, detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.detail)


def _describe(error: TLSRefused | TLSUndecided, reason: Reason, detail: str) -> None:
    ssl.SSLError.__init__(error, ssl.SSL_ERROR_SSL, f"{reason.value}: {detail}" if detail else reason.value)
    error.library = "DNSBOUND"


def verdict_error(verdict: Refused | Undecided) -> TLSRefused | TLSUndecided:
    """The same verdict as an error of the TLS face."""
    if isinstance(verdict, Refused):
        return TLSRefused(verdict.reason, verdict.detail)
    return TLSUndecided(verdict.reason, verdict.detail)


def handshake_error(error: TlsError) -> TLSPeerError | TLSSignerFailed:
    """What OpenSSL reported while talking to a peer, as one of our classes. The one place of this mapping. Raise it
    from the error's `__cause__`, which a signer's failure has."""
    mapped: TLSPeerError | TLSSignerFailed
    if error.__cause__ is not None:
        mapped = TLSSignerFailed(f"this end's key did not sign: {error.__cause__}")
    elif error.unexpected_eof:
        mapped = TLSUnexpectedEOF()
    elif error.alert_received is not None:
        mapped = TLSAlertReceived(error.text, reason=alert_reason(error.alert_received))
    elif error.verify_code and (error.library, error.reason) == (ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED):
        text = f"certificate verify failed: {error.verify_text}"
        mapped = TLSCertificateRefused(text, verify_code=error.verify_code, verify_message=error.verify_text)
    else:
        library = _LIBRARY_NAMES.get(error.library, f"LIB_{error.library}")
        mapped = TLSPeerError(error.text, reason=_mnemonic(error), library=library)
    mapped.alert_received = error.alert_received
    mapped.alert_sent = error.alert_sent
    return mapped


def configuration_error(error: TlsError, what: str) -> TLSMisuse:
    """What OpenSSL reported about our own configuration. what: the thing being configured."""
    return TLSMisuse(f"{what}: {error.text}")


def alert_reason(description: int) -> str:
    """Python's word for an alert received."""
    try:
        return _ALERT_REASONS[AlertDescription(description)]
    except ValueError:
        return f"ALERT_{description}"


def _mnemonic(error: TlsError) -> str:
    """OpenSSL's reason text is its macro's name in lower case with spaces."""
    words = error.text.split("(", 1)[0].rsplit(":", 1)[-1].strip()
    return "_".join(words.upper().split()) if words else f"REASON_{error.reason}"


def want_read() -> ssl.SSLWantReadError:
    return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")


def want_write() -> ssl.SSLWantWriteError:
    return ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")


_E = TypeVar("_E", bound=BaseException)


def without_frames(error: _E) -> _E:
    """The error, without its traceback and those of the errors it came from.

    For errors that a connection keeps: a traceback holds the frames, and they hold the connection. In such a ring a
    connection outlives its end, with all of OpenSSL's memory, until the garbage collector comes.
    """
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        link = chain.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            link.__traceback__ = None
            chain += link.__cause__, link.__context__
    return error
