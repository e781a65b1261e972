"""Live network sessions: who was let in, until the access server says that they have gone; and ending them.

Each admission is a session of its network's authenticator, so the sweep asks about it again as about any connection
(`session_sweep`). When its name stops meaning its key, or nobody can say so any more, the access server is asked to end
it (`dynamic_authorisation`), again and again with growing waits; who cannot be brought to it is told of loudly, and the
session lasts until its Session-Timeout.

A session leaves the table when its access server reports its end, when its client is admitted anew at the same place,
when the access server restarts, when it was disconnected, or when its time is over and nothing was heard of it.

With an accounting database (`AccountingWriter`) a restart forgets nobody: `begin` asks about those who were in.

Documents: RFC 2865 section 5.25; RFC 2866 sections 2, 5.1; RFC 5176.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from dnsbound.edge.accounting_writer import AccountingWriter, WriterCounters
from dnsbound.edge.dynamic_authorisation import AskBack, Disconnection, DynamicAuthoriser, reach_of
from dnsbound.edge.live_session import LiveSession, LiveSessions
from dnsbound.edge.radius_admission import Admission
from dnsbound.edge.radius_client import chance
from dnsbound.edge.radius_reports import Report, nas_label, report_of, station_of
from dnsbound.edge.session_sweep import RECHECKS_AT_ONCE, sweep_for
from dnsbound.errors import LimitExceeded, Misuse, Reason, Refused, Undecided
from dnsbound.iana import AcctStatusType, RadiusAttribute
from dnsbound.limits import DISCONNECT_ATTEMPTS, DISCONNECTS_AT_ONCE, SESSION_SLACK_SECONDS, SWEEP_SECONDS
from dnsbound.protocols.radius_class import AccessClasses
from dnsbound.protocols.radius_dynamic import Meaning
from dnsbound.provision.accounting.entries import AdmissionState, Admitted, Ended, Marked
from dnsbound.provision.accounting.reading import KeptAdmission
from dnsbound.provision.accounting.writing import printable
from dnsbound.provision.errors import DatabaseFailed
from dnsbound.times import Moment, Seconds

if TYPE_CHECKING:
    from dnsbound.edge.authenticator import Authenticator
    from dnsbound.edge.radius_clients import RadiusClient, RadiusOrigin
    from dnsbound.protocols.radius_accounting import AccountingEvent
    from dnsbound.verify.claim import Claim
    from dnsbound.verify.peer import VerifiedPeer

_log: Final = logging.getLogger("dnsbound.radius")

FIRST_WAIT: Final[Seconds] = 5.0
"""Before an access server is asked again; twice as long each time."""
LONGEST_WAIT: Final[Seconds] = 60.0
UNDECIDED_WAIT: Final[Seconds] = 10.0
"""Before a session of before a restart is asked about again, while nobody can say."""
_TAKEN_UP_AT_ONCE: Final = 500
_TOLD: Final = 1024
"""Access servers that are told of by name."""
_NOBODY_TO_TELL: Final = "its RADIUS client takes no dynamic authorisation, or is not configured any more"


@dataclass(slots=True, kw_only=True)
class LiveCounters:
    """Since the start, of one process. disconnects: by `Meaning`, `silent` and `unreachable` where there was none."""

    admitted: int = 0
    restored: int = 0
    ended: dict[str, int]
    disconnects: dict[str, int]
    reports: int = 0
    unrecorded: int = 0
    foreign_classes: int = 0


class LiveAccess:
    """A `Supervision` and an `AccountingRecorder`, of one process and event loop; used in the loop's thread."""

    def __init__(
        self,
        *,
        classes: AccessClasses,
        mark: Callable[[], bytes],
        writer: AccountingWriter | None = None,
        kept: Callable[[], Iterator[KeptAdmission]] | None = None,
        worker: int = 0,
        authoriser: DynamicAuthoriser | None = None,
        slack: int | None = None,
        first_wait: Seconds = FIRST_WAIT,
        attempts: int | None = None,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        """mark: makes the mark of a Class, by which this process is found among several. writer: without it nothing is
        kept, and a report is acknowledged unrecorded. kept: reads who was in before; called in other threads.
        first_wait, attempts: of disconnecting. Nobody can be admitted before `begin`."""
        self._loop = asyncio.get_running_loop()
        self._classes = classes
        self._mark = mark
        self._authenticator_of: Callable[[str], Authenticator | None] = _nobody
        self._client_of: Callable[[str], RadiusClient | None] = _nobody
        self._ask_back: AskBack | None = None
        self._writer = writer
        self._kept = kept
        self._worker = worker
        self._authoriser = authoriser or DynamicAuthoriser(clock=clock)
        self._slack = SESSION_SLACK_SECONDS.checked(slack)
        self._first_wait = first_wait
        self._attempts = DISCONNECT_ATTEMPTS.checked(attempts)
        self._clock = clock
        self._live = LiveSessions()
        self._disconnecting = asyncio.Semaphore(DISCONNECTS_AT_ONCE.default)
        self._asking = asyncio.Semaphore(RECHECKS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()
        self._closed = False
        self.counters: Final = LiveCounters(ended={}, disconnects={})
        self._timer = self._loop.call_later(SWEEP_SECONDS.default, self._look)

    async def begin(
        self,
        *,
        authenticator_of: Callable[[str], "Authenticator | None"],
        client_of: Callable[[str], "RadiusClient | None"],
        ask_back: AskBack | None = None,
    ) -> None:
        """Say who judges in a network, which RADIUS clients there are, by label (None for one that is no more), and how
        those with a connection are asked. Take up who was in before the process began, and have each asked about again.
        AccountingFailed when nobody can say who was in."""
        self._ask_back = ask_back
        self._authenticator_of = authenticator_of
        self._client_of = client_of
        if self._kept is None:
            return
        rows = self._kept()
        while page := await self._loop.run_in_executor(None, lambda: list(islice(rows, _TAKEN_UP_AT_ONCE))):
            for row in page:
                self._take_up(row)

    @property
    def writer_counters(self) -> WriterCounters:
        """Of what is kept; nothing where nothing is."""
        return WriterCounters() if self._writer is None else self._writer.counters

    def __len__(self) -> int:
        """Sessions that are in."""
        return len(self._live)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(self._live)

    # --- Supervision

    def new_class(self, client: str) -> bytes:
        return self._classes.sealed(self._mark(), client)

    def admitted(self, admission: Admission) -> None:
        live = LiveSession(
            self,
            access_class=admission.access_class,
            network=admission.network,
            name=admission.peer.name.canonical,
            client=admission.client,
            address=admission.address,
            nas=nas_label(admission.identification) or admission.address,
            calling_station=station_of(admission.identification),
            identification=admission.identification,
            session_timeout=admission.session_timeout,
            expires_at=admission.at + admission.session_timeout + self._slack,
        )
        authenticator = self._authenticator_of(admission.network)
        if authenticator is None:
            raise Misuse(f"nobody judges for the network {admission.network!r}")
        claim = self._register(live, authenticator, admission.peer, admission.claim)
        self.counters.admitted += 1
        self._replace(self._live.add(live))
        if self._writer is not None:
            self._writer.keep(_entry(live, claim, admission, worker=self._worker))

    def _register(
        self, live: LiveSession, authenticator: "Authenticator", peer: "VerifiedPeer", claim: "Claim"
    ) -> "Claim":
        sweep = sweep_for(self._loop, authenticator)
        session = sweep.register(peer, claim, live)
        live.registered = sweep.remove, session
        return session.claim

    def _replace(self, former: LiveSession | None) -> None:
        if former is not None:
            self._over(former, AdmissionState.REPLACED)

    # --- AccountingRecorder

    async def record(self, event: "AccountingEvent", origin: "RadiusOrigin") -> bool:
        """What an access server reports. False: it is not to be acknowledged."""
        report = report_of(event, origin, self._classes, now=self._clock())
        self.counters.reports += 1
        self.counters.foreign_classes += report.foreign_classes
        self._follow(report)
        if self._writer is None:
            return True
        try:
            await asyncio.wrap_future(self._writer.report(report.reported))
        except (DatabaseFailed, LimitExceeded):
            self.counters.unrecorded += 1
            return False
        return True

    def _follow(self, report: Report) -> None:
        """What it means for who is in. The database draws its own conclusions from the same report."""
        reported = report.reported
        if reported.status in (AcctStatusType.ACCOUNTING_ON, AcctStatusType.ACCOUNTING_OFF):
            for live in self._live.at_server(reported.client, reported.nas):
                heard_at = live.expires_at - live.session_timeout - self._slack
                if heard_at <= reported.at:
                    self._over(live, AdmissionState.GONE, "nas-reboot")
            return
        live_now = None if reported.access_class is None else self._live.of_class(reported.access_class)
        if live_now is None:
            return
        if reported.status is AcctStatusType.STOP:
            self._over(live_now, AdmissionState.STOPPED, report.cause_text)
            return
        live_now.known_by(RadiusAttribute.ACCT_SESSION_ID, report.session_id)
        if report.user_name:
            live_now.known_by(RadiusAttribute.USER_NAME, report.user_name)
        live_now.expires_at = max(live_now.expires_at, reported.at + live_now.session_timeout + self._slack)

    # --- LiveConnection, from any thread

    def renewed(self, live: LiveSession, peer: "VerifiedPeer") -> None:
        if self._writer is not None:
            self._writer.renew(live.access_class, peer.valid_until)

    def cut(self, live: LiveSession, reason: Refused | Undecided) -> None:
        self._loop.call_soon_threadsafe(self._cut, live, reason.reason.value)

    # --- ending sessions

    def _cut(self, live: LiveSession, why: str) -> None:
        if not live.is_in or live.is_cutting or self._closed:
            return
        live.is_cutting = True
        self._leave_sweep(live)
        if self._writer is not None:
            self._writer.keep(Marked(access_class=live.access_class, why=why))
        _log.warning("%s has to end: %s", live, why)
        self._run(self._disconnect(live, why))

    async def _disconnect(self, live: LiveSession, why: str) -> None:
        wait = self._first_wait
        for attempt in range(self._attempts):
            async with self._disconnecting:
                if not live.is_in:
                    return  # The access server has said so itself.
                outcome = await self._ask(live)
            if outcome.is_over:
                gone = outcome.meaning is Meaning.GONE
                self._over(live, AdmissionState.GONE if gone else AdmissionState.DISCONNECTED, why)
                return
            if outcome.is_final:
                self._tell_unsupported(live, outcome)
                break
            if attempt + 1 < self._attempts:
                await asyncio.sleep(wait * (1 + chance() / 4))
                wait = min(2 * wait, LONGEST_WAIT)
        _log.error("%s should have ended (%s) and goes on: %s", live, why, outcome.said)
        self._over(live, AdmissionState.LEFT, why)

    async def _ask(self, live: LiveSession) -> Disconnection:
        client = self._client_of(live.client)
        reach = None if client is None else reach_of(client, live.address, self._ask_back)
        if reach is None:
            outcome = Disconnection(meaning=Meaning.UNSUPPORTED, said=_NOBODY_TO_TELL)
        else:
            try:
                outcome = await self._authoriser.disconnect(reach, live.identification)
            except Misuse as error:
                outcome = Disconnection(meaning=Meaning.UNSUPPORTED, said=str(error))
        word = "unreachable" if reach is None else "silent" if outcome.meaning is None else outcome.meaning.value
        self.counters.disconnects[word] = self.counters.disconnects.get(word, 0) + 1
        return outcome

    def _tell_unsupported(self, live: LiveSession, outcome: Disconnection) -> None:
        server = printable(f"{live.nas} ({live.client})")
        if server not in self._told and len(self._told) < _TOLD:
            self._told.add(server)
            _log.error("%s does not end sessions when it is asked to: %s", server, outcome.said)

    def _over(self, live: LiveSession, state: AdmissionState, why: str = "") -> None:
        """The session is no longer ours to look after."""
        self._leave_sweep(live)
        self._live.remove(live)
        self.counters.ended[state.value] = self.counters.ended.get(state.value, 0) + 1
        if self._writer is not None:
            self._writer.keep(Ended(access_class=live.access_class, state=state, at=self._clock(), why=why))

    def _leave_sweep(self, live: LiveSession) -> None:
        if live.registered is not None:
            leave, session = live.registered
            live.registered = None
            leave(session)

    def _look(self) -> None:
        for live in self._live.expired(now=self._clock()):
            self._over(live, AdmissionState.EXPIRED)
        self._timer = self._loop.call_later(SWEEP_SECONDS.default, self._look)

    # --- a restart

    def _take_up(self, row: KeptAdmission) -> None:
        live = LiveSession(
            self,
            access_class=row.access_class,
            network=row.network,
            name=row.name,
            client=row.client,
            address=row.address,
            nas=row.nas,
            calling_station=row.calling_station,
            identification=row.identification,
            session_timeout=row.session_timeout,
            expires_at=row.expires_at,
        )
        self._replace(self._live.add(live))
        self.counters.restored += 1
        if row.expires_at <= self._clock():
            self._over(live, AdmissionState.EXPIRED)
        elif row.state is AdmissionState.CUTTING:
            self._cut(live, row.why)
        else:
            authenticator = self._authenticator_of(row.network)
            if row.claim is None or authenticator is None:
                self._cut(live, Reason.NOT_PERMITTED.value if authenticator is None else "damaged-claim")
            else:
                self._run(self._judge(live, authenticator, row.claim, row.holds_until))

    async def _judge(
        self, live: LiveSession, authenticator: "Authenticator", claim: "Claim", holds_until: Moment
    ) -> None:
        """Ask about somebody who was in before the restart, as long as the evidence of then lasts."""
        while live.is_in:
            try:
                async with self._asking:
                    peer = await authenticator.authenticate(claim, again=True)
                if live.is_in:
                    self._register(live, authenticator, peer, claim)
                    self.renewed(live, peer)
                return
            except Refused as error:
                self._cut(live, error.reason.value)
                return
            except Exception as error:  # noqa: BLE001 (whatever breaks while judging must not keep anyone in)
                if not isinstance(error, Undecided):
                    _log.error("asking about %s failed", live, exc_info=error)
                left = holds_until - self._clock()
                if left <= 0:
                    self._cut(live, error.reason.value if isinstance(error, Undecided) else Reason.DNS_FAILED.value)
                    return
                await asyncio.sleep(min(UNDECIDED_WAIT, left))

    # --- tasks

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(_finished, self._tasks))

    async def aclose(self) -> None:
        """Look after nobody any more. Who is in stays in, and is taken up by `begin` after the next start."""
        self._closed = True
        self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for live in self._live:
            self._leave_sweep(live)


def _nobody(_label: str) -> None:
    """Before `begin`."""


def _finished(tasks: "set[asyncio.Task[None]]", task: "asyncio.Task[None]") -> None:
    tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("looking after a live session failed", exc_info=error)


def _entry(live: LiveSession, claim: "Claim", admission: Admission, *, worker: int) -> Admitted:
    return Admitted(
        access_class=live.access_class,
        worker=worker,
        network=live.network,
        name=live.name,
        client=live.client,
        address=live.address,
        nas=live.nas,
        calling_station=live.calling_station,
        identification=live.identification,
        claim=claim,
        admitted_at=admission.at,
        holds_until=admission.peer.valid_until,
        session_timeout=live.session_timeout,
        expires_at=live.expires_at,
    )
