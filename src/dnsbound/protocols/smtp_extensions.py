"""SMTP extensions between a client and a mail server behind the gate: which of them the client is told of.

An extension that brings commands of its own can change where a command ends and a message begins, so only those are
passed on that this project frames, or that add nothing but parameters. Sections: RFC 5321 sections 2.2 and 4.1.1.1.
"""

from typing import Final

from dnsbound.protocols.smtp_lines import Reply

EXTENSIONS: Final = frozenset(
    {b"PIPELINING", b"SIZE", b"8BITMIME", b"ENHANCEDSTATUSCODES", b"DSN", b"CHUNKING", b"BINARYMIME", b"SMTPUTF8"}
    | {b"DELIVERBY", b"MT-PRIORITY", b"FUTURERELEASE", b"LIMITS", b"NO-SOLICITING", b"HELP", b"VRFY", b"EXPN"}
)


def offers(reply: Reply) -> dict[bytes, tuple[bytes, ...]]:
    """Keywords of an answer to EHLO, in capitals, and their parameters; none of an answer that says no."""
    words = [line.split() for line in reply.lines[1:]] if reply.code == 250 else []
    return {line[0].upper(): tuple(line[1:]) for line in words if line}


def passed_on(reply: Reply, *own: bytes) -> Reply:
    """An answer to EHLO with the extensions that the client may know of, and those of the gate's own."""
    first, *lines = reply.lines
    kept = [line for line in lines if line.split(b" ")[0].upper() in EXTENSIONS]
    return Reply(250, (first, *kept, *own))
