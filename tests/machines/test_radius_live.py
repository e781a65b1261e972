"""Live network sessions: who is in, what ends them, how access servers are asked, and what a restart remembers."""

import asyncio
from collections.abc import Iterator

import pytest

from dnsbound.errors import Reason, Refused
from dnsbound.iana import ErrorCause, RadiusAttribute
from dnsbound.provision.accounting.entries import AdmissionState
from dnsbound.provision.accounting.ledger import Ledger
from dnsbound.provision.accounting.reading import Wanted, find
from dnsbound.testing.faults import Fault
from dnsbound.testing.world import World
from interop.radius_server import SECRET
from machines.radius_live_pairs import NAS_IDENTIFIER, LiveSite, live_site
from machines.radius_pairs import STATION

pytestmark = pytest.mark.timeout(90)

SILENCE = -1


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        made.organisation("cars.example")
        yield made


@pytest.fixture
def car(world):
    return world.organisation("cars.example").device("car54")


def rows(database):
    with Ledger.open(database) as ledger:
        return list(find(ledger, Wanted()))


def identified_by(request):
    left = (RadiusAttribute.MESSAGE_AUTHENTICATOR, RadiusAttribute.EVENT_TIMESTAMP)
    return {number: value for number, value in request.attributes if number not in left}


def run(scenario, directory, world, **options):
    async def main():
        async with live_site(directory, world, **options) as site:
            await scenario(site)

    asyncio.run(main())


def test_da_09_a_removed_record_ends_the_session(tmp_path, world, car):
    """RFC 5176 section 2.1, and the reason for all of this: the name's owner ends the session, at another's network."""

    async def scenario(site: LiveSite):
        await site.admit(car)
        assert [live.name for live in site.live] == [car.name.canonical]
        assert car.revoke()
        await site.until(lambda: not len(site.live), "the session is over")
        assert site.live.counters.ended == {"disconnected": 1}
        (request,) = site.port.requests
        assert identified_by(request) == {
            RadiusAttribute.USER_NAME: car.name.canonical.encode(),
            RadiusAttribute.CALLING_STATION_ID: STATION,
            RadiusAttribute.NAS_IDENTIFIER: NAS_IDENTIFIER,
        }

    run(scenario, tmp_path, world)


def test_another_key_of_the_name_does_not_keep_the_old_one_in(tmp_path, world, car):
    async def scenario(site: LiveSite):
        await site.admit(car)
        car.renew()
        await site.until(lambda: site.port.requests, "the session is ended")

    run(scenario, tmp_path, world)


def test_nobody_is_ended_whose_record_stands(tmp_path, world, car):
    other = world.organisation("cars.example").device("car77")

    async def scenario(site: LiveSite):
        await site.admit(car)
        staying = await site.admit(other, station=b"02-00-00-00-00-77")
        assert car.revoke()
        await site.until(lambda: len(site.live) == 1, "one of two is over")
        assert [live.access_class for live in site.live] == [staying]
        assert len(site.port.requests) == 1

    run(scenario, tmp_path, world)


def test_da_10_what_the_access_server_calls_the_session_is_said_back(tmp_path, world, car):
    """RFC 5176 section 3: Acct-Session-Id and User-Name, as its own reports have them."""

    async def scenario(site: LiveSite):
        access_class = await site.admit(car)
        assert await site.report("START", access_class, session=b"0123456789ABCDEF", user_name=b"handle")
        assert car.revoke()
        await site.until(lambda: not len(site.live), "the session is over")
        said = identified_by(site.port.requests[0])
        assert said[RadiusAttribute.ACCT_SESSION_ID] == b"0123456789ABCDEF"
        assert said[RadiusAttribute.USER_NAME] == b"handle"
        assert RadiusAttribute.CLASS not in said

    run(scenario, tmp_path, world)


# --- answers


@pytest.mark.parametrize("cause", [ErrorCause.SESSION_CONTEXT_NOT_FOUND, ErrorCause.RESIDUAL_SESSION_CONTEXT_REMOVED])
def test_da_11_a_session_that_is_not_there_is_gone(tmp_path, world, car, cause):
    """RFC 5176 section 3.5."""

    async def scenario(site: LiveSite):
        await site.admit(car)
        assert car.revoke()
        await site.until(lambda: not len(site.live), "the session is over")
        gone = cause is ErrorCause.SESSION_CONTEXT_NOT_FOUND
        assert site.live.counters.ended == {"gone" if gone else "disconnected": 1}

    run(scenario, tmp_path, world, answer=lambda _request: cause)


@pytest.mark.parametrize(
    "unliked",
    [RadiusAttribute.USER_NAME, RadiusAttribute.NAS_IDENTIFIER],
)
@pytest.mark.parametrize("cause", [ErrorCause.UNSUPPORTED_ATTRIBUTE, ErrorCause.SESSION_CONTEXT_NOT_FOUND])
def test_da_12_an_access_server_that_knows_it_by_less_is_asked_by_less(tmp_path, world, car, unliked, cause):
    """One that refuses the request for what it does not take, or has otherwise, is not believed that all is over."""

    async def scenario(site: LiveSite):
        access_class = await site.admit(car)
        await site.report("START", access_class)
        assert car.revoke()
        await site.until(lambda: not len(site.live), "the session is over")
        assert site.live.counters.ended == {"disconnected": 1}
        assert unliked not in identified_by(site.port.requests[-1])

    run(scenario, tmp_path, world, answer=lambda request: cause if request.first(unliked) else None)


def test_da_13_one_that_cannot_is_told_of_once_and_the_session_is_left(tmp_path, world, car, caplog):
    other = world.organisation("cars.example").device("car77")

    async def scenario(site: LiveSite):
        await site.admit(car)
        await site.admit(other, station=b"02-00-00-00-00-77")
        assert car.revoke()
        assert other.revoke()
        await site.until(lambda: not len(site.live), "both are given up")
        assert site.live.counters.ended == {"left": 2}
        assert len(site.port.requests) == 2  # not again and again

    run(scenario, tmp_path, world, answer=lambda _request: ErrorCause.UNSUPPORTED_EXTENSION)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert sum("does not end sessions" in line for line in lines) == 1
    assert sum("goes on" in line for line in lines) == 2


def test_da_14_one_that_is_busy_is_asked_again(tmp_path, world, car):
    causes = [ErrorCause.RESOURCES_UNAVAILABLE, ErrorCause.REQUEST_INITIATED, None]

    async def scenario(site: LiveSite):
        await site.admit(car)
        assert car.revoke()
        await site.until(lambda: not len(site.live), "the session is over")
        assert site.live.counters.ended == {"disconnected": 1}
        assert site.live.counters.disconnects == {"later": 2, "done": 1}

    run(scenario, tmp_path, world, answer=lambda _request: causes.pop(0))


def test_da_15_one_that_is_silent_is_asked_again_and_given_up_loudly(tmp_path, world, car, caplog):
    """RFC 5176 section 2.3: repeated with the time of each sending; then told to people."""

    async def scenario(site: LiveSite):
        await site.admit(car)
        assert car.revoke()
        await site.until(lambda: not len(site.live), "it is given up")
        assert site.live.counters.ended == {"left": 1}
        assert site.live.counters.disconnects == {"silent": 3}
        assert len(site.port.requests) >= 3

    run(scenario, tmp_path, world, answer=lambda _request: SILENCE, attempts=3)
    assert any("goes on: no answer" in record.getMessage() for record in caplog.records)


def test_da_16_where_nobody_takes_requests_that_is_said(tmp_path, world, car):
    async def scenario(site: LiveSite):
        await site.admit(car)
        assert car.revoke()
        await site.until(lambda: not len(site.live), "it is given up")
        assert (site.live.counters.ended, site.live.counters.disconnects) == ({"left": 1}, {"unreachable": 1})

    run(scenario, tmp_path, world, dynamic="none")


def test_both_secrets_of_a_replacement_are_tried(tmp_path, world, car):
    async def scenario(site: LiveSite):
        site.port.secret = b"the former secret of this access server"
        await site.admit(car)
        assert car.revoke()
        await site.until(lambda: not len(site.live), "the session is over")
        assert site.live.counters.ended == {"disconnected": 1}
        assert site.port.discarded  # what was made with the new one

    secret = tmp_path / "both.secret"
    secret.touch(mode=0o600)
    secret.write_text(f"{SECRET}\nthe former secret of this access server\n")
    run(scenario, tmp_path, world, secrets="both.secret")


# --- what ends a session by itself


def test_racc_14_a_reported_end_ends_the_supervision(tmp_path, world, car):
    async def scenario(site: LiveSite):
        access_class = await site.admit(car)
        assert await site.report("START", access_class)
        assert await site.report("STOP", access_class, terminate_cause=1)
        assert len(site.live) == 0
        assert not any(len(network.authenticator.sessions) for network in site.site.networks)
        assert site.live.counters.ended == {"stopped": 1}
        assert not site.port.requests

    run(scenario, tmp_path, world)


def test_who_comes_again_has_left_the_former_session(tmp_path, world, car):
    async def scenario(site: LiveSite):
        await site.admit(car)
        newest = await site.admit(car)
        await site.admit(car, station=b"02-00-00-00-00-99")  # elsewhere: another one
        assert len(site.live) == 2
        assert site.live.counters.ended == {"replaced": 1}
        assert newest in [live.access_class for live in site.live]

    run(scenario, tmp_path, world)


def test_another_name_at_a_station_does_not_end_the_supervision_of_the_first(tmp_path, world, car):
    """A station chooses its own address."""
    other = world.organisation("cars.example").device("car77")

    async def scenario(site: LiveSite):
        first = await site.admit(car)
        await site.admit(other)
        assert len(site.live) == 2
        assert car.revoke()
        await site.until(lambda: len(site.live) == 1, "the first is over")
        assert first not in [live.access_class for live in site.live]

    run(scenario, tmp_path, world)


def test_an_access_server_that_restarts_has_nobody_in(tmp_path, world, car):
    async def scenario(site: LiveSite):
        await site.admit(car)
        assert await site.report("ACCOUNTING_ON", None, session=b"", nas=b"another")
        assert len(site.live) == 1
        assert await site.report("ACCOUNTING_ON", None, session=b"")
        assert len(site.live) == 0

    run(scenario, tmp_path, world)


def test_a_session_of_which_nothing_is_heard_expires(tmp_path, world, car):
    moments = [0.0]

    async def scenario(site: LiveSite):
        access_class = await site.admit(car)
        site.live._clock = lambda: world.now() + moments[0]
        moments[0] = 3600 + 599
        site.live._look()
        assert len(site.live) == 1
        assert await site.report("INTERIM_UPDATE", access_class)
        moments[0] += 3600
        site.live._look()
        assert len(site.live) == 1  # heard of since
        moments[0] += 700
        site.live._look()
        assert site.live.counters.ended == {"expired": 1}

    run(scenario, tmp_path, world)


# --- guesses and floods


def test_a_guessed_or_stolen_class_ends_nobodys_supervision(tmp_path, world, car):
    clients = '[client.other]\naddress = ["192.0.2.0/24"]\nsecret_file = "nas.secret"\n'

    async def scenario(site: LiveSite):
        access_class = await site.admit(car)
        guesses = [access_class[:-1] + b"\0", access_class[:17], bytes(33), b"", access_class + b"\0", None]
        for number, guess in enumerate(guesses):
            await site.report("STOP", guess or None, session=f"s{number}".encode())
        other = site.site.service.configuration.clients["other"]
        origin = {"client": other, "address": "192.0.2.9"}
        assert await site.report("STOP", access_class, origin=origin)
        assert len(site.live) == 1
        assert site.live.counters.foreign_classes >= 5
        assert car.revoke()
        await site.until(lambda: site.port.requests, "it is still looked after")

    run(scenario, tmp_path, world, clients=clients)


def test_forged_answers_end_nothing(tmp_path, world, car):
    """Answers by somebody without the secret, and answers to other requests, are passed over."""

    async def scenario(site: LiveSite):
        def forge(request, addr):
            true = site.port.secret
            site.port.secret = b"guessed"
            for _ in range(100):
                type(site.port).reply(site.port, request, addr)
            site.port.secret = true

        site.port.reply = forge
        await site.admit(car)
        assert car.revoke()
        await site.until(lambda: not len(site.live), "it is given up")
        assert site.live.counters.ended == {"left": 1}

    run(scenario, tmp_path, world, attempts=1)


def test_ending_many_is_done_a_few_at_a_time(tmp_path, world, car):
    """And each of them ends."""
    at_once = []

    async def scenario(site: LiveSite):
        for number in range(80):
            await site.admit(car, station=f"02-00-00-00-00-{number:02x}".encode())
        for live in site.live:
            live.cut(Refused(Reason.NO_TLSA))
        await site.until(lambda: at_once.append(64 - site.live._disconnecting._value) or not len(site.live), "all over")
        assert site.live.counters.ended == {"disconnected": 80}
        assert max(at_once) <= 64

    run(scenario, tmp_path, world)


# --- restarts


def test_da_17_a_restart_forgets_nobody(tmp_path, world, car, accounting_place):
    """Who was in is asked about again, and ended where the record has gone meanwhile."""
    other = world.organisation("cars.example").device("car77")

    async def before(site: LiveSite):
        access_class = await site.admit(car)
        await site.admit(other, station=b"02-00-00-00-00-77")
        assert await site.report("START", access_class, session=b"s54")

    async def after(site: LiveSite):
        assert site.live.counters.restored == 2
        await site.until(lambda: len(site.live) == 1, "who lost the record is out")
        assert [live.name for live in site.live] == [other.name.canonical]
        (request,) = site.port.requests
        assert identified_by(request)[RadiusAttribute.ACCT_SESSION_ID] == b"s54"
        # Who stays is looked after as before.
        assert other.revoke()
        await site.until(lambda: not len(site.live), "the other is out, too")

    run(before, tmp_path, world, database=accounting_place)
    assert {row.state for row in rows(accounting_place)} == {AdmissionState.LIVE}
    assert car.revoke()
    run(after, tmp_path, world, database=accounting_place)
    assert {row.state for row in rows(accounting_place)} == {AdmissionState.DISCONNECTED}
    assert {row.why for row in rows(accounting_place)} == {Reason.NO_TLSA.value}


def test_what_was_being_ended_is_ended_after_a_restart(tmp_path, world, car):
    database = str(tmp_path / "radius.db")

    async def before(site: LiveSite):
        await site.admit(car)
        assert car.revoke()
        await site.until(lambda: site.port.requests, "it is being ended")

    async def after(site: LiveSite):
        await site.until(lambda: not len(site.live), "it is over")
        assert site.live.counters.ended == {"disconnected": 1}

    run(before, tmp_path, world, database=database, answer=lambda _request: SILENCE)
    assert [row.state for row in rows(database)] == [AdmissionState.CUTTING]
    run(after, tmp_path, world, database=database)


def test_while_nobody_can_say_a_session_of_before_lasts_as_long_as_its_evidence(tmp_path, world, car):
    database = str(tmp_path / "radius.db")

    async def before(site: LiveSite):
        await site.admit(car)

    async def after(site: LiveSite):
        await site.until(lambda: not len(site.live), "it is over")
        assert site.live.counters.ended == {"disconnected": 1}

    run(before, tmp_path, world, database=database)
    world.fault(car.name.text, Fault.SERVFAIL)
    run(after, tmp_path, world, database=database)
    [row] = rows(database)
    assert row.why == Reason.DNS_FAILED.value


def test_who_was_in_a_network_that_is_no_more_is_ended(tmp_path, world, car):
    database = str(tmp_path / "radius.db")

    async def before(site: LiveSite):
        await site.admit(car)

    async def after(site: LiveSite):
        await site.until(lambda: not len(site.live), "it is over")

    run(before, tmp_path, world, database=database)
    networks = '[network.only]\ndoor = "public.isp.example"\n'
    run(after, tmp_path, world, database=database, networks=networks)
    assert [row.why for row in rows(database)] == [Reason.NOT_PERMITTED.value]


def test_racc_15_what_is_reported_is_kept_and_then_acknowledged(tmp_path, world, car, accounting_place):
    async def scenario(site: LiveSite):
        access_class = await site.admit(car)
        assert await site.report("START", access_class)
        more = {"input_octets": 5 * 2**32 + 7, "output_octets": 9, "session_seconds": 60}
        assert await site.report("INTERIM_UPDATE", access_class, **more)
        assert await site.report("STOP", access_class, **(more | {"session_seconds": 61, "terminate_cause": 4}))

    run(scenario, tmp_path, world, database=accounting_place)
    [row] = rows(accounting_place)
    assert (row.state, row.why, row.name) == (AdmissionState.STOPPED, "idle-timeout", car.name.canonical)
    assert (row.report.input_octets, row.report.seconds, row.report.session) == (5 * 2**32 + 7, 61, "s1")
    assert (row.network, row.nas, row.calling_station) == ("public", NAS_IDENTIFIER.decode(), STATION.decode())


def test_a_report_is_not_acknowledged_when_the_database_is_gone(tmp_path, world, car):
    database = tmp_path / "radius.db"

    async def scenario(site: LiveSite):
        access_class = await site.admit(car)
        assert await site.report("START", access_class)
        with Ledger.open(database) as other:
            other.database.migrate("base", danger_lose_data=True)
        assert not await site.report("INTERIM_UPDATE", access_class)
        assert site.live.counters.unrecorded == 1
        assert len(site.live) == 1

    run(scenario, tmp_path, world, database=str(database))
