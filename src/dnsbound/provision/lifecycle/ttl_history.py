"""TTLs that a name's records had a while ago, because caches may hold them longer than what stands now allows.

Who lowers a TTL and rolls the key at once would otherwise wait two of the new TTLs while caches keep the old RRset for
the rest of an old one. The log of changes remembers; by the wall clock, which is the only one that it has.
"""

import json
from typing import Final

from sqlalchemy import Connection, select

from dnsbound.names import ClientName
from dnsbound.provision import schema
from dnsbound.times import Moment

_PUBLISHING_SECONDS: Final = 3600
"""How long a change may take from the inventory to the last server, and clocks may be apart."""


def largest_ttl_in_caches(connection: Connection, name: ClientName, *, now: Moment) -> int:
    """The largest TTL, of those the log knows of, with which a cache may hold an RRset of the name; 0 for none."""
    rows = schema.events
    query = select(rows.c.at, rows.c.action, rows.c.detail).where(rows.c.subject == name.canonical).order_by(rows.c.id)
    spans: list[tuple[int, Moment]] = []
    for at, action, detail in connection.execute(query):
        ttl = _ttl_of(action, json.loads(detail))
        if ttl is not None:
            spans.append((ttl, at))
    ended = [*(at for _, at in spans[1:]), now]
    return max(
        (ttl for (ttl, _), end in zip(spans, ended, strict=True) if end + ttl + _PUBLISHING_SECONDS >= now), default=0
    )


def _ttl_of(action: str, detail: dict[str, object]) -> int | None:
    """The TTL that the name's RRset has since an event."""
    ttl = detail.get("ttl")
    if isinstance(ttl, int):
        return ttl
    if action == "publish" and isinstance(record := detail.get("record"), str):
        fields = record.split()
        if len(fields) > 3 and fields[3] == "TLSA" and fields[1].isdecimal():
            return int(fields[1])
    return None
