"""Errors of the TLS face: ours and `ssl.SSLError` at once, told apart by OpenSSL's numbers alone."""

import copy
import pickle
import ssl

import pytest

from dnsbound._native import TlsError
from dnsbound.errors import UNDECIDED_REASONS, DnsboundError, Misuse, PeerError, Reason, Refused, Undecided
from dnsbound.iana import AlertDescription
from dnsbound.tls import errors
from dnsbound.tls.errors import (
    TLSAlertReceived,
    TLSCertificateRefused,
    TLSMisuse,
    TLSPeerError,
    TLSRefused,
    TLSUndecided,
    TLSUnexpectedEOF,
    alert_reason,
    configuration_error,
    handshake_error,
    verdict_error,
)


def engine_error(
    *,
    library: int = 20,
    reason: int = 0,
    text: str = "words",
    alert_received: int | None = None,
    verify_code: int = 0,
    unexpected_eof: bool = False,
) -> TlsError:
    error = TlsError(text)
    error.library, error.reason, error.text = library, reason, text
    error.alert_received, error.alert_sent = alert_received, None
    error.verify_code, error.verify_text = verify_code, "why not"
    error.unexpected_eof = unexpected_eof
    return error


def test_every_class_is_ours_and_pythons() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == errors.__name__
    ]
    assert len(classes) == 8
    assert all(issubclass(cls, DnsboundError) and issubclass(cls, ssl.SSLError) for cls in classes)


@pytest.mark.parametrize(
    ("error", "kind", "python_kind", "word"),
    [
        (engine_error(unexpected_eof=True), TLSUnexpectedEOF, ssl.SSLEOFError, "UNEXPECTED_EOF_WHILE_READING"),
        (engine_error(reason=1040, alert_received=40), TLSAlertReceived, ssl.SSLError, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (
            engine_error(reason=134, verify_code=18),
            TLSCertificateRefused,
            ssl.SSLCertVerificationError,
            "CERTIFICATE_VERIFY_FAILED",
        ),
        (
            engine_error(reason=258, text="unsupported protocol (in some place)"),
            TLSPeerError,
            ssl.SSLError,
            "UNSUPPORTED_PROTOCOL",
        ),
        (engine_error(reason=7, text=""), TLSPeerError, ssl.SSLError, "REASON_7"),
    ],
)
def test_numbers_become_classes(
    error: TlsError, kind: type[TLSPeerError], python_kind: type[ssl.SSLError], word: str
) -> None:
    mapped = handshake_error(error)
    assert type(mapped) is kind
    assert isinstance(mapped, python_kind)
    assert isinstance(mapped, PeerError)
    assert (mapped.reason, mapped.library) == (word, "SSL")
    assert word in str(mapped)
    assert mapped.alert_received == error.alert_received


def test_python_reads_the_numbers_it_looks_for() -> None:
    assert TLSUnexpectedEOF().args[0] == TLSUnexpectedEOF().errno == ssl.SSL_ERROR_EOF
    refused = handshake_error(engine_error(reason=134, verify_code=18))
    assert isinstance(refused, TLSCertificateRefused)
    assert (refused.errno, refused.verify_code, refused.verify_message) == (ssl.SSL_ERROR_SSL, 18, "why not")
    assert isinstance(refused, ValueError), "as Python's own"


def test_verify_code_left_over_from_elsewhere_is_not_the_cause() -> None:
    """OpenSSL keeps the last verify result; only this reason says that it is why the handshake failed."""
    assert type(handshake_error(engine_error(reason=258, verify_code=18))) is TLSPeerError


def test_every_alert_has_its_word() -> None:
    assert set(errors._ALERT_REASONS) == set(AlertDescription)
    assert alert_reason(255) == "ALERT_255"


@pytest.mark.parametrize("reason", list(Reason))
def test_verdicts_keep_their_reason(reason: Reason) -> None:
    verdict = Undecided(reason, "d") if reason in UNDECIDED_REASONS else Refused(reason, "d")
    error = verdict_error(verdict)
    assert type(error) is (TLSUndecided if reason in UNDECIDED_REASONS else TLSRefused)
    assert isinstance(error, type(verdict))
    assert (error.reason, error.detail, error.library) == (reason, "d", "DNSBOUND")
    assert str(error) == f"{reason.value}: d"
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), twin.reason, twin.detail) == (type(error), reason, "d")


def test_misuse() -> None:
    error = configuration_error(engine_error(text="no such thing"), "ciphers")
    assert isinstance(error, TLSMisuse)
    assert isinstance(error, Misuse)
    assert str(error) == "ciphers: no such thing"
