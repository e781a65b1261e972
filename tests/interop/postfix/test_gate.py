"""Postfix behind the gate: it relays for clients that are known by DNS name, and knows them by it."""

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiosmtplib
import pytest

from dnsbound import Context
from dnsbound.credential.credential import Credential
from dnsbound.testing import Device, World
from interop.daemon import eventually
from interop.mail_servers import HOST, Inbox, Postfix, inbox, postfix
from machines.gates import SERVER, Gated, gated

pytestmark = pytest.mark.peer("postfix")

OUTSIDE = "fleet@other.example"
MESSAGE = "Subject: {}\r\n\r\nall well\r\n"
OPTIONS = f'protocol = "smtp"\n[gate.one.options]\nhost = "{HOST}"\n'
SECONDS = 20.0


@pytest.fixture(scope="module")
def behind() -> Iterator[Inbox]:
    with inbox() as made:
        yield made


@pytest.fixture(scope="module")
def server(behind: Inbox) -> Iterator[Postfix]:
    with postfix(behind) as made:
        yield made


@contextlib.asynccontextmanager
async def gate(server: Postfix, directory: Path, options: str = OPTIONS) -> AsyncIterator[tuple[Gated, Device]]:
    with World() as world:
        car = world.organisation("cars.example").device("car54")
        async with gated(
            world, directory, f"127.0.0.1:{server.port}", options, allow=("*._device.cars.example",)
        ) as at:
            yield at, car


def wrong_key(at: Gated, device: Device) -> Context:
    """The name of a device, with a key that nobody published."""
    made = Context.client(Credential.generate(device.name, now=at.world.now()))
    made.load_verify_locations(cadata=at.world.web_root_pem.decode())
    return made


def talk(at: Gated, context: ssl.SSLContext | None, said: Callable[[smtplib.SMTP], object]) -> object:
    """One session, under TLS where there is a context."""
    with smtplib.SMTP(SERVER, at.port, timeout=SECONDS) as client:
        if context is not None:
            client.starttls(context=context)
        client.ehlo("car54.cars.example")
        return said(client)


def send(subject: str, to: str = OUTSIDE) -> Callable[[smtplib.SMTP], object]:
    return lambda client: client.sendmail("car54@cars.example", [to], MESSAGE.format(subject))


def arrived(behind: Inbox, subject: str) -> str:
    """The message of this subject, once it is there."""

    def found() -> list[str]:
        return [message for message in behind.messages if f"Subject: {subject}\r\n" in message]

    eventually(lambda: bool(found()), SECONDS, otherwise=lambda: f"{subject}: {behind.messages}")
    return found()[0]


def test_a_client_relays_by_its_name_and_postfix_says_so(server: Postfix, behind: Inbox, tmp_path: Path) -> None:
    async def main() -> None:
        async with gate(server, tmp_path) as (at, car):
            await asyncio.to_thread(talk, at, at.client(car), send("by name"))
            message = await asyncio.to_thread(arrived, behind, "by name")
            assert f"(Authenticated sender: {car.name})" in message
            assert f"sasl_username={car.name}" in server.log.read_text()

    asyncio.run(main())


def test_aiosmtplib_does_too(server: Postfix, behind: Inbox, tmp_path: Path) -> None:
    async def main() -> None:
        async with gate(server, tmp_path) as (at, car):
            client = aiosmtplib.SMTP(hostname=SERVER, port=at.port, start_tls=True, tls_context=at.client(car))
            async with client:
                await client.sendmail("car54@cars.example", [OUTSIDE], MESSAGE.format("aiosmtplib"))
            message = await asyncio.to_thread(arrived, behind, "aiosmtplib")
            assert f"(Authenticated sender: {car.name})" in message

    asyncio.run(main())


def test_with_tls_from_the_start(server: Postfix, behind: Inbox, tmp_path: Path) -> None:
    def session(at: Gated, context: ssl.SSLContext) -> None:
        with smtplib.SMTP_SSL(SERVER, at.port, timeout=SECONDS, context=context) as client:
            client.ehlo("car54.cars.example")
            assert client.esmtp_features["auth"].strip() == "EXTERNAL"
            assert client.auth("EXTERNAL", lambda _challenge=None: "")[0] == 235
            send("port 465")(client)

    async def main() -> None:
        async with gate(server, tmp_path, OPTIONS + "starttls = false\n") as (at, car):
            await asyncio.to_thread(session, at, at.client(car))
            assert car.name.text in await asyncio.to_thread(arrived, behind, "port 465")

    asyncio.run(main())


def test_who_is_not_let_in_never_reaches_postfix(server: Postfix, tmp_path: Path) -> None:
    """A stranger, a client whose record is gone, the right name with another key, and nobody at all."""

    async def main() -> None:
        async with gate(server, tmp_path) as (at, car):
            stranger = at.world.organisation("strangers.example").device("car54")
            before = server.log.read_text().count("connect from")
            gone = at.world.organisation("cars.example").device("car60")
            gone.revoke()
            for context in (at.client(stranger), at.client(gone), wrong_key(at, car), at.client(None)):
                with pytest.raises((smtplib.SMTPServerDisconnected, ssl.SSLError, ConnectionError)):
                    await asyncio.to_thread(talk, at, context, send("stranger"))
            assert server.log.read_text().count("connect from") == before

    asyncio.run(main())


def test_a_revoked_clients_session_is_cut(server: Postfix, tmp_path: Path) -> None:
    def session(at: Gated, car: Device) -> None:
        with smtplib.SMTP(SERVER, at.port, timeout=SECONDS) as client:
            client.starttls(context=at.client(car))
            assert client.ehlo("car54.cars.example")[0] == 250
            assert client.mail("car54@cars.example")[0] == 250
            car.revoke()
            with pytest.raises(smtplib.SMTPServerDisconnected):
                client.getreply()

    async def main() -> None:
        async with gate(server, tmp_path) as (at, car):
            await asyncio.to_thread(session, at, car)
            await at.until(lambda: not at.gate.connections)

    asyncio.run(main())


def test_nothing_a_client_says_makes_it_somebody_else(server: Postfix, behind: Inbox, tmp_path: Path) -> None:
    def session(client: smtplib.SMTP) -> None:
        assert "xclient" not in client.esmtp_features
        assert "xforward" not in client.esmtp_features
        assert client.docmd("XCLIENT", "LOGIN=admin@isp.example ADDR=192.0.2.1")[0] == 500
        assert client.docmd("AUTH", "EXTERNAL YWRtaW5AaXNwLmV4YW1wbGU=")[0] == 535
        assert client.docmd("AUTH", "PLAIN AGFkbWluAHg=")[0] == 504
        send("forged")(client)

    async def main() -> None:
        async with gate(server, tmp_path) as (at, car):
            await asyncio.to_thread(talk, at, at.client(car), session)
            message = await asyncio.to_thread(arrived, behind, "forged")
            assert f"(Authenticated sender: {car.name})" in message
            assert "admin" not in message

    asyncio.run(main())


@pytest.mark.parametrize("ending", [b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n"])
def test_a_smuggled_message_is_delivered_in_no_form(
    server: Postfix, behind: Inbox, tmp_path: Path, ending: bytes
) -> None:
    def session(client: smtplib.SMTP) -> None:
        assert client.docmd("MAIL", "FROM:<car54@cars.example>")[0] == 250
        assert client.docmd("RCPT", f"TO:<{OUTSIDE}>")[0] == 250
        assert client.docmd("DATA")[0] == 354
        inner = b"MAIL FROM:<admin@isp.example>\r\nRCPT TO:<fleet@other.example>\r\nDATA\r\nSubject: smuggled\r\n"
        client.send(b"Subject: outer\r\n\r\nx" + ending + inner + b"\r\nx\r\n.\r\n")
        assert client.getreply()[0] == 421

    async def main() -> None:
        async with gate(server, tmp_path) as (at, car):
            await asyncio.to_thread(talk, at, at.client(car), session)
            await asyncio.to_thread(talk, at, at.client(car), send("after it"))
            await asyncio.to_thread(arrived, behind, "after it")
            assert not [message for message in behind.messages if "smuggled" in message or "outer" in message]

    asyncio.run(main())


def test_strangers_may_bring_mail_and_may_not_relay(server: Postfix, tmp_path: Path) -> None:
    async def main() -> None:
        async with gate(server, tmp_path, OPTIONS + 'strangers = "pass"\n') as (at, car):
            for context in (None, at.client(None)):
                await asyncio.to_thread(talk, at, context, send("to you", f"postmaster@{HOST}"))
                with pytest.raises(smtplib.SMTPRecipientsRefused):
                    await asyncio.to_thread(talk, at, context, send("through you"))
            await asyncio.to_thread(talk, at, at.client(car), send("known"))
            stranger = at.world.organisation("strangers.example").device("car54")
            with pytest.raises((smtplib.SMTPServerDisconnected, ssl.SSLError, ConnectionError)):
                await asyncio.to_thread(talk, at, at.client(stranger), send("says a name that is not known"))

    asyncio.run(main())


def test_without_the_gate_nobody_relays(server: Postfix) -> None:
    with (
        smtplib.SMTP("127.0.0.1", server.port, timeout=SECONDS) as client,
        pytest.raises(smtplib.SMTPRecipientsRefused),
    ):
        send("around the gate")(client)
