"""The request signal of a Context: whether a client sends it, and which clients a door asks for a certificate.

draft-jhoyla-req-mtls-flag: a server that means to ask only some clients asks those that signal. The flag itself is
`dnsbound.tls.flags`; that a client needs a credential at hand (FL-07) is in `context_settings`.
"""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, get_args

from dnsbound.tls.errors import TLSMisuse
from dnsbound.tls.flags import RequestSignal
from dnsbound.tls.server_shim import Policy

Ask: TypeAlias = Literal["signalled", "always"]
Signals: TypeAlias = RequestSignal | Iterable[RequestSignal] | None

_RECOGNISED_AT_ONCE: Final = 2


def signals_of(signals: Signals) -> tuple[RequestSignal, ...]:
    """What the argument `request_signal` means; TLSMisuse for more than two, or two of one extension type."""
    if signals is None:
        return ()
    known = (signals,) if isinstance(signals, RequestSignal) else tuple(signals)
    if not all(isinstance(signal, RequestSignal) for signal in known):
        raise TLSMisuse("request_signal takes RequestSignal values")
    types = {signal.extension_type for signal in known}
    if not 0 < len(known) <= _RECOGNISED_AT_ONCE or len(types) != len(known):
        raise TLSMisuse("request_signal is one or two signals of different extension types, or None")
    return known


def door_verification(policy: Policy, ask: Ask | None, signals: tuple[RequestSignal, ...]) -> str:
    """The engine's word for whom a door asks. It takes any key: whether it is the name's, and that there is one, is the
    engine of `verify` to say, so that every refusal is the same alert."""
    if ask is not None and ask not in get_args(Ask):
        raise TLSMisuse(f"ask is signalled or always, not {ask!r}")
    if policy is Policy.REQUIRED:
        if ask == "signalled":
            raise TLSMisuse("a door that requires a claim asks every client")
        return "accept"
    if ask == "always":
        return "accept"
    if not signals:
        raise TLSMisuse("without a request signal an optional door would ask nobody: say ask='always'")
    return "accept-signalled"
