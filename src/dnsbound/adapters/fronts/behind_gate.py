"""What servers behind the gate have in common: the gate's own configuration as one of the snippet's files.

The gate verifies clients and tells the server who they are; the server asks nobody. What the gate does is
`dnsbound.edge.gate_configuration`.
"""

from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Settings

GATE_LIMITS: Final = ("reaching it around the gate, or everybody who does is believed",)

_GATE: Final = """\
# For `dnsbound gate server --config`, before {server}. `--check` looks whether others reach the server around it.
[server]
access = "access.toml"

[gate.{label}]
listen = {listen}
target = {target}
protocol = "mqtt"
door = {door}
credential = {key}
certificate = {certificate}
# Clients of TLS 1.2 are opt-in: tls = ["1.2", "1.3"] with profiles = ["ca13", "cid07"].
claim_from = ["extension", "san"]

[gate.{label}.options]
# A client's identifier begins with its name for the broker: nobody takes over another's session.
client_id = "prefix"
{options}"""


def gate_file(settings: Settings, *, server: str, target: str, options: str = "") -> ConfigFile:
    """gate.toml before an MQTT broker. target: of the gate. options: further lines of the protocol's."""
    name = f"dnsbound-{settings.label}-gate.toml"
    host = settings.listen.host or "0.0.0.0"  # noqa: S104 (what was asked for: every address)
    listen = f"[{host}]:{settings.listen.port}" if ":" in host else f"{host}:{settings.listen.port}"
    text = _GATE.format(
        server=server,
        label=settings.label,
        listen=quoting.json_text(listen, "the address"),
        target=quoting.json_text(target, "the target"),
        door=quoting.json_text(settings.door, "the door"),
        key=quoting.json_text(str(settings.key), "the key"),
        certificate=quoting.json_text(str(settings.certificate), "the certificate"),
        options=options,
    )
    return ConfigFile(name=name, text=text, place=f"/etc/dnsbound/{name}")
