"""aiosmtplib finds and authenticates the mail server of a domain by DNSSEC, and never goes on in clear."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import pytest

from dnsbound import Context, Misuse, Reason, Refused, Undecided
from dnsbound.adapters.aiosmtplib import connected
from dnsbound.credential.credential import Credential
from dnsbound.edge.mail_exchangers import MailExchanger, mail_exchangers
from dnsbound.iana import Selector, Usage
from dnsbound.testing import Device, Fault, World
from interop.mail_servers import inbox, postfix
from machines.gates import SERVER, Gated, back_end, gated

DOMAIN = "isp.example"
OPTIONS = 'protocol = "smtp"\n[gate.one.options]\nhost = "mail.isp.example"\n'


@contextlib.asynccontextmanager
async def gate(directory: Path, target: str) -> AsyncIterator[tuple[Gated, Device]]:
    """A gate whose host, `localhost`, is the mail server of a domain and has a TLSA record."""
    with World() as world:
        car = world.organisation("cars.example").device("car54")
        async with gated(world, directory, target, OPTIONS, allow=(car.name.text,)) as at:
            own = Credential.from_pem((directory / "server.pem").read_bytes())
            host = world.organisation(SERVER)
            host.address(SERVER, "127.0.0.1")
            host.publish(f"_{at.port}._tcp.{SERVER}", own.tlsa())
            world.organisation(DOMAIN).publish(DOMAIN, f"MX 10 {SERVER}.")
            yield at, car


async def call(at: Gated, car: Device, domain: str = DOMAIN) -> aiosmtplib.SMTP:
    with at.world.resolver() as resolver:
        context = Context.client(car.credential, resolver=resolver, server_tlsa="require")
        return await connected(domain, context, resolver, port=at.port)


@pytest.mark.peer("postfix")
def test_sm_12_mail_goes_to_the_host_that_the_dns_vouches_for(tmp_path: Path) -> None:
    async def main(target: str) -> None:
        async with gate(tmp_path, target) as (at, car):
            client = await call(at, car)
            await client.sendmail("car54@cars.example", ["fleet@other.example"], "Subject: dane\r\n\r\nwell\r\n")
            await client.quit()

    with inbox() as behind, postfix(behind) as server:
        asyncio.run(main(f"127.0.0.1:{server.port}"))


def test_sm_12_another_key_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with back_end() as (behind, target), gate(tmp_path, target) as (at, car):
            other = Credential.generate(car.name, now=at.world.now())
            at.world.organisation(SERVER).replace(f"_{at.port}._tcp.{SERVER}", other.tlsa())
            with pytest.raises((aiosmtplib.SMTPException, OSError)):
                await call(at, car)
            assert behind.connections == 0

    asyncio.run(main())


def test_sm_12_a_server_that_offers_no_starttls_gets_nothing(tmp_path: Path) -> None:
    said: list[bytes] = []

    async def stripped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        while line := await reader.readline():
            said.append(line)
            writer.write(b"250 x\r\n")

    async def main() -> None:
        async with back_end(serve=stripped) as (_, target), gate(tmp_path, target) as (at, car):
            port = int(target.rpartition(":")[2])
            at.world.organisation(SERVER).publish(f"_{port}._tcp.{SERVER}", car.credential.tlsa())
            with at.world.resolver() as resolver:
                context = Context.client(car.credential, resolver=resolver, server_tlsa="require")
                with pytest.raises(aiosmtplib.SMTPException):
                    await connected(DOMAIN, context, resolver, port=port)

    asyncio.run(main())
    assert [line.split()[0].upper() for line in said] == [b"EHLO"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("unsigned domain", Reason.INSECURE),
        ("bogus domain", Reason.BOGUS),
        ("no record of the host", Reason.NO_TLSA),
        ("records of usage 1", Reason.TLSA_UNUSABLE),
        ("null MX", Reason.NO_TLSA),
    ],
)
def test_sm_12_what_the_dns_does_not_vouch_for_is_not_called(tmp_path: Path, change: str, reason: Reason) -> None:
    async def main() -> None:
        async with back_end() as (behind, target), gate(tmp_path, target) as (at, car):
            domain, owner = DOMAIN, f"_{at.port}._tcp.{SERVER}"
            match change:
                case "unsigned domain":
                    domain = "unsigned.example"
                    at.world.organisation(domain, signed=False).publish(domain, f"MX 10 {SERVER}.")
                case "bogus domain":
                    at.world.fault(DOMAIN, Fault.BOGUS)
                case "no record of the host":
                    at.world.organisation(SERVER).remove(owner)
                case "records of usage 1":
                    own = Credential.from_pem((at.directory / "server.pem").read_bytes())
                    at.world.organisation(SERVER).replace(owner, own.tlsa(Usage.PKIX_EE, Selector.SPKI))
                case _:
                    at.world.organisation(DOMAIN).replace(DOMAIN, "MX 0 .")
            with pytest.raises((Refused, Undecided)) as caught:
                await call(at, car, domain)
            assert caught.value.reason is reason
            assert behind.connections == 0

    asyncio.run(main())


def test_exchangers_come_in_the_order_of_their_preference() -> None:
    async def main() -> None:
        with World() as world, world.resolver() as resolver:
            isp = world.organisation(DOMAIN)
            assert await mail_exchangers(resolver, DOMAIN) == (MailExchanger(host=DOMAIN, preference=0),)
            isp.publish("two.isp.example", "MX 20 b.isp.example.", "MX 10 C.isp.example.")
            found = await mail_exchangers(resolver, "Two.isp.example.")
            assert [each.host for each in found] == ["c.isp.example", "b.isp.example"]
            assert await mail_exchangers(resolver, "nobody.isp.example") == ()
            with pytest.raises(Misuse):
                await mail_exchangers(resolver, "a..b")

    asyncio.run(main())
