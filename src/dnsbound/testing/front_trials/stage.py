"""What stands around a server under trial: a World, the verify service, a back end, identities, a place for files.

    with Stage("http") as stage:
        settings = stage.settings(snippet)
        ...

The server runs as an unprivileged account where that is possible; its directory is that account's. The verify service
runs as this user, as the real command does, and lets only that account ask.
"""

import contextlib
import secrets
import shutil
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import Final, Literal, Self, TypeAlias

from dnsbound.adapters.fronts.snippet import (
    Address,
    OverTcp,
    OverUnix,
    Settings,
    Snippet,
    Verifier,
    Version,
    access_door,
    authz_front,
)
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.iana import Selector
from dnsbound.testing.front_trials.back_ends import BackEnd, http_back_end, tcp_back_end
from dnsbound.testing.front_trials.programs import (
    UNPRIVILEGED,
    Account,
    Program,
    free_port,
    listens,
    listens_at,
    started,
)
from dnsbound.testing.organisation import Device
from dnsbound.testing.world import World

Kind: TypeAlias = Literal["http", "tcp", "service", "client", "broker"]
"""Whether the server stands before HTTP, before TCP, is itself what clients come for, is a client, or is a broker
behind the gate."""

SERVER_NAME: Final = "door.api.example"
DOOR: Final = 'the-"trial"'
"""A name that has to be quoted."""
REVOKED_SECONDS: Final = 20.0
"""How long a removed record may still be believed: its TTL is 2 s, and the machine may be slow."""


class Stage:
    """Enter it to open everything but the server under trial."""

    directory: Path
    """All that the trial writes; removed at its end."""
    place: Path
    """The server's own directory within it."""
    world: World
    right: Device
    """On the access list, with a record."""
    leaving: Device
    """The same, until its record is removed."""
    stranger: Device
    """With a record, and on no list."""
    admitted: list[str]
    """The names on the access list, as the verify service will read it when it starts."""
    back_end: BackEnd
    roots: Path
    """PEM file of who vouches for the server's certificate."""

    def __init__(
        self,
        kind: Kind,
        *,
        account: str = UNPRIVILEGED,
        starts_as_root: bool = False,
        grants: str = "",
        selector: Selector = Selector.SPKI,
    ) -> None:
        """account: whom the server asks as. starts_as_root: its files are root's, and it leaves for that account by
        itself. grants: of whoever is on the access list, an inline table of TOML. selector: of the records."""
        self.kind: Final[Kind] = kind
        self.account: Final = Account.unprivileged(account)
        self._starts_as_root: Final = starts_as_root
        self._grants: Final = grants
        self._selector: Final = selector
        self._held = contextlib.ExitStack()
        self._authz = contextlib.ExitStack()
        self._credentials = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as held:
            self.directory = Path(tempfile.mkdtemp(prefix="dnsbound-trial-"))
            held.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self.directory.chmod(0o755)
            self.place = self.directory / "server"
            self.place.mkdir(mode=0o755)
            self.give(self.place)
            self.world = held.enter_context(World())
            cars = self.world.organisation("cars.example")
            self.right, self.leaving, self.stranger = (
                cars.device(label, publish=False) for label in ("car54", "car55", "car66")
            )
            for device in (self.right, self.leaving, self.stranger):
                cars.publish(device.name.text, device.credential.tlsa(selector=self._selector))
            self.admitted = [self.right.name.text, self.leaving.name.text]
            self.back_end = held.enter_context(tcp_back_end() if self.kind in {"tcp", "client"} else http_back_end())
            self.roots = self.directory / "roots.pem"
            self.roots.write_bytes(self.world.web_root_pem)
            held.callback(self.stop_verifier)
            self._held = held.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._held.close()

    # --- files

    def give(self, path: Path) -> None:
        """To whoever starts the server."""
        if not self._starts_as_root:
            self.account.give(path)

    def server_files(self) -> tuple[Path, Path]:
        """Certificates and key of the server under trial; both in the first, the key in the second as well."""
        credential = self.world.web_credential(SERVER_NAME, "127.0.0.1")
        both, key = self.place / "server.pem", self.place / "server.key"
        for path, octets in ((both, credential.to_pem()), (key, credential.to_pem())):
            path.touch(0o600)
            path.write_bytes(octets)
            self.give(path)
        return both, key

    def client_file(self, credential: Credential) -> Path:
        """Key and certificates of a client, for TLS libraries."""
        self._credentials += 1
        path = self.directory / f"client{self._credentials}.pem"
        path.touch(0o600)
        path.write_bytes(credential.to_pem())
        return path

    def impostor(self) -> Credential:
        """Another key under the right client's name."""
        return Credential.generate(self.right.name, now=self.world.now())

    def certificate_pem(self, device: Device) -> str:
        """Its certificate, as header fields are forged with it."""
        return certificates_to_pem(device.credential.chain).decode()

    # --- the snippet

    def settings(self, snippet: Snippet, *, version: Version | None, over_tcp: bool = False) -> Settings:
        """Of this stage: free ports, its own files, its own door."""
        certificate, key = self.server_files()
        return Settings(
            label="trial",
            door=DOOR,
            server_name=SERVER_NAME,
            certificate=PurePosixPath(certificate),
            key=PurePosixPath(key),
            listen=Address(host="127.0.0.1", port=free_port()),
            backend=Address(host="127.0.0.1", port=self.back_end.port),
            verifier=self._verifier(over_tcp=not snippet.facts.unix or (over_tcp and snippet.facts.tcp)),
            version=version,
            directory=PurePosixPath(self.place),
        )

    def _verifier(self, *, over_tcp: bool) -> Verifier:
        if not over_tcp:
            return OverUnix(path=PurePosixPath(self.directory / "authz.sock"), users=(self.account.name,))
        secret, file = secrets.token_urlsafe(32), self.directory / "authz.secret"
        file.touch(0o600)
        file.write_text(secret)
        address = Address(host="127.0.0.1", port=free_port())
        return OverTcp(address=address, secret=secret, secret_file=PurePosixPath(file))

    # --- the verify service

    def start_verifier(self, snippet: Snippet, settings: Settings) -> Program:
        """`dnsbound serve authz` with the front that the snippet asks for."""
        door = access_door(snippet.facts, settings).splitlines()[0]
        names = ", ".join(f'"{name}"' for name in self.admitted)
        admits = f"{{ names = [{names}], grants = {self._grants} }}" if self._grants else names
        (self.directory / "access.toml").write_text(f"{door}\nallow = [{admits}]\n")
        configuration = self.directory / "authz.toml"
        configuration.write_text(f'[server]\naccess = "access.toml"\n{authz_front(snippet.facts, settings)}')
        command = [sys.executable, "-m", "dnsbound", "serve", "authz", "--config", str(configuration)]
        environment = {**self.world.trust_env(), "DNSBOUND_RUNTIME": str(self.directory / "boards")}
        with contextlib.ExitStack() as held:
            program = held.enter_context(started(command, self.directory / "authz.log", environment=environment))
            program.wait_until(lambda: _serves(settings.verifier), "the verify service listens")
            self._authz = held.pop_all()
        return program

    def stop_verifier(self) -> None:
        """End it. Once more does nothing."""
        self._authz.close()


def _serves(verifier: Verifier) -> bool:
    if isinstance(verifier, OverUnix):
        return listens_at(Path(verifier.path))
    return listens(verifier.address.port)
