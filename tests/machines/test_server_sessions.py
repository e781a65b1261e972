"""Live sessions: what ends them, what keeps them, and what an application that is cut off sees."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dnsbound import AccessFile, Authenticator, Context, Reason, Refused, Undecided, verified_peer
from dnsbound.testing import Fault, World
from dnsbound.tls.errors import TLSRefused, TLSUndecided
from machines.doors import LONGEST_STALL, LOOPS, SERVER, Door, car, dial, door, hang_up, run, serving, until

pytestmark = pytest.mark.parametrize("kind", LOOPS)


class Quiet(asyncio.Protocol):
    """Says nothing; notes its end, and what a task that outlives the connection is told."""

    def __init__(self) -> None:
        self.lost = False
        self.error: Exception | None = None
        self.later: Any = None
        made.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost, self.error = True, exc
        try:
            self.later = verified_peer()
        except (Refused, Undecided) as refusal:
            self.later = refusal


made: list[Quiet] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    made.clear()


def test_a_revoked_name_is_cut(kind: str, world: World) -> None:
    """Removing the record ends the connection within the record's TTL; another name's stays."""
    device, other, at = car(world), car(world, "car55"), door(world)

    async def main() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        async with serving(Quiet, at) as port:
            reader, writer = await dial(port, at.client(device))
            _, staying = await dial(port, at.client(other))
            await until(lambda: len(made) == 2)
            assert len(at.authenticator.sessions) == 2
            assert device.revoke()
            revoked = loop.time()
            octets = await reader.read()
            took = loop.time() - revoked
            assert not staying.transport.is_closing()
            assert [protocol.lost for protocol in made].count(True) == 1
            await hang_up(writer)
            await hang_up(staying)
            await until(lambda: len(at.authenticator.sessions) == 0)
            return octets, took

    octets, took = run(kind, main)
    assert octets == b""  # close_notify: a clean end, seen as such by the client
    assert took < 4
    [cut] = [protocol for protocol in made if protocol.error is not None]
    assert isinstance(cut.error, TLSRefused)
    assert cut.error.reason is Reason.NO_TLSA
    assert isinstance(cut.later, Refused)
    assert [d for d in at.decisions if d.again and d.reason is Reason.NO_TLSA and d.name == str(device.name)]


def test_a_new_key_does_not_keep_the_old_one_in(kind: str, world: World) -> None:
    """The record is asked about again for the key that was shown."""
    device, at = car(world), door(world)

    async def main() -> None:
        async with serving(Quiet, at) as port:
            reader, writer = await dial(port, at.client(device))
            await until(lambda: bool(made))
            device.renew()
            assert await reader.read() == b""
            await hang_up(writer)

    run(kind, main)
    assert isinstance(made[0].error, TLSRefused)
    assert made[0].error.reason is Reason.TLSA_MISMATCH


def test_evidence_is_renewed_while_the_name_is_good(kind: str, world: World) -> None:
    device, at = car(world), door(world)

    async def main() -> None:
        async with serving(Quiet, at) as port:
            _, writer = await dial(port, at.client(device))
            await until(lambda: bool(made))
            first = made[0].transport.get_extra_info("verified_peer")
            await until(lambda: made[0].transport.get_extra_info("verified_peer").valid_until > first.valid_until)
            assert not made[0].lost
            await hang_up(writer)
            await until(lambda: len(at.authenticator.sessions) == 0)

    run(kind, main)
    assert at.reasons[0] == "admitted"
    assert at.decisions[-1].again


def test_dns_that_fails_keeps_a_session_until_its_evidence_ends(kind: str, world: World) -> None:
    """Undecided is not no; but it keeps nobody in past the evidence."""
    device, at = car(world), door(world, deadline=0.5, grace=0.0)

    async def main() -> float:
        async with serving(Quiet, at) as port:
            reader, writer = await dial(port, at.client(device))
            await until(lambda: bool(made))
            peer = made[0].transport.get_extra_info("verified_peer")
            world.fault(str(device.name), Fault.SERVFAIL)
            assert await reader.read() == b""
            ended = at.authenticator.now()
            await hang_up(writer)
            return ended - peer.valid_until

    assert -0.5 < run(kind, main) < LONGEST_STALL
    assert isinstance(made[0].error, TLSUndecided)
    assert isinstance(made[0].later, Undecided)


def test_a_changed_access_list_ends_a_session(kind: str, world: World, tmp_path: Path) -> None:
    """Long before its evidence ends."""
    device = car(world, ttl=3600)
    file = tmp_path / "access.toml"
    file.write_text(f'[door.api]\nallow = ["{device.name}"]\n')
    decisions: list[Any] = []
    resolver = world.resolver()
    authenticator = Authenticator(AccessFile(file), resolver, door="api", on_decision=decisions.append)
    context = Context.server(world.web_credential(SERVER), authenticator=authenticator)
    at = Door(world, context, authenticator, resolver, decisions)

    async def main() -> None:
        async with serving(Quiet, at) as port:
            reader, writer = await dial(port, at.client(device))
            await until(lambda: bool(made))
            file.write_text('[door.api]\nallow = ["other._device.cars.example"]\n')
            assert await reader.read() == b""
            await hang_up(writer)

    run(kind, main)
    assert isinstance(made[0].error, TLSRefused)
    assert made[0].error.reason is Reason.NOT_PERMITTED


def test_an_application_that_is_cut_while_it_pauses(kind: str, world: World) -> None:
    """Neither a paused application nor a client that does not read keeps the connection."""
    device, at = car(world), door(world)

    class Stuffed(Quiet):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.pause_reading()
            self.transport.write(bytes(20_000_000))

    async def main() -> None:
        async with serving(Stuffed, at, ssl_shutdown_timeout=0.5) as port:
            _, writer = await dial(port, at.client(device))
            await until(lambda: bool(made))
            writer.transport.pause_reading()
            device.revoke()
            await until(lambda: made[0].lost)
            writer.transport.abort()

    run(kind, main)
    assert isinstance(made[0].error, TLSRefused)
