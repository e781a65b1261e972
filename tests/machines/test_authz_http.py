"""The HTTP face of the verify service: who is let in, what a front is told, and what comes of HTTP that is odd."""

import asyncio
import hashlib
import json
import re
import time
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import byte_sequence
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.verify.decision import Verdict
from machines.authz_fronts import DOOR, NAME, SECONDS, Service, escaped, front_text, pem, request, service


def certificate(world: World, name: str = "car54") -> bytes:
    return world.organisation("cars.example").device(name).credential.chain[0]


def run(tmp_path: Path, scenario: object, **options: object) -> None:
    async def main() -> None:
        with World() as world:
            async with service(world, tmp_path, **options) as served:
                await scenario(served)

    asyncio.run(main())


async def gone(served: Service, *, left: int) -> None:
    """Wait until the service has noticed the end of connections, which it does in steps of its own."""
    async with asyncio.timeout(SECONDS):
        while served.server.fronts["nginx"].door.counters.connections > left:  # noqa: ASYNC110 (the service has nobody to tell)
            await asyncio.sleep(0)


def test_az_01_a_permitted_name_is_told_to_the_front(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        async with served.client() as client:
            for _ in range(2):
                reply = await client.ask("/auth", {"X-Client-Cert": escaped(leaf), "X-Real-IP": "192.0.2.7"})
                assert (reply.status, reply["Dnsbound-Name"], reply["Dnsbound-Door"]) == (200, NAME, DOOR)
                assert json.loads(reply["Dnsbound-Grants"]) == {"topic": "cars/54", "vlan": 12}
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", reply["Dnsbound-Valid-Until"])
                assert reply.get("Dnsbound-Reason") is None
                assert reply["Cache-Control"] == "no-store"
        first, second = served.decisions
        assert {first.verdict, second.verdict} == {Verdict.ADMITTED}
        assert (first.possession, first.source, first.door) == ("asserted by nginx", "192.0.2.7", DOOR)

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({}, 401, "no-credential"),
        ({"X-Client-Cert": ""}, 401, "no-credential"),
        ({"X-Client-Cert": "(null)"}, 401, "no-credential"),
        ({"X-Client-Cert": "{http.request.tls.client.certificate_der_base64}"}, 401, "no-credential"),
        ({"X-Client-Cert": "nonsense"}, 403, "malformed"),
    ],
)
def test_fr_03_without_a_certificate_nobody_comes_in(
    tmp_path: Path, fields: dict[str, str], status: int, reason: str
) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as client:
            for target in ("/auth", "/auth/some/page?x=1"):
                reply = await client.ask(target, fields)
                assert (reply.status, reply["Dnsbound-Reason"]) == (status, reason)
                assert reply.get("Dnsbound-Name") is None
                assert NAME.encode() not in reply.body
        assert [decision.verdict for decision in served.decisions] == [Verdict.REFUSED] * 2

    run(tmp_path, scenario)


def test_az_04_strangers_wrong_keys_and_removed_records_are_refused(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        stranger = certificate(served.world, "car99")
        wrong_key = Credential.generate(ClientName.parse(NAME), now=time.time()).chain[0]
        van = served.world.organisation("vans.example").device("van1", ttl=0)
        async with served.client() as client:

            async def outcome(leaf: bytes) -> tuple[int, str]:
                reply = await client.ask("/auth", {"X-Client-Cert": escaped(leaf)})
                return reply.status, reply.get("Dnsbound-Reason") or "allowed"

            assert await outcome(stranger) == (403, "not-permitted")
            assert not served.world.queries_for("car99._device.cars.example")
            certificate(served.world)
            assert await outcome(wrong_key) == (403, "tlsa-mismatch")
            assert await outcome(van.credential.chain[0]) == (200, "allowed")
            van.revoke()
            assert await outcome(van.credential.chain[0]) == (403, "no-tlsa")

    run(tmp_path, scenario)


@pytest.mark.parametrize(("more", "status"), [("", 403), ('undecided = "503"', 503)])
def test_az_05_what_cannot_be_found_out_is_no_yes(tmp_path: Path, more: str, status: int) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        served.world.fault(NAME, Fault.BOGUS)
        async with served.client() as client:
            reply = await client.ask("/auth", {"X-Client-Cert": escaped(leaf)})
            assert (reply.status, reply["Dnsbound-Reason"], reply.get("Dnsbound-Name")) == (status, "bogus", None)
        [decision] = served.decisions
        assert decision.verdict is Verdict.UNDECIDED

    run(tmp_path, scenario, more=more)


def test_fr_05_one_field_counts_and_no_other(tmp_path: Path) -> None:
    """A client may send what it likes in the fields that its front does not set."""

    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        forged = {
            "Client-Cert": byte_sequence(leaf),
            "X-Forwarded-Client-Cert": f'Cert="{escaped(leaf)}"',
            "X-SSL-Client-Cert": escaped(leaf),
            "X_Client_Cert": escaped(leaf),
            "X-Client-Cert-Chain": escaped(leaf),
            "Dnsbound-Name": NAME,
        }
        async with served.client() as client:
            reply = await client.ask("/auth", forged)
            assert (reply.status, reply["Dnsbound-Reason"]) == (401, "no-credential")
            reply = await client.ask("/auth", {**forged, "X-Client-Cert": "{http.request.tls.client.certificate_pem}"})
            assert (reply.status, reply["Dnsbound-Reason"]) == (401, "no-credential")
            both = request("/auth", {"X-Client-Cert": escaped(leaf), "x-client-cert": escaped(leaf)})
            await client.send(both)
            assert (await client.reply())["Dnsbound-Reason"] == "malformed"

    run(tmp_path, scenario)


def test_fr_09_a_request_cannot_choose_its_door(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        async with served.client() as client:
            good = {"X-Client-Cert": escaped(leaf)}
            assert (await client.ask("/auth", {**good, "Dnsbound-Door": DOOR})).status == 200
            assert (await client.ask("/auth", {**good, "Dnsbound-Door": "other"}))["Dnsbound-Reason"] == "malformed"
            assert (await client.ask("/verify?door=other", method="POST", body=pem(leaf))).status == 403

    run(tmp_path, scenario)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_az_06_method_query_and_body_of_a_passed_on_request_are_the_clients_own(tmp_path: Path, method: str) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        async with served.client() as client:
            reply = await client.ask(
                "/auth/app/../x?name=other&door=other%zz", {"X-Client-Cert": escaped(leaf)}, method=method, body=b"a=b"
            )
            assert (reply.status, reply["Dnsbound-Name"]) == (200, NAME)

    run(tmp_path, scenario)


def test_az_02_a_body_is_judged_and_answered_in_json(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        async with served.client() as client:
            for body in (pem(leaf), leaf):
                reply = await client.ask("/verify?client=192.0.2.9", method="POST", body=body)
                told = json.loads(reply.body)
                assert reply.status == 200
                assert told["allowed"] is True
                assert (told["name"], told["door"], told["reason"]) == (NAME, DOOR, "")
                assert told["grants"] == {"topic": "cars/54", "vlan": 12}
                assert told["valid_until"] == reply["Dnsbound-Valid-Until"]
            reply = await client.ask("/verify", method="POST", body=b"-")
            assert (reply.status, json.loads(reply.body)["allowed"]) == (401, False)
            reply = await client.ask("/verify?nome=x", method="POST", body=pem(leaf))
            assert json.loads(reply.body) == {
                "allowed": False,
                "name": "",
                "door": "",
                "grants": {},
                "reason": "malformed",
                "valid_until": "",
            }
        assert served.decisions[0].source == "192.0.2.9"

    run(tmp_path, scenario)


def test_az_03_a_stated_name_is_judged_by_a_digest(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        device = served.world.organisation("cars.example").device("car54")
        digest = hashlib.sha256(device.credential.spki).hexdigest()
        async with served.client() as client:
            good = await client.ask(f"/verify?name={NAME}&spki_sha256={digest}")
            assert (good.status, good["Dnsbound-Name"]) == (200, NAME)
            bad = await client.ask(f"/verify?name={NAME}&spki_sha256={'00' * 32}")
            assert bad["Dnsbound-Reason"] == "tlsa-mismatch"
            nobody = await client.ask(f"/verify?spki_sha256={digest}")
            assert nobody["Dnsbound-Reason"] == "no-name"

    run(tmp_path, scenario, more='claim_from = ["stated"]')


def test_rh_07_a_front_may_speak_rfc_9440(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        async with served.client() as client:
            assert (await client.ask("/auth", {"Client-Cert": byte_sequence(leaf)})).status == 200
            assert (await client.ask("/auth", {"Client-Cert": escaped(leaf)}))["Dnsbound-Reason"] == "malformed"
            two = f"{byte_sequence(leaf)}, {byte_sequence(leaf)}"
            assert (await client.ask("/auth", {"Client-Cert": two}))["Dnsbound-Reason"] == "malformed"
            assert (await client.ask("/auth", {"X-Client-Cert": escaped(leaf)})).status == 401

    run(tmp_path, scenario, more='certificate_field = "Client-Cert"')


def test_a_front_may_speak_as_envoy_does(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        value = f'Hash={hashlib.sha256(leaf).hexdigest()};Cert="{escaped(leaf)}";Chain="{escaped(leaf)}";URI='
        async with served.client() as client:
            assert (await client.ask("/auth/a/b?c", {"X-Forwarded-Client-Cert": value})).status == 200
            twice = await client.ask("/auth", {"X-Forwarded-Client-Cert": f"{value},{value}"})
            assert twice["Dnsbound-Reason"] == "malformed"

    run(tmp_path, scenario, more='certificate_field = "X-Forwarded-Client-Cert"')


# --- HTTP


def test_az_07_requests_one_behind_the_other_are_answered_in_order(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        async with served.client() as client:
            good, bad = request("/auth", {"X-Client-Cert": escaped(leaf)}), request("/auth")
            await client.send((good + bad) * 20 + good[:50])
            statuses = [(await client.reply()).status for _ in range(40)]
            assert statuses == [200, 401] * 20
            await client.send(good[50:])
            assert (await client.reply()).status == 200

    run(tmp_path, scenario)


def test_a_head_is_answered_without_a_body(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as client:
            reply = await client.ask("/auth", method="HEAD")
            assert (reply.status, reply["Content-Length"]) == (401, str(len(b"Unauthorized\n")))
            assert (await client.ask("/auth")).status == 401

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET /auth HTTP/1.1\r\n\r\n",
        b"GET /auth HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /auth HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /auth HTTP/1.1\r\nHost: a\r\n folded: x\r\nX\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /auth HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000,
        b"POST /verify HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"a" * 200_000,
    ],
)
def test_az_08_http_that_is_none_ends_the_connection_and_admits_nobody(tmp_path: Path, octets: bytes) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as client:
            client.writer.write(octets)
            answer = await client.ended()
            assert not answer or re.match(rb"HTTP/1\.1 (4\d\d)", answer)
        counters = served.server.fronts["nginx"].door.counters
        assert counters.answers[""] == 0
        assert counters.turned_away.total() == 1

    run(tmp_path, scenario)


def test_a_front_that_shuts_down_its_side_hears_the_answer(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        async with served.client() as client:
            await client.send(request("/auth", {"X-Client-Cert": escaped(leaf)}))
            client.writer.write_eof()
            assert (await client.reply()).status == 200
            assert await client.ended() == b""

    run(tmp_path, scenario)


def test_http_1_0_is_answered_and_ended(tmp_path: Path) -> None:
    """Exim's readsocket."""

    async def scenario(served: Service) -> None:
        async with served.client() as client:
            await client.send(b"GET /auth HTTP/1.0\r\n\r\n")
            assert (await client.ended()).startswith(b"HTTP/1.1 401 ")

    run(tmp_path, scenario)


def test_who_expects_100_is_told_to_continue(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        async with served.client() as client:
            body = pem(leaf)
            await client.send(
                b"POST /verify HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            assert (await client.reply()).status == 100
            await client.send(body)
            assert (await client.reply()).status == 200

    run(tmp_path, scenario)


def test_other_paths_are_not_there(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as client:
            for target in ("/", "/authx", "/verifyx", "/s/secret/auth2", "*", "http://a/auth"):
                assert (await client.ask(target)).status == 404
            assert (await client.ask("/auth", method="CONNECT")).status == 405

    run(tmp_path, scenario)


# --- who may ask


def test_az_09_a_front_over_tcp_is_known_by_one_of_its_secrets(tmp_path: Path) -> None:
    first, second = "q" * 22, "0123456789abcdef" * 2

    async def scenario(served: Service) -> None:
        leaf = certificate(served.world)
        good = {"X-Client-Cert": escaped(leaf)}
        async with served.client("caddy") as client:
            for secret in (first, second):
                bearer = {**good, "Authorization": f"Bearer {secret}"}
                assert (await client.ask("/auth", bearer)).status == 200
                assert (await client.ask(f"/s/{secret}/auth", good)).status == 200
                assert (await client.ask(f"/s/{secret}/auth/x?y", good)).status == 200
            for refused in (
                request("/auth", good),
                request("/auth", {**good, "Authorization": f"Bearer {first}x"}),
                request("/auth", {**good, "Authorization": f"Basic {first}"}),
                request(f"/s/{second}x/auth", {**good, "Authorization": f"Bearer {first}"}),
                request("/s//auth", good),
                request(f"/s/{first.upper()}/auth", good),
            ):
                await client.send(refused)
                reply = await client.reply()
                assert (reply.status, reply.get("Dnsbound-Name")) == (403, None)
        assert served.server.fronts["caddy"].door.counters.turned_away["secret"] == 6

    (tmp_path / "caddy.secret").write_text(f"{first}\n{second}\n")
    (tmp_path / "caddy.secret").chmod(0o600)
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


def test_az_10_users_that_are_not_named_may_not_connect(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as client:
            client.writer.write(request("/auth"))
            assert await client.ended() == b""
        assert served.server.fronts["nginx"].door.counters.turned_away["peer"] == 1

    text = re.sub(r"users = .*", 'users = ["64999"]', front_text(tmp_path))
    run(tmp_path, scenario, text=text)


def test_a_front_has_so_many_connections_and_no_more(tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        async with served.client() as one, served.client() as two:
            assert (await one.ask("/auth")).status == 401
            assert (await two.ask("/auth")).status == 401
            async with served.client() as three:
                assert await three.ended() == b""
            await one.close()
            await gone(served, left=1)
            async with served.client() as four:
                assert (await four.ask("/auth")).status == 401

    run(tmp_path, scenario, more="connections = 2")
