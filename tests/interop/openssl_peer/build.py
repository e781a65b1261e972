"""Compiles the peer's program against the OpenSSL that cargo has built for the native module: nothing is built twice.

The program is named by the digest of its sources and of the library, so a stale one is never run and several test
processes may build at once. It takes a second.
"""

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final, NoReturn

import pytest

SOURCES: Final = Path(__file__).parent / "program"
PROJECT: Final = Path(__file__).parents[3]
COMPILE_SECONDS: Final = 60.0
FLAGS: Final = ("-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror")


@functools.cache
def program() -> Path:
    """Where it is, compiled now if need be; a test that asks is skipped where it cannot be made."""
    compiler, installed = shutil.which(os.environ.get("CC", "cc")), built_openssl()
    if compiler is None:
        absent("no C compiler")
    if installed is None:
        absent("the native module was not built with its own OpenSSL here")
    sources = sorted(SOURCES.glob("*.[ch]"))
    libraries = [installed / "lib/libssl.a", installed / "lib/libcrypto.a"]
    place = target_directory() / "openssl_peer"
    made = place / digest(sources, libraries)
    if made.exists():
        return made
    place.mkdir(parents=True, exist_ok=True)
    fresh = made.with_suffix(f".{os.getpid()}")
    command = [compiler, *FLAGS, f"-I{installed / 'include'}", *(str(path) for path in sources if path.suffix == ".c")]
    command += [*map(str, libraries), "-lpthread", "-ldl", "-o", str(fresh)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    fresh.rename(made)
    return made


def target_directory() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "native/target"))


def built_openssl() -> Path | None:
    """The newest that cargo has installed for openssl-sys."""
    built = "release/build/openssl-sys-*/out/openssl-build/install/lib/libssl.a"
    patterns = (built, f"*/{built}")  # the second where cargo was told its target
    every = [path for pattern in patterns for path in target_directory().glob(pattern)]
    found = sorted(every, key=lambda path: path.stat().st_mtime)
    return found[-1].parents[1] if found else None


def digest(sources: list[Path], libraries: list[Path]) -> str:
    seen = hashlib.sha256(" ".join(FLAGS).encode())
    for source in sources:
        seen.update(source.read_bytes())
    for library in libraries:
        seen.update(f"{library} {library.stat().st_size} {library.stat().st_mtime_ns}".encode())
    return seen.hexdigest()[:16]


def absent(why: str) -> NoReturn:
    """As an absent peer's program: a skip, and a failure where peers are required."""
    if os.environ.get("DNSBOUND_REQUIRE_PEERS"):
        pytest.fail(why)
    pytest.skip(why)
