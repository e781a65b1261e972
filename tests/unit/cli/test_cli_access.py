"""`dnsbound access`: who is on the list, put there and taken off; and whether a name would come in."""

import json
from pathlib import Path

import pytest

from dnsbound import AccessList, ClientName, Refused
from unit.claims import NAME

LIST = """\
# Who may come in.
[door.api]  # the API of cars.example
allow = [
    "car54._device.cars.example",  # Ann's
    "*._device.trucks.example",
    { names = ["**.robots.example"], grants = { vlan = 12, since = 2026-11-22 } },
]
deny = ["truck13._device.trucks.example"]
"""
TRUCK = "truck1._device.trucks.example"


@pytest.fixture
def place(monkeypatch):
    path = Path("access.toml")
    path.write_text(LIST)
    monkeypatch.setenv("DNSBOUND_ACCESS", str(path))
    return path


def permitted(path, name, door="api"):
    return AccessList.from_toml(path.read_text()).permit(door, ClientName.parse(name))


def test_a_name_is_put_on_the_list_and_everything_else_stays(dnsbound, place):
    ran = dnsbound(
        "access", "add", "bus1._device.cars.example.", "--door", "api", "--grant", "vlan=7", "--grant", "t=a/b"
    )
    assert (ran.code, ran.out, ran.err) == (0, "bus1._device.cars.example  allowed at api\n", "")
    assert dict(permitted(place, "bus1._device.cars.example").grants) == {"vlan": 7, "t": "a/b"}
    lines = place.read_text().replace(" ", "").splitlines()
    assert [line for line in LIST.replace(" ", "").splitlines() if line not in lines] == []


def test_a_list_that_is_not_there_is_made_by_create_alone(dnsbound, tmp_path):
    missing = tmp_path / "access.toml"
    ran = dnsbound("access", "add", NAME, "--door", "api", "--access", missing)
    assert ran.code == 2
    assert "--create" in ran.err
    assert not missing.exists()
    assert dnsbound("access", "add", NAME, "--door", "api", "--access", missing, "--create").code == 0
    assert permitted(missing, NAME)


def test_an_empty_list_is_told_to_people(dnsbound, tmp_path):
    empty = tmp_path / "access.toml"
    empty.touch()
    ran = dnsbound("access", "list", "--access", empty)
    assert (ran.code, ran.out) == (0, "")
    assert "permits nobody" in ran.err
    assert dnsbound("access", "list", "--access", empty, "--json").err == ""


def test_twice_is_once(dnsbound, place):
    assert dnsbound("access", "add", NAME.upper(), "--door", "api").out.endswith(", as before\n")
    assert place.read_text() == LIST
    assert dnsbound("access", "add", TRUCK, "--door", "api", "--deny").code == 0
    assert "as before" in dnsbound("access", "add", TRUCK, "--door", "api", "--deny").out


def test_who_is_denied_stays_out_and_is_told(dnsbound, place):
    ran = dnsbound("access", "add", "truck13._device.trucks.example", "--door", "api")
    assert ran.code == 0
    assert "stays out all the same" in ran.err
    assert dnsbound("access", "remove", "truck13._device.trucks.example", "--door", "api", "--deny").code == 0
    assert permitted(place, "truck13._device.trucks.example").pattern is None


def test_a_door_and_a_file_are_made_when_told_to(dnsbound, place):
    assert dnsbound("access", "add", NAME, "--door", "new").code == 2
    assert place.read_text() == LIST
    assert dnsbound("access", "add", NAME, "--door", "public.isp.example", "--create").code == 0
    assert permitted(place, NAME, "public.isp.example").pattern is None
    place.unlink()
    assert dnsbound("access", "add", NAME, "--door", "api").code == 2
    assert dnsbound("access", "add", NAME, "--door", "api", "--create").code == 0
    assert place.read_text() == f'[door.api]\nallow = ["{NAME}"]\n'


def test_the_default_place(dnsbound, tmp_path):
    (tmp_path / "config" / "dnsbound").mkdir(parents=True)
    assert dnsbound("access", "add", NAME, "--door", "api", "--create").code == 0
    assert (tmp_path / "config" / "dnsbound" / "access.toml").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("not a name",),
        ("*.example",),  # a short pattern
        ("**.**.cars.example",),
        (NAME, "--grant", "novalue"),
        (NAME, "--grant", "=1"),
        (NAME, "--grant", "a=1", "--grant", "a=2"),
        (NAME, "--deny", "--grant", "a=1"),
    ],
)
def test_what_would_be_no_list_is_not_written(dnsbound, place, arguments):
    ran = dnsbound("access", "add", *arguments, "--door", "api")
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert place.read_text() == LIST


def test_a_file_with_an_error_is_left_alone(dnsbound, place):
    place.write_text("[door.api]\nallow = 5\n")
    ran = dnsbound("access", "add", NAME, "--door", "api")
    assert ran.code == 2
    assert "access.toml" in ran.err
    assert place.read_text() == "[door.api]\nallow = 5\n"
    assert dnsbound("access", "list").code == 2


def test_a_name_is_taken_off_wherever_it_stands(dnsbound, place):
    dnsbound("access", "add", NAME, "--door", "api", "--grant", "vlan=1")
    ran = dnsbound("access", "remove", NAME, "--door", "api")
    assert (ran.code, ran.out) == (0, f"{NAME}  removed at api\n")
    with pytest.raises(Refused):
        permitted(place, NAME)
    again = dnsbound("access", "remove", NAME, "--door", "api")
    assert (again.code, again.out) == (1, "")


def test_a_pattern_that_still_lets_in_is_told(dnsbound, place):
    dnsbound("access", "add", TRUCK, "--door", "api")
    ran = dnsbound("access", "remove", TRUCK, "--door", "api")
    assert ran.code == 1
    assert "*._device.trucks.example" in ran.err
    assert f"dnsbound access add {TRUCK} --deny --door api" in ran.err
    assert dnsbound("access", "remove", "*._device.trucks.example", "--door", "api").code == 0
    with pytest.raises(Refused):
        permitted(place, TRUCK)


def test_the_list_is_shown(dnsbound, place):
    assert dnsbound("access", "list").lines == [
        f"api  allow  {NAME}",
        "api  allow  *._device.trucks.example",
        "api  allow  **.robots.example  vlan=12 since=datetime.date(2026, 11, 22)",
        "api  deny  truck13._device.trucks.example",
    ]
    shown = [json.loads(line) for line in dnsbound("access", "list", "--door", "api", "--json").lines]
    assert shown[2] == {
        "door": "api",
        "entry": "**.robots.example",
        "word": "allow",
        "grants": {"vlan": 12, "since": "2026-11-22"},
    }
    assert dnsbound("access", "list", "--door", "none").code == 2


@pytest.mark.parametrize(
    ("name", "code", "entry"),
    [
        (NAME, 0, NAME),
        (TRUCK.upper(), 0, "*._device.trucks.example"),
        ("truck13._device.trucks.example", 1, None),
        ("x._device.elsewhere.example", 1, None),
    ],
)
def test_whether_a_name_would_come_in(dnsbound, place, name, code, entry):
    ran = dnsbound("access", "test", name, "--door", "api")
    told = json.loads(dnsbound("access", "test", name, "--door", "api", "--json").out)
    assert (ran.code, told["permitted"], told.get("entry")) == (code, entry is not None, entry)
    assert (entry or "no: ") in ran.out


def test_with_a_certificate_the_dns_is_asked(dnsbound, place, in_world):
    """As `dnsbound match`, for who is on the list alone."""
    world = in_world
    car = world.organisation("cars.example").device("car54")
    other = world.organisation("cars.example").device("car88")
    for device in (car, other):
        Path(f"{device.name}.pem").write_bytes(device.credential.to_pem())
    asked = ("access", "test", str(car.name), "--door", "api", "--cert")
    assert dnsbound(*asked, f"{car.name}.pem").code == 0
    ran = dnsbound(*asked, f"{other.name}.pem", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["permitted"], told["reason"]) == (1, True, "tlsa-mismatch")
    before = len(world.queries)
    assert dnsbound("access", "test", str(other.name), "--door", "api", "--cert", f"{other.name}.pem").code == 1
    assert len(world.queries) == before  # not on the list: nobody is asked
