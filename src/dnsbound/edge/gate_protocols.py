"""The protocols a gate can stand in: one line each, from the word in gate.toml to what reads its options.

A protocol's options are the table `[gate.LABEL.options]`, read once when the configuration is: an error in it is one of
the configuration, not of a connection. The filters themselves are in `dnsbound.protocols`.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from dnsbound.edge.gate_http_options import http_rules
from dnsbound.edge.gate_mqtt_options import mqtt_rules
from dnsbound.edge.gate_session_options import sip_options, smtp_gate, xmpp_gate
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import Misuse
from dnsbound.protocols.gate_http import HttpGate
from dnsbound.protocols.gate_mqtt import MqttGate
from dnsbound.protocols.gate_sip import GatedSip
from dnsbound.protocols.gate_smtp import GatedSmtp
from dnsbound.protocols.gate_xmpp import GatedXmpp, XmppGreeting
from dnsbound.protocols.gated import ClearGreeting, GateClient, GatedProtocol, GateIdentity, PassedThrough
from dnsbound.protocols.smtp_greeting import SmtpGreeting


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """One protocol with its options. protocol: makes the filter of a connection. greeting: makes what is spoken before
    TLS, for protocols with STARTTLS. alpn: what is negotiated where the client offers any of it (RFC 7301). strangers:
    clients without a name come in as a GateStranger."""

    protocol: Callable[[GateClient], GatedProtocol]
    greeting: Callable[[], ClearGreeting] | None = None
    alpn: tuple[str, ...] = ()
    strangers: bool = False


Reading: TypeAlias = Callable[[TomlTable], Gated]
"""Takes what it knows out of the options; Malformed, by `table.wrong`, for what cannot be. What is left is an error."""


def _tcp(_options: TomlTable) -> Gated:
    return Gated(protocol=lambda _client: PassedThrough())


def _mqtt(options: TomlTable) -> Gated:
    rules = mqtt_rules(options)
    return Gated(protocol=lambda client: MqttGate(named(client), rules), alpn=("mqtt",))


def _smtp(options: TomlTable) -> Gated:
    gate = smtp_gate(options)
    host, strangers = gate.options.host, gate.strangers
    return Gated(
        protocol=lambda client: GatedSmtp(client, gate.options),
        greeting=(lambda: SmtpGreeting(host, strangers=strangers)) if gate.options.starttls else None,
        strangers=strangers,
    )


def _xmpp(options: TomlTable) -> Gated:
    gate = xmpp_gate(options)
    return Gated(
        protocol=lambda client: GatedXmpp(named(client), gate.options, secrets.token_hex(16)),
        greeting=(lambda: XmppGreeting(gate.options.domain, secrets.token_hex(16))) if gate.starttls else None,
        alpn=("xmpp-client",),
    )


def _sip(options: TomlTable) -> Gated:
    rules = sip_options(options)
    return Gated(protocol=lambda client: GatedSip(client, rules))


def _http(options: TomlTable) -> Gated:
    rules, strangers = http_rules(options)
    return Gated(protocol=lambda client: HttpGate(client, rules), alpn=("http/1.1",), strangers=strangers)


def named(client: GateClient) -> GateIdentity:
    """The client of a protocol that lets no strangers in; Misuse for one that came in all the same."""
    if isinstance(client, GateIdentity):
        return client
    raise Misuse(f"a client without a name at door {client.door}, whose protocol lets none in")


GATED: Final[Mapping[str, Reading]] = MappingProxyType(
    {
        "http": _http,
        "mqtt": _mqtt,
        "sip": _sip,
        "smtp": _smtp,
        "tcp": _tcp,
        "xmpp": _xmpp,
    }
)
