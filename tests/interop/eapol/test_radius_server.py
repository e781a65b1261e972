"""A whole server: what SIGHUP changes and what it must not, IPv6, wildcards, resumption across it."""

import logging
from pathlib import Path

import pytest

from dnsbound.edge.radius_audit import NO_NETWORK, AccessVerdict
from dnsbound.errors import Reason
from interop.radius_eapol import TUNNEL_PRIVATE_GROUP_ID, eapol_test
from interop.radius_examples import SERVER_NAME
from interop.radius_server import NETWORKS, SECRET, RadiusSite, radius_site

pytestmark = pytest.mark.peer("eapol_test")


def tried(site: RadiusSite, tmp_path: Path, **options):
    options.setdefault("secret", site.secret)
    return eapol_test(tmp_path, site.supplicant(site.car), port=site.port, **options)


def radius_toml(site: RadiusSite) -> str:
    return (site.directory / "radius.toml").read_text()


def test_a_changed_network_counts_from_the_next_authentication(tmp_path: Path) -> None:
    with radius_site(tmp_path) as site:
        assert tried(site, tmp_path).of(TUNNEL_PRIVATE_GROUP_ID) == (b"visitors".hex(),)
        site.rewrite(
            "radius.toml", radius_toml(site).replace(NETWORKS, '[network.all]\ndoor = "wireless.isp.example"\n')
        )
        assert tried(site, tmp_path).of(TUNNEL_PRIVATE_GROUP_ID) == (b"12".hex(),)
        site.rewrite(
            "radius.toml", radius_toml(site).replace('"wireless.isp.example"\n', '"wireless.isp.example"\nssid = "x"\n')
        )
        assert tried(site, tmp_path).verdict == "refused"
        assert site.events[-1].reason == NO_NETWORK


def test_a_changed_access_list_counts_at_once(tmp_path: Path) -> None:
    with radius_site(tmp_path) as site:
        assert tried(site, tmp_path).admitted
        text = (tmp_path / "access.toml").read_text()
        site.rewrite("access.toml", text.replace("*._device.cars.example", "*._device.trucks.example"))
        assert tried(site, tmp_path).verdict == "refused"
        assert (site.events[-1].verdict, site.events[-1].reason) == (
            AccessVerdict.REFUSED,
            Reason.NOT_PERMITTED.value,
        )


def test_secrets_roll_over_without_a_gap(tmp_path: Path) -> None:
    new = "another-secret-of-this-test"
    with radius_site(tmp_path) as site:
        for text, admitted in ((f"{new}\n{SECRET}\n", (SECRET, new)), (f"{new}\n", (new,))):
            site.rewrite("nas.secret", text)
            for secret in admitted:
                assert tried(site, tmp_path, secret=secret).admitted
        assert tried(site, tmp_path, secret=SECRET, seconds=4).verdict == "silence"


@pytest.mark.parametrize("broken", ["radius.toml", "access.toml", "nas.secret", "server.pem", "door", "dictionary"])
def test_with_an_error_anywhere_all_stays_as_it_was(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    with radius_site(tmp_path) as site, caplog.at_level(logging.ERROR, "dnsbound.radius"):
        text = radius_toml(site)
        changed = {
            "radius.toml": ("radius.toml", text.replace("[client.nas]", "[clients.nas]")),
            "access.toml": ("access.toml", "[door"),
            "nas.secret": ("nas.secret", "short"),
            "server.pem": ("server.pem", "nothing"),
            "door": ("radius.toml", text.replace('"public.isp.example"', '"elsewhere"')),
            "dictionary": ("radius.toml", text.replace("[server]", '[server]\ndictionary = ["none"]')),
        }[broken]
        site.rewrite(*changed)
        assert tried(site, tmp_path).admitted
        assert caplog.text.count("stays in force") >= 1


def test_what_takes_a_restart_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with radius_site(tmp_path) as site:
        site.rewrite("radius.toml", radius_toml(site).replace("[server]", "[server]\nconversations = 9"))
        assert "conversations: takes effect at the next start" in caplog.text


def test_a_renewed_server_certificate_is_shown_after_a_reload(tmp_path: Path) -> None:
    with radius_site(tmp_path) as site:
        before = (tmp_path / "server.pem").read_bytes()
        renewed = site.world.web_credential(SERVER_NAME)
        site.rewrite("server.pem", renewed.to_pem().decode())
        assert before != (tmp_path / "server.pem").read_bytes()
        seen = tried(site, tmp_path)
        assert seen.admitted
        assert renewed.chain[0].hex()[:64] in seen.output.replace(" ", "")


def test_a_session_resumes_across_a_reload(tmp_path: Path) -> None:
    """The ticket keys stay: a change of the access list sends nobody through a whole handshake."""
    with radius_site(tmp_path, settings="ticket_seconds = 600") as site:
        networks = list(site.server.networks)
        site.rewrite("access.toml", (tmp_path / "access.toml").read_text() + "\n# the same\n")
        again = list(site.server.networks)
        assert [one.authenticator for one in networks] == [one.authenticator for one in again]
        assert networks[0].context._ticket_keys is again[0].context._ticket_keys


def test_a_wildcard_answers_from_where_it_was_asked(tmp_path: Path) -> None:
    with radius_site(tmp_path, host="0.0.0.0") as site:
        assert tried(site, tmp_path).admitted
