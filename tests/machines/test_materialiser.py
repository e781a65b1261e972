"""The materialiser on World: files appear with records and permission, and go with either of them."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.ssh_key import SshKey
from dnsbound.credential.trust_store import subject_hash
from dnsbound.edge.access_file import AccessFile
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.material_files import STATE
from dnsbound.edge.material_forms import FORMS
from dnsbound.edge.materialiser import Materialiser, MaterialSettings
from dnsbound.errors import Misuse, Reason
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.faults import Fault
from dnsbound.verify.decision import Decision, Verdict
from machines.authz_fronts import pem

DOOR = "report.gov.example"
NAME = "car54._device.cars.example"
TTL = 60


@dataclass
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    world: World
    directory: Path
    clock: Clock
    access: AccessFile
    decisions: list[Decision]
    authenticator: Authenticator
    resolver: object

    def permit(self, *names: str, grants: str = "{}", more: str = "") -> None:
        quoted = ", ".join(f'"{name}"' for name in names)
        entry = f"{{ names = [{quoted}], grants = {grants} }}" if names else ""
        (self.directory / "access.toml").write_text(f'[door."{DOOR}"]\nallow = [{entry}]\n{more}')
        self.access.reload()

    def publish(self, credential: Credential, usage: Usage = Usage.DANE_EE, **form: int) -> None:
        chosen = {"selector": Selector.CERT, "matching_type": MatchingType.FULL, **form}
        record = credential.tlsa(usage, Selector(chosen["selector"]), MatchingType(chosen["matching_type"]))
        self.world.organisation("cars.example").replace("car54._device", record, ttl=TTL)

    def remove(self) -> None:
        self.world.organisation("cars.example").remove("car54._device", "TLSA")

    def materialiser(self, form: str = "hashed-directory", **changes: object) -> Materialiser:
        settings = MaterialSettings(label="site", door=DOOR, form=form, path=self.directory / "out")
        made = Materialiser(
            replace(settings, **changes),
            self.authenticator,
            self.resolver,
            clock=self.clock,  # type: ignore[arg-type]
        )
        made.open()
        return made

    def files(self) -> dict[str, str]:
        out = self.directory / "out"
        return {path.name: path.read_text() for path in out.iterdir() if not path.name.startswith(".")}


def run(tmp_path: Path, scenario: Callable[[Site], Awaitable[None]]) -> None:
    clock = Clock(time.time())
    (tmp_path / "access.toml").write_text(f'[door."{DOOR}"]\nallow = ["{NAME}"]\n')
    access = AccessFile(tmp_path / "access.toml")
    decisions: list[Decision] = []
    with World(clock=clock) as world:
        world.organisation("cars.example")
        resolver = world.resolver()
        authenticator = Authenticator(access, resolver, door=DOOR, clock=clock, on_decision=decisions.append)
        asyncio.run(scenario(Site(world, tmp_path, clock, access, decisions, authenticator, resolver)))


def credential(name: str = NAME) -> Credential:
    return Credential.generate(ClientName.parse(name), now=time.time())


def test_mt_03_a_certificate_comes_with_its_record_and_goes_with_it(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        mine = credential()
        materialiser = site.materialiser()
        assert await materialiser.round() == []
        assert site.files() == {}
        site.publish(mine)
        site.clock.now += 301
        name = f"{subject_hash(mine.chain[0])}.0"
        assert await materialiser.round() == [name]
        assert site.files() == {name: pem(mine.chain[0]).decode()}
        assert await materialiser.round() == []
        assert site.decisions[-1].verdict is Verdict.ADMITTED
        assert site.decisions[-1].possession == "asserted by materialise.site"
        site.remove()
        site.clock.now += TTL
        assert await materialiser.round() == [name]
        assert site.files() == {}

    run(tmp_path, scenario)


def test_mt_04_a_name_that_is_permitted_no_more_is_gone_at_once(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        site.publish(credential())
        materialiser = site.materialiser()
        assert len(await materialiser.round()) == 1
        asked = len(site.world.queries_for(NAME))
        site.permit("car55._device.cars.example")
        assert len(await materialiser.round()) == 1
        assert site.files() == {}
        assert len(site.world.queries_for(NAME)) == asked
        site.permit(NAME, more=f'deny = ["{NAME}"]\n')
        await materialiser.round()
        assert site.files() == {}

    run(tmp_path, scenario)


def test_mt_05_undecided_keeps_a_file_until_its_evidence_ends(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        site.publish(credential())
        materialiser = site.materialiser(grace=30)
        await materialiser.round()
        site.world.fault(NAME, Fault.SERVFAIL)
        site.clock.now += TTL
        await materialiser.round()
        assert len(site.files()) == 1
        site.clock.now += 29
        await materialiser.round()
        assert len(site.files()) == 1
        site.clock.now += 2
        await materialiser.round()
        assert site.files() == {}
        assert all(decision.reason is not Reason.NO_TLSA for decision in site.decisions)
        site.world.heal()
        site.clock.now += 11
        await materialiser.round()
        assert len(site.files()) == 1

    run(tmp_path, scenario)


def test_mt_06_what_could_stand_for_another_name_is_not_handed_on(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        authority = CertificateAuthority.create("car54._device.cars.example", now=site.clock.now)
        site.world.organisation("cars.example").replace("car54._device", TLSA(3, 0, 0, authority.chain[0]), ttl=TTL)
        for form in ("hashed-directory", "by-name"):
            materialiser = site.materialiser(form, path=tmp_path / form)
            await materialiser.round()
            assert [path.name for path in (tmp_path / form).iterdir() if path.suffix != ".json"] == []
        other = credential("other.cars.example")
        site.world.organisation("cars.example").replace("car54._device", TLSA(3, 0, 0, other.chain[0]), ttl=TTL)
        materialiser = site.materialiser()
        await materialiser.round()
        assert site.files() == {}

    run(tmp_path, scenario)


def test_a_name_that_the_doors_forget_is_asked_about_at_once(tmp_path: Path) -> None:
    """As `dnsbound revoke` has them do."""

    async def scenario(site: Site) -> None:
        site.publish(credential())
        materialiser = site.materialiser()
        await materialiser.round()
        site.remove()
        assert await materialiser.round() == []
        site.authenticator.forget(ClientName.parse(NAME))
        assert len(await materialiser.round()) == 1
        assert site.files() == {}

    run(tmp_path, scenario)


def test_enrolled_certificates_are_taken_where_a_record_names_them(tmp_path: Path) -> None:
    enrolled = tmp_path / "enrolled"
    enrolled.mkdir()

    async def scenario(site: Site) -> None:
        mine, old = credential(), credential()
        site.publish(mine, selector=Selector.SPKI, matching_type=MatchingType.SHA2_256)
        (enrolled / f"{NAME}.pem").write_bytes(pem(mine.chain[0], old.chain[0]))
        materialiser = site.materialiser("by-name", enrolled=enrolled)
        await materialiser.round()
        assert site.files() == {f"{NAME}.pem": pem(mine.chain[0]).decode()}

    run(tmp_path, scenario)


def test_mt_07_numbers_behind_one_hash_have_no_gap(tmp_path: Path) -> None:
    """OpenSSL looks for .0, then .1, and stops at the first that is not there."""

    async def scenario(site: Site) -> None:
        first, second = credential(), credential()
        cars = site.world.organisation("cars.example")
        cars.replace("car54._device", TLSA(3, 0, 0, first.chain[0]), TLSA(3, 0, 0, second.chain[0]), ttl=TTL)
        materialiser = site.materialiser()
        await materialiser.round()
        name = subject_hash(first.chain[0])
        assert sorted(site.files()) == [f"{name}.0", f"{name}.1"]
        site.publish(second)
        site.clock.now += TTL
        await materialiser.round()
        assert site.files() == {f"{name}.0": pem(second.chain[0]).decode()}

    run(tmp_path, scenario)


def test_mt_08_a_restart_without_any_dns_keeps_what_holds_and_no_longer(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        site.publish(credential())
        await site.materialiser().round()
        site.world.fault(NAME, Fault.SERVFAIL)
        site.clock.now += TTL / 2
        again = site.materialiser()
        assert await again.round() == []
        assert len(site.files()) == 1
        site.clock.now += TTL
        await again.round()
        assert site.files() == {}

    run(tmp_path, scenario)


def test_mt_09_files_of_others_are_never_taken_away(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out/theirs.pem").write_text("theirs")
        with pytest.raises(Misuse):
            site.materialiser()
        (tmp_path / "out/theirs.pem").rename(tmp_path / "theirs.pem")
        materialiser = site.materialiser()
        (tmp_path / "theirs.pem").rename(tmp_path / "out/theirs.pem")
        site.publish(credential())
        await materialiser.round()
        site.permit()
        await materialiser.round()
        assert site.files() == {"theirs.pem": "theirs"}

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    "state",
    [b"", b"[]", b'{"v":2,"files":[],"material":[]}', b'{"v":1,"files":["../x"],"material":[]}', b'{"v":1}'],
)
def test_a_state_that_is_none_is_told_and_nothing_taken_away(tmp_path: Path, state: bytes) -> None:
    async def scenario(site: Site) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / STATE).write_bytes(state)
        with pytest.raises(Misuse):
            site.materialiser()

    run(tmp_path, scenario)


def test_a_file_that_somebody_touched_is_written_again(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        mine = credential()
        site.publish(mine)
        materialiser = site.materialiser("by-name")
        await materialiser.round()
        (tmp_path / "out" / f"{NAME}.pem").write_text("changed")
        site.clock.now += TTL
        assert await materialiser.round() == [f"{NAME}.pem"]
        assert site.files() == {f"{NAME}.pem": pem(mine.chain[0]).decode()}

    run(tmp_path, scenario)


@pytest.mark.parametrize("selector", [Selector.SPKI, Selector.CERT])
def test_keys_of_ssh(tmp_path: Path, selector: Selector) -> None:
    async def scenario(site: Site) -> None:
        mine = credential()
        key = SshKey.from_spki(mine.spki).to_text()
        site.permit(NAME, grants='{ ssh_accounts = ["deploy", "../x"], ssh_options = ["restrict"] }')
        site.publish(mine, selector=selector)
        await site.materialiser("authorized-keys").round()
        assert site.files() == {"deploy": f"restrict {key} {NAME}\n"}
        host = "_2222._tcp.host.cars.example"
        site.world.organisation("cars.example").replace("_2222._tcp.host", TLSA(3, 1, 0, mine.spki), ttl=TTL)
        site.permit(host)
        known = tmp_path / "known_hosts"
        await site.materialiser("known-hosts", path=known).round()
        assert known.read_text() == f"[host.cars.example]:2222 {key}\n"

    run(tmp_path, scenario)


def test_pins_of_servers(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        mine = credential()
        site.publish(mine, matching_type=MatchingType.SHA2_256)
        await site.materialiser("server-pins").round()
        digest = mine.tlsa(Usage.DANE_EE, Selector.CERT, MatchingType.SHA2_256).data.hex()
        assert site.files() == {f"{NAME}.pin": f"hash://server/sha256/{digest}\n"}

    run(tmp_path, scenario)


def test_mt_10_a_change_is_followed_by_a_command_and_nothing_else_is(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = (
        f"import pathlib; p = pathlib.Path({str(told)!r}); p.write_text((p.read_text() if p.exists() else '') + 'x')"
    )

    async def scenario(site: Site) -> None:
        site.publish(credential())
        materialiser = site.materialiser(hook=(sys.executable, "-c", program))
        await materialiser.round()
        await materialiser.round()
        assert told.read_text() == "x"
        site.permit()
        await materialiser.round()
        assert told.read_text() == "xx"

    run(tmp_path, scenario)


@pytest.mark.parametrize("command", [(sys.executable, "-c", "raise SystemExit(3)"), ("/nonexistent/program",)])
def test_a_command_that_fails_undoes_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    async def scenario(site: Site) -> None:
        site.publish(credential())
        await site.materialiser(hook=command).round()
        assert len(site.files()) == 1

    run(tmp_path, scenario)


def test_patterns_stand_for_names_that_nobody_knows(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        site.permit("*._device.cars.example")
        site.publish(credential())
        await site.materialiser().round()
        assert site.files() == {}
        assert not site.world.queries_for(NAME)

    run(tmp_path, scenario)


@pytest.mark.parametrize("form", FORMS)
def test_nobody_is_an_empty_file_or_none(form: str) -> None:
    assert set(FORMS[form]([]).values()) <= {b""}


def test_it_runs_until_its_block_ends(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        site.publish(credential())
        settings = MaterialSettings(label="site", door=DOOR, form="bundle", path=tmp_path / "all.pem")
        async with Materialiser(settings, site.authenticator, site.resolver, clock=site.clock):  # type: ignore[arg-type]
            async with asyncio.timeout(20):
                while not (tmp_path / "all.pem").exists():  # noqa: ASYNC110 (a file tells nobody)
                    await asyncio.sleep(0.01)
        assert json.loads((tmp_path / f".all.pem{STATE}").read_text())["files"] == [""]

    run(tmp_path, scenario)
