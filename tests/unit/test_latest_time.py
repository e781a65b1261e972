"""The latest time seen: kept over restarts, and no earlier clock is believed."""

from pathlib import Path

import pytest

from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.latest_time import STEP_SECONDS, WRITE_SECONDS, LatestTime
from dnsbound.errors import Misuse, Reason, Undecided
from dnsbound.testing import World
from dnsbound.times import iso
from dnsbound.verify.access import AccessList
from dnsbound.verify.carried import CarriedChains
from unit.claims import CREDENTIAL, DOOR, NAME, NOW, Records, answer, claim


def earlier(latest: LatestTime, now: float) -> None:
    with pytest.raises(Undecided) as caught:
        latest.check(now)
    assert caught.value.reason is Reason.CLOCK


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    latest = LatestTime(tmp_path / "time")
    latest.check(NOW)
    latest.check(NOW + 10)
    earlier(latest, NOW)
    assert latest.moment == NOW + 10
    latest.check(NOW + 10 - STEP_SECONDS)
    latest.check(NOW + 11)


def test_it_outlives_a_restart(tmp_path: Path) -> None:
    LatestTime(tmp_path / "time").check(NOW)
    assert (tmp_path / "time").read_text() == f"{iso(NOW)}\n"
    again = LatestTime(tmp_path / "time")
    assert again.moment == NOW
    earlier(again, NOW - 60)
    again.check(NOW)


def test_it_is_written_when_the_clock_has_gone_on(tmp_path: Path) -> None:
    path = tmp_path / "time"
    latest = LatestTime(path)
    latest.check(NOW)
    written = path.stat().st_mtime_ns, path.read_text()
    latest.check(NOW + WRITE_SECONDS - 1)
    assert (path.stat().st_mtime_ns, path.read_text()) == written
    latest.check(NOW + WRITE_SECONDS)
    assert path.read_text() == f"{iso(NOW + WRITE_SECONDS)}\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["time"]


def test_processes_that_share_the_file_take_the_latest(tmp_path: Path) -> None:
    one, other = LatestTime(tmp_path / "time"), LatestTime(tmp_path / "time")
    one.check(NOW + 1000)
    other.check(NOW + 900)
    assert LatestTime(tmp_path / "time").moment == NOW + 1000
    earlier(other, NOW + 900)


@pytest.mark.parametrize("octets", [b"", b"yesterday", b"\xff\xfe", b"2026-13-01T00:00:00Z", b"2026-01-01"])
def test_a_file_that_holds_no_time_is_not_written_over(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "time"
    path.write_bytes(octets)
    with pytest.raises(Misuse):
        LatestTime(path)
    assert path.read_bytes() == octets


def test_a_file_that_cannot_be_written_shuts_nobody_out(tmp_path: Path) -> None:
    latest = LatestTime(tmp_path / "gone" / "time")
    latest.check(NOW)
    earlier(latest, NOW - 60)


@pytest.mark.parametrize("wrong", [{"interval": -1}, {"step": -1}])
def test_spans_are_not_negative(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(Misuse):
        LatestTime(tmp_path / "time", **wrong)


def test_a_door_with_a_clock_that_was_set_back(tmp_path: Path) -> None:
    world = World(clock=lambda: NOW)
    world.organisation("cars.example").publish(NAME, CREDENTIAL.tlsa())
    made = claim(carried_chain=world.chain(NAME).octets)
    allowed = CarriedChains([NAME], anchors=world.anchors, before_asking=True)
    access = AccessList.allowing(DOOR, [NAME])
    latest = LatestTime(tmp_path / "time")
    now = [NOW + 60]

    def door(resolver: Records | None) -> Authenticator:
        return Authenticator(
            access, resolver, door=DOOR, clock=lambda: now[0], carried_chains=allowed, latest_time=latest
        )

    assert door(None).authenticate_blocking(made).name.text == NAME
    now[0] = NOW
    with pytest.raises(Undecided) as caught:
        door(None).authenticate_blocking(made)
    assert caught.value.reason is Reason.CLOCK
    # Where the DNS can be asked, it is.
    resolver = Records(answer(NAME, CREDENTIAL.tlsa()))
    assert door(resolver).authenticate_blocking(made).name.text == NAME
    assert resolver.asked == [(NAME, False)]
