"""Advice to publishers: each rule speaks when it is broken, and only then."""

import json
from pathlib import Path

import pytest

from dnsbound.cli.app import run
from dnsbound.names import ClientName
from dnsbound.provision.advice import advice
from dnsbound.records.tlsa import TLSA

CAR = ClientName.parse("car54._device.cars.example")
PLAIN = ClientName.parse("car54.cars.example")


def record(parameters: str) -> TLSA:
    octets = {"0": 300, "1": 32, "2": 64}[parameters[-1]]
    return TLSA.from_text(f"{parameters} {'ab' * octets}")


@pytest.mark.parametrize("parameters", ["3 1 1", "2 0 1", "2 1 1", "3 1 0"])
def test_recommended_and_raw_forms_need_no_advice(parameters: str) -> None:
    assert advice(CAR, [record(parameters)]) == []


def test_sha2_512_alone() -> None:
    [sentence] = advice(CAR, [record("3 1 2")])
    assert "publish 3 1 1" in sentence
    assert advice(CAR, [record("3 1 2"), record("3 1 1")]) == []
    assert len(advice(CAR, [record("3 1 2"), record("2 0 1")])) == 1, "the other kind's digest does not help"


@pytest.mark.parametrize("usage", [2, 3])
def test_a_whole_certificate(usage: int) -> None:
    [sentence] = advice(CAR, [record(f"{usage} 0 0")])
    assert f"publish {usage} 0 1" in sentence


@pytest.mark.parametrize("usage", [0, 1])
def test_public_authorities_and_underscores(usage: int) -> None:
    [sentence] = advice(CAR, [record(f"{usage} 1 1")])
    assert "underscore" in sentence
    assert advice(PLAIN, [record(f"{usage} 1 1")]) == []


def test_a_key_under_several_names() -> None:
    others = [ClientName.parse(f"car{number}.cars.example") for number in range(5)]
    [sentence] = advice(CAR, [record("3 1 1")], shared_with=others)
    assert "car0.cars.example, car1.cars.example, car2.cars.example and 2 more" in sentence
    assert "more" not in advice(CAR, [record("3 1 1")], shared_with=others[:3])[0]


def test_the_command_line_passes_it_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DNSBOUND_INVENTORY", str(tmp_path / "inventory.db"))
    monkeypatch.chdir(tmp_path)
    assert run(["id", "new", "car54._device.cars.example", "--matching", "2", "--json"]) == 0
    assert "3 1 2 stands alone" in json.loads(capsys.readouterr().out)["advice"][0]
    assert run(["id", "new", "car55._device.cars.example", "--cert", "car54._device.cars.example.pem"]) == 0
    assert "registered for car54._device.cars.example" in capsys.readouterr().err
    assert run(["record", "car54._device.cars.example.pem", "--selector", "0", "--matching", "0"]) == 0
    shown = capsys.readouterr()
    assert "whole certificate" in shown.err
    assert "whole certificate" not in shown.out
