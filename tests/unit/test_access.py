"""The access list: exact names, patterns, denial, grants, and mistakes found where they stand."""

from textwrap import dedent
from types import MappingProxyType

import pytest

from dnsbound.errors import Malformed, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.verify.access import AccessList
from dnsbound.verify.patterns import NamePattern

LIST = dedent(
    """
    [door.api]
    allow = [
        "car54._device.cars.example",
        "*._device.trucks.example",
        { names = ["**.robots.example", "r2._device.robots.example"], grants = { vlan = 12, topic = "robots/" } },
    ]
    deny = ["truck13._device.trucks.example"]

    [door.mqtt]
    allow = ["Car55._device.Cars.example"]
    """
)


def permitted(access: AccessList, name: str, door: str = "api") -> bool:
    try:
        access.permit(door, ClientName.parse(name))
    except Refused as refusal:
        return refusal.reason is not Reason.NOT_PERMITTED
    return True


def allowing(*names: str, deny: tuple[str, ...] = (), danger: bool = False) -> AccessList:
    quoted = [", ".join(f'"{name}"' for name in group) for group in (names, deny)]
    lines = f"[door.api]\nallow = [{quoted[0]}]\ndeny = [{quoted[1]}]\n"
    return AccessList.from_toml(lines + ("danger_short_patterns = true\n" if danger else ""))


def test_each_door_has_its_own_names() -> None:
    access = AccessList.from_toml(LIST)
    assert access.doors == ("api", "mqtt")
    assert permitted(access, "car54._device.cars.example")
    assert permitted(access, "CAR54._DEVICE.cars.example")
    assert permitted(access, "car55._device.cars.example", "mqtt")
    assert not permitted(access, "car54._device.cars.example", "mqtt")
    assert not permitted(access, "car55._device.cars.example")
    assert not permitted(access, "car54._device.cars.example", "ssh")
    assert not permitted(access, "car54._device.cars.example", "")
    assert len(access) == 5


@pytest.mark.parametrize("text", ["", "# nothing\n", "[door.api]\n", "[door.api]\nallow = []\n", "[door]\n"])
def test_an_empty_list_permits_nobody(text: str) -> None:
    access = AccessList.from_toml(text)
    assert len(access) == 0
    assert not permitted(access, "car54._device.cars.example")


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        (
            "*._device.cars.example",
            ["car54._device.cars.example", "x._device.cars.example"],
            ["_device.cars.example", "a.b._device.cars.example", "_x._device.cars.example", "car54.cars.example"],
        ),
        (
            "*.cars.example",
            ["car54.cars.example"],
            ["_device.cars.example", "cars.example", "car54._device.cars.example"],
        ),
        (
            "**.cars.example",
            ["a.cars.example", "a.b.c.cars.example"],
            ["cars.example", "a._device.cars.example", "_device.cars.example", "_a.b.cars.example", "xcars.example"],
        ),
        (
            "**._device.cars.example",
            ["a._device.cars.example", "a.b._device.cars.example"],
            ["_device.cars.example", "_x.a._device.cars.example", "a._x._device.cars.example"],
        ),
        (
            "*._device.*.fleet.example",
            ["a._device.west.fleet.example"],
            ["a._device.fleet.example", "a._device.x.y.fleet.example", "a.b.west.fleet.example"],
        ),
        (
            "a.**.fleet.example",
            ["a.b.fleet.example", "a.b.c.fleet.example"],
            ["a.fleet.example", "b.a.fleet.example", "a._b.fleet.example"],
        ),
        ("_smtp.*.cars.example", ["_smtp.a.cars.example"], ["smtp.a.cars.example", "_smtp._a.cars.example"]),
        ("*.**.cars.example", ["a.b.cars.example", "a.b.c.cars.example"], ["a.cars.example"]),
    ],
)
def test_what_a_pattern_takes(pattern: str, inside: list[str], outside: list[str]) -> None:
    access = allowing(pattern)
    assert [name for name in inside if not permitted(access, name)] == []
    assert [name for name in outside if permitted(access, name)] == []


def test_an_entry_for_a_zone_is_not_one_for_its_neighbour() -> None:
    access = allowing("*._device.cars.example")
    for name in ("a._device.cars.example.evil.example", "a._device.xcars.example", "a._device.cars.examples"):
        assert not permitted(access, name)


def test_denial_wins_over_every_way_in() -> None:
    access = allowing(
        "car54._device.cars.example",
        "*._device.cars.example",
        deny=("car54._device.cars.example", "**.bad._device.cars.example", "*._device.stolen.example"),
    )
    assert not permitted(access, "car54._device.cars.example")
    assert permitted(access, "car55._device.cars.example")


def test_in_deny_entries_a_wildcard_takes_underscores_too() -> None:
    access = allowing("car54._device.cars.example", "a._device.trucks.example", deny=("**.cars.example",))
    assert not permitted(access, "car54._device.cars.example")
    assert permitted(access, "a._device.trucks.example")
    assert not permitted(allowing("a._device.x.example", deny=("a.*.x.example",)), "a._device.x.example")
    assert not permitted(allowing("a._device.x.example", deny=("**.example",)), "a._device.x.example")


@pytest.mark.parametrize(
    "pattern", ["*.example", "**.example", "a.*.example", "*.*", "a.b.*", "a._device.*", "**", "*"]
)
def test_a_pattern_ends_in_two_literal_labels_unless_danger_is_spelt(pattern: str) -> None:
    with pytest.raises(Malformed, match=r"line 2.*(literal labels|single label)"):
        allowing(pattern)


def test_short_patterns_work_once_the_danger_is_spelt() -> None:
    assert permitted(allowing("**.example", danger=True), "a.b.example")
    assert permitted(allowing("a._device.*", danger=True), "a._device.cars")
    assert not permitted(allowing("**.example", danger=True), "a._b.example")


@pytest.mark.parametrize(
    "text",
    [
        "a*.cars.example",
        "**a.cars.example",
        "***.cars.example",
        "**.**.cars.example",
        "*..example",
        "*.cars.example.",
        "*.ca rs.example",
    ],
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(Malformed):
        NamePattern.parse(text)
    with pytest.raises(Malformed, match="line 2"):
        allowing(text)


def test_grants_are_given_to_whom_they_are_written_for() -> None:
    access = AccessList.from_toml(LIST)
    assert access.permit("api", ClientName.parse("car54._device.cars.example")).grants == {}
    grants = access.permit("api", ClientName.parse("x.y.robots.example")).grants
    assert grants == {"vlan": 12, "topic": "robots/"}


def test_grants_of_all_matching_entries_merge_and_the_more_specific_wins() -> None:
    access = AccessList.from_toml(
        dedent(
            """
            [door.api]
            allow = [
                { names = ["a._device.cars.example"], grants = { level = "exact", only = true } },
                { names = ["*._device.cars.example"], grants = { level = "one", vlan = 2 } },
                { names = ["**._device.cars.example"], grants = { level = "many", vlan = 1, zone = "cars" } },
                { names = ["a._device.cars.example"], grants = { later = 1 } },
                { names = ["**.cars.example"], grants = { unseen = 1 } },
            ]
            """
        )
    )
    exact = access.permit("api", ClientName.parse("a._device.cars.example"))
    assert exact.grants == {"level": "exact", "only": True, "later": 1, "vlan": 2, "zone": "cars"}
    assert exact.pattern is None
    one = access.permit("api", ClientName.parse("b._device.cars.example"))
    assert one.grants == {"level": "one", "vlan": 2, "zone": "cars"}
    assert one.pattern == NamePattern.parse("*._device.cars.example")
    many = access.permit("api", ClientName.parse("c.b._device.cars.example"))
    assert many.grants == {"level": "many", "vlan": 1, "zone": "cars"}
    assert many.pattern == NamePattern.parse("**._device.cars.example")


def test_the_same_pattern_twice_merges_in_order() -> None:
    access = AccessList.from_toml(
        '[door.api]\nallow = [{names=["*.a.b"], grants={x=1, y=1}}, {names=["*.A.b"], grants={y=2}}]\n'
    )
    assert access.permit("api", ClientName.parse("c.a.b")).grants == {"x": 1, "y": 2}
    assert len(access) == 1


def test_nobody_can_change_a_grant() -> None:
    access = AccessList.from_toml('[door.api]\nallow = [{names=["a.b"], grants={x=[1, {y=2}], t={u=1}}}]\n')
    grants = access.permit("api", ClientName.parse("a.b")).grants
    assert isinstance(grants, MappingProxyType)
    assert grants["x"] == (1, {"y": 2})
    for frozen in (grants, grants["t"], grants["x"][1]):
        with pytest.raises(TypeError):
            frozen["new"] = 1


def test_generation_and_digest_tell_lists_apart() -> None:
    first, second = AccessList.from_toml(LIST), AccessList.from_toml(LIST)
    assert first.digest == second.digest
    assert first.generation < second.generation
    assert AccessList.from_toml(LIST + "# more\n").digest != first.digest
    assert first.current() is first


def test_a_list_made_by_a_program() -> None:
    access = AccessList.allowing("api", ["car54._device.cars.example", "*._device.trucks.example"], grants={"vlan": 3})
    assert access.permit("api", ClientName.parse("t1._device.trucks.example")).grants == {"vlan": 3}
    assert not permitted(access, "car55._device.cars.example")
    with pytest.raises(Malformed):
        AccessList.allowing("api", ["*.example"])


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("allow = []\n", 1, "unknown key 'allow'"),
        ("\n\n[doors.api]\n", 3, "unknown key 'doors'"),
        ("door = 3\n", 1, "not a table"),
        ("[door]\napi = 3\n", 2, "not a table"),
        ("[door.api]\nallow = []\nallows = []\n", 3, "unknown key 'allows'"),
        ("[door.a]\nallow = []\n[door.b]\n# note\ndeny = 'x'\n", 5, "deny is not an array"),
        ("[door.api]\nallow = 'car54.example'\n", 2, "allow is not an array"),
        ("[door.api]\nallow = [\n 3,\n]\n", 2, "something else"),
        ("[door.api]\ndeny = [{ names = ['a.b'] }]\n", 2, "something else"),
        ("[door.api]\nallow = [\n 'a.b',\n { name = 'c.d' },\n]\n", 4, "unknown key 'name'"),
        ("[door.api]\nallow = [\n 'a.b',\n { names = ['c.d'], grant = {} },\n]\n", 4, "unknown key 'grant'"),
        ("[door.api]\nallow = [\n { names = 'c.d' },\n]\n", 3, "needs `names`"),
        ("[door.api]\nallow = [\n { names = [] },\n]\n", 3, "needs `names`"),
        ("[door.api]\nallow = [\n { names = ['a.b'], grants = 3 },\n]\n", 3, "grants is not a table"),
        ("[door.api]\ndanger_short_patterns = 1\n", 2, "neither true nor false"),
        (
            "[door.a]\nallow = ['*.b.c']\n[door.b]\nallow = [\n 'ok.example',\n 'b d.example',\n]\n",
            6,
            "outside letters",
        ),
        ("[door.a]\nallow = ['x.y']\ndeny = [\n  'single'\n]\n", 4, "single label"),
        ("[door.'my door']\nallow = ['x']\n", 2, "single label"),
        ("[door.api]\nallow = [\n", 3, "at end of document"),
        ("[door.api\n", 1, "line 1"),
        ("[door.a]\n[door.a]\n", 2, "line 2"),
    ],
)
def test_every_mistake_is_named_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(Malformed, match=what) as caught:
        AccessList.from_toml(text)
    assert f"line {line}" in str(caught.value) or "at end of document" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nesting_without_end_is_malformed() -> None:
    with pytest.raises(Malformed, match="access list"):
        AccessList.from_toml("x = " + "[" * 100_000)


def test_a_deny_entry_of_everything_is_a_mistake() -> None:
    with pytest.raises(Malformed, match="leave the door empty"):
        allowing("a.b", deny=("**",))
