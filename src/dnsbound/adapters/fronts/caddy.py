"""Caddy: `forward_auth` asks the verify service at every request.

Seen with 2.6.2: every certificate comes in that the DNS vouches for, whatever its dates and purposes. The certificate
handed on is the leaf alone, so records of usage 2 cannot match.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import asking, quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading
from dnsbound.protocols.identity_headers import REASON

FACTS: Final = Facts(
    server="caddy",
    title="Caddy",
    program="caddy",
    version_arguments=("version",),
    version_pattern=re.compile(r"^v?(\d+\.\d+\.\d+)", re.MULTILINE),
    least=Version((2, 6, 2)),
    tried=Version((2, 6, 2)),
    users=("caddy",),
    works=("every certificate, expired ones too", "HTTP/1.1, HTTP/2", "TLS 1.2, TLS 1.3"),
    limits=("records of usage 2, since Caddy tells the leaf certificate alone", "raw public keys"),
)

_SITE: Final = """\

https://{name}:{port} {{
{bind}    tls {certificate} {key} {{
        client_auth {{
            # Any certificate is taken; the verify service says whose it is. A client without one ends here.
            mode require
        }}
    }}
    # In this order: by itself Caddy would run request_header after forward_auth.
    route {{
        # What a client says of itself, in every spelling that a back end could take for these fields.
        request_header -Dnsbound*
{removed}\
        forward_auth {verifier} {{
            uri {path}
            # Without a certificate Caddy would send the braces as they are, which the service takes for none.
            header_up {field} {{http.request.tls.client.certificate_der_base64}}
            header_up {source} {{remote_host}}
            # What else the service would read is not for clients to say. (`header_up -*` makes Caddy 2.6 panic.)
{unread}{secret}\
            header_down -{reason}
            copy_headers {told}
        }}
        reverse_proxy {backend}
    }}
}}
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """One file to import, and one with the secret, where there is one."""
    name, secret = f"dnsbound-{settings.label}.caddy", f"dnsbound-{settings.label}.secret"
    bind = f"    bind {quoting.word(settings.listen.host, 'the address')}\n" if settings.listen.host else ""
    value = asking.bearer(settings)
    included = quoting.caddy(str(settings.directory / secret), "the directory")
    text = _SITE.format(
        name=quoting.word(settings.server_name, "the server name"),
        port=settings.listen.port,
        bind=bind,
        certificate=quoting.caddy(str(settings.certificate), "the certificate"),
        key=quoting.caddy(str(settings.key), "the key"),
        removed="".join(f"        request_header -{each}\n" for each in _others()),
        verifier=_verifier(settings),
        path=asking.PATH,
        field=asking.CERTIFICATE,
        source=asking.SOURCE,
        secret=f"            import {included}\n" if value is not None else "",
        unread="".join(f"            header_up -{each}\n" for each in asking.ALSO_READ),
        reason=REASON,
        told=" ".join(asking.IDENTITY),
        backend=quoting.word(settings.backend.to_text(), "the back end"),
    )
    made = [ConfigFile(name=name, text=heading(FACTS, settings) + text, place=f"/etc/caddy/{name}")]
    if value is not None:
        line = f"header_up Authorization {quoting.caddy(value, 'the secret')}\n"
        made.append(ConfigFile(name=secret, text=line, place=str(settings.directory / secret), secret=True))
    return tuple(made)


def _others() -> list[str]:
    return [each for each in asking.forged_spellings() if not each.startswith("Dnsbound")]


def _verifier(settings: Settings) -> str:
    if isinstance(settings.verifier, OverUnix):
        return f"unix/{quoting.word(str(settings.verifier.path), 'the socket')}"
    return quoting.word(settings.verifier.address.to_text(), "the address")


SNIPPET: Final = Snippet(facts=FACTS, files=files)
