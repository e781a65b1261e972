"""What a program sees of the types of names, records, errors, lookups and World. Read by mypy alone."""

from pathlib import Path
from typing import assert_type

import dnsbound
from dnsbound.dns.answer import Answer, Outcome, Security
from dnsbound.testing import Device, Fault, Organisation, Query, World


def values() -> None:
    name = dnsbound.ClientName.parse("car54._device.cars.example")
    assert_type(name, dnsbound.ClientName)
    assert_type(name.labels, tuple[str, ...])
    assert_type(name.to_wire(), bytes)
    record = dnsbound.TLSA.from_text("3 1 1 " + "00" * 32)
    assert_type(record, dnsbound.TLSA)
    assert_type(dnsbound.TLSA.from_wire(record.to_wire()), dnsbound.TLSA)
    assert_type(record.unusable_because, str | None)
    assert_type({record: name}, dict[dnsbound.TLSA, dnsbound.ClientName])


def errors() -> None:
    try:
        values()
    except (dnsbound.Refused, dnsbound.Undecided) as outcome:
        assert_type(outcome.reason, dnsbound.Reason)
        assert_type(outcome.detail, str)
    except dnsbound.Malformed as fault:
        assert_type(fault.offset, int | None)
    except dnsbound.LimitExceeded as exceeded:
        assert_type(exceeded.limit, str)
    except (dnsbound.Misuse, dnsbound.PeerError) as error:
        ours: dnsbound.DnsboundError = error
        raise ours from None


async def lookups() -> None:
    upstream = dnsbound.Upstream.parse("tls://192.0.2.1#dns.example")
    anchors = dnsbound.TrustAnchors.from_text("")
    async with dnsbound.Resolver([upstream], anchors, mix_case=True) as resolver:
        answer = await resolver.lookup("car54._device.cars.example", "TLSA")
        assert_type(answer, Answer)
        assert_type(answer.security, Security)
        assert_type(answer.outcome, Outcome)
    with dnsbound.Resolver.from_system() as blocking:
        assert_type(blocking.lookup_blocking("car54._device.cars.example", "TLSA", deadline=1), Answer)
        assert_type(blocking.cached("car54._device.cars.example", "TLSA"), Answer | None)


def a_miniature_internet() -> None:
    with World() as world:
        assert_type(world, World)
        cars = world.organisation("cars.example")
        assert_type(cars, Organisation)
        car = cars.device("car54")
        assert_type(car, Device)
        assert_type(car.credential, dnsbound.Credential)
        assert_type(car.record, dnsbound.TLSA)
        assert_type(car.revoke(), bool)
        assert_type(world.resolver(), dnsbound.Resolver)
        assert_type(world.anchors, dnsbound.TrustAnchors)
        assert_type(world.queries_for("car54._device.cars.example"), tuple[Query, ...])
        assert_type(world.directory, Path)
        world.fault("car54._device.cars.example", Fault.SLOW, seconds=1)


def wrong_uses(record: dnsbound.TLSA, name: dnsbound.ClientName, world: World) -> None:
    """Each ignored line is an error that the type checker finds; mypy complains where it stops finding one."""
    record.usage = 3  # type: ignore[misc]
    name.canonical = "car55._device.cars.example"  # type: ignore[misc]
    dnsbound.ClientName.parse(b"car54._device.cars.example")  # type: ignore[arg-type]
    dnsbound.Refused("no")  # type: ignore[arg-type]
    dnsbound.Resolver()  # type: ignore[call-arg]
    dnsbound.Resolver(["192.0.2.1"])  # type: ignore[list-item]
    world.fault("car54._device.cars.example", "slow")  # type: ignore[arg-type]
