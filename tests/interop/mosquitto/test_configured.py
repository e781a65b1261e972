"""Mosquitto with the configuration of `dnsbound config mosquitto`, behind the gate with the file beside it."""

import pytest

from interop.fronts import failures, whole_trial

pytestmark = pytest.mark.peer("mosquitto")


def test_cs_02_the_printed_configuration_holds():
    tried = whole_trial("mosquitto")
    assert failures(tried) == []
    assert [outcome.came.partition(" (")[0] for outcome in tried] == [
        "in, as car54._device.cars.example",
        "in, as car54._device.cars.example",
        "kept out",
        "kept out",
        *["out"] * 4,
        "cut",
        *["out"] * 2,
    ]
