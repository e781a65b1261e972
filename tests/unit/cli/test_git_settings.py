"""What Git's configuration says to our programs, and that nothing is made up where it cannot say."""

import pytest

from dnsbound.cli.git_settings import DEFAULT_DOOR, configured_access, configured_door
from dnsbound.errors import Misuse


@pytest.fixture(autouse=True)
def of_nobody(tmp_path, monkeypatch):
    """Settings of this test alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    return tmp_path / "gitconfig"


def test_what_is_set_is_read(of_nobody):
    of_nobody.write_text("[dnsbound]\n\tdoor = releases\n\taccess = /etc/dnsbound/access.toml\n")
    assert configured_door() == "releases"
    assert str(configured_access()) == "/etc/dnsbound/access.toml"


def test_without_settings_there_is_a_door_and_no_list():
    assert configured_door() == DEFAULT_DOOR
    with pytest.raises(Misuse, match=r"dnsbound\.access"):
        configured_access()


def test_a_git_that_cannot_say_opens_no_other_door(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Misuse, match=r"dnsbound\.door"):
        configured_door()
