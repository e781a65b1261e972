"""Publishing through the HTTP API of a PowerDNS authoritative server (4.4 and newer).

The API replaces whole RRsets, it does not add single records: what stands is read, ours is merged in, and the result is
written, with the records of others exactly as they were read, disabled ones included. Somebody who changes the same
RRset between our reading and our writing is overwritten. The window is made small: a batch is read at one serial of the
zone, read again when the serial moved meanwhile, and written at once. It cannot be closed; where others write
the same names often, use RFC 2136, which PowerDNS speaks as well.

One PATCH is one transaction. When it is rejected, it is halved until the names it is rejected for are found.

https://doc.powerdns.com/authoritative/http-api/zone.html
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from dnsbound.errors import Misuse
from dnsbound.limits import PUBLISH_ATTEMPTS
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.by_name import NameWork, canonical, halves, outcomes, sift, works_of
from dnsbound.provision.publish.http_exchange import HttpClient, HttpOrigin, HttpReply
from dnsbound.provision.publish.publisher import (
    READ_TYPES,
    Change,
    Outcome,
    OutcomeKind,
    Served,
    ServerRefused,
    ServerUnclear,
)
from dnsbound.provision.publish.record_text import spelled
from dnsbound.provision.publish.targets import PowerDnsTarget
from dnsbound.times import Seconds

_COPIES: Final = frozenset({"slave", "secondary", "consumer"})
_FIRST_PAUSE: Final[Seconds] = 0.2
_LONGEST_PAUSE: Final[Seconds] = 5.0
_READINGS: Final = 3
"""Times a batch is read while somebody else keeps changing the zone, before it is halved."""
_SHOWN: Final = 200

RRsets: TypeAlias = dict[str, Mapping[str, Any]]
"""What stands at one name, by type, as the API gave it."""


class _Rejected(ServerRefused):
    """The server understood the request and does not carry it out (422): some name in it is wrong."""


@dataclass(frozen=True, slots=True)
class _Node:
    """What stands at one name, and the zone's serial when it was read."""

    serial: int
    rrsets: RRsets


class PowerDnsPublisher:
    """A `Publisher` of one zone. For one thread at a time; it reads with a few threads of its own."""

    def __init__(
        self,
        target: PowerDnsTarget,
        api_key: str,
        *,
        attempts: int | None = None,
        pause: Callable[[Seconds], object] = time.sleep,
    ) -> None:
        """attempts: how often a batch is tried before it stays undecided. pause: how to wait between two tries."""
        self._zone = target.zone
        self._origin = target.url
        self._path = f"/api/v1/servers/{quote(target.server_id, safe='')}/zones/{target.zone.absolute}"
        headers = {"X-API-Key": api_key, "Accept": "application/json", "Content-Type": "application/json"}
        self._batch = target.batch
        self._seconds = target.seconds
        self._attempts = PUBLISH_ATTEMPTS.checked(attempts)
        self._pause = pause
        self._is_down = False
        self._clients = [HttpClient(target.url, headers=headers) for _ in range(target.in_flight)]
        self._idle: SimpleQueue[HttpClient] = SimpleQueue()
        for client in self._clients:
            self._idle.put(client)
        self._readers = ThreadPoolExecutor(target.in_flight, thread_name_prefix="dnsbound-powerdns")

    @property
    def zone(self) -> OwnerName:
        return self._zone

    def apply(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """See `Publisher.apply`. A batch whose changes stand already is not written."""
        source = works_of(changes)
        while batch := list(islice(source, self._batch)):
            good, refused = sift(batch, self._zone)
            yield from refused
            if good:
                yield from self._bring_about(good)

    def read(self, owners: Iterable[OwnerName], rdtypes: Iterable[str] = READ_TYPES) -> Iterator[Served]:
        """See `Publisher.read`. Disabled records are not served and not shown."""
        wanted = frozenset(rdtypes) | {"CNAME"}
        source = iter(owners)
        while chunk := list(islice(source, self._batch)):
            for owner, node in zip(chunk, self._readers.map(self._node, chunk), strict=True):
                for rdtype in sorted(wanted & set(node.rrsets)):
                    served = _served(owner, node.rrsets[rdtype])
                    if served is not None:
                        yield served

    def close(self) -> None:
        self._readers.shutdown()
        for client in self._clients:
            client.close()

    # One batch.

    def _bring_about(self, batch: Sequence[NameWork]) -> Iterator[Outcome]:
        try:
            self._written(batch)
        except (_Rejected, _Unsteady) as problem:
            if len(batch) > 1:
                for half in halves(batch):
                    yield from self._bring_about(half)
            else:
                kind = OutcomeKind.REFUSED if isinstance(problem, _Rejected) else OutcomeKind.UNDECIDED
                yield from outcomes(batch, kind, str(problem))
        except ServerRefused as refused:
            yield from outcomes(batch, OutcomeKind.REFUSED, str(refused))
        except ServerUnclear as unclear:
            yield from outcomes(batch, OutcomeKind.UNDECIDED, str(unclear))
        else:
            yield from outcomes(batch, OutcomeKind.DONE)

    def _written(self, batch: Sequence[NameWork]) -> None:
        """Read, merge and write, again and again while the server is unclear; once only while it was down before."""
        last = 1 if self._is_down else self._attempts
        for attempt in range(1, last + 1):
            try:
                nodes = self._read_steadily(batch)
                rrsets = [
                    rrset for work, node in zip(batch, nodes, strict=True) for rrset in _merged(work, node.rrsets)
                ]
                if rrsets:
                    self._patch(rrsets)
                self._is_down = False
                return
            except _Unsteady:
                raise
            except ServerUnclear:
                if attempt == last:
                    self._is_down = True
                    raise
                self._pause(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (attempt - 1)))

    def _read_steadily(self, batch: Sequence[NameWork]) -> list[_Node]:
        """What stands at the names, all of it at one serial of the zone."""
        for _ in range(_READINGS):
            nodes = list(self._readers.map(self._node, [work.owner for work in batch]))
            if len({node.serial for node in nodes}) == 1:
                return nodes
        raise _Unsteady(f"{self._zone} is changed by somebody else all the time")

    # Requests.

    def _node(self, owner: OwnerName) -> _Node:
        path = f"{self._path}?rrset_name={quote(owner.absolute, safe='')}"
        zone = self._json(self._exchange("GET", path))
        if str(zone.get("kind", "")).lower() in _COPIES:
            raise ServerRefused(f"{self._zone} is a secondary zone at {self._origin}: publish to its primary")
        serial = zone.get("edited_serial", 0)
        rrsets = zone.get("rrsets")
        if not isinstance(rrsets, list) or not isinstance(serial, int):
            raise ServerUnclear(f"{self._origin} answered what is no zone of PowerDNS")
        return _Node(serial, _by_type(rrsets, owner, self._origin))

    def _patch(self, rrsets: Sequence[Mapping[str, Any]]) -> None:
        body = json.dumps({"rrsets": rrsets}, separators=(",", ":")).encode()
        reply = self._exchange("PATCH", self._path, body)
        if reply.status not in (200, 204):
            raise ServerUnclear(f"{self._origin} answered {reply.status} to a change")

    def _exchange(self, method: str, path: str, body: bytes | None = None) -> HttpReply:
        client = self._idle.get()
        try:
            reply = client.exchange(method, path, body, seconds=self._seconds)
        finally:
            self._idle.put(client)
        self._check(reply)
        return reply

    def _check(self, reply: HttpReply) -> None:
        """Raise what a status that is no success means."""
        if reply.status in (200, 204):
            return
        said = _said(reply)
        if reply.status == 401:
            raise ServerRefused(f"{self._origin} does not accept the API key")
        if reply.status == 403:
            raise ServerRefused(f"{self._origin} forbids it{said}")
        if reply.status == 404:
            raise ServerRefused(f"{self._origin} has no zone {self._zone}{said}")
        if reply.status == 422:
            raise _Rejected(f"{self._origin} rejects it{said}")
        raise ServerUnclear(f"{self._origin} answered {reply.status}{said}")

    def _json(self, reply: HttpReply) -> dict[str, Any]:
        if reply.content_type != "application/json":
            raise ServerUnclear(f"{self._origin} answered {reply.content_type or 'octets without a type'}, not JSON")
        try:
            value = json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            raise ServerUnclear(f"{self._origin} answered no JSON: {error}") from None
        if not isinstance(value, dict):
            raise ServerUnclear(f"{self._origin} answered what is no zone of PowerDNS")
        return value


class _Unsteady(ServerUnclear):
    """The zone changes while it is read."""


def parse_api_key(octets: bytes) -> str:
    """The content of a key file: one line of printable ASCII, as HTTP headers carry it. Misuse, without the key."""
    try:
        text = octets.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable() or " " in text:
        raise Misuse("the file of the API key is not one line of printable ASCII")
    return text


def _by_type(rrsets: Iterable[object], owner: OwnerName, origin: HttpOrigin) -> RRsets:
    """The RRsets of this name; a server that cannot choose by name sends those of all, which is checked here."""
    found: RRsets = {}
    for rrset in rrsets:
        records = rrset.get("records") if isinstance(rrset, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ServerUnclear(f"{origin} answered what is no zone of PowerDNS")
        if isinstance(rrset, dict) and str(rrset.get("name", "")).lower() == owner.absolute:
            found[str(rrset.get("type", ""))] = rrset
    return found


def _merged(work: NameWork, standing: RRsets) -> list[dict[str, Any]]:
    """What to write at a name: whole RRsets with the records of others in them; none for what stands as it should."""
    ops = []
    for change in work.changes:
        present = standing.get(change.rdtype, {})
        records = list(present.get("records", ()))
        removed = {canonical(change.rdtype, rdata) for rdata in change.removed}
        wanted = {canonical(change.rdtype, rdata): rdata for rdata in change.after}
        kept = [record for record in records if _content(change.rdtype, record) not in removed | set(wanted)]
        ttl = change.ttl if wanted else present.get("ttl", change.ttl)
        ours = [{"content": rdata, "disabled": False} for rdata in wanted.values()]
        serves = {_content(change.rdtype, record) for record in records if not record.get("disabled")}
        gone = all(_content(change.rdtype, record) not in removed for record in records)
        if gone and set(wanted) <= serves and (not wanted or present.get("ttl") == ttl):
            continue
        if kept or ours:
            op = {"changetype": "REPLACE", "ttl": ttl, "records": [*kept, *ours]}
        else:
            op = {"changetype": "DELETE", "records": []}
        ops.append({"name": work.owner.absolute, "type": change.rdtype, **op})
    # A CNAME stands alone: what goes is written before what comes.
    return sorted(ops, key=lambda op: op["changetype"] != "DELETE")


def _content(rdtype: str, record: Mapping[str, Any]) -> bytes:
    return canonical(rdtype, str(record.get("content")))


def _served(owner: OwnerName, rrset: Mapping[str, Any]) -> Served | None:
    """What a resolver would get of an RRset, in the spelling of `Change`."""
    rdtype, ttl = str(rrset.get("type")), rrset.get("ttl")
    shown = [record for record in rrset["records"] if not record.get("disabled")]
    if not shown or not isinstance(ttl, int):
        return None
    texts = sorted(spelled(rdtype, str(record.get("content"))) for record in shown)
    return Served(owner=owner, rdtype=rdtype, rdatas=tuple(texts), ttl=ttl)


def _said(reply: HttpReply) -> str:
    """The server's own words, short and printable."""
    text = reply.body[: 4 * _SHOWN].decode("utf-8", "replace")
    if reply.content_type == "application/json":
        try:
            value = json.loads(reply.body)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and isinstance(value.get("error"), str):
            text = value["error"]
    shown = "".join(char if char.isprintable() else " " for char in text).strip()[:_SHOWN]
    return f": {shown}" if shown else ""
