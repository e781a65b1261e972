"""Every command that changes the inventory, made ready to be run, with the events it must leave.

`CHANGES` is complete: `unit/cli/test_cli_every_change.py` holds it against the program itself.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnsbound.cli.configuration import inventory_place
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.names import ClientName
from dnsbound.provision.inventory import Inventory
from dnsbound.provision.lifecycle.machine import RollState
from unit.adoption_sources import b64, spki
from unit.rolling import Rolling

CAR = "car54._device.cars.example"
SECOND = "car55._device.cars.example"
VAN = "van1._device.hire.example"
ZONE = "cars.example"
WILDCARD = "*._device.cars.example"
BOTH_CARS = (CAR, SECOND)


@dataclass(frozen=True, kw_only=True)
class Change:
    """command: its path and arguments. events: (action, subject) in order. calls: the method of the inventory that does
    it, as "face method". ready: runs before, with the fixture that runs commands. more: arguments that `ready` finds
    out."""

    command: tuple[str, ...]
    events: tuple[tuple[str, str], ...]
    calls: str
    ready: Callable[[Any], object] = lambda _dnsbound: None
    more: Callable[[Any], tuple[str, ...]] = lambda _dnsbound: ()

    @property
    def title(self) -> str:
        return " ".join(self.command)


def runs(*commands: str) -> Callable[[Any], None]:
    """What makes a change possible: commands one after another, each of which must succeed."""

    def ready(dnsbound: Any) -> None:
        for command in commands:
            ran = dnsbound(*command.split())
            assert ran.code == 0, (command, ran.err)

    return ready


def then(*parts: Callable[[Any], object]) -> Callable[[Any], None]:
    def ready(dnsbound: Any) -> None:
        for part in parts:
            part(dnsbound)

    return ready


def new_certificate(_dnsbound: Any) -> None:
    made = Credential.generate(CAR, now=time.time())
    Path("new.pem").write_bytes(certificates_to_pem(made.chain))


def to_switch(_dnsbound: Any) -> None:
    """Let pretended servers and clocks take the roll to SWITCH."""
    with Inventory.open(inventory_place(None)) as inventory:
        rolling = Rolling(inventory)
        rolling.wall = time.time()
        for _ in range(2):
            rolling.turn()
        rolling.passes(600)
        rolling.turn()
        roll = inventory.rolls.of(ClientName.parse(CAR))
        assert roll is not None
        assert roll.state is RollState.SWITCH


def authority(_dnsbound: Any) -> None:
    made = CertificateAuthority.create("Cars", now=time.time())
    Path("ca.pem").write_bytes(certificates_to_pem(made.chain))


def devices(*names: str) -> Callable[[Any], object]:
    """A list of these, each with a key of its own."""
    rows = "".join(f"{name},{b64(spki(number))}\n" for number, name in enumerate(names, 1))
    return lambda _dnsbound: Path("devices.csv").write_text(f"name,public_key\n{rows}")


def rollback_file(_dnsbound: Any) -> tuple[str, ...]:
    [found] = Path().glob("*rollback*")
    return (str(found),)


REGISTERED = runs(f"id new {CAR} --out keys")
BOTH = runs(f"id new {CAR} --out keys", f"id new {SECOND} --out keys")
ROLLING = then(REGISTERED, new_certificate, runs(f"id roll {CAR} --cert new.pem"))
WITH_ZONE = runs(f"zone create {ZONE}")
WITH_AUTHORITY = then(WITH_ZONE, authority, runs(f"authority publish {WILDCARD} --cert ca.pem"))
ADOPTED = then(WITH_ZONE, devices(*BOTH_CARS), runs(f"id adopt devices.csv --below {ZONE}"))
TRANSFERRING = then(runs("zone create hire.example"), REGISTERED, runs(f"id transfer {CAR} {VAN}"))
LEASED = runs("zone create hire.example", f"lease grant {VAN} --of {CAR} --until 30d --danger-unchecked")
EXPORTED = then(REGISTERED, runs(f"id transfer {CAR} --export car.json"))


def said(action: str, *subjects: str) -> tuple[tuple[str, str], ...]:
    return tuple((action, subject) for subject in subjects)


IDENTITIES = (
    Change(command=("id", "new", CAR), events=said("register", CAR), calls="identities register"),
    Change(
        command=("id", "tag", CAR, "red", "blue"),
        events=said("tag", CAR),
        calls="identities tag",
        ready=REGISTERED,
    ),
    Change(
        command=("id", "untag", CAR, "red"),
        events=said("untag", CAR),
        calls="identities untag",
        ready=then(REGISTERED, runs(f"id tag {CAR} red")),
    ),
    Change(
        command=("id", "set-owner", CAR, "Hire Ltd"),
        events=said("set-owner", CAR),
        calls="identities set_owner",
        ready=REGISTERED,
    ),
    Change(
        command=("revoke", CAR, "--yes", "--no-publish"),
        events=said("revoke", CAR),
        calls="identities revoke",
        ready=REGISTERED,
    ),
    Change(
        command=("revoke", SECOND, "--yes"),
        events=said("block", SECOND),
        calls="blocks block",
        ready=WITH_AUTHORITY,
    ),
    Change(command=("id", "block", CAR), events=said("block", CAR), calls="blocks block", ready=WITH_ZONE),
    Change(
        command=("id", "unblock", CAR, "--yes"),
        events=said("unblock", CAR),
        calls="blocks lift",
        ready=then(WITH_ZONE, runs(f"id block {CAR}")),
    ),
    Change(
        command=("id", "adopt", "devices.csv", "--below", ZONE),
        events=said("register", *BOTH_CARS),
        calls="adoptions carry_out",
        ready=then(WITH_ZONE, devices(*BOTH_CARS)),
    ),
    Change(
        command=("id", "adopt", "--max-removals", "2", "--undo"),
        events=(*said("revoke", *BOTH_CARS), *said("take-back-adoption", *BOTH_CARS)),
        calls="adoptions undo",
        ready=ADOPTED,
        more=rollback_file,
    ),
    Change(
        command=("id", "adopt", "devices.csv", "--below", ZONE, "--complete", "--max-removals", "1"),
        events=said("revoke", SECOND),
        calls="adoptions carry_out_removals",
        ready=then(ADOPTED, devices(CAR)),
    ),
)

ROLLS = (
    Change(
        command=("id", "roll", CAR, "--cert", "new.pem"),
        events=said("roll-begin", CAR),
        calls="rolls begin_many",
        ready=then(REGISTERED, new_certificate),
    ),
    Change(
        command=("id", "roll", "--below", ZONE, "--parameters", "3 1 1, 3 1 2"),
        events=said("roll-begin", *BOTH_CARS),
        calls="rolls begin_many",
        ready=BOTH,
    ),
    Change(
        command=("id", "confirm", CAR),
        events=said("roll-retire", CAR),
        calls="rolls confirm",
        ready=then(ROLLING, to_switch),
    ),
    Change(command=("id", "cancel", CAR), events=said("roll-cancelled", CAR), calls="rolls cancel", ready=ROLLING),
)

OWNERSHIP = (
    Change(
        command=("id", "transfer", CAR, VAN),
        events=(("register", VAN), ("transfer", CAR)),
        calls="transfers begin",
        ready=REGISTERED,
    ),
    Change(
        command=("id", "transfer", CAR, "--finish"),
        events=(("revoke", CAR), ("transfer-done", CAR)),
        calls="transfers finish",
        ready=TRANSFERRING,
    ),
    Change(
        command=("id", "transfer", CAR, "--cancel"),
        events=(("revoke", VAN), ("transfer-cancelled", CAR)),
        calls="transfers cancel",
        ready=TRANSFERRING,
    ),
    Change(
        command=("id", "transfer", CAR, "--export", "car.json"),
        events=said("transfer-export", CAR),
        calls="transfers export",
        ready=REGISTERED,
    ),
    Change(
        command=("id", "transfer", VAN, "--import", "car.json", "--danger-unproved"),
        events=(("register", VAN), ("transfer-import", VAN)),
        calls="transfers take",
        ready=EXPORTED,
    ),
    Change(
        command=("lease", "grant", VAN, "--of", CAR, "--until", "30d", "--danger-unchecked"),
        events=(("lease", VAN), ("lease-begin", VAN)),
        calls="leases grant",
        ready=runs("zone create hire.example"),
    ),
    Change(
        command=("lease", "extend", VAN, "--until", "60d"),
        events=said("lease-extend", VAN),
        calls="leases extend",
        ready=LEASED,
    ),
    Change(command=("lease", "end", VAN), events=said("lease-end", VAN), calls="leases end", ready=LEASED),
    Change(
        command=("authority", "publish", WILDCARD, "--cert", "ca.pem"),
        events=said("publish-authority", WILDCARD),
        calls="authorities publish",
        ready=then(WITH_ZONE, authority),
    ),
    Change(
        command=("authority", "revoke", WILDCARD, "--cert", "ca.pem", "--yes"),
        events=said("revoke-authority", WILDCARD),
        calls="authorities revoke",
        ready=WITH_AUTHORITY,
    ),
)

ZONES = (
    Change(command=("zone", "create", ZONE), events=said("create-zone", ZONE), calls="zones create"),
    Change(
        command=("zone", "publish", f"api.{ZONE}", "A", "192.0.2.1"),
        events=said("publish", f"api.{ZONE}"),
        calls="zones publish",
        ready=WITH_ZONE,
    ),
    Change(
        command=("zone", "withdraw", f"api.{ZONE}", "A"),
        events=said("withdraw", f"api.{ZONE}"),
        calls="zones withdraw",
        ready=then(WITH_ZONE, runs(f"zone publish api.{ZONE} A 192.0.2.1")),
    ),
    Change(
        command=("zone", "roll-key", ZONE),
        events=said("set-keys", ZONE),
        calls="zones set_keys",
        ready=WITH_ZONE,
    ),
)

ENROLMENT = (
    Change(command=("enrol", "token", CAR), events=said("permit-enrolment", CAR), calls="permissions issue_token"),
    Change(
        command=("enrol", "expect", CAR, "--maker", "sn1._device.maker.example"),
        events=said("permit-enrolment", CAR),
        calls="permissions expect",
    ),
    Change(
        command=("enrol", "expect-tagged", "stock", "--below", "_device.hire.example"),
        events=said("permit-enrolment", "car54._device.hire.example", "car55._device.hire.example"),
        calls="permissions expect_tagged",
        ready=then(BOTH, runs(f"id tag {CAR} stock", f"id tag {SECOND} stock")),
    ),
    Change(
        command=("enrol", "cancel", "1"),
        events=said("cancel-enrolment", CAR),
        calls="permissions cancel",
        ready=runs(f"enrol token {CAR}"),
    ),
)

CHANGES = (*IDENTITIES, *ROLLS, *OWNERSHIP, *ZONES, *ENROLMENT)
