"""A mail server that anybody may use, and that knows the machines which log in by DNS name: STARTTLS, RFC 3207."""

import asyncio
import smtplib
import ssl

import aiosmtpd.smtp
import stage

import dnsbound
from dnsbound.adapters.aiosmtpd import SMTP

MESSAGE = "Subject: report\r\n\r\nall well\r\n"


class Inbox:
    async def handle_DATA(  # noqa: N802 (aiosmtpd's form)
        self, _server: aiosmtpd.smtp.SMTP, _session: aiosmtpd.smtp.Session, envelope: aiosmtpd.smtp.Envelope
    ) -> str:
        peer = dnsbound.verified_peer()
        sender = peer.name if peer else "somebody"
        return f"250 {len(envelope.content or b'')} octets from {sender}"


def send(port: int, context: ssl.SSLContext) -> bytes:
    with smtplib.SMTP("localhost", port) as client:
        client.starttls(context=context)
        client.ehlo()
        client.mail("car@cars.example")
        client.rcpt("fleet@cars.example")
        return client.data(MESSAGE)[1]


async def main(at: stage.Stage) -> None:
    access = dnsbound.AccessFile(at.files / "access.toml")
    door = dnsbound.Authenticator(access, at.world.resolver(), door="api")
    own = dnsbound.load_credential(at.files / "server.pem")
    context = dnsbound.Context.server(own, authenticator=door, policy="optional")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Inbox(), tls_context=context, require_starttls=True, loop=loop), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    stranger = ssl.create_default_context(cafile=at.files / "web-root.pem")
    print((await asyncio.to_thread(send, port, stranger)).decode())  # never asked for a certificate
    print((await asyncio.to_thread(send, port, stage.client(at.files))).decode())
    server.close()


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))
