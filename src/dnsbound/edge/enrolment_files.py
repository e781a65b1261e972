"""A device's credential files while it enrols or renews, in an order in which no crash loses the key of a record.

    NAME.pem             the credential in use
    NAME.pem.new         a key that was asked for and is not in use yet
    NAME.pem.former      the credential of before, until the new one has been seen to work

A key is on disk before anybody is asked to publish it, and stays there until it is in place as NAME.pem. Whatever is
left by a process that was killed is taken up by the next one.
"""

from collections.abc import Callable
from pathlib import Path

from dnsbound.credential.credential import Credential
from dnsbound.edge.credential_files import load_credential, save_credential
from dnsbound.edge.pkcs11_token import AskPin
from dnsbound.edge.secret_files import remove_unfinished, secret_directory
from dnsbound.errors import Misuse
from dnsbound.names import ClientName


class EnrolmentFiles:
    """The three files of one credential. One process at a time."""

    def __init__(self, path: Path, *, ask_pin: AskPin | None = None) -> None:
        self.path = path
        self.new = path.with_name(f"{path.name}.new")
        self.former = path.with_name(f"{path.name}.former")
        self._ask_pin = ask_pin

    def read(self, path: Path) -> Credential:
        return load_credential(path, ask_pin=self._ask_pin)

    def begin(self, name: ClientName, make: Callable[[], Credential]) -> Credential:
        """The key to ask with: the one a former process began with, or a fresh one, which is on disk when this returns.
        Misuse when it cannot be written."""
        if not self.new.exists():
            with secret_directory(self.path.parent):
                remove_unfinished(self.new)
                save_credential(make(), self.new)
        begun = self.read(self.new)
        if begun.name != name:
            raise Misuse(f"{self.new}: the key there was begun for {begun.name}")
        return begun

    def put_in_place(self, credential: Credential) -> None:
        """Make it the one in use: the first of its name, or in place of one, which is kept as the former."""
        if self.path.exists():
            present = self.read(self.path)
            if present.spki != credential.spki:
                save_credential(present, self.former, force=True)
        save_credential(credential, self.path, force=True)
        self.new.unlink(missing_ok=True)

    def is_in_place(self) -> bool:
        """The new key is in use already: a process was killed before it had put away what it no longer needed."""
        return self.new.exists() and self.path.exists() and self.read(self.new).spki == self.read(self.path).spki

    def confirmed(self) -> None:
        """The credential in use was seen to work: the former one is not needed any more."""
        self.former.unlink(missing_ok=True)
