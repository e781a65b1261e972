"""Hot values: made quickly, compared and kept as frozen dataclasses are; and what decisions rest on is none of them."""

from dataclasses import FrozenInstanceError, field, fields, replace

import pytest

from dnsbound.credential.presented import Presented
from dnsbound.hot_value import hot_value
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.verify.claim import Claim, NameSource, Proved
from dnsbound.verify.peer import VerifiedPeer


@hot_value
class Said:
    number: int
    octets: bytes = b""
    kept: bytes = field(default=b"", repr=False, compare=False)


def test_it_is_a_value() -> None:
    assert Said(number=1, octets=b"a") == Said(number=1, octets=b"a", kept=b"x") != Said(number=2, octets=b"a")
    assert {Said(number=1): "one"}[Said(number=1, kept=b"x")] == "one"
    assert repr(Said(number=1, kept=b"secret")) == "Said(number=1, octets=b'')"
    assert replace(Said(number=1), number=3) == Said(number=3)
    assert [one.name for one in fields(Said)] == ["number", "octets", "kept"]


def test_it_takes_its_fields_by_name_and_no_others() -> None:
    with pytest.raises(TypeError):
        Said(1)  # type: ignore[misc]
    with pytest.raises(TypeError):
        Said(number=1, other=2)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Said(number=1).other = 2  # type: ignore[attr-defined]


def test_the_type_checker_knows_it_as_frozen() -> None:
    said = Said(number=1)
    said.number = 2  # type: ignore[misc] # an ignored error that was none would itself be one (warn_unused_ignores)
    assert said.number == 2


def test_what_decisions_rest_on_is_frozen_at_run_time() -> None:
    """Claims and evidence are handed to applications: no slip of theirs may change one."""
    name = ClientName.parse("car54.cars.example")
    claim = Claim(
        name=name,
        name_source=NameSource.EXTENSION,
        presented=Presented(raw_public_key=b"key"),
        possession=Proved("a test"),
        door="api.example",
    )
    for value, attribute in ((name, "canonical"), (claim, "name"), (TLSA(3, 1, 1, bytes(32)), "data")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, attribute, None)
    assert VerifiedPeer.__dataclass_params__.frozen  # type: ignore[attr-defined]
