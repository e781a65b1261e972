"""The TLSA records that stand at a name in the inventory, whose they are, and that nothing is put beside an identity's
records which would refuse it (RFC 7671 section 8).

Functions on a transaction.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from dnsbound.names import ClientName
from dnsbound.provision import schema
from dnsbound.provision.entries import IdentityState, KeyState
from dnsbound.provision.errors import RollRefused
from dnsbound.provision.lifecycle.deployment import Deployment
from dnsbound.provision.lifecycle.invariant import RRset, unmatched
from dnsbound.provision.lifecycle.roll import open_roll
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publication import records_at
from dnsbound.records.tlsa import TLSA


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The records at an identity's name, and the key it uses.

    ours: those of the identity, and what others published of its key. ttl: of the RRset. key_id: the current key's row.
    """

    all: RRset
    ours: RRset
    ttl: int
    key_id: int
    deployed: Deployment


def standing_of(connection: Connection, identity_id: int) -> Standing:
    """Of an active identity."""
    identity = connection.execute(select(schema.identities).where(schema.identities.c.id == identity_id)).one()
    key = connection.execute(
        select(schema.keys).where(
            schema.keys.c.identity_id == identity_id, schema.keys.c.state == KeyState.CURRENT.value
        )
    ).one()
    rows = connection.execute(
        select(schema.records).where(schema.records.c.owner == identity.name, schema.records.c.rdtype == "TLSA")
    ).all()
    records = [(row, TLSA.from_text(row.rdata)) for row in rows]
    ours = [(row, record) for row, record in records if row.identity_id == identity_id]
    # Records of authorities stand for no one key; what was said of them when they were registered is believed.
    vouched = frozenset(record for row, record in ours if row.key_id in (key.id, None))
    chain = () if key.certificate is None else (key.certificate,)
    deployed = Deployment(spki=key.spki, chain=chain, vouched=vouched)
    every = frozenset(record for _, record in records)
    return Standing(
        all=every,
        ours=frozenset(record for _, record in ours) | frozenset(filter(deployed.matches, every)),
        ttl=max((row.ttl for row in rows), default=identity.ttl),
        key_id=key.id,
        deployed=deployed,
    )


def tlsa_at(connection: Connection, owner: OwnerName) -> RRset:
    """The TLSA records at a name, whosever they are."""
    return frozenset(TLSA.from_text(record.rdata) for record in records_at(connection, owner, frozenset({"TLSA"})))


def check_beside(connection: Connection, owner: OwnerName, *, before: RRset) -> None:
    """RollRefused when a change of single TLSA records, made in this transaction, would refuse the identity of the
    name under a combination that did not refuse it before, or meddles with a roll. before: what stood there."""
    rows = schema.identities
    query = select(rows.c.id, rows.c.name).where(rows.c.name == owner.text, rows.c.state == IdentityState.ACTIVE.value)
    identity = connection.execute(query).one_or_none()
    if identity is None:
        return
    roll = open_roll(connection, identity.id)
    if roll is not None:
        raise RollRefused(f"{owner} is rolled (now in {roll.state.value}): let that end, or cancel it, first")
    standing = standing_of(connection, identity.id)
    new = set(unmatched(standing.all, standing.deployed)) - set(unmatched(before, standing.deployed))
    if new:
        name = ClientName.parse(identity.name)
        raise RollRefused(
            f"no {min(new)} record would match the key of {name}: verifiers that prefer it would refuse the client "
            "(RFC 7671 section 8)"
        )
