"""The HTTP fields of exported authenticators: both ways, and what is none."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound.adapters.http_authentication import (
    Answer,
    Reference,
    challenge_in,
    challenge_text,
    credentials_in,
)
from dnsbound.errors import LimitExceeded, Malformed


def test_the_fields_as_the_documents_show_them() -> None:
    assert challenge_text(b"\xfb\xff\x00") == 'Exported-Authenticator request="-_8A"'
    assert Answer(b"abcd").to_text() == 'Exported-Authenticator authenticator="YWJjZA"'
    assert Reference(b"\x00").to_text() == 'Exported-Authenticator context="AA"'


@given(st.binary(min_size=1, max_size=300))
def test_there_and_back(octets: bytes) -> None:
    assert challenge_in([challenge_text(octets)]) == octets
    assert credentials_in([Answer(octets).to_text()]) == Answer(octets)
    assert credentials_in([Reference(octets).to_text()]) == Reference(octets)


@pytest.mark.parametrize(
    "values",
    [
        ['Basic realm="x"', 'Exported-Authenticator request="AAEC"'],
        ['Basic realm="x", Exported-Authenticator request="AAEC", Bearer'],
        ["exported-authenticator REQUEST=AAEC"],
        ['Exported-Authenticator request="AAEC", Digest nonce="y"'],
    ],
)
def test_the_challenge_is_found_among_others(values: list[str]) -> None:
    assert challenge_in(values) == b"\x00\x01\x02"


@pytest.mark.parametrize(
    "values", [[], ["Basic realm=x"], ["Exported-Authenticator"], ["Exported-Authenticator-2 request=AA"]]
)
def test_no_challenge_of_this_scheme(values: list[str]) -> None:
    assert challenge_in(values) is None


@pytest.mark.parametrize("values", [[], ["Bearer abc"], ["Basic YWJj"]])
def test_credentials_of_other_schemes_are_left_alone(values: list[str]) -> None:
    assert credentials_in(values) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ' authenticator=""',
        ' authenticator="AA" context="AA"',
        ' authenticator="AA",context="AA"',
        ' authenticator="A"',
        ' authenticator="AB"',  # not the one form of its octets
        ' authenticator="AA=="',
        ' authenticator="A+"',
        " request=AA",
        "-2 context=AA",
        ' context="AA',
        ' context="AA" x',
    ],
)
def test_credentials_that_are_none(text: str) -> None:
    with pytest.raises(Malformed):
        credentials_in(["Exported-Authenticator" + text])


def test_one_field_and_not_without_end() -> None:
    with pytest.raises(Malformed):
        credentials_in(["Exported-Authenticator context=AA", "Bearer x"])
    with pytest.raises(LimitExceeded):
        credentials_in(["Exported-Authenticator authenticator=" + "A" * 100_000])


@given(st.lists(st.text(max_size=60), max_size=3), st.sampled_from(["", "Exported-Authenticator "]))
def test_any_text_is_a_value_or_an_error_of_ours(texts: list[str], begin: str) -> None:
    for read in (challenge_in, credentials_in):
        with suppress(Malformed, LimitExceeded):
            read([begin + text for text in texts])
