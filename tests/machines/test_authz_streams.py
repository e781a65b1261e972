"""The faces that are no HTTP: Postfix's policy protocol and the line protocol, over sockets of the verify service."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.door_limits import FRONT_JSON_OCTETS, POLICY_REQUEST_OCTETS
from dnsbound.edge.authz_streams import LineConnection, PolicyConnection
from dnsbound.errors import Malformed, Reason
from dnsbound.names import ClientName
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.verify.decision import Verdict
from machines.authz_fronts import DOOR, NAME, SECONDS, Client, Service, front_text, pem, service

Scenario = Callable[[Service], Awaitable[None]]


def run(tmp_path: Path, scenario: Scenario, protocol: str, more: str = "") -> None:
    text = front_text(tmp_path, more=f'claim_from = ["stated", "san"]\n{more}')

    async def main() -> None:
        with World() as world:
            replaced = text.replace('protocol = "http"', f'protocol = "{protocol}"')
            async with service(world, tmp_path, text=replaced) as served:
                await scenario(served)

    asyncio.run(main())


def credential(world: World, name: str = "car54") -> Credential:
    return world.organisation("cars.example").device(name).credential


def digests(chain: tuple[bytes, ...], spki: bytes) -> dict[str, str]:
    """As Postfix writes them."""
    return {
        "ccert_fingerprint": hashlib.sha256(chain[0]).digest().hex(":").upper(),
        "ccert_pubkey_fingerprint": hashlib.sha256(spki).digest().hex(":").upper(),
    }


def policy(name: str = NAME, **attributes: str) -> bytes:
    told = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "client_address": "192.0.2.7",
        "helo_name": name,
    }
    return "".join(f"{key}={value}\n" for key, value in (told | attributes).items()).encode() + b"\n"


async def action(client: Client, request: bytes) -> str:
    await client.send(request)
    async with asyncio.timeout(SECONDS):
        return (await client.reader.readuntil(b"\n\n")).decode().strip()


async def line(client: Client, question: object) -> dict[str, object]:
    await client.send(question if isinstance(question, bytes) else json.dumps(question).encode() + b"\n")
    async with asyncio.timeout(SECONDS):
        told = json.loads(await client.reader.readuntil(b"\n"))
    assert isinstance(told, dict)
    return told


class TestPostfix:
    def test_vf_01_a_mail_server_is_told_who_may_send(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            mine = credential(served.world)
            told = digests(mine.chain, mine.spki)
            async with served.client() as client:
                for _ in range(2):
                    assert await action(client, policy(**told)) == "action=DUNNO"
                assert (await action(client, policy("car55._device.cars.example", **told))).startswith("action=REJECT ")
            first, _, last = served.decisions
            assert (first.verdict, first.name_source, first.possession) == (
                Verdict.ADMITTED,
                "stated",
                "asserted by nginx",
            )
            assert (last.reason, first.source) == (Reason.NOT_PERMITTED, "192.0.2.7")

        run(tmp_path, scenario, "postfix")

    def test_vf_02_without_a_certificate_nobody_is_admitted(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            empty = {"ccert_fingerprint": "", "ccert_pubkey_fingerprint": ""}
            async with served.client() as client:
                assert (await action(client, policy(**empty))).startswith("action=REJECT ")
                assert (await action(client, policy())).startswith("action=REJECT ")
            assert {decision.reason for decision in served.decisions} == {Reason.NO_CREDENTIAL}
            assert not served.world.queries_for(NAME)

        run(tmp_path, scenario, "postfix")

    def test_another_key_and_a_removed_record_are_refused(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            device = served.world.organisation("cars.example").device("car54")
            told = digests(device.credential.chain, device.credential.spki)
            other = credential(served.world, "car77")
            async with served.client() as client:
                wrong = digests(other.chain, other.spki)
                assert (await action(client, policy(**wrong))).startswith("action=REJECT ")
                device.revoke()
                served.server.fronts["nginx"].door.authenticator.forget(ClientName.parse(NAME))
                assert (await action(client, policy(**told))).startswith("action=REJECT ")
            assert [decision.reason for decision in served.decisions] == [Reason.TLSA_MISMATCH, Reason.NO_TLSA]

        run(tmp_path, scenario, "postfix")

    @pytest.mark.parametrize(
        ("use", "expected"),
        [
            ("require", ("DUNNO", "REJECT", "DEFER_IF_PERMIT")),
            ("relay", ("OK", "DUNNO", "DEFER_IF_REJECT")),
            ("header", ("DUNNO", "DUNNO", "DUNNO")),
        ],
    )
    def test_vf_03_undecided_has_a_word_of_its_own(
        self, tmp_path: Path, use: str, expected: tuple[str, str, str]
    ) -> None:
        async def scenario(served: Service) -> None:
            mine = credential(served.world)
            told = digests(mine.chain, mine.spki)
            async with served.client() as client:
                words = [await action(client, policy(**told)), await action(client, policy("car99.x.example", **told))]
                served.server.fronts["nginx"].door.authenticator.forget(ClientName.parse(NAME))
                served.world.fault(NAME, Fault.SERVFAIL)
                words.append(await action(client, policy(**told)))
            assert [word.removeprefix("action=").split(" ")[0] for word in words] == list(expected)

        run(tmp_path, scenario, "postfix", f'use = "{use}"')

    def test_the_name_is_written_once_into_a_message(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            mine = credential(served.world)
            told = digests(mine.chain, mine.spki)
            async with served.client() as client:
                assert await action(client, policy(**told)) == "action=DUNNO"
                data = policy(**told, protocol_state="DATA")
                assert await action(client, data) == f"action=PREPEND Dnsbound-Name: {NAME}"
                # A forged field stands below this one, so whoever reads the first finds that nobody was admitted.
                for stranger in (
                    policy("car99.x.example", **told, protocol_state="DATA"),
                    policy(protocol_state="DATA"),
                ):
                    assert await action(client, stranger) == "action=PREPEND Dnsbound-Name: none"

        run(tmp_path, scenario, "postfix", 'use = "header"')

    def test_requests_that_come_in_pieces_or_together(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            mine = credential(served.world)
            request = policy(**digests(mine.chain, mine.spki))
            async with served.client() as client:
                for piece in (request[:1], request[1:40], request[40:-1]):
                    await client.send(piece)
                assert await action(client, request[-1:] + request * 40) == "action=DUNNO"
                for _ in range(40):
                    assert await action(client, b"") == "action=DUNNO"

        run(tmp_path, scenario, "postfix")

    @pytest.mark.parametrize(
        "octets",
        [
            b"\n",
            b"request=other\n\n",
            b"nonsense\n\n",
            b"request=smtpd_access_policy\nhelo_name=a\nhelo_name=b\n\n",
            b"request=smtpd_access_policy\n" + b"".join(b"a%d=\n" % n for n in range(200)) + b"\n",
            b"a=" + b"x" * (POLICY_REQUEST_OCTETS.default + 1),
        ],
        ids=["empty", "other-request", "no-pair", "twice", "many", "endless"],
    )
    def test_vf_04_what_is_no_request_ends_the_connection_without_an_answer(
        self, tmp_path: Path, octets: bytes
    ) -> None:
        async def scenario(served: Service) -> None:
            async with served.client() as client:
                await client.send(octets)
                assert await client.ended() == b""
            assert served.server.fronts["nginx"].door.counters.turned_away["protocol"] == 1
            async with served.client() as client:
                assert (await action(client, policy())).startswith("action=REJECT ")

        run(tmp_path, scenario, "postfix")

    def test_a_digest_of_another_algorithm_is_refused(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            async with served.client() as client:
                assert (await action(client, policy(ccert_fingerprint="AA:" * 15 + "AA"))).startswith("action=REJECT ")
            assert served.server.fronts["nginx"].door.counters.answers["malformed"] == 1

        run(tmp_path, scenario, "postfix")


class TestLines:
    def test_vf_05_every_form_of_a_credential(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            mine = credential(served.world)
            forms = (
                {"certificate": pem(*mine.chain).decode()},
                {"certificate": base64.b64encode(mine.chain[0]).decode()},
                {"public_key": base64.b64encode(mine.spki).decode(), "name": NAME},
                {"digests": {"spki_sha256": hashlib.sha256(mine.spki).hexdigest()}, "name": NAME},
            )
            async with served.client() as client:
                for number, form in enumerate(forms):
                    told = await line(client, {"v": 1, "id": str(number), "source": "192.0.2.7", **form})
                    assert told.pop("valid_until")
                    assert told == {
                        "v": 1,
                        "id": str(number),
                        "verdict": "allowed",
                        "name": NAME,
                        "door": DOOR,
                        "grants": {"topic": "cars/54", "vlan": 12},
                    }

        run(tmp_path, scenario, "lines")

    def test_vf_06_refused_undecided_and_malformed_are_three_words(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            mine = credential(served.world)
            whole = {"v": 1, "certificate": pem(*mine.chain).decode()}
            served.world.fault(NAME, Fault.SERVFAIL)
            async with served.client() as client:
                told = await line(client, {"v": 1, "name": NAME})
                assert (told["verdict"], told["reason"]) == ("refused", "no-credential")
                told = await line(client, {**whole, "name": "car55._device.cars.example"})
                assert (told["verdict"], told["reason"]) == ("refused", "ambiguous-name")
                told = await line(client, whole)
                assert (told["verdict"], told["reason"]) == ("undecided", "dns-failed")
                told = await line(client, b"{\n")
                assert told["verdict"] == "malformed"
                served.world.heal()
                assert (await line(client, whole))["verdict"] == "allowed"

        run(tmp_path, scenario, "lines")

    @pytest.mark.parametrize(
        "question",
        [
            {},
            {"v": 2},
            {"v": True},
            {"v": 1, "door": "other"},
            {"v": 1, "certificate": "x", "digests": {}},
            {"v": 1, "digests": {"md5": "00"}},
            {"v": 1, "digests": {"spki_sha256": "00"}},
            {"v": 1, "name": 7},
            {"v": 1, "id": "x" * 300},
            {"v": 1, "source": "a\nb"},
            [1],
        ],
        ids=str,
    )
    def test_a_line_that_is_no_question_lets_nobody_in(self, tmp_path: Path, question: object) -> None:
        async def scenario(served: Service) -> None:
            async with served.client() as client:
                assert (await line(client, question))["verdict"] == "malformed"

        run(tmp_path, scenario, "lines")

    def test_a_line_without_an_end_is_cut_off(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            async with served.client() as client:
                await client.send(b"x" * (FRONT_JSON_OCTETS.default + 1))
                assert json.loads(await client.ended())["verdict"] == "malformed"

        run(tmp_path, scenario, "lines")

    def test_a_script_that_ends_its_side_gets_its_answers(self, tmp_path: Path) -> None:
        async def scenario(served: Service) -> None:
            question = json.dumps({"v": 1, "certificate": pem(*credential(served.world).chain).decode()}).encode()
            async with served.client() as client:
                await client.send(question + b"\n" + question + b"\n")
                client.writer.write_eof()
                answers = (await client.ended()).splitlines()
            assert [json.loads(answer)["verdict"] for answer in answers] == ["allowed", "allowed"]

        run(tmp_path, scenario, "lines")


@pytest.mark.parametrize(
    ("protocol", "kind", "question"),
    [("postfix", PolicyConnection, policy()), ("lines", LineConnection, b'{"v": 1}\n')],
)
def test_vf_07_a_question_has_one_deadline_however_it_trickles_in(
    tmp_path: Path, protocol: str, kind: type, question: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    original = kind.wait_for_rest
    monkeypatch.setattr(kind, "wait_for_rest", lambda connection: (begun.append(connection), original(connection)))

    async def scenario(served: Service) -> None:
        async with served.client() as client:
            await client.send(question[:1])
            async with asyncio.timeout(SECONDS):
                while not begun:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0)
            for octet in question[1:-1]:
                await client.send(bytes((octet,)))
                await asyncio.sleep(0)
            await client.send(question[-1:])
            async with asyncio.timeout(SECONDS):
                assert await client.reader.readuntil(b"\n")
        assert len(begun) == 1

    run(tmp_path, scenario, protocol)


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("postfix", 'claim_from = ["san"]'),
        ("postfix", 'claim_from = ["stated"]\nuse = "all"'),
        ("ssh", ""),
        ("lines", "x = 1"),
    ],
)
def test_settings_that_could_admit_nobody_are_errors(tmp_path: Path, protocol: str, more: str) -> None:
    text = front_text(tmp_path, more=more).replace('protocol = "http"', f'protocol = "{protocol}"')

    async def main() -> None:
        with World() as world, pytest.raises(Malformed):
            async with service(world, tmp_path, text=text):
                pass

    asyncio.run(main())


@pytest.mark.parametrize("protocol", ["postfix", "lines"])
def test_protocols_without_a_place_for_a_secret_are_not_spoken_over_tcp(tmp_path: Path, protocol: str) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("0123456789abcdef0123456789abcdef\n")
    text = front_text(tmp_path, more=f'claim_from = ["stated"]\nsecret_file = "{secret}"')
    text = text.replace('protocol = "http"', f'protocol = "{protocol}"')

    async def main() -> None:
        with World() as world, pytest.raises(Malformed):
            async with service(world, tmp_path, text=text):
                pass

    asyncio.run(main())
