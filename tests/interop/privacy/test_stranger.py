"""What strangers learn from real servers: zones walked, hashes collected and guessed, denials that tell nothing."""

from collections.abc import Iterator

import dns.name
import pytest

from dnsbound.dns.canonical import text_of
from dnsbound.dns.exposure import DenialStyle, guessed
from dnsbound.edge.nameservers import Nameserver
from dnsbound.edge.stranger import Stranger
from dnsbound.provision.guessability import LabelPatterns
from dnsbound.provision.publish.publisher import ServerRefused
from dnsbound.testing.world import World
from interop.primaries import FOREIGN, ZONE, bind, knot, nsd, powerdns

CARS = "".join(f"car{number}._device TLSA {FOREIGN}\n" for number in range(10, 15))
OWNERS = {"ns", "foreign", "shared", "alias", *(f"car{number}._device" for number in range(10, 15))}


def stranger(port: int) -> Stranger:
    return Stranger(Nameserver(address="127.0.0.1", port=port), dns.name.from_text(ZONE), per_second=5000)


@pytest.mark.peer("knotd")
def test_a_zone_with_nsec_is_walked_from_end_to_end(tmp_path) -> None:
    with knot(tmp_path, more=CARS) as server:
        seen = stranger(server.port)
        assert seen.denied().style is DenialStyle.NSEC
        walked = {text_of(key).removesuffix(f".{ZONE}.") for key in seen.walk(100)}
        assert walked == OWNERS
        assert len(list(seen.walk(3))) == 3
        assert not seen.may_transfer()


@pytest.mark.peer("knotd")
def test_hashes_are_collected_and_found_by_counting(tmp_path) -> None:
    with knot(tmp_path, more=CARS, nsec3=True) as server:
        seen = stranger(server.port)
        asked = []
        ring = seen.hashes(400, asked.append)
        assert ring is not None
        assert ring.is_closed()
        # The owners, the top, and `_device`, which has no records of its own.
        assert len(ring.hashes) == len(OWNERS) + 2
        assert len(asked) <= len(ring.hashes), "each question tells a hash"
        part = seen.hashes(1, asked.append)
        assert part is not None
        assert not part.is_closed()
        assert list(seen.walk(10)) == []
    patterns = LabelPatterns()
    patterns.add(f"car77._device.{ZONE}")
    [pattern] = patterns.guessable()
    names = [dns.name.from_text(f"{label}.{pattern.parent}.") for label in pattern.labels(100)]
    found = guessed(ring.hashes, [tuple(reversed(name.labels[:-1])) for name in names], ring.settings)
    assert [text_of(key) for key in found] == [f"car{number}._device.{ZONE}." for number in range(10, 15)]


@pytest.mark.peer("pdns_server")
@pytest.mark.parametrize(
    ("nsec3", "style"),
    [((), DenialStyle.NSEC), (("1 0 0 -", "narrow"), DenialStyle.NSEC3_MINIMAL)],
    ids=["as it comes", "narrow"],
)
def test_powerdns(tmp_path, nsec3: tuple[str, ...], style: DenialStyle) -> None:
    with powerdns(tmp_path, nsec3=nsec3) as server:
        seen = stranger(server.port)
        assert seen.denied().style is style
        walked = {text_of(key).removesuffix(f".{ZONE}.") for key in seen.walk(100)}
        assert walked == ({"ns", "foreign", "shared", "alias"} if style is DenialStyle.NSEC else set())
        assert seen.may_transfer() is (style is DenialStyle.NSEC)  # a narrow zone has no hashes to transfer


@pytest.mark.peer("named")
def test_bind_as_it_comes(tmp_path) -> None:
    with bind(tmp_path) as server:
        seen = stranger(server.port)
        assert seen.denied().style is DenialStyle.NSEC
        assert not seen.may_transfer()


@pytest.mark.peer("nsd")
def test_a_server_that_hands_out_the_zone(tmp_path) -> None:
    with nsd(tmp_path) as server:
        seen = stranger(server.port)
        assert seen.may_transfer()
        assert seen.denied().style is DenialStyle.UNSIGNED


@pytest.fixture
def in_world(monkeypatch, tmp_path) -> Iterator[World]:
    monkeypatch.setenv("DNSBOUND_INVENTORY", str(tmp_path / "inventory.db"))
    with World() as world:
        yield world


def test_our_own_authority_names_nothing(in_world) -> None:
    in_world.organisation(ZONE).device("car54")
    seen = stranger(in_world.authority_address.port)
    assert seen.denied().style is DenialStyle.NSEC_MINIMAL
    assert seen.denied().names == frozenset()
    assert list(seen.walk(10)) == []
    assert not seen.may_transfer()


@pytest.mark.peer("knotd")
def test_a_server_of_another_zone_is_told_of(tmp_path) -> None:
    with knot(tmp_path) as server:
        asking = Stranger(Nameserver(address="127.0.0.1", port=server.port), dns.name.from_text("elsewhere.test"))
        with pytest.raises(ServerRefused, match="REFUSED"):
            asking.denied()
