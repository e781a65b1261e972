"""The access list of a configuration that may be read again, and name another file then."""

from dnsbound.edge.access_file import AccessFile
from dnsbound.verify.access import AccessList


class AccessInForce:
    """The access list of the configuration in force: an `AccessSource` that stays while the file is another."""

    __slots__ = ("_file",)

    def __init__(self, file: AccessFile) -> None:
        self._file = file

    def current(self) -> AccessList:
        return self._file.current()

    def follow(self, file: AccessFile) -> None:
        self._file = file
