"""The configuration file and the order in which option, environment, file and default count."""

import pytest

from dnsbound.cli.configuration import Configuration, actor, inventory_place, zone_keys_directory
from dnsbound.cli.opened import trust_anchors, upstream_texts
from dnsbound.errors import Malformed


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config" / "dnsbound" / "dnsbound.toml"


def test_without_a_file(tmp_path):
    assert Configuration.load() == Configuration()
    assert inventory_place(None) == tmp_path / "share" / "dnsbound" / "inventory.db"


def test_the_file_counts_below_option_and_environment(file, tmp_path, monkeypatch):
    write(
        file,
        'inventory = "store/i.db"\nzone_keys = "/keys"\nresolver = ["192.0.2.1", "192.0.2.2"]\nactor = "night-shift"\n',
    )
    assert inventory_place(None) == file.parent / "store" / "i.db"
    assert inventory_place(str(tmp_path / "other.db")) == tmp_path / "other.db"
    assert inventory_place("postgresql://fleet@db.example/cars") == "postgresql://fleet@db.example/cars"
    assert str(zone_keys_directory(None, inventory_place(None))) == "/keys"
    assert upstream_texts(None) == ["192.0.2.1", "192.0.2.2"]
    assert upstream_texts(["192.0.2.9"]) == ["192.0.2.9"]
    assert upstream_texts(["192.0.2.8,192.0.2.9"]) == ["192.0.2.8", "192.0.2.9"]
    assert actor() == "operations"
    monkeypatch.delenv("DNSBOUND_ACTOR")
    assert actor() == "night-shift"


def test_a_file_of_the_current_directory_is_not_read(tmp_path):
    write(tmp_path / "here" / "dnsbound.toml", 'resolver = "192.0.2.66"\n')
    assert upstream_texts(None) == []


def test_a_named_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DNSBOUND_CONFIG", str(write(tmp_path / "named.toml", 'resolver = "192.0.2.3"\n')))
    assert upstream_texts(None) == ["192.0.2.3"]
    monkeypatch.setenv("DNSBOUND_CONFIG", str(tmp_path / "missing.toml"))
    with pytest.raises(FileNotFoundError):
        Configuration.load()


@pytest.mark.parametrize(
    "text",
    ["nonsense", "resolvers = []", "resolver = [1]", "resolver = 1", "inventory = 1", 'inventory = ""', "[inventory]"],
)
def test_wrong_files_are_told(file, dnsbound, text):
    write(file, text + "\n")
    with pytest.raises(Malformed):
        Configuration.load()
    ran = dnsbound("id", "list")
    assert ran.code == 2
    [line] = ran.err.splitlines()
    assert str(file) in line


def test_not_text(file):
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Malformed):
        Configuration.load()


def test_relative_xdg_directories_are_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert inventory_place(None) == tmp_path / ".local" / "share" / "dnsbound" / "inventory.db"


def test_anchors(file, tmp_path):
    import dns.name

    assert trust_anchors(None).closest_to(dns.name.root) is not None
    write(tmp_path / "anchors.txt", f"cars.example. IN DS 1 13 2 {'ab' * 32}\n")
    write(file, f'anchors = "{tmp_path / "anchors.txt"}"\n')
    configured = trust_anchors(None)
    assert configured.closest_to(dns.name.root) is None
    assert configured.closest_to(dns.name.from_text("x.cars.example")) is not None
