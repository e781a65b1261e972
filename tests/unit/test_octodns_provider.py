"""The OctoDNS publisher with OctoDNS's own planning and a host in memory that fails in every way a host can."""

import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from octodns.processor.filter import NameRejectlistFilter
from octodns.provider.base import BaseProvider
from octodns.record import Record
from octodns.record.rr import Rrset
from octodns.zone import Zone

from dnsbound.errors import Misuse
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.octodns_provider import OctoDnsPublisher, open_provider
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind, Served, ServerRefused, ServerUnclear
from dnsbound.provision.publish.targets import OctoDnsTarget

if TYPE_CHECKING:
    from collections.abc import Callable

ZONE = "cars.example"
NEW = "3 1 1 " + "ab" * 32
FOREIGN = "3 1 1 " + "fe" * 32


class HostInMemory(BaseProvider):
    """A host that keeps RRsets as text. spoil: raises what the host would, before a change of a name is made."""

    SUPPORTS_GEO = False
    SUPPORTS_ROOT_NS = True
    SUPPORTS: ClassVar[set[str]] = {"A", "CNAME", "NS", "TLSA", "TXT"}

    def __init__(self, id: str = "host", exists: bool = True) -> None:  # noqa: A002 (OctoDNS's name)
        self.log = logging.getLogger("host-in-memory")
        super().__init__(id)
        self.exists = exists
        self.rrsets: dict[tuple[str, str], tuple[int, list[str]]] = {
            (f"{ZONE}.", "NS"): (300, [f"ns.{ZONE}."]),
            (f"foreign.{ZONE}.", "TLSA"): (300, [FOREIGN]),
            (f"www.{ZONE}.", "A"): (300, ["192.0.2.1"]),
            # What a host may hold and OctoDNS would not let anybody write.
            (f"odd.{ZONE}.", "TXT"): (300, ["half ; escaped"]),
        }
        self.read = 0
        self.written: list[list[tuple[str, str]]] = []
        self.spoil: Callable[[str], None] = lambda name: None
        self.broken: Exception | None = None
        self.meddles = False

    def populate(self, zone: Any, target: bool = False, lenient: bool = False) -> bool:
        self.read += 1
        if self.broken is not None:
            raise self.broken
        for (name, rdtype), (ttl, texts) in self.rrsets.items():
            zone.add_record(Record.from_rrset(zone, Rrset(name, rdtype, ttl, texts), lenient=True), lenient=True)
        return self.exists

    def _process_desired_zone(self, desired: Any) -> Any:
        """Some providers drop from the desired zone what they do not like: then the plan would delete it."""
        if self.meddles:
            for record in list(desired.records):
                if record._type in {"A", "TXT"}:
                    desired.remove_record(record)
        return super()._process_desired_zone(desired)

    def _apply(self, plan: Any) -> None:
        changes = [(change.record.fqdn, change.record._type) for change in plan.changes]
        for change in plan.changes:
            self.spoil(change.record.fqdn)
        for change in plan.changes:
            place = change.record.fqdn, change.record._type
            if change.new is None:
                del self.rrsets[place]
            else:
                self.rrsets[place] = change.new.ttl, list(change.new.to_rrset().rdatas)
        self.written.append(changes)


@pytest.fixture
def host() -> HostInMemory:
    return HostInMemory()


@pytest.fixture
def publisher(host: HostInMemory) -> OctoDnsPublisher:
    target = OctoDnsTarget(zone=OwnerName.parse(ZONE), config=Path("unused"), provider="host", batch=10)
    return OctoDnsPublisher(target, host)


def change(name: str = "car54", after: tuple[str, ...] = (NEW,), before: tuple[str, ...] = (), **fields: Any) -> Change:
    return Change(
        owner=OwnerName.parse(f"{name}.{ZONE}"), before=before, after=after, **{"rdtype": "TLSA", "ttl": 60} | fields
    )


def kinds(outcomes: list[Outcome]) -> dict[str, OutcomeKind]:
    return {outcome.change.owner.text.removesuffix(f".{ZONE}"): outcome.kind for outcome in outcomes}


def test_a_plan_touches_our_rrsets_alone(host: HostInMemory, publisher: OctoDnsPublisher) -> None:
    before = dict(host.rrsets)
    host.meddles = True
    assert set(kinds(list(publisher.apply([change(), change("foreign", ttl=300)]))).values()) == {OutcomeKind.DONE}
    published = dict(host.rrsets)
    assert published.pop((f"car54.{ZONE}.", "TLSA")) == (60, [NEW])
    assert sorted(published.pop((f"foreign.{ZONE}.", "TLSA"))[1]) == sorted([NEW, FOREIGN])
    assert {**published, (f"foreign.{ZONE}.", "TLSA"): (300, [FOREIGN])} == before
    revoked = [change(after=(), before=(NEW,)), change("foreign", after=(), before=(NEW,))]
    assert set(kinds(list(publisher.apply(revoked))).values()) == {OutcomeKind.DONE}
    assert host.rrsets == before


def test_what_stands_is_not_written(host: HostInMemory, publisher: OctoDnsPublisher) -> None:
    for _ in range(2):
        assert kinds(list(publisher.apply([change()]))) == {"car54": OutcomeKind.DONE}
    assert len(host.written) == 1


def test_a_name_the_host_does_not_take_holds_up_no_other(host: HostInMemory, publisher: OctoDnsPublisher) -> None:
    def spoil(name: str) -> None:
        if name.startswith("car3."):
            raise ValueError("rate limit\nsecond line \x1b")

    host.spoil = spoil
    outcomes = list(publisher.apply([change(f"car{number}") for number in range(8)]))
    assert kinds(outcomes) == {
        f"car{number}": OutcomeKind.UNDECIDED if number == 3 else OutcomeKind.DONE for number in range(8)
    }
    [line] = {outcome.line for outcome in outcomes if outcome.line}
    assert line.endswith("ValueError: rate limit")


def test_a_host_that_fails_throughout_is_not_asked_for_every_name(
    host: HostInMemory, publisher: OctoDnsPublisher
) -> None:
    def spoil(_: str) -> None:
        raise ConnectionError("down")

    host.spoil = spoil
    target = OctoDnsTarget(zone=OwnerName.parse(ZONE), config=Path("unused"), provider="host", batch=500)
    outcomes = list(OctoDnsPublisher(target, host).apply([change(f"car{number}") for number in range(500)]))
    assert len(outcomes) == 500
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.UNDECIDED}
    assert host.read < 80, "twice for each try: once by us, once by the plan"


def test_a_host_that_cannot_be_read(host: HostInMemory, publisher: OctoDnsPublisher) -> None:
    host.broken = PermissionError("401")
    assert kinds(list(publisher.apply([change(), change("car55")]))) == {
        "car54": OutcomeKind.UNDECIDED,
        "car55": OutcomeKind.UNDECIDED,
    }
    with pytest.raises(ServerUnclear):
        list(publisher.read([OwnerName.parse(ZONE)]))


def test_a_zone_the_host_does_not_have_is_not_made(host: HostInMemory, publisher: OctoDnsPublisher) -> None:
    host.exists = False
    assert kinds(list(publisher.apply([change()]))) == {"car54": OutcomeKind.REFUSED}
    assert not host.written
    with pytest.raises(ServerRefused):
        list(publisher.read([OwnerName.parse(ZONE)]))


@pytest.mark.parametrize(
    "hindered",
    [
        change("www", rdtype="CNAME", after=(f"car1.{ZONE}.",)),
        change("foreign", rdtype="CNAME", after=(f"car1.{ZONE}.",)),
        change("leased", after=(NEW,)),
        change("leased", rdtype="CNAME", after=(f"car1.{ZONE}.",)),
    ],
    ids=["alias beside an address", "alias beside records", "records beside an alias", "a second alias"],
)
def test_an_alias_stands_alone(host: HostInMemory, publisher: OctoDnsPublisher, hindered: Change) -> None:
    host.rrsets[f"leased.{ZONE}.", "CNAME"] = (300, [f"car2.{ZONE}."])
    before = dict(host.rrsets)
    assert [outcome.kind for outcome in publisher.apply([hindered])] == [OutcomeKind.REFUSED]
    assert host.rrsets == before


def test_a_changed_alias(host: HostInMemory, publisher: OctoDnsPublisher) -> None:
    host.rrsets[f"leased.{ZONE}.", "CNAME"] = (300, [f"car2.{ZONE}."])
    moved = change("leased", rdtype="CNAME", before=(f"car2.{ZONE}.",), after=(f"car1.{ZONE}.",))
    assert [outcome.kind for outcome in publisher.apply([moved])] == [OutcomeKind.DONE]
    assert host.rrsets[f"leased.{ZONE}.", "CNAME"] == (60, [f"car1.{ZONE}."])


def test_what_the_host_holds(publisher: OctoDnsPublisher, host: HostInMemory) -> None:
    served = list(publisher.read([OwnerName.parse(f"{name}.{ZONE}") for name in ("absent", "foreign", "www")]))
    assert served == [Served(owner=OwnerName.parse(f"foreign.{ZONE}"), rdtype="TLSA", rdatas=(FOREIGN,), ttl=300)]
    assert host.read == 1


class WithoutTlsa(HostInMemory):
    SUPPORTS: ClassVar[set[str]] = {"A", "CNAME"}


class TestOpening:
    def config(self, directory: Path, name: str, **fields: str) -> Path:
        path = directory / "octodns.yaml"
        rest = "".join(f"    {key}: {value}\n" for key, value in fields.items())
        path.write_text(f"zones: {{}}\nproviders:\n  host:\n    class: {__name__}.{name}\n{rest}")
        sys.modules.setdefault(__name__, sys.modules[HostInMemory.__module__])
        return path

    def test_by_octodns_own_configuration(self, tmp_path: Path) -> None:
        assert type(open_provider(self.config(tmp_path, "HostInMemory"), "host")).__name__ == "HostInMemory"

    def test_a_provider_without_tlsa(self, tmp_path: Path) -> None:
        with pytest.raises(Misuse, match="WithoutTlsa of OctoDNS handles no TLSA records"):
            open_provider(self.config(tmp_path, "WithoutTlsa"), "host")

    def test_what_cannot_be_opened(self, tmp_path: Path) -> None:
        with pytest.raises(Misuse, match="has no provider 'other'; it has host"):
            open_provider(self.config(tmp_path, "HostInMemory"), "other")
        with pytest.raises(Misuse, match="does not accept it"):
            open_provider(self.config(tmp_path, "NoSuchClass"), "host")
        with pytest.raises(Misuse, match="does not accept it") as caught:
            open_provider(self.config(tmp_path, "HostInMemory", token="env/DNSBOUND_NO_SUCH_VARIABLE"), "host")
        assert "\n" not in str(caught.value)
        with pytest.raises(Misuse, match="does not accept it"):
            open_provider(tmp_path / "absent.yaml", "host")

    def test_octodns_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "octodns.manager", None)
        with pytest.raises(Misuse, match=r"dnsbound\[octodns\]"):
            open_provider(Path("unused"), "host")


def test_the_zone_of_octodns_is_what_it_was(host: HostInMemory) -> None:
    """The provider in memory is a good one: OctoDNS finds nothing to do where nothing was changed."""
    zone = Zone(f"{ZONE}.", [])
    host.populate(zone, target=True, lenient=True)
    assert host.plan(zone) is None


def test_the_filter_of_the_page_leaves_identities_to_us(host: HostInMemory) -> None:
    """An ordinary run of OctoDNS that has no identities in its sources, with the processor that the page shows."""
    host.rrsets[f"car54._device.{ZONE}.", "TLSA"] = (60, [NEW])
    page = (Path(__file__).parents[2] / "docs/howto/dns-hosts.md").read_text()
    [pattern] = re.findall(r"rejectlist: \['(.*)'\]", page)
    desired = Zone(f"{ZONE}.", [])
    host.populate(desired, target=True, lenient=True)
    for record in list(desired.records):
        if record._type == "TLSA":
            desired.remove_record(record)
    plan = host.plan(desired, processors=[NameRejectlistFilter("not-identities", rejectlist=[pattern])])
    assert [change.record.fqdn for change in plan.changes] == [f"foreign.{ZONE}."]
