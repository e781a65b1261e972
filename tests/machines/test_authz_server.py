"""The verify service while it runs: slow fronts, reading again, ending in order, and one write for each answer."""

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

from dnsbound.edge.authz_http import HttpConnection
from dnsbound.edge.authz_routes import HTTP_ROUTES
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from machines.authz_fronts import DOOR, NAME, SECONDS, Service, escaped, front_text, request, service


def run(tmp_path: Path, scenario: Any, **options: Any) -> None:
    async def main() -> None:
        with World() as world:
            async with service(world, tmp_path, **options) as served:
                await scenario(served)

    asyncio.run(main())


def leaf_of(world: World) -> bytes:
    return world.organisation("cars.example").device("car54").credential.chain[0]


def rewritten(served: Service, old: str, new: str, *, name: str = "authz.toml") -> None:
    path = served.configuration.path.parent / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    served.server.reload()


class Writes(asyncio.Transport):
    """What is written, write by write, in place of a socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.sock = sock
        self.written: list[bytes] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.sock if name == "socket" else default

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        raise AssertionError

    close = pause_reading = resume_reading = abort


def test_fr_08_an_answer_is_one_write_and_nagle_is_off(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        front = served.server.fronts["nginx"]
        ours, theirs = socket.socketpair()
        with ours, theirs:
            transport, connection = Writes(ours), HttpConnection(front, HTTP_ROUTES)
            connection.connection_made(transport)
            for octets in (request("/auth"), request("/verify", method="POST", body=b"-")):
                connection.data_received(octets)
            connection.connection_lost(None)
        first, second = transport.written
        assert first.endswith(b"\r\n\r\nUnauthorized\n")
        assert second.endswith(b"}\n")

    run(tmp_path, scenario)


def test_fr_08_over_tcp_nothing_waits_for_an_acknowledgement(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client("caddy") as client:
            assert (await client.ask("/auth")).status == 403
            [connection] = served.server.fronts["caddy"].connections
            accepted = connection._transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    (tmp_path / "caddy.secret").touch(mode=0o600)
    (tmp_path / "caddy.secret").write_text("0123456789abcdef" * 2)
    text = f"""
[server]
access = "access.toml"
[front.caddy]
protocol = "http"
listen = "127.0.0.1:0"
secret_file = "caddy.secret"
door = "{DOOR}"
"""
    run(tmp_path, scenario, text=text)


def test_az_13_who_does_not_end_a_request_is_cut_off(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as slow, served.client() as silent:
            assert (await silent.ask("/auth")).status == 401
            await slow.send(b"GET /auth HTTP/1.1\r\n")
            asked = asyncio.create_task(slow.ended())
            while not asked.done():
                slow.writer.write(b"X")  # an octet now and then wins no time
                await asyncio.sleep(0.05)
            assert await asked == b""
            assert (await silent.ask("/auth")).status == 401

    run(tmp_path, scenario, more="request_seconds = 1")


def test_az_13_a_connection_that_nobody_uses_is_closed(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as client:
            assert (await client.ask("/auth")).status == 401
            assert await client.ended() == b""

    run(tmp_path, scenario, more="idle_seconds = 1")


def test_az_13_answers_that_nobody_reads_do_not_pile_up(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        front = served.server.fronts["nginx"]
        async with served.client() as client:
            # More answers than all buffers between us hold; the service stops asking when they are full.
            client.writer.write(request("/auth") * 20_000)
            async with asyncio.timeout(SECONDS):
                while not any(each._is_stuffed for each in front.connections):  # noqa: ASYNC110 (nobody is told)
                    await asyncio.sleep(0)
            stuffed = front.door.counters.answers.total()
            assert stuffed < 20_000
            for _ in range(20_000):
                assert (await client.reply()).status == 401
        assert front.door.counters.answers.total() == 20_000

    run(tmp_path, scenario)


def test_az_14_what_is_written_anew_is_in_force_at_the_next_question(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        good = {"X-Client-Cert": escaped(leaf_of(served.world))}
        async with served.client() as client:
            assert (await client.ask("/auth", good)).status == 200
            rewritten(served, f'door = "{DOOR}"', 'door = "other"')
            assert (await client.ask("/auth", good))["Dnsbound-Reason"] == "not-permitted"
            rewritten(served, 'door = "other"', f'door = "{DOOR}"\nundecided = "503"')
            assert (await client.ask("/auth", good)).status == 200
            rewritten(served, NAME, "car55._device.cars.example", name="access.toml")
            assert (await client.ask("/auth", good))["Dnsbound-Reason"] == "not-permitted"
        assert served.server.fronts["nginx"].door.counters.answers == {"": 2, "not-permitted": 2}

    run(tmp_path, scenario)


def test_az_14_what_has_an_error_changes_nothing(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        good = {"X-Client-Cert": escaped(leaf_of(served.world))}
        async with served.client() as client:
            for old, new, name in (
                (f'door = "{DOOR}"', 'door = "nowhere"', "authz.toml"),
                ('door = "nowhere"', f'door = "{DOOR}"\nnonsense = 1', "authz.toml"),
                ("\nnonsense = 1", "", "authz.toml"),
                ("allow", "alow", "access.toml"),
            ):
                rewritten(served, old, new, name=name)
                assert (await client.ask("/auth", good)).status == 200

    run(tmp_path, scenario)


def test_az_14_a_front_that_is_taken_away_asks_no_more(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as client:
            assert (await client.ask("/auth")).status == 401
            rewritten(served, "[front.nginx]", "[front.apache]")
            assert await client.ended() == b""
        async with served.client() as client:
            assert await client.ended() == b""

    run(tmp_path, scenario)


def test_az_14_a_user_who_is_taken_away_is_cut_off(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as client:
            assert (await client.ask("/auth")).status == 401
            [users] = re.findall("users = .*", served.configuration.path.read_text())
            rewritten(served, users, 'users = ["64999"]')
            assert await client.ended() == b""

    run(tmp_path, scenario)


def test_az_15_who_waits_for_an_answer_gets_it_when_the_service_ends(tmp_path: Path) -> None:
    async def main() -> None:
        with World() as world:
            leaf = leaf_of(world)
            world.fault(NAME, Fault.SLOW, seconds=1.0)
            async with service(world, tmp_path) as served:
                idle, waiting = await _connected(served), await _connected(served)
                await waiting.send(request("/auth", {"X-Client-Cert": escaped(leaf)}))
                async with asyncio.timeout(SECONDS):
                    while not world.queries_for(NAME):  # noqa: ASYNC110 (nobody is told)
                        await asyncio.sleep(0)
                ending = asyncio.create_task(served.server.__aexit__())
                assert await idle.ended() == b""
                reply = await waiting.reply()
                assert (reply.status, reply["Connection"]) == (200, "close")
                assert await waiting.ended() == b""
                await ending
                for client in (idle, waiting):
                    await client.close()

    asyncio.run(main())


async def _connected(served: Service) -> Any:
    from machines.authz_fronts import Client

    place = served.places["nginx"].removeprefix("unix:")
    return Client(*await asyncio.open_unix_connection(place))


def test_one_front_goes_on_when_another_is_taken_away(tmp_path: Path) -> None:
    first = front_text(tmp_path)
    second = first.partition("[front.nginx]")[2].replace("nginx.sock", "two.sock")
    text = f"{first}\n[front.two]{second}"

    async def scenario(served: Service) -> None:
        async with served.client("two") as client:
            assert (await client.ask("/auth")).status == 401
            rewritten(served, "[front.nginx]", "[front.apache]")
            assert (await client.ask("/auth")).status == 401

    run(tmp_path, scenario, text=text)
