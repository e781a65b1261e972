"""Tokens behind PKCS #11 modules: finding one, logging in, and doing things in its session.

A module is a shared library that this process loads: one lock for each, since python-pkcs11 does not tell modules that
there are threads. A session that a reset of the token took away is opened again, once for each use. Not here: keys
(`pkcs11_keys`). Sections: PKCS #11 v2.40 sections 5.4 to 5.6 (initialisation, slots, sessions).
"""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dnsbound.credential.pkcs11_uri import Pkcs11Uri
from dnsbound.edge.secret_files import read_secret_file
from dnsbound.errors import Misuse

if TYPE_CHECKING:
    import pkcs11

MODULE_VARIABLE: Final = "DNSBOUND_PKCS11_MODULE"
PIN_VARIABLE: Final = "DNSBOUND_PKCS11_PIN"
USUAL_MODULES: Final = (
    "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so",
    "/usr/lib/aarch64-linux-gnu/p11-kit-proxy.so",
    "/usr/lib64/p11-kit-proxy.so",
    "/usr/lib/p11-kit-proxy.so",
)
"""p11-kit's module that stands for all that are configured on a system."""
MAX_PIN_OCTETS: Final = 256

AskPin = Callable[[str], str]
"""Takes the token's label, gives its PIN: a question to a person."""

_T = TypeVar("_T")

_REPAIRED_BY_SESSION: Final = frozenset(
    {"SessionClosed", "SessionHandleInvalid", "UserNotLoggedIn", "KeyHandleInvalid", "ObjectHandleInvalid"}
)
_REPAIRED_BY_MODULE: Final = frozenset(
    {"PKCS11Error", "DeviceRemoved", "DeviceError", "GeneralError", "TokenNotPresent", "SlotIDInvalid"}
)
"""PKCS11Error itself is what python-pkcs11 makes of CKR_CRYPTOKI_NOT_INITIALIZED."""

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "PinIncorrect": "the PIN is wrong; a token counts the tries",
        "PinLenRange": "the PIN is too short or too long for this token",
        "PinInvalid": "the PIN has characters this token does not take",
        "PinExpired": "the PIN has expired and has to be changed with the token's own tools",
        "PinLocked": "the PIN is locked after too many wrong tries",
        "UserPinNotInitialized": "no user PIN has been set on the token",
        "TokenNotPresent": "no token is in the slot",
        "TokenNotRecognised": "the token in the slot is not recognised",
        "TokenWriteProtected": "the token is write-protected",
        "DeviceRemoved": "the token was taken out",
        "DeviceError": "the token has a problem of its own",
        "DeviceMemory": "the token is full",
        "GeneralError": "the module failed without a reason",
        "FunctionCancelled": "the PIN or the touch did not come",
        "MechanismInvalid": "the token has no such mechanism",
        "UserNotLoggedIn": "the token wants a PIN first",
        "SessionReadOnly": "the token is read-only",
    }
)


def load_pkcs11() -> Any:  # noqa: ANN401 (the module `pkcs11`)
    """The optional package; Misuse where it is not installed."""
    try:
        import pkcs11
    except ImportError:
        raise Misuse("keys in hardware need the extra: pip install 'dnsbound[pkcs11]'") from None
    return pkcs11


class Module:
    """One loaded PKCS #11 library; get it with `module_at`."""

    def __init__(self, path: str) -> None:
        self.path: Final = path
        self.lock = threading.RLock()
        self.generation = 0
        self._is_parents = False
        try:
            self._library = load_pkcs11().lib(path)
        except (RuntimeError, OSError) as error:
            raise Misuse(f"PKCS #11 module {path} does not load: {error}") from error

    def slots(self) -> list["pkcs11.Slot"]:
        return list(self._library.get_slots(token_present=True))

    def token_labels(self) -> list[str]:
        """Of the tokens that are there and set up."""
        library = load_pkcs11()
        with _Guard(self, self.path):
            tokens = [slot.get_token() for slot in self.slots()]
        return [token.label for token in tokens if token.flags & library.TokenFlag.TOKEN_INITIALIZED]

    def start_again(self) -> None:
        """Every session and object of this module is gone afterwards."""
        with suppress(load_pkcs11().PKCS11Error):
            self._library.finalize()
        self._library.initialize()
        self._is_parents = False
        self.generation += 1

    def forked(self) -> None:
        """In a child process: nobody here holds the lock, and the module has to be initialised anew (section 5.4)."""
        self.lock = threading.RLock()
        self._is_parents = True

    def make_ours(self) -> None:
        if self._is_parents:
            self.start_again()


_modules: Final[dict[str, Module]] = {}
_modules_lock: Final = threading.Lock()


def module_at(path: str) -> Module:
    with _modules_lock:
        module = _modules.get(path)
        if module is None:
            module = _modules[path] = Module(path)
        return module


def _after_fork() -> None:
    for module in _modules.values():
        module.forked()


os.register_at_fork(after_in_child=_after_fork)


def module_path(uri: Pkcs11Uri) -> str:
    """Where the module is: as the URI says, the environment, or p11-kit's; Misuse without any."""
    if uri.module_path is not None:
        return uri.module_path
    if path := os.environ.get(MODULE_VARIABLE):
        return path
    for path in USUAL_MODULES:
        if Path(path).exists():
            return path
    raise Misuse(f"no PKCS #11 module: name it in the URI (?module-path=...) or in {MODULE_VARIABLE}")


class Token:
    """One token, logged in. Every use of it goes through `use`."""

    def __init__(self, uri: Pkcs11Uri, ask_pin: AskPin | None = None) -> None:
        self._uri = uri
        self._ask_pin = ask_pin
        self._pin: str | None = None
        self._module = module_at(module_path(uri))
        self._session: pkcs11.Session | None = None
        self.generation = -1
        """Grows with every new session: handles of objects end with theirs."""
        self.pin_at_the_token = False
        with self._guarded():
            self._open()

    @property
    def label(self) -> str:
        return self._label

    @property
    def pin(self) -> str | None:
        return self._pin

    def mechanisms(self) -> frozenset[int]:
        return self._mechanisms

    def use(self, what: Callable[["pkcs11.Session"], _T]) -> _T:
        """Run it in the session, alone in the module. After a reset of the token once more, in a new session."""
        with self._guarded():
            try:
                return what(self._current())
            except load_pkcs11().PKCS11Error as error:
                kind = type(error).__name__
                if kind in _REPAIRED_BY_MODULE:
                    self._module.start_again()
                elif kind not in _REPAIRED_BY_SESSION:
                    raise
                self._session = None
            return what(self._current())

    def use_writable(self, what: Callable[["pkcs11.Session"], _T]) -> _T:
        """The same in a session that may change the token."""
        with self._guarded():
            self._current()
            with self._token.open(rw=True) as session:
                return what(session)

    def _current(self) -> "pkcs11.Session":
        self._module.make_ours()
        if self._session is None or self._module_generation != self._module.generation:
            self._open()
        assert self._session is not None
        return self._session

    def _open(self) -> None:
        found = self._find()
        self._token, self._label = found, found.label
        self._mechanisms = frozenset(int(mechanism) for mechanism in found.slot.get_mechanisms())
        self._session = self._logged_in(found)
        self._module_generation = self._module.generation
        self.generation += 1

    def _find(self) -> "pkcs11.Token":
        wanted = self._uri
        found = []
        for slot in self._module.slots():
            if wanted.slot_id is not None and slot.slot_id != wanted.slot_id:
                continue
            with suppress(load_pkcs11().TokenNotPresent, load_pkcs11().TokenNotRecognised):
                token = slot.get_token()
                if _fits(token, wanted):
                    found.append(token)
        if not found:
            raise Misuse(f"{wanted}: no such token")
        if len(found) > 1:
            raise Misuse(f"{wanted}: {len(found)} tokens fit; name one by token=, serial= or slot-id=")
        return found[0]

    def _logged_in(self, token: "pkcs11.Token") -> "pkcs11.Session":
        library = load_pkcs11()
        if not token.flags & library.TokenFlag.LOGIN_REQUIRED:
            return token.open()
        if self._pin is None:
            self._pin = pin_of(self._uri)
        at_token = bool(token.flags & library.TokenFlag.PROTECTED_AUTHENTICATION_PATH)
        self.pin_at_the_token = at_token and self._pin is None
        if self._pin is None and not at_token:
            if self._ask_pin is None:
                raise Misuse(f"{self._uri}: the token wants a PIN: give ?pin-source=/file or {PIN_VARIABLE}")
            self._pin = self._ask_pin(token.label)
        try:
            return token.open(user_pin=library.PROTECTED_AUTH if self._pin is None else self._pin)
        except library.UserAlreadyLoggedIn:
            # A login is the process's, for all its sessions: another key of this token has done it.
            return token.open()
        except library.PKCS11Error:
            # Not tried again by itself: wrong tries lock a token.
            self._pin = None
            raise

    def _guarded(self) -> "_Guard":
        return _Guard(self._module, str(self._uri))


class _Guard:
    """Holds the module's lock; what the module raises leaves as Misuse, in one line that begins with the URI."""

    def __init__(self, module: Module, where: str) -> None:
        self._lock = module.lock
        self._where = where

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._lock.release()
        if isinstance(error, load_pkcs11().PKCS11Error):
            raise Misuse(f"{self._where}: {words_of(error)}") from error


def words_of(error: BaseException) -> str:
    kind = type(error).__name__
    return _WORDS.get(kind) or str(error) or f"the token answers {kind}"


def _fits(token: "pkcs11.Token", uri: Pkcs11Uri) -> bool:
    serial = token.serial.decode("utf-8", "replace").strip()
    pairs = (
        (uri.token, token.label),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
        (uri.serial, serial),
    )
    initialised = bool(token.flags & load_pkcs11().TokenFlag.TOKEN_INITIALIZED)
    return initialised and all(wanted is None or wanted == found for wanted, found in pairs)


def pin_of(uri: Pkcs11Uri) -> str | None:
    """The PIN from the URI's file (mode 0600) or the environment; None without either."""
    if uri.pin_source is not None:
        octets = read_secret_file(uri.pin_source)
        pin = octets.split(b"\n", 1)[0].rstrip(b"\r")
        if not pin or len(pin) > MAX_PIN_OCTETS:
            raise Misuse(f"{uri.pin_source}: the first line is no PIN")
        try:
            return pin.decode()
        except UnicodeDecodeError:
            raise Misuse(f"{uri.pin_source}: the PIN is no UTF-8") from None
    return os.environ.get(PIN_VARIABLE) or None
