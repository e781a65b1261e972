"""`dnsbound radius`: sessions from the accounting database, ending them, forgetting them."""

import asyncio
import json
import time

import pytest

from dnsbound.iana import ErrorCause
from dnsbound.provision.accounting.entries import AdmissionState, Ended
from dnsbound.provision.accounting.ledger import Ledger
from dnsbound.provision.accounting.reading import Wanted, find
from dnsbound.testing.background_loop import BackgroundLoop
from dnsbound.testing.world import World
from interop.radius_server import radius_files
from machines.radius_live_pairs import DisconnectPort, clients_text
from unit.accounting.entries import NAME, NOW, admitted, reported

OTHER = "car77._device.cars.example"


@pytest.fixture
def place(tmp_path):
    """Three admissions: one in, one that ended, one of another name."""
    path = tmp_path / "radius.db"
    with Ledger.open(path, create=True) as ledger:
        ledger.write(
            [
                admitted(client="nas", address="127.0.0.1"),
                reported("START", at=NOW + 1, client="nas", input_octets=2_000_000),
                admitted(b"two", network="staff"),
                Ended(access_class=b"two", state=AdmissionState.DISCONNECTED, at=NOW + 50, why="no-tlsa"),
                admitted(b"three", name=OTHER),
            ]
        )
    return path


def listed(ran):
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.lines]


def test_who_was_let_in_is_listed(dnsbound, place):
    found = listed(dnsbound("radius", "sessions", "--database", place, "--json"))
    assert [(row["name"], row["network"], row["state"]) for row in found] == [
        (NAME, "visitors", "live"),
        (NAME, "staff", "disconnected"),
        (OTHER, "visitors", "live"),
    ]
    assert (found[0]["session"], found[0]["input_octets"]) == ("s1", 2_000_000)
    assert found[1]["why"] == "no-tlsa"
    assert "session" not in found[2]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--live"], [1, 3]),
        (["--name", OTHER.upper() + "."], [3]),
        (["--network", "staff"], [2]),
        (["--since", "2030-01-01T00:00:00Z"], [1, 3]),
        (["--since", "2001-01-01T00:00:00Z", "--live", "--network", "visitors", "--name", NAME], [1]),
        (["--network", "nowhere"], []),
    ],
)
def test_what_is_looked_for(dnsbound, place, options, numbers):
    found = listed(dnsbound("radius", "sessions", "--database", place, "--json", *options))
    assert [row["number"] for row in found] == numbers


def test_people_are_told_in_lines(dnsbound, place):
    ran = dnsbound("radius", "sessions", "--database", place)
    assert ran.code == 0
    assert ran.lines[0].startswith(f"1  {NAME}  visitors  live  ")
    assert ran.lines[1].strip() == "at ap1.isp.example (nas)  02-00-00-00-00-01  2.0 MB in, 0.0 MB out"
    assert "disconnected (no-tlsa)" in ran.lines[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ("sessions",),
        ("sessions", "--database", "missing.db"),
        ("sessions", "--database", "mysql://x/y"),
        ("sessions", "--config", "missing.toml"),
        ("disconnect", NAME),
        ("disconnect", "no_dots", "--config", "missing.toml"),
        ("prune", "--keep", "for ever", "--database", "missing.db"),
    ],
)
def test_wrong_use(dnsbound, arguments):
    ran = dnsbound("radius", *arguments)
    assert ran.code == 2
    assert len(ran.err.strip().splitlines()) == 1
    assert ran.err.startswith("dnsbound: ")


def test_a_time_that_is_none(dnsbound, place):
    assert dnsbound("radius", "sessions", "--database", place, "--since", "soon").code == 2


def test_what_ended_long_ago_is_forgotten(dnsbound, place):
    assert dnsbound("radius", "prune", "--keep", "100000d", "--database", place).code == 0
    with Ledger.open(place) as ledger:
        ledger.write([Ended(access_class=b"one", state=AdmissionState.EXPIRED, at=1.0)])
        ledger.write([admitted(b"old", at=1.0), Ended(access_class=b"old", state=AdmissionState.EXPIRED, at=1.0)])
    ran = dnsbound("radius", "prune", "--keep", "3650d", "--database", place, "--json")
    assert (ran.code, json.loads(ran.out)["rows"]) == (0, 1)


# --- ending sessions


class Nas:
    """An access server's port on a loop of its own."""

    def __init__(self, loop, answer):
        self.loop = loop

        async def made():
            running = asyncio.get_running_loop()
            _, port = await running.create_datagram_endpoint(
                lambda: DisconnectPort(time.time, answer), local_addr=("127.0.0.1", 0)
            )
            return port

        self.port = loop.run(made())

    def close(self):
        async def closed():
            self.port.transport.close()
            await self.port.gone

        self.loop.run(closed())


@pytest.fixture(scope="module")
def world():
    with World() as made:
        yield made


@pytest.fixture
def configured(tmp_path, world, place):
    """radius.toml beside an access server that answers as it is told."""
    made = []

    def configure(answer=lambda _request: None, dynamic=None):
        nas = Nas(loop, answer)
        made.append(nas)
        radius_files(
            tmp_path,
            world,
            settings=f'accounting_database = "{place}"\n',
            clients=clients_text(dynamic or nas.port.port),
        )
        return tmp_path / "radius.toml", nas.port

    with BackgroundLoop("nas") as loop:
        yield configure
        for nas in made:
            nas.close()


def state_of(place):
    with Ledger.open(place) as ledger:
        return [(row.state, row.why) for row in find(ledger, Wanted(name=NAME, network="visitors"))]


def test_all_sessions_of_a_name_are_ended(dnsbound, configured, place):
    config, port = configured()
    ran = dnsbound("radius", "disconnect", NAME, "--config", config)
    assert ran.code == 0
    assert ran.lines == ["visitors  ap1.isp.example  02-00-00-00-00-01  done: acknowledged"]
    assert state_of(place) == [(AdmissionState.DISCONNECTED, "by hand")]
    (request,) = port.requests
    assert (request.first(1), request.first(44)) == (NAME.encode(), b"s1")
    # Now there is none.
    again = dnsbound("radius", "disconnect", NAME, "--config", config)
    assert (again.code, again.err.strip()) == (1, f"{NAME} is in no network.")


@pytest.mark.parametrize(
    ("cause", "ended"),
    [
        (ErrorCause.SESSION_CONTEXT_NOT_FOUND, (0, "gone", AdmissionState.GONE)),
        (ErrorCause.UNSUPPORTED_EXTENSION, (1, "unsupported", AdmissionState.LIVE)),
        (ErrorCause.RESOURCES_UNAVAILABLE, (1, "later", AdmissionState.LIVE)),
    ],
)
def test_what_the_access_server_answers_is_said(dnsbound, configured, place, cause, ended):
    code, outcome, state = ended
    config, _ = configured(lambda _request: cause)
    ran = dnsbound("radius", "disconnect", NAME, "--config", config, "--json")
    assert ran.code == code
    assert json.loads(ran.out)["outcome"] == outcome
    assert state_of(place)[0][0] is state


def test_one_that_takes_no_requests_is_said_to(dnsbound, configured, place):
    config, _ = configured(dynamic="none")
    ran = dnsbound("radius", "disconnect", NAME, "--config", config)
    assert (ran.code, "takes no dynamic authorisation" in ran.out) == (1, True)
    assert state_of(place)[0][0] is AdmissionState.LIVE


def test_one_that_is_silent_leaves_it_open(dnsbound, configured, place):
    config, _ = configured(lambda _request: -1)
    ran = dnsbound("radius", "disconnect", NAME, "--config", config)
    assert (ran.code, "silent: no answer from 127.0.0.1" in ran.out) == (3, True)
    assert state_of(place)[0][0] is AdmissionState.LIVE
