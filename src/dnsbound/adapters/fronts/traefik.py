"""Traefik: `forwardAuth` asks the verify service at every request. UNTESTED: no Traefik was at hand.

Written from Traefik 3's documentation: any certificate is asked for, `passTLSClientCert` writes it (and the chain) into
a field of the request, and `forwardAuth` hands that field on.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import asking, quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverTcp, Settings, Snippet, Version, heading
from dnsbound.errors import Misuse
from dnsbound.protocols.identity_headers import REASON

_FIELD: Final = "X-Forwarded-Tls-Client-Cert"

FACTS: Final = Facts(
    server="traefik",
    title="Traefik",
    program="traefik",
    version_arguments=("version",),
    version_pattern=re.compile(r"Version:\s+v?(\d+\.\d+\.\d+)"),
    least=Version((3, 0, 0)),
    tried=None,
    front_options=(f'certificate_field = "{_FIELD}"',),
    users=("traefik",),
    unix=False,
    works=(),
    limits=("asking over a Unix socket", "raw public keys"),
)

_DYNAMIC: Final = """\
# For the file provider. The secret comes from the environment: see the other file.

tls:
  options:
    dnsbound-{label}:
      minVersion: VersionTLS12
      # A session that is not resumed cannot outlive a record.
      disableSessionTickets: true
      clientAuth:
        # Any certificate is taken; the verify service says whose it is. A client without one ends here.
        clientAuthType: RequireAnyClientCert
  certificates:
  - certFile: {certificate}
    keyFile: {key}

http:
  middlewares:
    # The client's own words go first, then this connection's certificate is written over its copy, then the question.
    dnsbound-{label}-fields:
      headers:
        customRequestHeaders:
{removed}\
        # When the service says no, Traefik hands its answer on to the client; not why.
        customResponseHeaders:
          {reason}: ""
    dnsbound-{label}-certificate:
      passTLSClientCert:
        pem: true
    dnsbound-{label}-door:
      forwardAuth:
        address: "http://{verifier}/s/{{{{ env `DNSBOUND_SECRET` }}}}{path}"
        trustForwardHeader: false
        authRequestHeaders: [{field}]
        # Taken from the answer; Traefik removes the client's copies.
        authResponseHeaders: [{told}]
  routers:
    dnsbound-{label}:
      rule: "Host(`{name}`)"
      tls: {{options: dnsbound-{label}}}
      middlewares: [dnsbound-{label}-fields, dnsbound-{label}-certificate, dnsbound-{label}-door]
      service: dnsbound-{label}
  services:
    dnsbound-{label}:
      loadBalancer:
        servers: [{{url: "http://{backend}"}}]
# The entry point of the router listens at {listen}. Its other routers, without these middlewares, let everybody in.
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The dynamic configuration, and the environment with the secret. Misuse over a Unix socket."""
    if not isinstance(settings.verifier, OverTcp):
        raise Misuse("Traefik cannot ask over a Unix socket")
    name, secret = f"dnsbound-{settings.label}.yaml", f"dnsbound-{settings.label}.env"
    text = _DYNAMIC.format(
        label=settings.label,
        certificate=quoting.json_text(str(settings.certificate), "the certificate"),
        key=quoting.json_text(str(settings.key), "the key"),
        removed="".join(f'          {each}: ""\n' for each in (*asking.IDENTITY, *asking.forged_spellings())),
        verifier=quoting.word(settings.verifier.address.to_text(), "the address"),
        path=asking.PATH,
        field=_FIELD,
        told=", ".join(asking.IDENTITY),
        name=quoting.word(settings.server_name, "the server name"),
        backend=quoting.word(settings.backend.to_text(), "the back end"),
        listen=settings.listen.to_text(),
        reason=REASON,
    )
    # Within the file provider's template braces would be code.
    for path in (settings.certificate, settings.key):
        if "{{" in str(path):
            raise Misuse(f"{str(path)!r} cannot stand in a template of Traefik's")
    place = settings.directory / secret
    return (
        ConfigFile(name=name, text=heading(FACTS, settings) + text, place=f"/etc/traefik/dynamic/{name}"),
        ConfigFile(name=secret, text=f"DNSBOUND_SECRET={settings.verifier.secret}\n", place=str(place), secret=True),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
