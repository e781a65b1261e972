"""Users of a domain at a real door: TLS 1.3, the authority's record in the DNS, the user from the certificate."""

import asyncio
from contextlib import suppress

import pytest

from dnsbound import AccessList, Authenticator, Refused, verified_peer
from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.edge.context import Context
from dnsbound.testing import World
from dnsbound.verify.users import user_of
from machines.doors import SERVER, Door, dial, hang_up, run, serving
from unit.users import USERS, certified, mailbox, uid

ACCESS = f'[door.api]\nallow = [{{ names = ["{USERS}"], grants = {{ users = ["ann"] }} }}]\n'


def answer(world: World, credential: Credential) -> str:
    """What a server makes of the user that dials, told back to it."""
    decisions: list[object] = []
    resolver = world.resolver()
    authenticator = Authenticator(AccessList.from_toml(ACCESS), resolver, door="api", on_decision=decisions.append)
    context = Context.server(world.web_credential(SERVER, "127.0.0.1"), authenticator=authenticator)
    at = Door(world, context, authenticator, resolver, decisions)  # type: ignore[arg-type]  # the same list
    client = Context.client(credential)
    client.load_verify_locations(cadata=world.web_root_pem.decode())
    told = b""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = verified_peer()
        certificate = writer.get_extra_info("ssl_object").getpeercert(True)
        assert peer is not None
        try:
            writer.write(f"hello {user_of(peer, certificate)}".encode())
        except Refused as refused:
            writer.write(refused.reason.value.encode())
        await hang_up(writer)

    async def main() -> None:
        nonlocal told
        loop = asyncio.get_running_loop()
        protocol = lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), greet, loop=loop)  # noqa: E731
        async with serving(protocol, at) as port:
            with suppress(OSError):
                reader, writer = await dial(port, client)
                with suppress(OSError):
                    told = await reader.read()
                await hang_up(writer)

    run("asyncio", main)
    return told.decode()


@pytest.fixture
def authority(world: World) -> CertificateAuthority:
    made = CertificateAuthority.create("Cars users", now=world.now())
    world.organisation("cars.example").publish(USERS.text, made.tlsa())
    return made


def test_ar_10_di_01_a_user_of_a_domain_comes_in_by_uid(world: World, authority: CertificateAuthority) -> None:
    now = world.now()
    assert answer(world, certified(authority, uid("Ann"), now=now)) == "hello ann@cars.example"
    assert answer(world, certified(authority, mailbox("ANN@cars.example"), now=now)) == "hello ann@cars.example"
    assert answer(world, certified(authority, uid("bob"), now=now)) == "not-permitted"
    assert answer(world, certified(authority, now=now)) == "no-name"


def test_di_04_without_the_record_no_user_comes_in(world: World, authority: CertificateAuthority) -> None:
    ann = certified(authority, uid("ann"), now=world.now())
    stranger = CertificateAuthority.create("Somebody", now=world.now())
    assert answer(world, certified(stranger, uid("ann"), now=world.now())) == ""
    world.organisation("cars.example").remove(USERS.text, "TLSA")
    assert answer(world, ann) == ""
