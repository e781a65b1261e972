"""radclient and radtest against our server: single packets of others' making, right and wrong."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import NO_NETWORK
from interop.daemon import eventually, program, run
from interop.radius_radclient import radclient
from interop.radius_server import CLIENTS, NETWORKS, RadiusSite, radius_site

pytestmark = pytest.mark.peer("radclient")

PROOF = "Message-Authenticator = 0x00"
NAME = 'User-Name = "@cars.example"'
IDENTITY = "EAP-Message = 0x0201001201" + b"@cars.example".hex()
"""EAP-Response/Identity."""
SILENCE = 1.0
PATIENCE = 20.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadiusSite]:
    with radius_site(tmp_path_factory.mktemp("site")) as made:
        yield made


def test_status_server_is_answered(site: RadiusSite) -> None:
    for port, code in ((site.port, "Access-Accept"), (site.accounting_port, "Accounting-Response")):
        answer = radclient("status", [PROOF], port=port, secret=site.secret)
        assert answer.code == code, answer.output


def test_an_identity_is_answered_with_the_start_of_eap_tls(site: RadiusSite) -> None:
    answer = radclient("auth", [NAME, IDENTITY, PROOF], port=site.port, secret=site.secret)
    assert answer.code == "Access-Challenge", answer.output
    assert answer.attributes[0][0] == "Message-Authenticator"
    (message,) = answer.of("EAP-Message")
    octets = bytes.fromhex(message.removeprefix("0x"))
    assert (octets[0], octets[2:]) == (1, bytes.fromhex("00060d20"))
    assert len(answer.of("State")) == 1


@pytest.mark.parametrize(
    ("command", "attributes", "secret", "why"),
    [
        ("auth", [NAME, IDENTITY], None, "no-message-authenticator"),
        ("auth", [NAME, IDENTITY, PROOF], "another-secret-altogether", "wrong-message-authenticator"),
        ("auth", [NAME, NAME, IDENTITY, PROOF], None, "repeated-attribute"),
        ("auth", [NAME, IDENTITY, 'User-Password = "hello"', PROOF], None, "several-authentications"),
        ("status", ['NAS-Identifier = "switch1"'], None, "no-message-authenticator"),
        ("status", [PROOF], "another-secret-altogether", "wrong-message-authenticator"),
        ("coa", [NAME, PROOF], None, "unexpected-code"),
    ],
)
def test_what_must_be_dropped_gets_no_answer_and_is_counted(
    site: RadiusSite, command: str, attributes: list[str], secret: str | None, why: str
) -> None:
    before = site.dropped()
    answer = radclient(command, attributes, port=site.port, secret=secret or site.secret, seconds=SILENCE)
    assert answer.code is None, answer.output

    def counted() -> dict[str, int]:
        return {word: number - before.get(word, 0) for word, number in site.dropped().items()}

    eventually(lambda: counted().get(why, 0) == 1, PATIENCE, otherwise=lambda: str(counted()))
    assert sum(counted().values()) == 1


def test_an_unknown_client_gets_no_answer(tmp_path: Path) -> None:
    with radius_site(tmp_path, clients=CLIENTS.replace("127.0.0.0/8", "127.0.0.2/32")) as site:
        answer = radclient("status", [PROOF], port=site.port, secret=site.secret, seconds=SILENCE)
        assert answer.code is None
        eventually(lambda: site.dropped() == {"unknown-client": 1}, PATIENCE, otherwise=lambda: str(site.dropped()))


@pytest.mark.peer("radtest")
def test_a_password_is_never_enough(site: RadiusSite) -> None:
    site.events.clear()
    done = run([program("radtest"), "-x", "bob", "hello", f"127.0.0.1:{site.port}", "0", site.secret])
    assert "Access-Accept" not in done.stdout
    assert site.events == []


def test_no_network_for_a_request_is_a_rejection_without_tls(tmp_path: Path) -> None:
    networks = NETWORKS.replace('door = "public.isp.example"', 'door = "public.isp.example"\nrealm = ["cars.example"]')
    with radius_site(tmp_path, networks=networks) as site:
        other = b"@trucks.example"
        identity = f"EAP-Message = 0x0201{5 + len(other):04x}01{other.hex()}"
        answer = radclient(
            "auth", [f'User-Name = "{other.decode()}"', identity, PROOF], port=site.port, secret=site.secret
        )
        assert answer.code == "Access-Reject", answer.output
        (event,) = site.events
        assert event.reason == NO_NETWORK
        assert not site.world.queries


def test_state_of_nobody_is_rejected(site: RadiusSite) -> None:
    state = f"State = 0x{secrets.token_hex(17)}"
    acknowledged = "EAP-Message = 0x020200060d00"
    answer = radclient("auth", [NAME, acknowledged, state, PROOF], port=site.port, secret=site.secret)
    assert answer.code == "Access-Reject", answer.output


def test_accounting_that_is_discarded_is_acknowledged(site: RadiusSite) -> None:
    start = [NAME, "Acct-Status-Type = Start", 'Acct-Session-Id = "1"', 'NAS-Identifier = "switch1"']
    answer = radclient("acct", start, port=site.accounting_port, secret=site.secret)
    assert answer.code == "Accounting-Response", answer.output
    wrong = radclient("acct", start, port=site.accounting_port, secret="another-secret-altogether", seconds=SILENCE)
    assert wrong.code is None
