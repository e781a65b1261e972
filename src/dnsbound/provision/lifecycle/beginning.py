"""Beginning a roll, on a writing transaction: what is asked for becomes a plan, a key in waiting, a row, an event."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.errors import Misuse
from dnsbound.names import ClientName
from dnsbound.provision import keys, registration, schema
from dnsbound.provision.entries import KeyState
from dnsbound.provision.errors import RollRefused
from dnsbound.provision.lifecycle import stepping
from dnsbound.provision.lifecycle.deployment import Deployment, Parameters, parameters_to_text
from dnsbound.provision.lifecycle.evidence import Evidence
from dnsbound.provision.lifecycle.machine import RollEvent, RollKind, RollState
from dnsbound.provision.lifecycle.plan import Plan, make_plan
from dnsbound.provision.lifecycle.roll import Roll, open_roll, rolls_of
from dnsbound.provision.lifecycle.standing import Standing, standing_of
from dnsbound.provision.lifecycle.ttl_history import largest_ttl_in_caches
from dnsbound.provision.public_key import admit_certificate, admit_public_key, admit_tlsa
from dnsbound.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an identity is to be rolled to.

    spki: DER of the new key; None keeps the key. chain: DER certificates the client will present, leaf first. target:
    parameters of its records afterwards; none keeps them. emergency: the present key is no longer the client's alone.
    """

    spki: bytes | None = None
    chain: tuple[bytes, ...] = ()
    target: tuple[Parameters, ...] = ()
    emergency: bool = False

    @classmethod
    def checked(
        cls,
        *,
        spki: bytes | None = None,
        chain: Sequence[bytes] = (),
        target: Sequence[Parameters] = (),
        emergency: bool = False,
    ) -> "Wish":
        """Malformed, Misuse; PrivateKeyRefused for a private key in any form."""
        if chain:
            key = spki_of(chain[0]) if spki is None else spki
            admit_certificate(chain[0], key)
            spki = key
        if spki is not None:
            admit_public_key(spki)
        if spki is None and not target and not emergency:
            raise Misuse("a roll needs a new key, a new chain or new parameters")
        return cls(spki=spki, chain=tuple(chain), target=tuple(target), emergency=emergency)


def begin(connection: Connection, name: ClientName, wish: Wish, *, now: Moment, actor: str, reason: str = "") -> Roll:
    """NotInInventory; RollRefused with the sentence why it would refuse the client, or what is in its way."""
    identity_id = registration.id_of_active(connection, name)
    present = open_roll(connection, identity_id)
    if present is not None:
        if wish.emergency and wish.spki in (None, present.new_spki) and present.changes_key:
            return stepping.move(connection, present, RollEvent.COMPROMISED, now=now, actor=actor, reason=reason)
        raise RollRefused(f"{name} is rolled already, and in {present.state.value}: let that end, or cancel it, first")
    standing = standing_of(connection, identity_id)
    new = _new_deployment(standing, wish)
    kind = _kind(standing, new, wish)
    plan = make_plan(
        kind, standing=standing.all, ours=standing.ours, old=standing.deployed, new=new, target=wish.target
    )
    for record in (plan.during | plan.after) - plan.before:
        admit_tlsa(record)
    new.check_authorities(name, plan.after, now=now)
    ttl = max(standing.ttl, largest_ttl_in_caches(connection, name, now=now))
    number = _insert(
        connection, identity_id, standing=standing, kind=kind, plan=plan, new=new, wish=wish, ttl=ttl, now=now
    )
    [roll] = rolls_of(connection, [number])
    return stepping.enter_first(connection, roll, now=now, actor=actor, reason=reason)


def _new_deployment(standing: Standing, wish: Wish) -> Deployment:
    old = standing.deployed
    if wish.spki is not None and wish.spki != old.spki:
        return Deployment(spki=wish.spki, chain=wish.chain)
    if wish.emergency:
        raise Misuse("a stolen key is replaced by another one: hand it over, or revoke the identity")
    return Deployment(spki=old.spki, chain=wish.chain or old.chain, vouched=frozenset() if wish.chain else old.vouched)


def _kind(standing: Standing, new: Deployment, wish: Wish) -> RollKind:
    if wish.emergency:
        return RollKind.EMERGENCY
    if new.spki != standing.deployed.spki:
        return RollKind.KEY
    if not wish.target:
        raise RollRefused("the key stays, so say which parameters its records get")
    known = all(standing.deployed.matches(new.record(parameters)) for parameters in wish.target)
    # Records of certificates that the client is not known to present: it has to be given them first.
    return RollKind.PARAMETERS if known else RollKind.KEY


def _insert(
    connection: Connection,
    identity_id: int,
    *,
    standing: Standing,
    kind: RollKind,
    plan: Plan,
    new: Deployment,
    wish: Wish,
    ttl: int,
    now: Moment,
) -> int:
    leaf = new.chain[0] if wish.chain else None
    new_key_id = standing.key_id
    if new.spki != standing.deployed.spki:
        new_key_id = keys.add(connection, identity_id, spki=new.spki, state=KeyState.NEXT, certificate=leaf, now=now)
    row = {
        "identity_id": identity_id,
        "kind": kind.value,
        "state": RollState.STABLE.value,
        "old_key_id": standing.key_id,
        "new_key_id": new_key_id,
        "target": parameters_to_text(wish.target or tuple(sorted({Parameters.of(one) for one in standing.ours}))),
        "plan": plan.to_text(),
        "certificate": leaf if new_key_id == standing.key_id else None,
        "evidence": Evidence(old_ttl=ttl).to_text(),
        "started_at": now,
        "entered_at": now,
        "due_at": now,
    }
    return int(connection.execute(insert(schema.rolls).returning(schema.rolls.c.id), row).scalar_one())
