"""Limits of the doors beside other people's servers: the verify service, the gate, and what they speak.

They are kept apart from `dnsbound.limits` for length alone; the rules are the same.
"""

from typing import Final

from dnsbound.budget import Limit

SMTP_COMMAND_OCTETS: Final = Limit(
    "smtp-command-octets", 2048, 512, 12_288, "RFC 5321 section 4.5.3.1.4: 512 with CRLF; parameters of extensions add"
)
SMTP_REPLY_OCTETS: Final = Limit("smtp-reply-octets", 16_384, 512, 65_536, "octets of one reply of a mail server")
SMTP_HELD_OCTETS: Final = Limit(
    "smtp-held-octets", 65_536, 4096, 1_048_576, "octets of a client that wait for a reply of the mail server"
)
SMTP_PIPELINED: Final = Limit(
    "smtp-pipelined", 256, 1, 10_000, "RFC 2920: commands of a client that no reply has come for yet"
)
SMTP_CLEAR_COMMANDS: Final = Limit("smtp-clear-commands", 16, 4, 256, "commands of a client before STARTTLS")
SASL_ATTEMPTS: Final = Limit("sasl-attempts", 3, 1, 16, "RFC 6120 section 6.4.5: how often a client may try to log in")
SIP_HEADER_OCTETS: Final = Limit("sip-header-octets", 16_384, 1024, 65_536, "octets of one SIP message before its body")
SIP_HEADERS: Final = Limit("sip-headers", 128, 16, 1024, "header fields of one SIP message")
SIP_BODY_OCTETS: Final = Limit(
    "sip-body-octets", 1_048_576, 0, 67_108_864, "octets of the body of one SIP message; they are not kept"
)
XMPP_NEGOTIATION_OCTETS: Final = Limit(
    "xmpp-negotiation-octets",
    16_384,
    4096,
    262_144,
    "octets of one side until SASL is done; RFC 6120 section 13.12 wants 10,000 for a stanza",
)
XMPP_NEGOTIATION_DEPTH: Final = Limit("xmpp-negotiation-depth", 8, 4, 64, "elements in each other before SASL is done")
FRONT_CONNECTIONS: Final = Limit(
    "front-connections", 1024, 1, 1_000_000, "connections of one front at once; nginx keeps one for each it needs"
)
FRONT_QUESTIONS: Final = Limit(
    "front-questions", 1024, 1, 1_000_000, "questions of one front that wait for the DNS at once"
)
FRONT_HEADER_OCTETS: Final = Limit(
    "front-header-octets",
    65_536,
    8192,
    1_048_576,
    "octets of a request's head: a chain of ML-DSA certificates in URL-escaped PEM, and the client's own fields",
)
FRONT_BODY_OCTETS: Final = Limit(
    "front-body-octets", 131_072, 1024, 1_048_576, "octets of a request's body: ten certificates in PEM"
)
FRONT_REQUEST_SECONDS: Final = Limit(
    "front-request-seconds", 10, 1, 300, "from a request's first octet to its last: fronts are near, and quick"
)
FRONT_IDLE_SECONDS: Final = Limit(
    "front-idle-seconds", 120, 1, 86_400, "of a kept connection between two requests; nginx closes after 60 by itself"
)
FRONT_SECRET_OCTETS: Final = Limit(
    "front-secret-octets", 22, 22, 512, "characters of a front's secret: 22 of base64 or more hold 128 bits"
)
