"""Whoever reaches a front's socket without being allowed to, and clients whose words a careless front passes on."""

import asyncio
import contextlib
import getpass
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fuzz.mutation import mutate

from dnsbound.credential.credential import Credential
from dnsbound.names import ClientName
from dnsbound.testing import World
from machines.authz_fronts import DOOR, NAME, SECONDS, Service, escaped, pem, request, service

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
FLOOD = 300


def run(tmp_path: Path, scenario: Any, **options: Any) -> None:
    async def main() -> None:
        with World() as world:
            leaf = world.organisation("cars.example").device("car54").credential.chain[0]
            async with service(world, tmp_path, **options) as served:
                await scenario(served, leaf)

    asyncio.run(main())


async def said(served: Service, octets: bytes) -> list[bytes]:
    """The statuses of all answers to octets that end with the connection."""
    async with served.client() as client:
        client.writer.write(octets)
        with contextlib.suppress(OSError):
            client.writer.write_eof()
        return STATUS.findall(await client.ended())


def test_az_08_changed_requests_let_nobody_in_who_is_not_known(tmp_path: Path) -> None:
    """A stranger's certificate, in requests that were changed at random: none of them becomes a yes."""

    async def scenario(served: Service, leaf: bytes) -> None:
        stranger = Credential.generate(ClientName.parse(NAME), now=1_780_000_000.0).chain[0]
        rng = random.Random(6)
        pool = [
            request("/auth", {"X-Client-Cert": escaped(stranger), "X-Real-IP": "192.0.2.7"}),
            request("/verify", method="POST", body=pem(stranger)),
            request(f"/verify?name={NAME}&certificate_sha256={'00' * 32}"),
        ]
        answered: Counter[bytes] = Counter()
        for _ in range(FLOOD):
            answered.update(await said(served, mutate(rng, pool)))
        assert answered[b"200"] == answered[b"500"] == 0
        assert answered[b"403"]
        assert answered[b"400"]
        assert await said(served, request("/auth", {"X-Client-Cert": escaped(leaf)})) == [b"200"]

    run(tmp_path, scenario, more='claim_from = ["san", "stated"]')


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Content-Length: +5",
        "Content-Length: 5, 6",
        "Transfer-Encoding: xchunked",
        "Content-Length : 5",
    ],
)
def test_az_08_a_request_within_a_request_is_not_answered(tmp_path: Path, framing: str) -> None:
    """What a front believes to be one request must not be two here: the second would answer the next client's."""

    async def scenario(served: Service, leaf: bytes) -> None:
        hidden = request("/auth", {"X-Client-Cert": escaped(leaf)})
        head = f"POST /auth HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode()
        statuses = await said(served, head + b"0\r\n\r\n" + hidden)
        assert statuses in ([b"400"], [b"501"])

    run(tmp_path, scenario)


@pytest.mark.parametrize("between", ["\r\n", "\n", "\r", "\0", "\x0b", "\x85"])
def test_a_field_within_a_fields_value_is_none(tmp_path: Path, between: str) -> None:
    """A client's words in another field of the front: only the front's own line breaks separate fields."""

    async def scenario(served: Service, leaf: bytes) -> None:
        line = f"X-Original-URI: a{between}X-Client-Cert: {escaped(leaf)}"
        octets = f"GET /auth HTTP/1.1\r\nHost: a\r\nX-Client-Cert: \r\n{line}\r\n\r\n".encode("latin-1")
        statuses = await said(served, octets)
        assert statuses in ([b"400"], [b"401"], [b"403"])

    run(tmp_path, scenario)


def test_az_16_strangers_at_the_socket_neither_get_answers_nor_keep_fronts_from_theirs(tmp_path: Path) -> None:
    async def scenario(served: Service, leaf: bytes) -> None:
        async with served.client() as known:
            for _ in range(50):
                await said(served, b"\0" * 100)
            half_open = [
                await asyncio.open_unix_connection(served.places["nginx"].removeprefix("unix:")) for _ in range(30)
            ]
            async with asyncio.timeout(SECONDS):
                reply = await known.ask("/auth", {"X-Client-Cert": escaped(leaf)})
            assert (reply.status, reply["Dnsbound-Door"]) == (200, DOOR)
            for _, writer in half_open:
                writer.close()
                await writer.wait_closed()

    run(tmp_path, scenario)


def test_az_12_made_up_names_of_one_client_cannot_make_us_flood_a_zone(tmp_path: Path) -> None:
    """Names that a pattern permits cost lookups: one address may cause so many and no more, and says so itself."""

    async def scenario(served: Service, leaf: bytes) -> None:
        served.world.organisation("vans.example")
        reasons: Counter[str] = Counter()
        async with served.client() as client:
            for number in range(8):
                name = ClientName.parse(f"van{number}._device.vans.example")
                made_up = Credential.generate(name, now=1_780_000_000.0).chain[0]
                reply = await client.ask("/auth", {"X-Client-Cert": escaped(made_up), "X-Real-IP": "192.0.2.7"})
                reasons[reply["Dnsbound-Reason"]] += 1
            assert reasons == {"no-tlsa": 3, "lookup-budget": 5}
            reply = await client.ask("/auth", {"X-Client-Cert": escaped(leaf), "X-Real-IP": "192.0.2.7"})
            assert reply.status == 200

    text = f"""
[server]
access = "access.toml"
lookups_per_source = 3

[front.nginx]
protocol = "http"
listen = "unix:{tmp_path}/nginx.sock"
users = ["root", "{getpass.getuser()}"]
door = "{DOOR}"
"""
    run(tmp_path, scenario, text=text)
