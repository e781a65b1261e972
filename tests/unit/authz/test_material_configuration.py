"""`[materialise.NAME]` of authz.toml: what is read, and what is an error in one line."""

from pathlib import Path

import pytest

from dnsbound.edge.authz_configuration import AuthzConfiguration
from dnsbound.edge.material_forms import FORMS
from dnsbound.errors import Malformed

WHOLE = """
[server]
access = "access.toml"

[materialise.site]
door = "api"
form = "hashed-directory"
path = "store"
"""


def read(tmp_path: Path, text: str = WHOLE, more: str = "") -> AuthzConfiguration:
    return AuthzConfiguration.from_text(f"{text}{more}\n", path=tmp_path / "authz.toml")


def test_a_materialiser_needs_no_front(tmp_path: Path) -> None:
    configuration = read(tmp_path, more='enrolled = "in"\nhook = ["a", "b c"]\nseconds = 5\ngrace = 7\nnames = 9')
    [settings] = configuration.materials
    assert (settings.label, settings.door, settings.form) == ("site", "api", "hashed-directory")
    assert (settings.path, settings.enrolled) == (tmp_path / "store", tmp_path / "in")
    assert (settings.hook, settings.seconds, settings.grace, settings.names) == (("a", "b c"), 5, 7, 9)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_can_be_named(tmp_path: Path, form: str) -> None:
    assert read(tmp_path, WHOLE.replace("hashed-directory", form)).materials[0].form == form


@pytest.mark.parametrize(
    "more",
    [
        'other = "x"',
        'hook = [""]',
        "hook = []",
        "seconds = 0",
        "seconds = 1.5",
        "grace = -1",
        "names = 0",
        'enrolled = ""',
        '[materialise.second]\ndoor = "api"\nform = "bundle"\npath = "store"',
        '[materialise.second]\ndoor = "api"\nform = "zip"\npath = "x"',
        '[materialise.second]\nform = "bundle"\npath = "x"',
        '[materialise.second]\ndoor = "api"\nform = "bundle"',
    ],
)
def test_what_is_no_materialiser(tmp_path: Path, more: str) -> None:
    with pytest.raises(Malformed) as told:
        read(tmp_path, more=more)
    assert str(told.value).startswith(f"{tmp_path}/authz.toml, line ")
    assert "\n" not in str(told.value)


def test_its_door_is_one_of_the_access_list(tmp_path: Path) -> None:
    configuration = read(tmp_path)
    configuration.check_doors(["api"])
    with pytest.raises(Malformed):
        configuration.check_doors(["other"])
