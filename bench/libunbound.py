"""libunbound through ctypes: as much of its interface as a comparison needs. NLnet Labs' validating stub and resolver.

One context is one cache; `forwarding` makes it a validating stub of one resolver, as ours is.
"""

import ctypes
import ctypes.util
from collections.abc import Sequence
from typing import Any, Self

from bench.peer_missing import PeerMissing

_TLSA = 52
_IN = 1


class _Result(ctypes.Structure):
    """struct ub_result of unbound.h."""

    _fields_ = (
        ("qname", ctypes.c_char_p),
        ("qtype", ctypes.c_int),
        ("qclass", ctypes.c_int),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("len", ctypes.POINTER(ctypes.c_int)),
        ("canonname", ctypes.c_char_p),
        ("rcode", ctypes.c_int),
        ("answer_packet", ctypes.c_void_p),
        ("answer_len", ctypes.c_int),
        ("havedata", ctypes.c_int),
        ("nxdomain", ctypes.c_int),
        ("secure", ctypes.c_int),
        ("bogus", ctypes.c_int),
        ("why_bogus", ctypes.c_char_p),
    )


_Pointer = ctypes.POINTER(_Result)
_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, _Pointer)


def _load() -> Any:
    name = ctypes.util.find_library("unbound") or "libunbound.so.8"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        raise PeerMissing("libunbound is not installed (Debian package libunbound8)") from None
    context, text = ctypes.c_void_p, ctypes.c_char_p
    library.ub_version.restype = text
    library.ub_strerror.restype = text
    library.ub_ctx_create.restype = context
    library.ub_ctx_delete.argtypes = [context]
    library.ub_ctx_set_option.argtypes = [context, text, text]
    library.ub_ctx_set_fwd.argtypes = [context, text]
    library.ub_ctx_add_ta.argtypes = [context, text]
    library.ub_ctx_async.argtypes = [context, ctypes.c_int]
    library.ub_resolve.argtypes = [context, text, ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Pointer)]
    library.ub_resolve_async.argtypes = [
        *(context, text, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, _Callback, ctypes.POINTER(ctypes.c_int))
    ]
    library.ub_wait.argtypes = [context]
    library.ub_resolve_free.argtypes = [_Pointer]
    return library


def version() -> str:
    return str(_load().ub_version().decode())


class Libunbound:
    """A context. Raises RuntimeError unless an answer is secure and holds data."""

    def __init__(self) -> None:
        self._library = _load()
        self._context = self._library.ub_ctx_create()
        self._finished = 0
        self._callback = _Callback(self._take)

    @classmethod
    def forwarding(cls, host: str, port: int, anchors: str) -> Self:
        """anchors: zone file text."""
        made = cls()
        made._check(made._library.ub_ctx_set_option(made._context, b"do-not-query-localhost:", b"no"))
        made._check(made._library.ub_ctx_set_fwd(made._context, f"{host}@{port}".encode()))
        for line in anchors.splitlines():
            made._check(made._library.ub_ctx_add_ta(made._context, line.encode()))
        # Asynchronous lookups run on a thread, which shares the cache; a forked process would not.
        made._check(made._library.ub_ctx_async(made._context, 1))
        return made

    def resolve(self, name: bytes) -> None:
        result = _Pointer()
        self._check(self._library.ub_resolve(self._context, name, _TLSA, _IN, ctypes.byref(result)))
        self._judge(result)

    def resolve_many(self, names: Sequence[bytes]) -> None:
        """All at once, through the asynchronous interface."""
        self._finished = 0
        ident = ctypes.c_int()
        for name in names:
            self._check(
                self._library.ub_resolve_async(
                    self._context, name, _TLSA, _IN, None, self._callback, ctypes.byref(ident)
                )
            )
        self._check(self._library.ub_wait(self._context))
        if self._finished != len(names):
            raise RuntimeError(f"libunbound answered {self._finished} of {len(names)}")

    def _take(self, _data: int | None, error: int, result: Any) -> None:
        # An exception cannot leave a callback: what is not counted is found missing afterwards.
        if not error and result.contents.secure and result.contents.havedata:
            self._finished += 1
        if not error:
            self._library.ub_resolve_free(result)

    def _judge(self, result: Any) -> None:
        contents = result.contents
        good, why = bool(contents.secure and contents.havedata), contents.why_bogus
        self._library.ub_resolve_free(result)
        if not good:
            raise RuntimeError(f"libunbound got no secure answer: {why!r}")

    def _check(self, code: int) -> None:
        if code:
            raise RuntimeError(f"libunbound: {self._library.ub_strerror(code).decode()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.ub_ctx_delete(self._context)
