"""stunnel with the configuration of `dnsbound config stunnel`: a program logs in at a gate by its machine's name."""

import pytest

from interop.fronts import failures, whole_trial

pytestmark = pytest.mark.peer("stunnel")


def test_cs_02_the_printed_configuration_holds():
    tried = whole_trial("stunnel")
    assert failures(tried) == []
    assert [outcome.came for outcome in tried] == ["in", "out", "out", "out", "in", "out"]
