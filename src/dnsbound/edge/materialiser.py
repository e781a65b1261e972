"""The materialiser: for servers that can only read files, it writes what the DNS says about the names of one door, and
takes it away when the records or the permission go.

    async with Materialiser(settings, authenticator, resolver):        # until the block ends

Each exact name of the door is looked up when its evidence ends, and no later than `seconds` after the last time. A
record 3 0 0 holds the certificate itself, 3 1 0 a key, 3 0 1 a certificate's digest; certificates that were enrolled
are taken where any record matches them. Each is judged like a client at that door, by the same engine, with the
decision in the log; possession is asserted by the server that will read the file. While nobody can say, what was
written stays until its evidence ends, plus `grace`. Patterns stand for names that nobody knows here, and are not
looked up.

What this is not: revocation at the server. What a server does with a file that is gone is the server's: see
docs/howto/materialiser.md. Forms: `edge.material_forms`; files: `edge.material_files`.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import dns.name
import dns.rdatatype

from dnsbound.credential.presented import LeafDigests, Presented
from dnsbound.credential.trust_store import why_not_trusted
from dnsbound.door_limits import (
    MATERIAL_AT_ONCE,
    MATERIAL_GRACE_SECONDS,
    MATERIAL_HOOK_SECONDS,
    MATERIAL_NAMES,
    MATERIAL_RETRY_SECONDS,
    MATERIAL_SECONDS,
)
from dnsbound.edge.authenticator import LOOKUP_SECONDS, Authenticator, LookupSource
from dnsbound.edge.enrolled_certificates import EnrolledCertificates
from dnsbound.edge.material import Material, MaterialKind
from dnsbound.edge.material_files import MaterialFiles
from dnsbound.edge.material_forms import FORMS, ONE_FILE, TRUSTED
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.errors import DnsboundError, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.times import Moment, Seconds
from dnsbound.verify.claim import Asserted, Claim, NameSource
from dnsbound.verify.engine import check_answer
from dnsbound.verify.read_answers import tlsa_records

_LOOK_SECONDS: Final[Seconds] = 1.0
"""How often the access list is looked at."""
_STATE_SECONDS: Final[Seconds] = 30.0
"""How often it is written down until when things hold, where nothing else has changed."""
_KINDS: Final[Mapping[tuple[int, int], MaterialKind]] = {
    (Selector.CERT, MatchingType.FULL): MaterialKind.CERTIFICATE,
    (Selector.SPKI, MatchingType.FULL): MaterialKind.PUBLIC_KEY,
    (Selector.CERT, MatchingType.SHA2_256): MaterialKind.PIN,
}
"""What a record of usage 3 holds that could be put into a file."""

_log: Final = logging.getLogger("dnsbound.materialiser")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialSettings:
    """`[materialise.LABEL]`. form: a word of `FORMS`. path: the directory, or the file. enrolled: certificates that the
    DNS does not hold. hook: a command and its arguments, run after a change. seconds, grace: see the module."""

    label: str
    door: str
    form: str
    path: Path
    enrolled: Path | None = None
    hook: tuple[str, ...] = ()
    seconds: int = MATERIAL_SECONDS.default
    grace: int = MATERIAL_GRACE_SECONDS.default
    names: int = MATERIAL_NAMES.default


@dataclass(slots=True)
class _Known:
    """Of one name. due: when to ask again. is_open: nobody could say, the last time it was asked."""

    materials: tuple[Material, ...] = ()
    due: Moment = 0.0
    is_open: bool = False


class Materialiser:
    """One set of files. authenticator: of the settings' door."""

    def __init__(
        self,
        settings: MaterialSettings,
        authenticator: Authenticator,
        resolver: LookupSource,
        *,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        self.settings: Final = settings
        self._authenticator = authenticator
        self._resolver = resolver
        self._clock = clock
        self._files = MaterialFiles(settings.path, one_file=settings.form in ONE_FILE)
        self._enrolled = None if settings.enrolled is None else EnrolledCertificates(settings.enrolled)
        self._known: dict[str, _Known] = {}
        self._generation: int | None = None
        self._warnings: Final = RepeatedWarnings(_log)
        self._task: asyncio.Task[None] | None = None
        self._shape: object = None
        """Of what was written last: unchanged, nothing is made anew."""
        self._write_at: Moment = 0.0

    def open(self) -> None:
        """Look at the files that are there. Misuse when they are somebody else's."""
        self._files.open()
        for material in self._files.kept:
            known = self._known.setdefault(material.name.canonical, _Known())
            known.materials += (material,)

    async def __aenter__(self) -> Self:
        self.open()
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self.round()
            except DnsboundError as error:
                self._warnings.warn("round", f"{self.settings.label}: {error}")
            except Exception:  # noqa: BLE001 (what was written must not be left to age because of one mistake)
                _log.exception("%s: a round failed", self.settings.label)
            await asyncio.sleep(_LOOK_SECONDS)

    async def round(self) -> list[str]:
        """Ask about every name that is due, and make the files what they should be now. The names of those that
        changed. Misuse when a file cannot be written; the next round tries again."""
        self._follow_access_list()
        now = self._clock()
        limit = asyncio.Semaphore(MATERIAL_AT_ONCE.default)
        due = [name for name, known in self._known.items() if known.due <= now or self._was_forgotten(name, known)]
        await asyncio.gather(*(self._refresh(name, limit) for name in due))
        materials = self._in_force()
        shape = [(material.key, material.grants) for material in materials]
        if shape == self._shape and now < self._write_at:
            return []
        # Files are synced to the disk one by one: nobody else is to wait for thousands of them.
        changed = await asyncio.to_thread(self._write, materials)
        self._shape, self._write_at = shape, now + _STATE_SECONDS
        if changed:
            _log.info("%s: %d files changed, %d things in force", self.settings.label, len(changed), len(materials))
            await self._run_hook()
        return changed

    def _write(self, materials: list[Material]) -> list[str]:
        return self._files.write(FORMS[self.settings.form](materials), materials)

    def _was_forgotten(self, name: str, known: _Known) -> bool:
        """Its evidence was let go of before its end, as `dnsbound revoke` has the doors of a machine do."""
        return bool(known.materials) and not known.is_open and self._resolver.cached(name, dns.rdatatype.TLSA) is None

    # --- names

    def _follow_access_list(self) -> None:
        """Know each exact name of the door, and forget the others at once."""
        access = self._authenticator.access_list
        if access.generation == self._generation:
            return
        self._generation = access.generation
        wanted: dict[str, None] = {}
        patterns = 0
        for text, _ in access.grants(self.settings.door):
            if "*" in text:
                patterns += 1
            elif self._authenticator.permits(ClientName.parse(text)):
                wanted[text] = None
        if patterns:
            self._say("patterns", f"door {self.settings.door}: {patterns} patterns stand for names that are not known")
        if len(wanted) > self.settings.names:
            self._say(
                "names", f"door {self.settings.door} has {len(wanted)} names; {self.settings.names} are looked up"
            )
        kept = list(wanted)[: self.settings.names]
        self._known = {name: self._known.get(name, _Known()) for name in kept}
        for known in self._known.values():
            known.due = 0.0  # what a name is granted may be another thing now

    async def _refresh(self, text: str, limit: asyncio.Semaphore) -> None:
        known = self._known[text]
        name = ClientName.parse(text)
        async with limit:
            began = self._clock()
            try:
                judged = await self._judged(name)
                known.materials = tuple(material for material, _ in judged)
            except Refused as refusal:
                known.materials, judged = (), []
                _log.debug("%s: %s: %s", self.settings.label, text, refusal)
            except Undecided as undecided:
                # What was written stays, until its evidence ends.
                known.due, known.is_open = began + MATERIAL_RETRY_SECONDS.default, True
                self._say(text, f"{text}: {undecided}")
                return
        known.is_open = False
        known.due = min((due for _, due in judged), default=began + self.settings.seconds)
        known.due = max(began + _LOOK_SECONDS, min(known.due, began + self.settings.seconds))

    # --- evidence

    async def _judged(self, name: ClientName) -> list[tuple[Material, Moment]]:
        """All that holds for one name now, and when to ask about it again. Refused, Undecided."""
        self._authenticator.permit(name)
        began = self._clock()
        owner = dns.name.from_text(name.canonical)
        answer = await self._resolver.lookup(owner, dns.rdatatype.TLSA, deadline=LOOKUP_SECONDS, refresh=True)
        check_answer(answer, now=self._clock(), begun_at=began)
        found: dict[tuple[MaterialKind, bytes], None] = {}
        for record in tlsa_records(answer):
            kind = _KINDS.get((record.selector, record.matching_type)) if record.usage == Usage.DANE_EE else None
            if kind is not None:
                found[kind, record.data] = None
        for certificate in self._enrolled.of(name) if self._enrolled is not None else ():
            found[MaterialKind.CERTIFICATE, certificate] = None
        judged = [await self._claimed(name, kind, octets) for kind, octets in found]
        return [each for each in judged if each is not None]

    async def _claimed(self, name: ClientName, kind: MaterialKind, octets: bytes) -> tuple[Material, Moment] | None:
        """One thing, judged as if a client had shown it; None where it does not hold, or may not be trusted."""
        if kind is MaterialKind.CERTIFICATE and self.settings.form in TRUSTED:
            why = why_not_trusted(octets, name)
            if why:
                self._say(f"{name.canonical} trust", f"{name}: its certificate is not handed on: {why}")
                return None
        claim = Claim(
            name=name,
            name_source=NameSource.STATED,
            presented=_presented(kind, octets),
            possession=Asserted(f"materialise.{self.settings.label}"),
            door=self.settings.door,
            source=self.settings.label,
            protocol=self.settings.form,
        )
        try:
            peer = await self._authenticator.authenticate(claim)
        except Refused:
            return None
        # A TTL shorter than a look would have the files come and go.
        valid_until = max(peer.valid_until, peer.verified_at + 2 * _LOOK_SECONDS)
        kept_until = min(valid_until + self.settings.grace, peer.signatures_expire or math.inf)
        made = Material(name=name, kind=kind, octets=octets, kept_until=kept_until, grants=peer.grants)
        return made, peer.renew_at or valid_until

    def _in_force(self) -> list[Material]:
        """What may be in files now."""
        now = self._clock()
        every = (material for known in self._known.values() for material in known.materials)
        return [material for material in every if now <= material.kept_until]

    # --- others

    async def _run_hook(self) -> None:
        """The command that follows a change. Whatever becomes of it, the files are written."""
        command = self.settings.hook
        if not command:
            return
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
            )
        except OSError as error:
            _log.error("%s: hook %s: %s", self.settings.label, command[0], error.strerror or error)
            return
        try:
            async with asyncio.timeout(MATERIAL_HOOK_SECONDS.default):
                code = await process.wait()
        except TimeoutError:
            code = None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if code != 0:
            told = f"exit code {code}" if code is not None else f"ended after {MATERIAL_HOOK_SECONDS.default} s"
            _log.error("%s: hook %s: %s", self.settings.label, command[0], told)

    def _say(self, subject: str, text: str) -> None:
        self._warnings.warn(f"{self.settings.label} {subject}", f"{self.settings.label}: {text}")


def _presented(kind: MaterialKind, octets: bytes) -> Presented:
    if kind is MaterialKind.CERTIFICATE:
        return Presented((octets,))
    if kind is MaterialKind.PUBLIC_KEY:
        return Presented(raw_public_key=octets)
    return Presented(digests=LeafDigests(certificate_sha256=octets))
