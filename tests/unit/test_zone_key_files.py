"""Zone key files: private, whole, never over another by accident."""

import stat
from pathlib import Path

import dns.name
import pytest

from dnsbound.dns.signer import ZoneKey, ZoneKeys
from dnsbound.edge.zone_key_files import load_zone_keys, save_zone_keys
from dnsbound.errors import Malformed, Misuse

CARS = dns.name.from_text("cars.example.")


def test_round_trip_and_mode(tmp_path: Path) -> None:
    keys, path = ZoneKeys.generate(CARS), tmp_path / "cars.pem"
    save_zone_keys(path, keys)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_zone_keys(CARS, path).to_pem() == keys.to_pem()
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_kept_unless_a_roll_says_so(tmp_path: Path) -> None:
    keys, path = ZoneKeys.generate(CARS), tmp_path / "cars.pem"
    save_zone_keys(path, keys)
    rolled = keys.with_prepublished(ZoneKey.generate())
    with pytest.raises(Misuse):
        save_zone_keys(path, rolled)
    assert load_zone_keys(CARS, path).to_pem() == keys.to_pem()
    save_zone_keys(path, rolled, replace=True)
    assert load_zone_keys(CARS, path).to_pem() == rolled.to_pem()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "cars.pem"
    save_zone_keys(path, ZoneKeys.generate(CARS))
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(Misuse):
            load_zone_keys(CARS, path)
    assert load_zone_keys(CARS, path, danger_readable_by_others=True).origin == CARS


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cars.pem"
    with pytest.raises(Misuse, match=r"cars\.pem"):
        load_zone_keys(CARS, path)
    path.touch(0o600)
    path.write_text("nothing")
    with pytest.raises(Malformed, match=r"cars\.pem"):
        load_zone_keys(CARS, path)
