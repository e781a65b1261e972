"""Exim with the configuration of `dnsbound config exim`, over all that a client can bring."""

import os
import pwd

import pytest

from dnsbound.testing.front_trials import exim
from interop.fronts import failures, whole_trial


def _has_account() -> bool:
    try:
        pwd.getpwnam(exim.TRIAL.account)
    except KeyError:
        return False
    return True


pytestmark = [
    pytest.mark.peer("exim4"),
    pytest.mark.skipif(os.geteuid() != 0 or not _has_account(), reason="Exim starts as root, and has an account"),
]


def test_cs_02_the_printed_configuration_holds():
    tried = whole_trial("exim")
    assert failures(tried) == []
    assert {outcome.what: outcome.came[:8] for outcome in tried}[
        "the right client while the verify service is down"
    ] == ("out (451")
