"""aiosmtpd: STARTTLS (RFC 3207) whose clients are verified before the session goes on.

aiosmtpd lays asyncio's own TLS protocol over the connection, which cannot wait for a verdict. This SMTP does the same
steps with ours; with any other SSLContext it is aiosmtpd's unchanged.

    class Controller(aiosmtpd.controller.Controller):
        def factory(self):
            return SMTP(self.handler, tls_context=context, require_starttls=True)

In handlers, `session.verified_peer` and `dnsbound.verified_peer()` say who the client is; `session.verified_peer` is
absent before STARTTLS. A server that is TLS from the start needs no adapter, but `dnsbound.loop_factory()` as the
controller's loop.
"""

import asyncio
import logging
from typing import Any, Final, cast

from aiosmtpd import smtp

from dnsbound.edge.loop import serves
from dnsbound.edge.server_transport import ServerTransport
from dnsbound.edge.upgrade import upgrade

_log: Final = logging.getLogger("dnsbound.listen")

_SHOWN: Final = ("sslcontext", "ssl_object", "cipher", "compression", "peercert", "verified_peer")


class _TlsFacts:
    """What aiosmtpd reads of its TLS protocol: that there is one, and `_extra`, which becomes `session.ssl`."""

    def __init__(self, transport: ServerTransport) -> None:
        self._extra = {name: transport.get_extra_info(name) for name in _SHOWN}


class SMTP(smtp.SMTP):
    """aiosmtpd's SMTP with a STARTTLS that waits for the verdict."""

    @smtp.syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 (aiosmtpd finds commands by this form)
        """RFC 3207 section 4.2: what was learnt before TLS is forgotten, in connection_made."""
        if not serves(self.tls_context) or arg:
            await super().smtp_STARTTLS(arg)
            return
        if self._tls_protocol is not None:
            await self.push("503 TLS is already active")
            return
        await self.push("220 Ready to start TLS")
        plain = cast("asyncio.Transport", self.transport)
        try:
            await upgrade(self.loop, plain, self, cast("Any", self.tls_context), announce=True)
        except OSError as error:
            _log.debug("STARTTLS of %s ended: %s", plain.get_extra_info("peername"), error)
            raise smtp.TLSSetupException from error

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called a second time, with the encrypted transport, once the client is admitted."""
        if isinstance(transport, ServerTransport) and self.transport is not None:
            self._original_transport = self.transport
            self._tls_protocol = cast("Any", _TlsFacts(transport))
        super().connection_made(transport)
        if isinstance(transport, ServerTransport):
            cast("Any", self.session).verified_peer = transport.get_extra_info("verified_peer")

    async def handle_exception(self, error: Exception) -> str:
        """A refused client is no error of this server: no traceback, and nobody to answer."""
        if isinstance(error, smtp.TLSSetupException):
            return "454 TLS not available"
        return await super().handle_exception(error)
