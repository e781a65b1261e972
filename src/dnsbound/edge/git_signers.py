"""Who signed a commit or a tag of Git, by the access list of one door and the DNS.

    signers = GitSigners(access, resolver, door="git")
    verified = signers.verify(GitObject.of_commit(octets))
    signers.names_of(key)                       # for `ssh-keygen -Y find-principals`

An SSHSIG brings its key along and no name. The name is the one that the object claims (`objects.git_object`), where the
door permits it; otherwise one of the names that the door lists exactly and whose records are this key's. Those are
looked up one and all, so there may not be many of them. Patterns let in names that are claimed, and no others.
A signature is judged by the records there are now, whatever the commit says of its time: a removed record ends old
signatures, too, and the history that was pushed while it stood is the repository's to know.
What this is not: trees, refs, or the talk with Git (`cli.git`, `cli.git_ssh`).
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import dns.name
import dns.rdatatype

from dnsbound.credential.matching import match
from dnsbound.credential.presented import Presented
from dnsbound.credential.ssh_key import SshKey
from dnsbound.edge.authenticator import Authenticator, LookupSource
from dnsbound.edge.object_verifier import END_ENTITIES, ObjectVerifier
from dnsbound.errors import LimitExceeded, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.object_limits import GIT_SIGNERS
from dnsbound.objects.git_object import GitObject
from dnsbound.objects.signed import VerifiedObject
from dnsbound.objects.sshsig import GIT, SshSignature
from dnsbound.times import Moment, Seconds
from dnsbound.verify.access import AccessSource
from dnsbound.verify.engine import check_answer
from dnsbound.verify.read_answers import tlsa_records

_AT_ONCE: Final = 16


class GitSigners:
    """For plain threads: Git's programs and hooks have no event loop."""

    def __init__(
        self,
        access: AccessSource,
        resolver: LookupSource,
        *,
        door: str,
        deadline: Seconds,
        clock: Callable[[], Moment] = time.time,
    ) -> None:
        """As `ObjectVerifier`."""
        self._authenticator = Authenticator(
            access, resolver, door=door, policy=END_ENTITIES, deadline=deadline, clock=clock
        )
        self._verifier = ObjectVerifier.of(self._authenticator)
        self._resolver = resolver
        self._deadline = deadline

    def verify(self, found: GitObject) -> VerifiedObject:
        """Who signed it. Refused, Undecided; Malformed and BadSignature for what is no signature for Git."""
        if found.signature is None:
            raise Refused(Reason.NO_CREDENTIAL, "it is not signed in the form of SSH")
        signature = SshSignature.from_text(found.signature)
        claimed = found.claimed
        if claimed is not None and self._authenticator.permits(claimed):
            names = [claimed]
        else:
            names = self.names_of(signature.key)
        if not names:
            raise Refused(Reason.NOT_PERMITTED, f"{signature.key.fingerprint} is the key of nobody who may sign here")
        return self.verify_as(names[0], signature, signature.digest_of([found.payload]))

    def verify_as(self, name: ClientName, signature: SshSignature, digest: bytes) -> VerifiedObject:
        """That this name signed it. Refused, Undecided; BadSignature for another namespace than Git's."""
        return self._verifier.verify_blocking(signature.signed_object(digest, namespace=GIT, name=name))

    def names_of(self, key: SshKey) -> list[ClientName]:
        """The exact names of the door whose records are this key's: nothing has been signed yet. Undecided where none
        is found and some could not be looked up, or there are too many to."""
        access = self._authenticator.access_list
        listed = [ClientName.parse(text) for text, _ in access.grants(self._authenticator.door) if "*" not in text]
        names = [name for name in listed if self._authenticator.permits(name)]
        if len(names) > GIT_SIGNERS.default:
            detail = f"{len(names)} names may sign here, more than are tried: let commits say whose they are"
            raise Undecided(Reason.WORK_BUDGET, detail)
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            outcomes = list(pool.map(lambda name: self._has(name, key), names))
        found = [name for name, outcome in zip(names, outcomes, strict=True) if outcome is None]
        undecided = next((outcome for outcome in outcomes if isinstance(outcome, Undecided)), None)
        if not found and undecided is not None:
            raise undecided
        return found

    def _has(self, name: ClientName, key: SshKey) -> Refused | Undecided | None:
        """None where the name's secure records are this key's."""
        begun_at = self._authenticator.now()
        answer = self._resolver.lookup_blocking(
            dns.name.from_text(name.text), dns.rdatatype.TLSA, deadline=self._deadline
        )
        now = self._authenticator.now()
        presented = Presented(raw_public_key=key.spki)
        try:
            check_answer(answer, now=now, begun_at=begun_at)
            report = match(
                tlsa_records(answer), presented, name=name, now=now, policy=END_ENTITIES, from_wildcard=answer.wildcard
            )
            report.matched  # noqa: B018 (raises why not)
        except (Refused, Undecided) as error:
            return error
        except LimitExceeded as error:
            return Undecided(Reason.WORK_BUDGET, str(error))
        return None
