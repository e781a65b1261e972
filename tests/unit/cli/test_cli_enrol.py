"""`dnsbound enrol` on the side of the inventory."""

import json
import re
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.provision.enrolment.permission import key_digest

CAR = "car54._device.cars.example"
TOKEN = re.compile(r"dnsbound-enrol-[A-Za-z0-9_-]{32}")


def listed(dnsbound, *options):
    return [json.loads(line) for line in dnsbound("enrol", "list", "--json", *options).lines]


def test_a_token_is_printed_once_and_alone(dnsbound) -> None:
    ran = dnsbound("enrol", "token", CAR, "--valid", "15m", "--reason", "delivery 7")
    assert ran.code == 0
    assert TOKEN.fullmatch(ran.out.strip())
    assert "No zone" in ran.err
    [permission] = listed(dnsbound)
    assert (permission["name"], permission["state"], permission["by_token"]) == (CAR, "open", True)
    assert ran.out.strip() not in dnsbound("enrol", "list").out


def test_a_token_for_a_name_of_a_zone_here_has_no_warning(dnsbound) -> None:
    dnsbound("zone", "create", "cars.example", "--ns", "ns1.cars.example")
    ran = dnsbound("enrol", "token", CAR, "--json")
    assert "No zone" not in ran.err
    assert TOKEN.fullmatch(json.loads(ran.out)["token"])


@pytest.mark.parametrize("kind", ["x509", "raw"])
def test_a_token_bound_to_the_key_in_a_file(dnsbound, tmp_path, kind) -> None:
    factory = Credential.generate(CAR, now=1_795_000_000, kind=kind)
    digest = key_digest(factory.spki).hex()
    assert dnsbound("enrol", "token", CAR, "--for-key", digest).code == 0
    (tmp_path / "factory.pem").write_bytes(factory.to_pem())
    held = dnsbound("enrol", "token", CAR, "--for-key-of", tmp_path / "factory.pem")
    assert held.code == (0 if kind == "x509" else 2), "a file with nothing but a private key is not handed over"
    assert {permission["key_sha256"] for permission in listed(dnsbound)} == {digest}


def test_a_device_that_is_expected(dnsbound) -> None:
    assert dnsbound("enrol", "expect", CAR).code == 2
    ran = dnsbound("enrol", "expect", CAR, "--maker", "sn54._device.maker.example.", "--valid", "30d")
    assert ran.code == 0
    [permission] = listed(dnsbound, "--name", CAR)
    assert (permission["maker"], permission["by_token"]) == ("sn54._device.maker.example", False)
    assert listed(dnsbound, "--name", "other._device.cars.example") == []


def test_a_list_that_is_expected_by_its_tag(dnsbound, tmp_path) -> None:
    dnsbound("id", "new", "sn1._device.stock.example", "--out", "keys")
    dnsbound("id", "new", "sn2._device.stock.example", "--out", "keys")
    assert dnsbound("id", "tag", "sn1._device.stock.example", "stock").code == 0
    ran = dnsbound("enrol", "expect-tagged", "stock", "--below", "_device.cars.example")
    assert ran.lines == ["1 expected below _device.cars.example"]
    assert [permission["name"] for permission in listed(dnsbound)] == ["sn1._device.cars.example"]
    assert dnsbound("enrol", "expect-tagged", "stock", "--below", "_device.cars.example").lines[0].startswith("0 ")


def test_taking_one_back(dnsbound) -> None:
    dnsbound("enrol", "token", CAR)
    [permission] = listed(dnsbound)
    assert dnsbound("enrol", "cancel", permission["number"], "--reason", "mislaid").code == 0
    assert listed(dnsbound) == []
    assert dnsbound("enrol", "cancel", permission["number"]).code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "not a name"),
        ("token", CAR, "--valid", "soon"),
        ("token", CAR, "--valid", "1s"),
        ("token", CAR, "--for-key", "abc"),
        ("token", CAR, "--for-key", "00" * 32, "--for-key-of", "x.pem"),
        ("token", CAR, "--for-key-of", "missing.pem"),
        ("expect-tagged", "stock", "--below", "*.x"),
        ("request", CAR, "--server", "http://localhost", "--token-file", "missing"),
        ("renew", "missing.pem", "--server", "https://localhost"),
    ],
)
def test_wrong_use_is_one_line(dnsbound, arguments) -> None:
    dnsbound("enrol", "token", "other._device.cars.example")
    ran = dnsbound("enrol", *arguments)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert len(listed(dnsbound)) == 1


@pytest.mark.parametrize(
    "url", ["http://x", "https://", "https://u@x", "https://x/a/b", "https://x?y", "https://x:99999"]
)
def test_what_is_no_address_of_a_server(dnsbound, monkeypatch, url) -> None:
    monkeypatch.setenv("DNSBOUND_ENROL_TOKEN", "x")
    ran = dnsbound("enrol", "request", CAR, "--server", url, "--resolver", "127.0.0.1:1")
    assert ran.code == 2
    assert "https://HOST" in ran.err or "no URL" in ran.err
    assert not list(Path().iterdir()), "no key was made for nobody"


def test_a_registered_name_gets_no_token(dnsbound) -> None:
    dnsbound("id", "new", CAR, "--out", "keys")
    ran = dnsbound("enrol", "token", CAR)
    assert (ran.code, ran.out) == (1, "")


def test_a_server_that_cannot_be_started(dnsbound, tmp_path) -> None:
    credential = tmp_path / "own.pem"
    credential.touch(0o600)
    credential.write_bytes(Credential.generate("localhost.example", now=1_795_000_000).to_pem())
    serve = ("serve", "est", "--credential", credential, "--resolver", "127.0.0.1:1", "--port", "0")
    assert dnsbound(*serve).code == 2, "no inventory"
    dnsbound("enrol", "token", CAR)
    for options in (
        ("--label", "x"),
        ("--label", "a/b=c.example"),
        ("--issuer", credential.parent),
        ("--targets", "no"),
    ):
        ran = dnsbound(*serve, *options)
        assert ran.code == 2, options
        assert len(ran.err.splitlines()) == 1
