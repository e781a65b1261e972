"""Where the gate reads what clients, and the servers behind it, say in SMTP, XMPP and SIP.

The promises: no octets of a client make a mail server, strict or lax about where lines end, take a command for the
gate's own; nothing but the gate's own words reaches an XMPP server before it has agreed; a request that reaches a SIP
server names the client and nobody else.
"""

from collections.abc import Callable
from functools import partial

from dnsbound.names import ClientName
from dnsbound.protocols import xmpp_words as words
from dnsbound.protocols.gate_sip import GatedSip, SipOptions
from dnsbound.protocols.gate_smtp import GatedSmtp, SmtpOptions
from dnsbound.protocols.gate_xmpp import GatedXmpp, XmppGreeting, XmppOptions
from dnsbound.protocols.gated import ClearGreeting, GateIdentity
from dnsbound.protocols.sip_messages import SipHead, SipStream
from dnsbound.protocols.smtp_greeting import SmtpGreeting
from fuzz.target import Target

NAME = "car54._device.cars.example"
HOST = "isp.example"
IDENTITY = GateIdentity(
    name=ClientName.parse(NAME),
    grants={},
    door="fuzz",
    valid_until=1_790_000_000.0,
    tls_version="TLSv1.3",
    certificate=None,
    spki=b"",
    client=("192.0.2.1", 1),
    server=("192.0.2.2", 2),
)
INTRODUCED = b"XCLIENT ADDR=192.0.2.1 LOGIN=" + NAME.encode()
OFFER = b"250-back\r\n250-CHUNKING\r\n250 XCLIENT ADDR LOGIN\r\n"
OPENED = words.stream_head(to=HOST)
OFFERED = words.stream_head(from_=HOST, id="1") + words.OFFER_EXTERNAL.replace(b"EXTERNAL", b"PLAIN")


class MailServer:
    """Answers everything well. lax: a bare LF ends a line, too. commands: what it took for one."""

    def __init__(self, *, lax: bool) -> None:
        self._ending = b"\n" if lax else b"\r\n"
        self._kept = b""
        self._in_message = False
        self._chunk = 0
        self.commands: list[bytes] = []

    def hear(self, octets: bytes) -> bytes:
        self._kept += octets
        said = b""
        while self._kept:
            if self._chunk:
                taken = min(self._chunk, len(self._kept))
                self._kept, self._chunk = self._kept[taken:], self._chunk - taken
                continue
            line, ending, rest = self._kept.partition(self._ending)
            if not ending:
                break
            self._kept = rest
            said += self._line(line.rstrip(b"\r"))
        return said

    def _line(self, line: bytes) -> bytes:
        if self._in_message:
            self._in_message = line != b"."
            return b"" if self._in_message else b"250 taken\r\n"
        self.commands.append(line)
        verb, *arguments = line.upper().split()
        self._in_message = verb == b"DATA"
        self._chunk = int(arguments[0]) if verb == b"BDAT" else 0
        answers = {b"DATA": b"354 go\r\n", b"EHLO": OFFER, b"XCLIENT": b"220 back\r\n"}
        return answers.get(verb, b"250 ok\r\n")


def smtp_client(octets: bytes) -> object:
    servers = [MailServer(lax=lax) for lax in (False, True)]
    for server in servers:
        gate = GatedSmtp(IDENTITY, SmtpOptions(host=HOST))
        gate.begin()
        step = gate.backend_said(b"220 back\r\n")
        pieces = [octets[at : at + 64] for at in range(0, len(octets), 64)]
        while step.end is None:
            if answer := server.hear(step.to_backend):
                step = gate.backend_said(answer)
            elif pieces:
                step = gate.client_said(pieces.pop(0))
            else:
                break
        told = [command for command in server.commands if command.upper().startswith((b"XCLIENT", b"XFORWARD"))]
        if told not in ([], [INTRODUCED]):
            raise AssertionError(f"a client speaks for the gate: {told}")
    return servers[0].commands


def smtp_server(octets: bytes) -> object:
    gate = GatedSmtp(IDENTITY, SmtpOptions(host=HOST))
    gate.begin()
    gate.client_said(b"EHLO x\r\nMAIL FROM:<>\r\nDATA\r\n")
    return gate.backend_said(octets)


def xmpp_client(octets: bytes) -> object:
    gate = GatedXmpp(IDENTITY, XmppOptions(domain=HOST, secret="secret"), "id")
    met = gate.begin().to_backend + gate.backend_said(OFFERED).to_backend
    met += gate.client_said(octets).to_backend
    if met.removeprefix(OPENED) not in (b"", words.sasl_auth("PLAIN", PLAIN)):
        raise AssertionError(f"a client speaks to the server before it is in: {met!r}")
    return met


PLAIN = "AGNhcjU0Ll9kZXZpY2UuY2Fycy5leGFtcGxlAHNlY3JldA=="


def xmpp_server(octets: bytes) -> object:
    gate = GatedXmpp(IDENTITY, XmppOptions(domain=HOST, secret="secret"), "id")
    gate.begin()
    gate.client_said(OPENED + words.sasl_auth("EXTERNAL", "="))
    return gate.backend_said(octets)


def clear(greeting: Callable[[], ClearGreeting], octets: bytes) -> object:
    return greeting().client_said(octets)


def sip_client(octets: bytes) -> object:
    """However they are cut, the same is passed on, and every request of it names the client."""
    gate, other = (GatedSip(IDENTITY, SipOptions(domain=HOST)) for _ in range(2))
    whole = gate.client_said(octets).to_backend
    if b"".join(other.client_said(octets[at : at + 7]).to_backend for at in range(0, len(octets), 7)) != whole:
        raise AssertionError("SIP that means two things")
    stream = SipStream()
    stream.receive(whole)
    while (heard := stream.next()) is not None:
        if not isinstance(heard, SipHead) or heard.method is None:
            continue
        if heard.only(b"dnsbound-name") != NAME.encode() or NAME.encode() not in heard.only(b"from"):
            raise AssertionError("a request of somebody else")
    return whole


def sip_server(octets: bytes) -> object:
    return GatedSip(IDENTITY, SipOptions(domain=HOST)).backend_said(octets)


def mails() -> list[bytes]:
    letter = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
    chunk = b"EHLO x\r\nMAIL FROM:<>\r\nBDAT 9\r\nXCLIENT x\r\nBDAT 0 LAST\r\nAUTH EXTERNAL =\r\nQUIT\r\n"
    padded = (b"EHLO x\r\n" + letter).ljust(128, b" ")[:-2] + b"\r\n"
    return [padded + b"hello\r\n.\r\nRSET\r\n", padded + b"x\n.\r\nXCLIENT LOGIN=admin\r\n.\r\n", chunk]


def requests() -> list[bytes]:
    address = f"<sip:{NAME}@{HOST}>".encode()
    head = (
        b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK1\r\nf: " + address + b";tag=1\r\nTo: <sip:b@c>\r\n"
    )
    forged = b"P-Asserted-Identity: <sip:admin@x>\r\nDnsbound-Name: admin\r\n"
    rest = b"i: 1\r\nCSeq: 1 OPTIONS\r\nl: 2\r\n\r\nhi"
    return [
        b"\r\n\r\n" + head + rest + head + forged + rest,
        b"SIP/2.0 200 OK\r\nPrivacy: id\r\n" + forged + b"l: 0\r\n\r\n",
    ]


GATED_SESSION_TARGETS = {
    "gate-smtp-client": Target(smtp_client, mails),
    "gate-smtp-server": Target(
        smtp_server, lambda: [b"220 x\r\n" + OFFER, b"421 no\r\n", b"220 x\r\n" + OFFER + b"220 x\r\n250 ok\r\n"]
    ),
    "gate-smtp-clear": Target(
        partial(clear, partial(SmtpGreeting, HOST, strangers=True)),
        lambda: [b"EHLO x\r\nSTARTTLS\r\n", b"HELO x\r\nNOOP\r\nMAIL FROM:<>\r\n", b"QUIT\r\n"],
    ),
    "gate-xmpp-client": Target(
        xmpp_client,
        lambda: [OPENED + words.sasl_auth("EXTERNAL", "="), OPENED + words.sasl_auth("EXTERNAL", "") + b"<a><b/>c</a>"],
    ),
    "gate-xmpp-server": Target(xmpp_server, lambda: [OFFERED, OFFERED + words.SUCCEEDED]),
    "gate-xmpp-clear": Target(
        partial(clear, partial(XmppGreeting, HOST, "id")),
        lambda: [OPENED + f"<starttls xmlns='{words.TLS}'/>".encode(), OPENED],
    ),
    "gate-sip-client": Target(sip_client, requests),
    "gate-sip-server": Target(sip_server, requests),
}
