"""A chain in a file: read again when it changes, and never replaced by what is none."""

import logging
from pathlib import Path

import dns.name
import dns.rdatatype
import pytest

from dnsbound.dns.chain_file import ChainFile
from dnsbound.edge.chain_from_file import ChainFromFile
from dnsbound.edge.secret_files import write_public_file
from dnsbound.errors import Malformed, Misuse
from dnsbound.testing import World
from unit.claims import CREDENTIAL, NAME, NOW

WORLD = World(clock=lambda: NOW)
WORLD.organisation("cars.example").publish(NAME, CREDENTIAL.tlsa())


def text(name: str = NAME, at: float = NOW) -> str:
    octets = WORLD.chain(name, at=at).octets
    return ChainFile.of(octets, dns.name.from_text(name), dns.rdatatype.TLSA, made=at).to_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "car54.chain"
    path.write_text(text())
    return path


def replace(path: Path, content: str) -> None:
    write_public_file(path, content.encode())


def test_a_new_file_is_read(path: Path) -> None:
    source = ChainFromFile(path, NAME, interval=0)
    first = source.current()
    assert first == ChainFile.from_text(text()).octets
    replace(path, text(at=NOW + 600))
    assert source.current() == ChainFile.from_text(text(at=NOW + 600)).octets != first
    assert source.file.made == NOW + 600


def test_the_file_is_looked_at_once_in_an_interval(path: Path) -> None:
    now = [0.0]
    source = ChainFromFile(path, NAME, interval=10, monotonic=lambda: now[0])
    first = source.current()
    replace(path, text(at=NOW + 600))
    now[0] = 9.9
    assert source.current() == first
    now[0] = 10.0
    assert source.current() != first


@pytest.mark.parametrize("content", ["", "nonsense", text()[:-40], text("car55._device.cars.example")])
def test_what_is_none_does_not_replace_one(path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    source = ChainFromFile(path, NAME, interval=0)
    first = source.current()
    replace(path, content)
    with caplog.at_level(logging.ERROR, "dnsbound.chains"):
        assert [source.current(), source.current()] == [first, first]
    assert len(caplog.records) == 1
    replace(path, text(at=NOW + 600))
    assert source.current() != first


def test_a_file_that_is_gone_leaves_its_chain(path: Path) -> None:
    source = ChainFromFile(path, NAME, interval=0)
    first = source.current()
    path.unlink()
    assert source.current() == first


def test_it_begins_with_a_chain_of_that_name(path: Path, tmp_path: Path) -> None:
    with pytest.raises(Misuse):
        ChainFromFile(path, "car55._device.cars.example")
    with pytest.raises(Misuse):
        ChainFromFile(path, "a..b")
    with pytest.raises(Misuse):
        ChainFromFile(tmp_path / "missing")
    with pytest.raises(Misuse):
        ChainFromFile(path, interval=-1)
    path.write_text("nonsense")
    with pytest.raises(Malformed):
        ChainFromFile(path)
