"""Moments and spans as people write them."""

import pytest

from dnsbound.errors import Malformed
from dnsbound.times import iso, moment_after, seconds_of_text

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("2W", 1_209_600)],
)
def test_spans(text, seconds):
    assert seconds_of_text(text) == seconds
    assert moment_after(text, now=NOW) == NOW + seconds


@pytest.mark.parametrize("text", ["", "d", "-1", "1.5h", "3y", "1d12h", "٣d", "1" * 10, "1 d", "tomorrow"])
def test_what_is_no_span(text):
    with pytest.raises(Malformed):
        seconds_of_text(text)
    with pytest.raises(Malformed):
        moment_after(text, now=NOW)


def test_a_moment_is_itself():
    assert iso(moment_after("2027-01-01T00:00:00Z", now=NOW)) == "2027-01-01T00:00:00Z"
    assert iso(moment_after("2027-01-01T02:00:00+02:00", now=NOW)) == "2027-01-01T00:00:00Z"
