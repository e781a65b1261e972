"""The options of the gates whose protocols have sessions of users, `[gate.LABEL.options]` of gate.toml.

SMTP:
    host = "mail.isp.example"        # the gate's name in greetings
    starttls = true                  # false for TLS from the start (port 465)
    xclient = true                   # tell the mail server who the client is
    external = true                  # offer AUTH EXTERNAL
    strangers = "refuse"             # or "pass": who has no name comes in as nobody, with TLS or without

XMPP:
    domain = "xmpp.isp.example"
    starttls = true                  # false for TLS from the start (XEP-0368)
    secret_file = "prosody.secret"   # what the server takes for every user's password, from the gate

SIP:
    domain = "isp.example"           # client names are users of it
    from = "require"                 # or "pass": From may say anything

What the words mean is told by `dnsbound.protocols.gate_smtp`, `gate_xmpp` and `gate_sip`.
"""

import re
from dataclasses import dataclass
from typing import Final

from dnsbound.edge.secret_files import read_secret_file
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import Misuse
from dnsbound.protocols.gate_sip import FromPolicy, SipOptions
from dnsbound.protocols.gate_smtp import SmtpOptions
from dnsbound.protocols.gate_xmpp import XmppOptions

_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_SECRET: Final = re.compile(rb"[\x21-\x7e]{22,512}")
"""22 characters of base64 or more hold 128 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpGate:
    """strangers: clients without a name come in."""

    options: SmtpOptions
    strangers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class XmppGate:
    """starttls: TLS begins by STARTTLS."""

    options: XmppOptions
    starttls: bool


def smtp_gate(options: TomlTable) -> SmtpGate:
    """Malformed, with file and line, for what cannot be."""
    return SmtpGate(
        options=SmtpOptions(
            host=_host(options, "host"),
            starttls=options.flag("starttls", default=True),
            xclient=options.flag("xclient", default=True),
            external=options.flag("external", default=True),
        ),
        strangers=options.chosen("strangers", {"refuse": False, "pass": True}, default=False),
    )


def xmpp_gate(options: TomlTable) -> XmppGate:
    """Malformed. The secret is read here, once."""
    return XmppGate(
        options=XmppOptions(domain=_host(options, "domain").lower(), secret=_secret(options)),
        starttls=options.flag("starttls", default=True),
    )


def sip_options(options: TomlTable) -> SipOptions:
    """Malformed."""
    policies = {policy.value: policy for policy in FromPolicy}
    return SipOptions(
        domain=_host(options, "domain").lower(), sender=options.chosen("from", policies, FromPolicy.REQUIRE)
    )


def _host(options: TomlTable, key: str) -> str:
    host = options.text(key)
    if len(host) > 253 or _HOST.fullmatch(host) is None:
        raise options.wrong("is no host name", key)
    return host


def _secret(options: TomlTable) -> str:
    try:
        secret = read_secret_file(options.path("secret_file")).strip()
    except Misuse as error:
        raise options.wrong(str(error), "secret_file") from None
    if _SECRET.fullmatch(secret) is None:
        raise options.wrong("holds no secret of 22 to 512 visible characters", "secret_file")
    return secret.decode("ascii")
