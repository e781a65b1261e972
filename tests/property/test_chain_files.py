"""Chains and their files: exact inverses, nothing else is read, and no damaged chain says anything new."""

import string

import dns.name
import dns.rdatatype
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnsbound.dns.answer import Answer, Security
from dnsbound.dns.chain import AuthenticationChain
from dnsbound.dns.chain_building import BuiltChain
from dnsbound.dns.chain_file import BEGIN, END, LINE, ChainFile
from dnsbound.dns.chain_judging import judge_chain
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed
from dnsbound.limits import CHAIN_OCTETS
from dnsbound.testing import World

NOW = 1_780_000_000.0
TLSA = dns.rdatatype.TLSA
NAME = dns.name.from_text("car54._device.cars.example")
WORLD = World(clock=lambda: NOW)
CARS = WORLD.organisation("cars.example")
CARS.device("car54")
CARS.publish("*._any", "TLSA 2 1 1 " + "ab" * 32)
WORLD.organisation("plain.example", signed=False)
CHAINS: dict[str, BuiltChain] = {
    name: WORLD.chain(name)
    for name in ("car54._device.cars.example", "x._any.cars.example", "none.cars.example", "a.plain.example")
}
TEXT = ChainFile.of(CHAINS["car54._device.cars.example"].octets, NAME, TLSA, made=NOW).to_text()

labels = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=20)
names = st.lists(labels, min_size=0, max_size=5).map(lambda parts: dns.name.from_text(".".join([*parts, ""]) or "."))


def judged(octets: bytes, name: str) -> Answer:
    return judge_chain(octets, dns.name.from_text(name), TLSA, anchors=WORLD.anchors, now=NOW)


@given(
    name=names,
    rdtype=st.sampled_from([TLSA, dns.rdatatype.A, dns.rdatatype.RdataType.make(65_400)]),
    made=st.integers(0, 4_000_000_000),
    chain=st.sampled_from(sorted(CHAINS)),
)
def test_a_file_is_read_back_as_it_was_written(
    name: dns.name.Name, rdtype: dns.rdatatype.RdataType, made: int, chain: str
) -> None:
    written = ChainFile.of(CHAINS[chain].octets, name, rdtype, made=made + 0.75)
    text = written.to_text()
    assert ChainFile.from_text(text) == written
    assert ChainFile.from_text(text).to_text() == text
    assert ChainFile.from_text(text.replace("\n", "\r\n")) == written
    assert all(len(line) <= max(LINE, 6 + 255) for line in text.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        BEGIN,
        f"{BEGIN}\n{END}\n",
        f" {TEXT}",
        f"\n{TEXT}",
        f"{TEXT}\n",
        TEXT + TEXT,
        TEXT.replace("Name: ", "Name:"),
        TEXT.replace("Name: ", "name: "),
        TEXT.replace("Name: car54", "Name: CAR54"),
        TEXT.replace("Name: car54._device.cars.example", "Name: car54._device.cars.example."),
        TEXT.replace("Name: car54", "Name: ca\\r54"),
        TEXT.replace("Name: car54", "Name: car54..a"),
        TEXT.replace("Name: car54", "Name: " + "a" * 64),
        TEXT.replace("Name: car54", "Name: ü"),
        TEXT.replace("Type: TLSA", "Type: TLSB"),
        TEXT.replace("Type: TLSA", "Type: TYPE52"),
        TEXT.replace("Type: TLSA", "Type: TYPE99999"),
        TEXT.replace("Type: TLSA\n", ""),
        TEXT.replace("Type: TLSA\n", "Type: TLSA\nType: TLSA\n"),
        TEXT.replace("Made: 2026", "Made: 2026-02-30T00:00:00Z#"),
        TEXT.replace("Made: 2", "Made: 9999-99-99T99:99:99Z\nX: 2"),
        TEXT.replace("Z\n\n", "+00:00\n\n"),
        TEXT.replace("\n\n", "\n\n\n"),
        TEXT.replace("\n\n", "\n\n "),
        TEXT.replace("\n\n", "\n\n\t"),
        TEXT.replace(f"\n{END}", f"=\n{END}"),
        TEXT.replace(END, END.lower()),
        TEXT.replace("\n", "\r"),
        TEXT.replace("DNSSEC CHAIN", "CERTIFICATE"),
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    assert text != TEXT
    with pytest.raises(Malformed):
        ChainFile.from_text(text)


def test_lines_of_another_length_are_another_file() -> None:
    head, _, data = TEXT.partition("\n\n")
    with pytest.raises(Malformed):
        ChainFile.from_text(f"{head}\n\n{data[:10]}\n{data[10:]}")


def test_base64_bits_that_mean_nothing_are_not_ignored() -> None:
    """`QQ==` and `QR==` decode alike: one of them is not what a chain file holds."""
    texts = [ChainFile.of(built.octets, NAME, TLSA, made=NOW).to_text() for built in CHAINS.values()]
    padded = [text for text in texts if text.splitlines()[-2].endswith("=")]
    assert padded
    for text in padded:
        last = text.splitlines()[-2]
        cut = last.rstrip("=")
        with pytest.raises(Malformed):
            ChainFile.from_text(text.replace(last, cut[:-1] + chr(ord(cut[-1]) + 1) + last[len(cut) :]))


def test_octets_that_are_no_chain_are_malformed() -> None:
    with pytest.raises(Malformed):
        ChainFile.from_text(ChainFile.of(b"\x00\x01\x02", NAME, TLSA, made=NOW).to_text())


def test_a_file_longer_than_any_chain() -> None:
    huge = ChainFile.of(bytes(CHAIN_OCTETS.maximum + 3), NAME, TLSA, made=NOW).to_text()
    with pytest.raises(LimitExceeded):
        ChainFile.from_text(huge)


@given(
    st.text(max_size=300)
    | st.builds(lambda at, new: TEXT[:at] + new + TEXT[at:], st.integers(0, 300), st.text(max_size=5))
)
@example(TEXT)
def test_hostile_text_is_a_chain_or_an_error(text: str) -> None:
    try:
        ChainFile.from_text(text)
    except DnsboundError:
        return
    assert text.replace("\r\n", "\n").rstrip() == TEXT.rstrip()


@given(st.data())
def test_order_and_repetition_do_not_matter(data: st.DataObject) -> None:
    """DC-03."""
    name = data.draw(st.sampled_from(sorted(CHAINS)))
    records = list(CHAINS[name].chain.records)
    mixed = data.draw(st.permutations(records)) + data.draw(st.lists(st.sampled_from(records), max_size=5))
    told, truth = judged(AuthenticationChain(tuple(mixed)).to_wire(), name), CHAINS[name].answer
    assert (told.security, told.outcome, set(told.records), told.wildcard) == (
        truth.security,
        truth.outcome,
        set(truth.records),
        truth.wildcard,
    )


@given(st.data())
def test_a_damaged_chain_says_nothing_new(data: st.DataObject) -> None:
    """Records left out, records of other chains added, octets changed: never another secure answer."""
    name = data.draw(st.sampled_from(sorted(CHAINS)))
    everything = [record for built in CHAINS.values() for record in built.chain.records]
    chosen = data.draw(st.lists(st.sampled_from(everything), min_size=1, max_size=40))
    octets = bytearray(AuthenticationChain(tuple(chosen)).to_wire())
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=3)):
        octets[at] ^= data.draw(st.integers(1, 255))
    try:
        told = judged(bytes(octets), name)
    except (Malformed, LimitExceeded):
        return
    truth = CHAINS[name].answer
    if told.security is Security.SECURE:
        assert truth.security is Security.SECURE
        assert (told.outcome, set(told.records)) == (truth.outcome, set(truth.records))
    if told.security is Security.INSECURE:
        assert truth.security is Security.INSECURE
