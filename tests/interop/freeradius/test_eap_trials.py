"""`dnsbound eap test` against FreeRADIUS with a CA: what a health check says of a server that is not ours."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dnsbound.cli.app import run
from interop.radius_examples import SERVER_NAME, Pem
from interop.radius_freeradius import AuthoritySite, authority_site

pytestmark = pytest.mark.peer("freeradius")

Try = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthoritySite]:
    with authority_site(tmp_path_factory.mktemp("site"), resumption=True) as made:
        yield made


def device(tmp_path: Path, pem: Pem) -> Path:
    file = tmp_path / "device.pem"
    file.touch(0o600)
    file.write_bytes(pem.key.read_bytes() + pem.certificate.read_bytes())
    return file


@pytest.fixture
def trial(site: AuthoritySite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Try:
    """Runs the command; its exit code and objects."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(site.radius.secret + "\n")

    def tried(*options: object, pem: Pem | None = None) -> tuple[int, list[dict[str, Any]]]:
        arguments = ["--server", f"127.0.0.1:{site.radius.port}", "--secret-file", secret]
        arguments += ["--credential", device(tmp_path, pem or site.car), "--timeout", 20, *options, "--json"]
        capsys.readouterr()
        code = run(["eap", "test", *map(str, arguments)])
        streams = capsys.readouterr()
        assert "Traceback" not in streams.err
        return code, [json.loads(line) for line in streams.out.splitlines()]

    return tried


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_device_of_the_authority_is_admitted_with_its_own_keys(site: AuthoritySite, trial: Try, version: str) -> None:
    code, [seen] = trial("--ca", site.root, "--server-name", SERVER_NAME, "--tls", version)
    assert (code, seen["verdict"]) == (0, "admitted"), seen
    assert (seen["tls"], seen["keys"], seen["resumed"]) == (f"TLSv{version}", "match", False)
    assert seen["round_trips"] == len(seen["steps"]) >= 4
    assert seen["server"]["names"] == [SERVER_NAME]
    assert seen["server"]["believed_by"] == f"{site.root}, as {SERVER_NAME}"


def test_a_session_is_resumed_in_fewer_round_trips(site: AuthoritySite, trial: Try) -> None:
    code, seen = trial("--ca", site.root, "--server-name", SERVER_NAME, "--repeat", 2, "--resume")
    assert code == 0
    assert [each["resumed"] for each in seen] == [False, True]
    assert seen[1]["round_trips"] < seen[0]["round_trips"]
    assert {each["keys"] for each in seen} == {"match"}


def test_small_fragments_take_more_round_trips(site: AuthoritySite, trial: Try) -> None:
    belief = ("--ca", site.root, "--server-name", SERVER_NAME)
    (_, [small]), (_, [large]) = trial(*belief, "--fragment", 200), trial(*belief)
    assert (small["verdict"], large["verdict"]) == ("admitted", "admitted")
    assert small["round_trips"] > large["round_trips"]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_certificate_nobody_knows_is_refused(site: AuthoritySite, trial: Try, version: str) -> None:
    code, [seen] = trial("--ca", site.root, "--server-name", SERVER_NAME, "--tls", version, pem=site.stranger)
    assert (code, seen["verdict"]) == (1, "refused"), seen
    assert seen["keys"] is None
    assert seen["steps"][-1]["answer"] == "access-reject"


@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_a_server_that_is_not_the_expected_one_is_not_believed(site: AuthoritySite, trial: Try, wrong: str) -> None:
    ca, name = (site.root, "other.isp.example") if wrong == "name" else (site.clients, SERVER_NAME)
    code, [seen] = trial("--ca", ca, "--server-name", name)
    assert (code, seen["verdict"]) == (1, "not-believed"), seen


def test_an_unverified_server_is_a_choice_with_danger_in_its_name(trial: Try) -> None:
    code, [seen] = trial("--danger-unverified-server")
    assert (code, seen["server"]["believed_by"]) == (0, "nothing")


def test_a_wrong_secret_gets_no_answer(trial: Try, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("another secret of the same kind\n")
    code, [seen] = trial("--danger-unverified-server", "--timeout", "0.5")
    assert (code, seen["verdict"], seen["round_trips"]) == (3, "no-answer", 0)
