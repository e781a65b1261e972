"""`dnsbound chain` on World: what is exported verifies without a network, at its time, by its anchor, for its name."""

import json
import stat
import time

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.dns.chain_file import BEGIN, END, ChainFile
from dnsbound.errors import Reason
from dnsbound.testing.faults import Fault
from dnsbound.times import iso, moment_of_text

NAME = "car54._device.cars.example"


@pytest.fixture
def cars(in_world):
    return in_world.organisation("cars.example")


@pytest.fixture
def car(cars):
    car = cars.device("car54")
    yield car
    car.revoke()


@pytest.fixture
def chain(dnsbound, car, tmp_path):
    path = tmp_path / "car54.chain"
    assert dnsbound("chain", "export", NAME, "--out", path).code == 0
    return path


@pytest.fixture
def offline(monkeypatch):
    """Whoever asks a resolver from here on gets no answer."""
    monkeypatch.setenv("DNSBOUND_RESOLVER", "127.0.0.1:1")


def told(ran):
    facts = json.loads(ran.out)
    reason = facts["reason"]
    return ran.code, facts["outcome"], reason and Reason(reason)


def test_what_is_exported_verifies_without_a_network(dnsbound, car, offline, monkeypatch, in_world):
    monkeypatch.setenv("DNSBOUND_RESOLVER", str(in_world.resolver_address))
    text = dnsbound("chain", "export", NAME).out
    assert text.startswith(BEGIN)
    assert text.endswith(f"{END}\n")
    monkeypatch.setenv("DNSBOUND_RESOLVER", "127.0.0.1:1")
    before = len(in_world.queries)
    ran = dnsbound("chain", "verify", "-", NAME, stdin=text.encode())
    assert ran.code == 0
    assert car.record.to_text() in ran.out
    assert len(in_world.queries) == before


def test_a_verified_chain_says_when_and_what(dnsbound, car, chain, offline):
    ran = dnsbound("chain", "verify", chain, NAME, "--json")
    assert told(ran) == (0, "yes", None)
    facts = json.loads(ran.out)
    assert (facts["name"], facts["type"], facts["security"], facts["answer"]) == (NAME, "TLSA", "secure", "records")
    assert facts["records"] == [car.record.to_text()]
    begin, at, end = (moment_of_text(facts[key]) for key in ("signatures_begin", "at", "signatures_end"))
    assert begin <= at < end
    assert abs(at - time.time()) < 60
    assert [step["security"] for step in facts["steps"]] == ["secure"] * len(facts["steps"])


def test_the_file_is_whole_and_for_everybody_to_read(dnsbound, car, chain):
    assert stat.S_IMODE(chain.stat().st_mode) & 0o444
    first = chain.read_text()
    assert ChainFile.from_text(first).to_text() == first
    assert dnsbound("chain", "export", NAME, "--out", chain).code == 0
    assert [path.name for path in chain.parent.iterdir() if "chain" in path.name] == [chain.name]


def test_export_for_programs(dnsbound, car, tmp_path):
    facts = json.loads(dnsbound("chain", "export", NAME, "--json").out)
    assert ChainFile.from_text(facts["chain"]).name.to_text(omit_final_dot=True) == NAME
    assert (facts["security"], facts["answer"]) == ("secure", "records")
    assert moment_of_text(facts["holds_until"]) > time.time()
    facts = json.loads(dnsbound("chain", "export", NAME, "--json", "--out", tmp_path / "x.chain").out)
    assert facts["file"] == str(tmp_path / "x.chain")
    assert "chain" not in facts


def test_expired_and_since_when(dnsbound, chain, offline):
    end = json.loads(dnsbound("chain", "verify", chain, NAME, "--json").out)["signatures_end"]
    ran = dnsbound("chain", "verify", chain, NAME, "--json", "--at", "2036-01-01T00:00:00+02:00")
    assert told(ran) == (3, "undecided", Reason.BOGUS)
    assert f"expired since {end}" in json.loads(ran.out)["detail"]
    assert dnsbound("chain", "verify", chain, NAME, "--at", end).code == 0
    last = iso(moment_of_text(end) + 1)
    assert dnsbound("chain", "verify", chain, NAME, "--at", last).code == 3


def test_not_yet_valid_and_from_when(dnsbound, chain, offline):
    begin = json.loads(dnsbound("chain", "verify", chain, NAME, "--json").out)["signatures_begin"]
    ran = dnsbound("chain", "verify", chain, NAME, "--json", "--at", "2020-01-01T00:00:00Z")
    assert told(ran) == (3, "undecided", Reason.BOGUS)
    assert f"not valid before {begin}" in json.loads(ran.out)["detail"]
    assert dnsbound("chain", "verify", chain, NAME, "--at", begin).code == 0


def test_by_other_anchors_it_is_not_time_that_is_blamed(dnsbound, chain, offline, monkeypatch):
    monkeypatch.delenv("DNSBOUND_ANCHORS")
    for at in ([], ["--at", "2036-01-01T00:00:00Z"]):
        ran = dnsbound("chain", "verify", chain, NAME, "--json", *at)
        assert told(ran) == (3, "undecided", Reason.BOGUS)
        assert "since" not in json.loads(ran.out)["detail"]
    ran = dnsbound("chain", "verify", chain, NAME, "--json")
    assert "trust anchor" in json.loads(ran.out)["detail"]


def test_for_another_name(dnsbound, chain, offline):
    ran = dnsbound("chain", "verify", chain, "car55._device.cars.example")
    assert (ran.code, ran.out) == (3, "")
    assert NAME in ran.err
    assert "car55" in ran.err
    assert dnsbound("chain", "verify", chain, NAME, "--type", "A").code == 3


def test_another_label_on_the_same_octets_changes_nothing(dnsbound, chain, offline):
    chain.write_text(chain.read_text().replace("car54", "car55"))
    ran = dnsbound("chain", "verify", chain, "car55._device.cars.example", "--json")
    assert told(ran) == (3, "undecided", Reason.BOGUS)
    assert json.loads(ran.out)["records"] == []


def test_a_chain_that_proves_there_is_nothing(dnsbound, cars, tmp_path):
    path = tmp_path / "none.chain"
    ran = dnsbound("chain", "export", "none.cars.example", "--out", path)
    assert ran.code == 0
    assert "admits nobody" in ran.err
    ran = dnsbound("chain", "verify", path, "none.cars.example", "--json")
    assert told(ran) == (1, "no", Reason.NO_TLSA)


def test_a_chain_that_proves_an_unsigned_zone(dnsbound, in_world, tmp_path):
    in_world.organisation("plain.example", signed=False).device("x")
    path = tmp_path / "plain.chain"
    ran = dnsbound("chain", "export", "x._device.plain.example", "--out", path)
    assert ran.code == 0
    assert "unsigned" in ran.err
    ran = dnsbound("chain", "verify", path, "x._device.plain.example", "--json")
    assert told(ran) == (1, "no", Reason.INSECURE)


def test_a_chain_of_other_types(dnsbound, cars, tmp_path):
    cars.address("www.cars.example", "192.0.2.7")
    path = tmp_path / "www.chain"
    assert dnsbound("chain", "export", "WWW.cars.example.", "--type", "a", "--out", path).code == 0
    ran = dnsbound("chain", "verify", path, "www.cars.example", "--type", "A", "--json")
    assert json.loads(ran.out)["records"] == ["192.0.2.7"]


def test_what_does_not_validate_is_not_exported(dnsbound, in_world, car, tmp_path):
    path = tmp_path / "bad.chain"
    in_world.fault(NAME, Fault.EXPIRED)
    ran = dnsbound("chain", "export", NAME, "--out", path)
    in_world.heal(NAME)
    assert ran.code == 3
    assert Reason.BOGUS.value in ran.err
    assert not path.exists()


def test_a_broken_chain_does_not_replace_a_good_one(dnsbound, in_world, car, chain):
    before = chain.read_text()
    in_world.fault(NAME, Fault.SERVFAIL)
    ran = dnsbound("chain", "export", NAME, "--out", chain, "--timeout", "2")
    in_world.heal(NAME)
    assert ran.code == 3
    assert chain.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("chain",), 2, None),
        (("chain", "nonsense"), 2, "nonsense"),
        (("chain", "export"), 2, "NAME"),
        (("chain", "export", "a..b"), 2, "a..b"),
        (("chain", "export", "x" * 70), 2, "63"),
        (("chain", "export", NAME, "--type", "NOPE"), 2, "NOPE"),
        (("chain", "export", NAME, "--type", "ANY"), 2, "ANY"),
        (("chain", "export", NAME, "--out", "."), 2, "directory"),
        (("chain", "export", NAME, "--out", "gone/x.chain"), 2, "gone"),
        (("chain", "export", NAME, "--timeout", "0"), 2, "--timeout"),
        (("chain", "export", NAME, "--resolver", "nonsense"), 2, "nonsense"),
        (("chain", "verify"), 2, "FILE"),
        (("chain", "verify", "{chain}"), 2, "NAME"),
        (("chain", "verify", "missing.chain", NAME), 2, "missing.chain"),
        (("chain", "verify", ".", NAME), 2, "directory"),
        (("chain", "verify", "{chain}", "a..b"), 2, "a..b"),
        (("chain", "verify", "{chain}", NAME, "--at", "tomorrow"), 2, "tomorrow"),
        (("chain", "verify", "{chain}", NAME, "--at", "2026-11-22"), 2, "2026-11-22"),
        (("chain", "verify", "{chain}", NAME, "--at", "2026-11-22T10:00:00"), 2, "2026-11-22T10:00:00"),
        (("chain", "verify", "{chain}", NAME, "--at", "2026-02-30T10:00:00Z"), 2, "2026-02-30"),
        (("chain", "verify", "{chain}", NAME, "--anchors", "{chain}"), 2, "anchors"),
        (("chain", "verify", "{chain}", NAME, "--anchors", "missing"), 2, "missing"),
        (("chain", "verify", "{chain}", NAME, "--type", "NOPE"), 2, "NOPE"),
        (("chain", "verify", "{empty}", NAME), 2, "empty"),
        (("chain", "verify", "{binary}", NAME), 2, "binary"),
        (("chain", "verify", "{cut}", NAME), 2, "cut"),
        (("chain", "verify", "{credential}", NAME), 2, "CHAIN"),
        (("chain", "verify", NAME, "{chain}"), 2, "no domain name"),
    ],
)
def test_wrong_use(dnsbound, chain, arguments, code, word):
    tmp_path = chain.parent
    files = {"chain": chain} | {name: tmp_path / name for name in ("empty", "binary", "cut", "credential")}
    files["empty"].write_bytes(b"")
    files["binary"].write_bytes(bytes(range(256)))
    files["cut"].write_text(chain.read_text()[:300])
    files["credential"].write_bytes(Credential.generate(NAME, now=time.time()).to_pem())
    ran = dnsbound(*(argument.format(**files) for argument in arguments))
    assert ran.code == code, ran
    if word is not None:
        assert word in ran.err
        assert len(ran.err.splitlines()) == 1
    assert "Traceback" not in ran.err
