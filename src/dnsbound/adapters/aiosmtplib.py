"""aiosmtplib: a connection to the mail server of a domain that the DNS vouches for, or none (RFC 7672).

    context = dnsbound.Context.client(credential, resolver=resolver, server_tlsa="require")
    client = await connected(domain, context, resolver)
    try:
        await client.sendmail(...)
    finally:
        client.close()

aiosmtplib takes a Context as it is; this finds the host to authenticate, and never goes on in clear. The client's own
identity goes with the handshake. What is sent, queued and tried again is the program's.
"""

import logging
from typing import Final

import aiosmtplib

from dnsbound.edge.context import Context
from dnsbound.edge.context_server_tlsa import LOOKUP_SECONDS, ResolverLike
from dnsbound.edge.mail_exchangers import MailExchanger, mail_exchangers
from dnsbound.errors import Reason, Refused, Undecided
from dnsbound.iana import Usage

_log: Final = logging.getLogger("dnsbound.connect")

_PUBLISHED: Final = frozenset({Usage.DANE_TA, Usage.DANE_EE})
"""RFC 7672 section 3.1.3: mail servers cannot be held against certificate authorities, so the others are unusable."""


async def connected(
    domain: str, context: Context, resolver: ResolverLike, *, port: int = 25, deadline: float = LOOKUP_SECONDS
) -> aiosmtplib.SMTP:
    """A client after STARTTLS with the first mail server of the domain that can be reached and is authenticated.

    context: of a client, with `server_tlsa="require"`. Refused or Undecided, of the domain or of its last server;
    aiosmtplib.SMTPException or OSError where that was reached and TLS with it did not come to be.
    """
    failure: Exception = Refused(Reason.NO_TLSA, f"{domain} takes no mail")
    for exchanger in await mail_exchangers(resolver, domain, deadline=deadline):
        try:
            return await _connected(exchanger, context, port, deadline)
        except (Refused, Undecided, aiosmtplib.SMTPException, OSError) as error:
            _log.info("%s, mail server of %s: %s", exchanger.host, domain, error)
            failure = error
    raise failure


async def _connected(exchanger: MailExchanger, context: Context, port: int, deadline: float) -> aiosmtplib.SMTP:
    evidence = await context.prepare(exchanger.host, port, deadline=deadline)
    if not any(record.usage in _PUBLISHED for record in evidence.records):
        raise Refused(Reason.TLSA_UNUSABLE, f"no record of {exchanger.host} is of usage 2 or 3")
    client = aiosmtplib.SMTP(hostname=exchanger.host, port=port, start_tls=False, tls_context=context)
    try:
        await client.connect()
        await client.starttls(server_hostname=exchanger.host)
    except BaseException:
        client.close()
        raise
    return client
