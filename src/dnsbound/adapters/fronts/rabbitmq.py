"""RabbitMQ's MQTT plugin behind the gate: its user names are verified DNS names, and the verify service has its rules.

RabbitMQ's own TLS takes certificates of its trust store alone, in date, and takes look-alikes for them; so the gate
speaks TLS. What a name may do is what the access list grants it, which RabbitMQ asks of the verify service.
"""

from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.behind_gate import GATE_LIMITS, gate_file
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverTcp, Settings, Snippet, Version, heading
from dnsbound.errors import Misuse

GRANTS: Final = '{ publish = ["devices/%u/#"], subscribe = ["devices/%u/#"] }'

FACTS: Final = Facts(
    server="rabbitmq",
    title="RabbitMQ behind the gate, by MQTT",
    program="rabbitmqctl",
    version_arguments=("version",),
    least=Version((3, 10, 0)),
    tried=Version((3, 10, 8)),
    checked=False,
    protocol="rabbitmq",
    gated=True,
    front_options=('verified_by = "gate"', 'password_file = "dnsbound-{label}.password"'),
    users=("rabbitmq",),
    unix=False,
    admits=f'{{ names = ["car54._device.cars.example"], grants = {GRANTS} }}',
    listen=":8883",
    backend="127.0.0.1:1883",
    works=("every certificate, expired ones too", "chains, raw public keys", "live sessions are cut"),
    limits=(
        *GATE_LIMITS,
        "a Unix socket: every program of this machine reaches the listener, and is believed",
        "a client whose certificate has expired, where RabbitMQ speaks TLS itself",
    ),
)

_CONFIG: Final = """\

# rabbitmq-plugins enable rabbitmq_mqtt rabbitmq_auth_backend_http
# Where the gate comes, and nobody else: whoever connects here is believed. Other listeners need backends of their own:
# this one answers for names alone.
listeners.tcp = none
mqtt.listeners.ssl = none
mqtt.listeners.tcp.1 = {backend}
mqtt.allow_anonymous = false
mqtt.vhost = /
mqtt.exchange = amq.topic
# The verify service says which topics a name has; its addresses, with the secret, are in the other file.
auth_backends.1 = http
auth_http.http_method = post
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The listener, the addresses with the secret, the gate, and the password it says. Misuse over a Unix socket."""
    if not isinstance(settings.verifier, OverTcp):
        raise Misuse("RabbitMQ cannot ask over a Unix socket")
    name, asked = f"20-dnsbound-{settings.label}.conf", f"21-dnsbound-{settings.label}-secret.conf"
    target = quoting.word(settings.backend.to_text(), "the back end")
    url = f"http://{settings.verifier.address.to_text()}/s/{settings.verifier.secret}/rabbitmq"
    paths = "".join(f"auth_http.{each}_path = {url}/{each}\n" for each in ("user", "vhost", "resource", "topic"))
    password = f"dnsbound-{settings.label}.password"
    options = f"password_file = {quoting.json_text(password, 'the file')}\n"
    return (
        ConfigFile(
            name=name,
            text=heading(FACTS, settings) + _CONFIG.format(backend=target),
            place=f"/etc/rabbitmq/conf.d/{name}",
        ),
        ConfigFile(name=asked, text=paths, place=f"/etc/rabbitmq/conf.d/{asked}", secret=True),
        gate_file(settings, server="RabbitMQ", target=target, options=options),
        ConfigFile(name=password, text=f"{settings.verifier.secret}\n", place=f"/etc/dnsbound/{password}", secret=True),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
