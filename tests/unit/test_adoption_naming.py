"""Names of adopted clients: what is taken for one, and the rules that make labels of serial numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import DnsboundError, Malformed, Misuse
from dnsbound.provision.adoption.candidate import Problem, RowFault, Shown
from dnsbound.provision.adoption.naming import NameRules, NameSource, label_of
from dnsbound.provision.labels import label_of_serial

BELOW = NameRules.parse(below="cars.example")
ALL = Shown(
    name="Column.Cars.Example.",
    san=("san.cars.example", "not a name", "*.cars.example"),
    common_name="cn.cars.example",
    serial="SN:00:1F",
    comment="comment.cars.example",
    file_name="file.cars.example",
)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (None, "column.cars.example"),
        ("column", "column.cars.example"),
        ("san", "san.cars.example"),
        ("cn", "cn.cars.example"),
        ("serial", "sn-00-1f._device.cars.example"),
        ("comment", "comment.cars.example"),
        ("filename", "file.cars.example"),
    ],
)
def test_what_the_name_is_taken_from(source: str | None, name: str) -> None:
    rules = NameRules.parse(below="cars.example", source=source)
    assert rules.name_of(ALL).canonical == name


def test_every_source_of_names_is_tried_above() -> None:
    assert {source.value for source in NameSource} == {"column", "san", "cn", "serial", "comment", "filename"}


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (Shown(san=("san.cars.example",), serial="1"), "san.cars.example"),
        (Shown(comment="user@host", serial="1"), "1._device.cars.example"),
        (Shown(comment="c.cars.example", serial="1"), "c.cars.example"),
        (Shown(name="sensor7"), "sensor7._device.cars.example"),
        (Shown(san=("a.other.example", "b.cars.example")), "b.cars.example"),
        (Shown(serial="12.34"), "12-34._device.cars.example"),
    ],
)
def test_what_is_taken_when_nothing_was_said(shown: Shown, name: str) -> None:
    assert BELOW.name_of(shown).canonical == name


@pytest.mark.parametrize(
    ("shown", "problem"),
    [
        (Shown(), Problem.NO_NAME),
        (Shown(common_name="cn.cars.example", file_name="f.cars.example", comment="user@host"), Problem.NO_NAME),
        (Shown(san=("a.cars.example", "b.cars.example")), Problem.NO_NAME),
        (Shown(name="a.other.example"), Problem.BAD_NAME),
        (Shown(name="xcars.example"), Problem.BAD_NAME),
        (Shown(name="cars.example"), Problem.BAD_NAME),
        (Shown(name="*.cars.example"), Problem.BAD_NAME),
        (Shown(name="a..cars.example"), Problem.BAD_NAME),
        (Shown(name="zürich.cars.example"), Problem.BAD_NAME),
        (Shown(name="a b.cars.example"), Problem.BAD_NAME),
        (Shown(serial="---"), Problem.BAD_NAME),
        (Shown(serial="x" * 64), Problem.BAD_NAME),
        (Shown(serial="ß"), Problem.BAD_NAME),
        (Shown(name=".".join(["a" * 60] * 5) + ".cars.example"), Problem.BAD_NAME),
    ],
)
def test_what_names_nobody(shown: Shown, problem: Problem) -> None:
    with pytest.raises(RowFault) as caught:
        BELOW.name_of(shown)
    assert caught.value.problem is problem


def test_a_label_needs_a_name_to_stand_below() -> None:
    with pytest.raises(RowFault) as caught:
        NameRules.parse().name_of(Shown(serial="1"))
    assert caught.value.problem is Problem.NO_NAME
    assert NameRules.parse().name_of(Shown(name="a.cars.example")).canonical == "a.cars.example"


def test_device_stands_in_the_name_once() -> None:
    rules = NameRules.parse(below="_device.cars.example")
    assert rules.name_of(Shown(serial="1")).canonical == "1._device.cars.example"
    assert NameRules.parse(below="eu._device.cars.example").name_of(Shown(serial="1")).labels[1] == "eu"


def test_a_template_makes_every_name() -> None:
    rules = NameRules.parse(template="{serial}-{cn}._device.cars.example.")
    assert rules.name_of(Shown(serial="A_1", common_name="Car", name="x.y")).canonical == "a-1-car._device.cars.example"
    with pytest.raises(RowFault) as caught:
        rules.name_of(Shown(serial="A1"))
    assert caught.value.problem is Problem.NO_NAME
    chosen = NameRules.parse(template="{label}.eu.cars.example", source="filename", below="cars.example")
    assert chosen.name_of(Shown(file_name="54", serial="1")).canonical == "54.eu.cars.example"


@pytest.mark.parametrize(
    "template",
    [
        "cars.example",
        "{}.a.b",
        "{serial!r}.a.b",
        "{serial:>9}.a.b",
        "{other}.a.b",
        "{serial",
        "{serial}. .b",
        "{serial}",
    ],
)
def test_a_template_that_is_none(template: str) -> None:
    with pytest.raises((Misuse, Malformed)):
        NameRules.parse(template=template)


def test_names_from_nowhere() -> None:
    with pytest.raises(Misuse):
        NameRules.parse(source="dns")


def test_ar_06_hashed_labels_are_found_again_with_the_secret() -> None:
    secret = b"s" * 32
    rules = NameRules.parse(below="cars.example", secret=secret)
    name = rules.name_of(Shown(serial="SN:00:1F"))
    assert name.canonical == f"{label_of_serial('SN:00:1F', secret)}._device.cars.example"
    assert NameRules.parse(below="cars.example", secret=b"t" * 32).name_of(Shown(serial="SN:00:1F")) != name


@given(st.text(max_size=80))
def test_a_label_is_one_or_none_and_stays_what_it_is(text: str) -> None:
    try:
        label = label_of(text)
    except Malformed:
        return
    assert 1 <= len(label) <= 63
    assert label == label.lower()
    assert not label.startswith("-")
    assert not label.endswith("-")
    assert label_of(label) == label


@given(st.builds(Shown, name=st.text(max_size=40) | st.none(), serial=st.text(max_size=40) | st.none()))
def test_whatever_a_row_shows_is_a_name_below_or_a_fault(shown: Shown) -> None:
    try:
        name = BELOW.name_of(shown)
    except RowFault:
        return
    except DnsboundError as error:  # pragma: no cover
        raise AssertionError from error
    assert name.canonical.endswith(".cars.example")
