"""Tokens for tests: SoftHSM's, in a directory of the test run."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dnsbound.credential.pkcs11_uri import Pkcs11Uri

PIN = "1234-geheim"
SO_PIN = "56789012"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestToken:
    """A token that was made for the test, and where its PIN is."""

    __test__ = False

    label: str
    module: str
    pin_file: Path

    def uri(self, key: str | None = None, **more: object) -> Pkcs11Uri:
        options = {"pin_source": str(self.pin_file)} | more
        return Pkcs11Uri(token=self.label, object=key, module_path=self.module, **options)  # type: ignore[arg-type]


def softhsm_module() -> str:
    for path in MODULES:
        if Path(path).exists():
            return path
    raise FileNotFoundError("libsofthsm2.so")


def softhsm_token(directory: Path, label: str) -> TestToken:
    """A fresh token. SoftHSM reads its configuration once for each process, so one directory serves a test run."""
    conf = directory / "softhsm2.conf"
    if not conf.exists():
        (directory / "tokens").mkdir()
        conf.write_text(
            f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
    os.environ["SOFTHSM2_CONF"] = str(conf)
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    pin_file = directory / f"{label}.pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(PIN + "\n")
    return TestToken(label=label, module=softhsm_module(), pin_file=pin_file)
