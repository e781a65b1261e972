"""`dnsbound eap test`: what it refuses to be told, and what it says of servers that break the rules."""

import asyncio
import re

import pytest

from dnsbound.cli.eap_output import EXIT_CODE_OF_VERDICT, Telling, reply_facts
from dnsbound.cli.eap_trials import ServerShown
from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.radius_hop import Hop, HopTransport
from dnsbound.edge.credential_files import save_credential
from dnsbound.edge.eap_client import AsNas, Trial, TrialVerdict, try_eap
from dnsbound.edge.radius_pending import Answered
from dnsbound.errors import Malformed, Misuse
from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.limits import EAP_ROUND_TRIPS
from dnsbound.protocols.eap_peer import EapPeer
from dnsbound.protocols.radius import RadiusPacket, split_eap_message
from dnsbound.testing.world import World

BELIEF = ("--danger-unverified-server",)


@pytest.fixture
def car(tmp_path):
    file = tmp_path / "car54.pem"
    save_credential(World().organisation("cars.example").device("car54").credential, file)
    return file


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text("a secret of sixteen octets and more\n")
    return file


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "says how|say how"),
        (("--ca", "ca.pem"), "--server-name"),
        (("--server-tlsa", "a.example", "--server-chain", "a.example"), "one way"),
        ((*BELIEF, "--tls", "1.1"), "1.2 or 1.3"),
        (("--server-tlsa", "a.example", "--resume"), "resume"),
        ((*BELIEF, "--radsec", "--dtls"), "not both"),
        ((*BELIEF, "--hop-tlsa"), "--radsec and --dtls"),
        ((*BELIEF, "--server", "192.0.2.1:port"), "HOST"),
        ((*BELIEF, "--server", f"{'a' * 64}.example"), "no host name"),
        ((*BELIEF, "--server", "a..example"), "no host name"),
    ],
)
def test_what_contradicts_itself_is_wrong_use(dnsbound, car, secret, options, told):
    ran = dnsbound("eap", "test", "--credential", car, "--secret-file", secret, "--server", "127.0.0.1:1", *options)
    assert ran.code == 2
    assert re.search(told, ran.err), ran.err


def test_over_udp_a_secret_is_needed(dnsbound, car):
    assert dnsbound("eap", "test", "--credential", car, "--server", "127.0.0.1:1", *BELIEF).code == 2


def test_nobody_there_is_undecided(dnsbound, car, secret):
    ran = dnsbound(
        *("eap", "test", "--credential", car, "--secret-file", secret, "--server", "127.0.0.1:1"),
        *(*BELIEF, "--timeout", "0.2"),
    )
    assert ran.code == 3
    assert ran.lines[0].startswith("no-answer: ")


def test_a_host_that_is_not_found_is_named(dnsbound, car, secret):
    ran = dnsbound("eap", "test", "--credential", car, "--secret-file", secret, "--server", "::1%nowhere", *BELIEF)
    assert ran.code == 3
    assert ran.err.splitlines()[-1].startswith("dnsbound: ::1%nowhere: ")


class TestHop:
    @pytest.mark.parametrize(
        ("text", "endpoint"),
        [
            ("192.0.2.1", ("192.0.2.1", 1812)),
            ("192.0.2.1:1645", ("192.0.2.1", 1645)),
            ("radius.isp.example:1645", ("radius.isp.example", 1645)),
            ("2001:db8::1", ("2001:db8::1", 1812)),
            ("[2001:db8::1]", ("2001:db8::1", 1812)),
            ("[2001:db8::1]:1645", ("2001:db8::1", 1645)),
        ],
    )
    def test_where_it_leads(self, text, endpoint, secret):
        assert Hop(server=text, transport=HopTransport.UDP, secret_file=secret).endpoint == endpoint

    @pytest.mark.parametrize("text", ["192.0.2.1:0", "192.0.2.1:65536", "a:b"])
    def test_what_leads_nowhere(self, text, secret):
        with pytest.raises(Malformed):
            _ = Hop(server=text, transport=HopTransport.UDP, secret_file=secret).endpoint

    def test_over_tls_credentials_protect(self, secret, car):
        with pytest.raises(Misuse):
            Hop(server="a", transport=HopTransport.TLS, secret_file=secret)
        with pytest.raises(Misuse):
            Hop(server="a", transport=HopTransport.TLS, credential=car)
        with pytest.raises(Misuse):
            Hop(server="a", transport=HopTransport.TLS, credential=car, name="a.example")
        with pytest.raises(Misuse):
            Hop(server="a", transport=HopTransport.TLS, credential=car, name="a.example", by_tlsa=True, pin="00")
        Hop(server="a", transport=HopTransport.TLS, credential=car, name="a.example", by_tlsa=True)

    @pytest.mark.parametrize("pin", ["", "00", "zz" * 32, "00" * 33])
    def test_a_pin_is_a_digest(self, pin, car):
        hop = Hop(server="a:1", transport=HopTransport.TLS, credential=car, name="a.example", pin=pin)
        with pytest.raises(Malformed):
            hop._looked_up_by(None)


# --- servers that break the rules


def packet(code, *attributes):
    return RadiusPacket(code=code, identifier=1, authenticator=bytes(16), attributes=attributes)


class Scripted:
    """A server that gives these answers, or raises them."""

    secret = b"secret"

    def __init__(self, *answers):
        self._answers = list(answers)
        self.asked = []

    async def ask(self, code, attributes, *, patience=None):
        self.asked.append(tuple(attributes))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answered(packet=answer, request_authenticator=bytes(16), sent=1, seconds=0.001)


def tried(*answers):
    def no_tls():
        raise AssertionError("nobody starts EAP-TLS here")

    server = Scripted(*answers)
    peer = EapPeer(b"@cars.example", no_tls)
    return asyncio.run(try_eap(server, peer, nas=AsNas(ssid="public"), identity=b"@cars.example")), server


SUCCESS = split_eap_message(bytes([3, 0, 0, 4]))
FAILURE = split_eap_message(bytes([4, 0, 0, 4]))
MD5 = split_eap_message(bytes([1, 9, 0, 6, 4, 0]))


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([packet(RadiusCode.ACCESS_ACCEPT)], TrialVerdict.BROKEN),
        ([packet(RadiusCode.ACCESS_ACCEPT, *SUCCESS)], TrialVerdict.BROKEN),
        ([packet(RadiusCode.ACCESS_ACCEPT, *FAILURE)], TrialVerdict.BROKEN),
        ([packet(RadiusCode.ACCESS_REJECT)], TrialVerdict.REFUSED),
        ([packet(RadiusCode.ACCESS_REJECT, *FAILURE)], TrialVerdict.REFUSED),
        ([packet(RadiusCode.ACCESS_CHALLENGE)], TrialVerdict.BROKEN),
        ([packet(RadiusCode.ACCESS_CHALLENGE, *split_eap_message(b"\x01"))], TrialVerdict.BROKEN),
        ([packet(RadiusCode.ACCESS_CHALLENGE, *MD5), packet(RadiusCode.ACCESS_REJECT, *FAILURE)], TrialVerdict.REFUSED),
        ([TimeoutError("no answer")], TrialVerdict.NO_ANSWER),
        ([ConnectionResetError("gone")], TrialVerdict.NO_ANSWER),
    ],
)
def test_what_a_server_does_is_a_verdict_and_never_an_error(answers, verdict):
    trial, _ = tried(*answers)
    assert trial.verdict is verdict
    assert trial.why
    assert trial.done is None


def test_a_state_is_given_back_and_who_asks_is_said():
    state = (int(RadiusAttribute.STATE), b"where we were")
    _, server = tried(packet(RadiusCode.ACCESS_CHALLENGE, *MD5, state), packet(RadiusCode.ACCESS_REJECT))
    first, second = server.asked
    assert state not in first
    assert state in second
    assert (int(RadiusAttribute.CALLED_STATION_ID), b"02-00-00-00-00-01:public") in first
    assert (int(RadiusAttribute.USER_NAME), b"@cars.example") in first


def test_a_server_without_end_is_given_up():
    challenges = [
        packet(RadiusCode.ACCESS_CHALLENGE, *split_eap_message(bytes([1, index % 256, 0, 6, 2, 65])))
        for index in range(1, EAP_ROUND_TRIPS.default + 5)
    ]
    trial, server = tried(*challenges)
    assert trial.verdict is TrialVerdict.BROKEN
    assert len(server.asked) <= EAP_ROUND_TRIPS.default


# --- what is said


def test_every_verdict_has_an_exit_code():
    assert set(EXIT_CODE_OF_VERDICT) == {verdict.value for verdict in TrialVerdict}


def test_undecided_counts_above_no_and_no_above_yes(capsys):
    telling = Telling(as_json=False, alone=False)
    for verdict in (TrialVerdict.ADMITTED, TrialVerdict.REFUSED, TrialVerdict.ADMITTED):
        telling.tell(Trial(verdict=verdict, why="so"), ServerShown())
    assert telling.end() is ExitCode.NO
    telling.tell(Trial(verdict=TrialVerdict.NO_ANSWER, why="so"), ServerShown())
    assert telling.end() is ExitCode.UNDECIDED
    assert "2 of 4 admitted" in capsys.readouterr().out


def test_the_reply_is_shown_without_keys_and_machinery():
    attributes = (
        (int(RadiusAttribute.EAP_MESSAGE), b"\x03\x00\x00\x04"),
        (int(RadiusAttribute.STATE), b"state"),
        (int(RadiusAttribute.VENDOR_SPECIFIC), b"\x00\x00\x01\x37keys"),
        (int(RadiusAttribute.TUNNEL_TYPE), b"\x00\x00\x00\x0d"),
        (int(RadiusAttribute.TUNNEL_PRIVATE_GROUP_ID), b"\x01guests"),
        (int(RadiusAttribute.SESSION_TIMEOUT), b"\x00\x00\x0e\x10"),
        (int(RadiusAttribute.FILTER_ID), b"one"),
        (int(RadiusAttribute.FILTER_ID), b"two"),
        (250, b"\x01\x02"),
    )
    assert reply_facts(attributes) == {
        "Tunnel-Type": 13,
        "Tunnel-Private-Group-Id": "guests",
        "Session-Timeout": 3600,
        "Filter-Id": ["one", "two"],
        "Attr-250": "0102",
    }
