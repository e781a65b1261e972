"""The table of dane_clientid's profiles: total, and saying what the three drafts say."""

from itertools import permutations, product

import pytest

from dnsbound.edge.context_profiles import ClearNameHosts, profiles_of
from dnsbound.errors import Reason
from dnsbound.iana import DTLS_1_2, TLS_1_2, TLS_1_3, AlertDescription
from dnsbound.tls.clientid import PROFILES, Answer, Meaning, Profile, alert_for, lowest_version, spoken
from dnsbound.tls.errors import TLSMisuse

ORDERS = [order for count in (1, 2, 3) for order in permutations(Profile, count)]


def test_ca_33_every_profile_says_what_every_answer_means() -> None:
    assert set(PROFILES) == set(Profile)
    for profile, rules in PROFILES.items():
        assert set(rules.answers) == set(Answer), profile
        assert rules.request in rules.requests
        assert rules.versions
        assert rules.versions <= {TLS_1_2, TLS_1_3, DTLS_1_2}
        assert rules.answers[Answer.ABSENT] is Meaning.NOTHING
        assert rules.answers[Answer.NAME] is Meaning.NAMED
        assert set(rules.alerts.values()) <= {AlertDescription.BAD_CERTIFICATE}


@pytest.mark.parametrize(
    ("profile", "no_octets", "zero_length"),
    [
        (Profile.CA13, Meaning.MALFORMED, Meaning.VIOLATION),
        (Profile.CA10, Meaning.IN_CERTIFICATE, Meaning.IN_CERTIFICATE),
        (Profile.CID07, Meaning.IN_CERTIFICATE, Meaning.MALFORMED),
    ],
)
def test_answers_without_a_name(profile: Profile, no_octets: Meaning, zero_length: Meaning) -> None:
    answers = PROFILES[profile].answers
    assert (answers[Answer.NO_OCTETS], answers[Answer.ZERO_LENGTH]) == (no_octets, zero_length)


def test_only_cid07_goes_below_tls_1_3() -> None:
    for order in ORDERS:
        assert lowest_version(order) == (TLS_1_2 if Profile.CID07 in order else TLS_1_3)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("version", "answer"), list(product([TLS_1_2, TLS_1_3], Answer)))
def test_what_is_spoken_is_the_first_that_fits(order: tuple[Profile, ...], version: int, answer: Answer) -> None:
    profile = spoken(order, version, answer)
    good = [
        each
        for each in order
        if version in PROFILES[each].versions
        and PROFILES[each].answers[answer] in {Meaning.NAMED, Meaning.IN_CERTIFICATE}
    ]
    if good:
        assert profile is good[0]
    elif answer is Answer.ZERO_LENGTH and version == TLS_1_3 and Profile.CA13 in order:
        assert profile is Profile.CA13
    else:
        assert profile is None
    if version == TLS_1_2:
        assert profile in {None, Profile.CID07}
    if answer is Answer.ABSENT:
        assert profile is None


def test_alerts_are_one_but_for_ca10() -> None:
    bad = {Reason.EMPTY_NAME, Reason.AMBIGUOUS_NAME, Reason.NAME_NOT_IN_CERTIFICATE}
    for profile, reason in product([None, *Profile], Reason):
        expected = profile is Profile.CA10 and reason in bad
        alert = AlertDescription.BAD_CERTIFICATE if expected else AlertDescription.HANDSHAKE_FAILURE
        assert alert_for(profile, reason) is alert


def test_profiles_are_named_once_and_known() -> None:
    assert profiles_of(["cid07", "ca13"]) == (Profile.CID07, Profile.CA13)
    assert profiles_of("ca10") == (Profile.CA10,)
    for wrong in ([], ["ca09"], ["ca13", "ca13"], "", ["CA13"]):
        with pytest.raises(TLSMisuse):
            profiles_of(wrong)


HOSTS = ClearNameHosts(["plc.plant.example", "*.line1.plant.example", "**.yard.example", "192.0.2.7", "2001:DB8::7"])


@pytest.mark.parametrize(
    "host",
    [
        "plc.plant.example",
        "PLC.plant.Example.",
        "robot.line1.plant.example",
        "a.b.yard.example",
        "crane.yard.example",
        "192.0.2.7",
        "2001:db8::7",
    ],
)
def test_leg_05_hosts_that_are_meant(host: str) -> None:
    assert HOSTS.include(host)
    assert HOSTS.lowest_version(host) == TLS_1_2


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "plant.example",
        "x.plc.plant.example",
        "a.b.line1.plant.example",
        "line1.plant.example",
        "yard.example",
        "plc.plant.example.evil.example",
        "evilplc.plant.example",
        "_x.line1.plant.example",
        "192.0.2.8",
    ],
)
def test_leg_05_hosts_that_are_not(host: str | None) -> None:
    assert not HOSTS.include(host)
    assert HOSTS.lowest_version(host) == TLS_1_3


def test_leg_05_addresses_match_no_pattern() -> None:
    assert not ClearNameHosts(["*.0.2.1"]).include("192.0.2.1")


def test_leg_05_nobody_by_default() -> None:
    assert not ClearNameHosts()
    assert not ClearNameHosts().include("plc.plant.example")


def test_leg_05_patterns_alone_are_somebody() -> None:
    hosts = ClearNameHosts("*.plant.example")
    assert hosts
    assert hosts.include("plc.plant.example")
    assert hosts.lowest_version("www.example") == TLS_1_3


@pytest.mark.parametrize("word", ["*", "**", "", ".", ".plant.example", "a*.example", "**.**.example", "*.b c"])
def test_leg_05_what_names_no_host(word: str) -> None:
    with pytest.raises(TLSMisuse):
        ClearNameHosts([word])
