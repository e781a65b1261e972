"""Envoy's gRPC face, asked by a gRPC client over the verify service's own socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from dnsbound.errors import Reason
from dnsbound.names import ClientName
from dnsbound.protocols.envoy_check import METHOD, SERVICE
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from machines.authz_fronts import DOOR, NAME, SECONDS, Service, escaped, front_text, service

SECRET = "0123456789abcdef0123456789abcdef"
Ask = Callable[..., Awaitable[Any]]
Scenario = Callable[[Service, Ask], Awaitable[None]]


def question(certificate: str, headers: dict[str, str] | None, address: str = "192.0.2.7") -> CheckRequest:
    request = CheckRequest()
    request.attributes.source.address.socket_address.address = address
    request.attributes.source.certificate = certificate
    if headers is not None:
        request.attributes.request.http.protocol = "HTTP/2"
        request.attributes.request.http.headers.update(headers)
    return request


def run(tmp_path: Path, scenario: Scenario, *, more: str = "", tcp: bool = False) -> None:
    text = front_text(tmp_path, more=more).replace('protocol = "http"', 'protocol = "envoy-grpc"')
    if tcp:
        (tmp_path / "secret").touch(0o600)
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        kept = [line for line in text.splitlines() if not line.startswith(("listen", "users"))]
        text = "\n".join([*kept, 'listen = "127.0.0.1:0"', 'secret_file = "secret"', ""])

    async def main() -> None:
        with World() as world:
            async with (
                service(world, tmp_path, text=text) as served,
                grpc.aio.insecure_channel(served.places["nginx"]) as channel,
            ):
                call = channel.unary_unary(
                    f"/{SERVICE}/{METHOD}", CheckRequest.SerializeToString, CheckResponse.FromString
                )

                async def ask(request: CheckRequest, **options: Any) -> Any:
                    return await call(request, timeout=SECONDS, wait_for_ready=True, **options)

                await scenario(served, ask)

    asyncio.run(main())


def certificate(served: Service, name: str = "car54") -> str:
    return escaped(served.world.organisation("cars.example").device(name).credential.chain[0])


def written(response: Any) -> dict[str, str]:
    headers = response.ok_response.headers
    assert {option.append_action for option in headers} == {2}, "OVERWRITE_IF_EXISTS_OR_ADD"
    return {option.header.key: option.header.value for option in headers}


def test_vf_16_a_yes_carries_the_identity_in_place_of_what_the_client_sent(tmp_path: Path) -> None:
    async def scenario(served: Service, ask: Ask) -> None:
        headers = {
            ":path": "/",
            "accept": "*/*",
            "dnsbound-name": "forged.example",
            "dnsbound_name": "forged.example",
            "dnsbound-reason": "x",
            "client-cert": ":AAAA:",
            "ssl_client_cert": "x",
            "x-forwarded-client-cert": "Hash=of-envoy",
        }
        response = await ask(question(certificate(served), headers))
        told = written(response)
        assert response.status.code == 0
        assert (told["dnsbound-name"], told["dnsbound-door"]) == (NAME, DOOR)
        assert json.loads(told["dnsbound-grants"]) == {"topic": "cars/54", "vlan": 12}
        assert list(response.ok_response.headers_to_remove) == [
            "client-cert",
            "dnsbound-reason",
            "dnsbound_name",
            "ssl_client_cert",
        ]
        [decision] = served.decisions
        assert (decision.source, decision.protocol, decision.possession) == ("192.0.2.7", "HTTP/2", "asserted by nginx")

    run(tmp_path, scenario)


def test_vf_17_a_connection_of_the_tcp_proxy_gets_a_bare_yes_or_no(tmp_path: Path) -> None:
    async def scenario(served: Service, ask: Ask) -> None:
        response = await ask(question(certificate(served), None))
        assert response.status.code == 0
        assert not response.HasField("ok_response")
        response = await ask(question(certificate(served, "car77"), None))
        assert response.status.code == 7

    run(tmp_path, scenario)


def test_vf_18_absent_refused_undecided_and_malformed_let_nobody_in(tmp_path: Path) -> None:
    async def scenario(served: Service, ask: Ask) -> None:
        mine, stranger = certificate(served), certificate(served, "car77")
        served.world.fault(NAME, Fault.SERVFAIL)
        found = [
            await ask(question(said, {})) for said in ("", stranger, "nonsense", "%zz", mine, mine.replace("%0A", "+"))
        ]
        assert [(response.status.code, response.denied_response.status.code) for response in found] == [
            (7, 401),
            (7, 403),
            (7, 403),
            (7, 403),
            (7, 503),
            (7, 403),
        ]
        assert not any(response.HasField("ok_response") for response in found)
        assert all(NAME not in response.denied_response.body for response in found)
        counted = served.server.fronts["nginx"].door.counters.answers
        assert counted == {"no-credential": 1, "not-permitted": 1, "malformed": 3, "dns-failed": 1}

    run(tmp_path, scenario, more='undecided = "503"')


def test_a_revoked_name_is_out_at_the_next_question(tmp_path: Path) -> None:
    async def scenario(served: Service, ask: Ask) -> None:
        device = served.world.organisation("cars.example").device("car54")
        request = question(escaped(device.credential.chain[0]), {})
        assert (await ask(request)).status.code == 0
        device.revoke()
        served.server.fronts["nginx"].door.authenticator.forget(ClientName.parse(NAME))
        assert (await ask(request)).status.code == 7
        assert served.decisions[-1].reason is Reason.NO_TLSA

    run(tmp_path, scenario)


def test_several_questions_at_a_time(tmp_path: Path) -> None:
    async def scenario(served: Service, ask: Ask) -> None:
        request = question(certificate(served), {})
        found = await asyncio.gather(*(ask(request) for _ in range(200)))
        assert {response.status.code for response in found} == {0}

    run(tmp_path, scenario)


def test_vf_19_over_tcp_the_secret_says_who_asks(tmp_path: Path) -> None:
    async def scenario(served: Service, ask: Ask) -> None:
        request = question(certificate(served), {})
        for metadata in ((), (("authorization", "Bearer wrong"),), (("authorization", SECRET[:-1]),)):
            assert (await ask(request, metadata=metadata)).status.code == 7
        assert not served.decisions
        known = (("authorization", f"Bearer {SECRET}"),)
        assert (await ask(request, metadata=known)).status.code == 0
        assert served.server.fronts["nginx"].door.counters.turned_away["secret"] == 3

    run(tmp_path, scenario, tcp=True)


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b""])
def test_what_is_no_grpc_ends_that_connection_alone(tmp_path: Path, octets: bytes) -> None:
    async def scenario(served: Service, ask: Ask) -> None:
        async with served.client() as client:
            await client.send(octets)
            client.writer.write_eof()
            await client.ended()
        assert (await ask(question(certificate(served), {}))).status.code == 0

    run(tmp_path, scenario)
