"""Nonces in a file: across objects as across processes, and when the file fails."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dnsbound import ClientName, Misuse, Reason, Undecided
from dnsbound.provision.nonces import NoncesShared
from unit.claims import NAME, NOW

CAR = ClientName.parse(NAME)
ASK = """
import sys
from dnsbound import ClientName
from dnsbound.provision.nonces import NoncesShared
nonces = NoncesShared(sys.argv[1])
name = ClientName.parse("car54._device.cars.example")
print(sum(nonces.is_new(name, f"nonce-{n}", until=2e9, now=1.9e9) for n in range(200)))
"""


def test_hs_04_workers_take_a_request_once_between_them(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path / "n.db")], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    taken = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert sum(taken) == 200
    assert (tmp_path / "n.db").stat().st_mode & 0o777 == 0o600


def test_hs_04_threads_take_a_request_once(tmp_path: Path) -> None:
    one, two = NoncesShared(tmp_path / "n.db"), NoncesShared(tmp_path / "n.db")
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda at: at.is_new(CAR, "nonce", until=NOW + 60, now=NOW), [one, two] * 20)
        assert sum(results) == 1
    one.close()
    two.close()


def test_what_has_ended_is_swept_out_and_a_full_memory_decides_nothing(tmp_path: Path) -> None:
    nonces = NoncesShared(tmp_path / "n.db", limit=16, per_name=3)
    for index in range(3):
        assert nonces.is_new(CAR, f"nonce-{index}", until=NOW + 60, now=NOW)
    with pytest.raises(Undecided) as undecided:
        nonces.is_new(CAR, "nonce-3", until=NOW + 60, now=NOW)
    assert undecided.value.reason is Reason.WORK_BUDGET
    for index in range(13):
        assert nonces.is_new(ClientName.parse(f"c{index}.cars.example"), "nonce", until=NOW + 60, now=NOW)
    with pytest.raises(Undecided):
        nonces.is_new(ClientName.parse("last.cars.example"), "nonce", until=NOW + 60, now=NOW)
    nonces.close()
    again = NoncesShared(tmp_path / "n.db", limit=16)
    assert not again.is_new(CAR, "nonce-0", until=NOW + 60, now=NOW)
    again.close()
    later = NoncesShared(tmp_path / "n.db", limit=16)
    assert later.is_new(ClientName.parse("last.cars.example"), "nonce", until=NOW + 120, now=NOW + 61)
    later.close()


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(Misuse):
        NoncesShared(tmp_path / "absent" / "n.db")
    (tmp_path / "other").write_bytes(b"this is no database" * 100)
    with pytest.raises(Misuse):
        NoncesShared(tmp_path / "other")
    nonces = NoncesShared(tmp_path / "n.db")
    nonces.close()
    with pytest.raises(Undecided):
        nonces.is_new(CAR, "nonce", until=NOW + 60, now=NOW)
