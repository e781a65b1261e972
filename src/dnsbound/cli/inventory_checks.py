"""What `dnsbound check` finds in the inventory alone: records that match no key, work that is overdue or stuck, names
nobody publishes, wildcards that speak for the revoked.

Sections: RFC 7671 section 8 (every record matches a key in use), RFC 4592 (wildcards).
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from dnsbound.cli.checks import Finding, Level
from dnsbound.cli.fleet_checks import SHOWN
from dnsbound.times import Seconds, iso

if TYPE_CHECKING:
    from dnsbound.provision.entries import Identity
    from dnsbound.provision.inventory import Inventory
    from dnsbound.provision.publish.reconcile import Publishing
    from dnsbound.provision.publish.targets import Target

_PATIENCE: Final[Seconds] = 300.0
"""How late a runner may be before something is wrong with it."""
_RUNNING: Final = "is `dnsbound run` running, or the cron job that calls it?"


def keys_and_records(store: "Inventory", progress: Callable[[int], None]) -> Iterator[Finding]:
    """Whether each published record that names a bare key names one of its identity's."""
    from dnsbound.provision.entries import IdentityState

    check, wrong, total = "keys", 0, 0
    for identity in store.identities.all(state=IdentityState.ACTIVE):
        progress(1)
        total += 1
        problem = _unmatched(identity)
        if problem:
            wrong += 1
            if wrong <= SHOWN:
                yield Finding(check=check, level=Level.FAIL, found=problem, remedy="dnsbound id show NAME")
    if wrong:
        found = f"{wrong} of {total} identities have a record without a key, or none at all"
        yield Finding(check=check, level=Level.FAIL, found=found, remedy="dnsbound id roll, or dnsbound revoke")
    else:
        yield Finding(check=check, level=Level.OK, found=f"the records of all {total} identities match their keys")


def _unmatched(identity: "Identity") -> str:
    """What is wrong with an identity's records. Those that name an authority, or a certificate that was never handed
    over, are not judged here: they match what the inventory does not have."""
    from dnsbound.iana import Selector, Usage
    from dnsbound.provision.entries import KeyState
    from dnsbound.provision.lifecycle.deployment import Deployment
    from dnsbound.records.tlsa import TLSA

    deployed = [
        Deployment(spki=key.spki, chain=() if key.certificate is None else (key.certificate,))
        for key in identity.keys
        if key.state is not KeyState.RETIRED
    ]
    records = [TLSA.from_text(record.rdata) for record in identity.records if record.rdtype == "TLSA"]
    if not records:
        return f"{identity.name} has no record: it can log in nowhere"
    for record in records:
        of_key = record.selector == Selector.SPKI or all(one.chain for one in deployed)
        if (
            record.usage in (Usage.DANE_EE, Usage.PKIX_EE)
            and of_key
            and not any(one.matches(record) for one in deployed)
        ):
            return f"{identity.name} has a {record.parameters} record of no key it has"
    return ""


def outboxes(publishing: "Publishing", targets: "list[Target]") -> Iterator[Finding]:
    """Whether what changed was published."""
    from dnsbound.provision.publish.targets import EmbeddedTarget

    for target in targets:
        if isinstance(target, EmbeddedTarget):
            continue
        waiting = publishing.waiting(target)
        check = f"outbox of {target.zone}"
        if waiting.problem:
            found = f"{waiting.names} names wait; one because: {waiting.problem}"
            yield Finding(check=check, level=Level.FAIL, found=found, remedy=f"dnsbound publish {target.zone} --test")
        elif waiting.due:
            found = f"{waiting.due} names wait to be published"
            yield Finding(check=check, level=Level.WARN, found=found, remedy="dnsbound publish, or dnsbound run")
        else:
            yield Finding(check=check, level=Level.OK, found="nothing waits")
    count, name = publishing.homeless()
    if count:
        found = f"{count} changed names lie in no zone with a target, {name} for one"
        remedy = 'a [publish."ZONE"] table for it (docs/howto/publish.md)'
        yield Finding(check="outbox", level=Level.FAIL, found=found, remedy=remedy)


def rolls(store: "Inventory", *, patience: Seconds) -> Iterator[Finding]:
    """Rolls that cannot go on, that nobody moves, or whose device has not switched. patience: seconds in SWITCH."""
    from dnsbound.provision.lifecycle.machine import RollState

    now, open_rolls, told = time.time(), 0, 0
    for roll in store.rolls.all():
        open_rolls += 1
        check, finding = f"roll of {roll.name}", None
        if roll.problem:
            found = f"{roll.state.value} since {iso(roll.entered_at)}: {roll.problem}"
            finding = Finding(check=check, level=Level.WARN, found=found, remedy=f"dnsbound id status {roll.name}")
        elif roll.due_at is not None and roll.due_at < now - _PATIENCE:
            found = f"{roll.state.value}; nobody has looked at it since {iso(roll.due_at)}"
            finding = Finding(check=check, level=Level.FAIL, found=found, remedy=_RUNNING)
        elif roll.state is RollState.SWITCH and roll.entered_at < now - patience:
            found = f"may switch since {iso(roll.entered_at)}, and was not seen with its new key"
            remedy = f"look at the device; then dnsbound id confirm {roll.name}, or id cancel"
            finding = Finding(check=check, level=Level.WARN, found=found, remedy=remedy)
        if finding is not None:
            told += 1
            if told <= SHOWN:
                yield finding
    if told > SHOWN:
        found = f"{told} of {open_rolls} need somebody"
        yield Finding(check="rolls", level=Level.WARN, found=found, remedy="dnsbound id status")
    elif not told:
        yield Finding(check="rolls", level=Level.OK, found=f"{open_rolls} under way")


def leases_and_transfers(store: "Inventory") -> Iterator[Finding]:
    """Whether what was to begin or end by now did."""
    now = time.time()
    for check, due in (("leases", store.leases.next_due()), ("transfers", store.transfers.next_due())):
        if due is not None and due < now - _PATIENCE:
            found = f"something was to happen at {iso(due)}, and did not"
            yield Finding(check=check, level=Level.FAIL, found=found, remedy=_RUNNING)
        else:
            yield Finding(check=check, level=Level.OK, found="nothing is overdue")


def gaps(store: "Inventory") -> Iterator[Finding]:
    """Names a wildcard should not speak for, or cannot."""
    from dnsbound.provision.ownership.gaps import LETS_IN

    told = 0
    for gap in store.gaps():
        told += 1
        if told <= SHOWN:
            level = Level.FAIL if gap.kind in LETS_IN else Level.WARN
            yield Finding(check=f"wildcard at {gap.name}", level=level, found=gap.sentence, remedy=gap.remedy)
    if told > SHOWN:
        found = f"{told} in all"
        yield Finding(check="wildcards", level=Level.FAIL, found=found, remedy="dnsbound authority gaps")
    elif not told:
        yield Finding(check="wildcards", level=Level.OK, found="no gap")
