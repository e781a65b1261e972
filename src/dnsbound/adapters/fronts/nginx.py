"""nginx as an HTTP server: `auth_request` asks the verify service at every request.

Seen with 1.22.1. The certificate of the client is the leaf alone, so records of usage 2 cannot match. Certificates that
have expired, or are for servers, come in by way of status 495.
"""

import re
from pathlib import PurePosixPath
from typing import Final

from dnsbound.adapters.fronts import asking, quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading
from dnsbound.protocols.identity_headers import NAME, REASON

_HTTP2_DIRECTIVE: Final = Version((1, 25, 1))
"""Where `http2 on` took the place of a word of `listen`."""

_ANSWERED: Final = (*asking.IDENTITY, REASON)

FACTS: Final = Facts(
    server="nginx",
    title="nginx",
    program="nginx",
    version_pattern=re.compile(r"nginx/(\d+\.\d+\.\d+)"),
    least=Version((1, 21, 4)),
    tried=Version((1, 22, 1)),
    users=("www-data",),
    works=("every certificate, expired ones too", "HTTP/1.1, HTTP/2", "TLS 1.2, TLS 1.3"),
    limits=("records of usage 2, since nginx tells the leaf certificate alone", "raw public keys"),
)


_SERVER: Final = """\

upstream dnsbound_{word} {{
    server {verifier};
    keepalive 32;
}}

server {{
    listen {listen} ssl{http2_word};
{http2_directive}    server_name {name};
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    # Without this line some builds speak TLS 1.2 alone.
    ssl_protocols TLSv1.2 TLSv1.3;
    # Any certificate is taken; the verify service says whose it is. It is asked about clients without one too, and
    # denies them.
    ssl_verify_client optional_no_ca;
    ssl_verify_depth 9;
    # A session that is not resumed cannot outlive a record.
    ssl_session_tickets off;
    ssl_session_cache off;
    # nginx wants certificates that are in date and for clients, which usage 3 does not (RFC 7671 section 5.1): it gives
    # others the status 495, and by this line the verify service is asked about them all the same.
    error_page 495 = @dnsbound_{word}_495;
    # `Dnsbound_Name` and `Dnsbound.Name` are one variable with Dnsbound-Name to many back ends. nginx takes these two
    # lines from the DEFAULT server of the address: repeat them there if that is another one.
    underscores_in_headers off;
    ignore_invalid_headers on;

    location / {{
        include {door};
        proxy_pass http://{to};
    }}

    location @dnsbound_{word}_495 {{
        include {door};
        proxy_pass http://{to};
    }}

    location = /_dnsbound_{word} {{
{question}    }}
}}
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """One file for the `http` context, one that each location behind the door includes, and one with the secret, where
    there is one."""
    name = f"dnsbound-{settings.label}.conf"
    made = [
        ConfigFile(name=name, text=heading(FACTS, settings) + _server(settings), place=f"/etc/nginx/conf.d/{name}"),
        _beside(settings, "door", _door(settings)),
    ]
    value = asking.bearer(settings)
    if value is not None:
        text = f"proxy_set_header Authorization {quoting.nginx(value, 'the secret')};\n"
        made.append(_beside(settings, "secret", text, secret=True))
    return tuple(made)


def _server(settings: Settings) -> str:
    http2 = (settings.version or FACTS.least) >= _HTTP2_DIRECTIVE
    return _SERVER.format(
        word=_word(settings),
        verifier=_verifier(settings),
        listen=settings.listen.to_text() if settings.listen.host else settings.listen.port,
        http2_word="" if http2 else " http2",
        http2_directive="    http2 on;\n" if http2 else "",
        name=quoting.word(settings.server_name, "the server name"),
        certificate=quoting.nginx(str(settings.certificate), "the certificate"),
        key=quoting.nginx(str(settings.key), "the key"),
        door=_quoted_path(settings, "door"),
        to=quoting.word(settings.backend.to_text(), "the back end"),
        question=_question(settings),
    )


def _door(settings: Settings) -> str:
    variables = {field: f"$dnsbound_{_variable(field.removeprefix('Dnsbound-'))}" for field in _ANSWERED}
    lines = [
        "# In every location that is behind the door. `satisfy any` of an outer block would let others in.",
        "satisfy all;",
        f"auth_request /_dnsbound_{_word(settings)};",
        *(f"auth_request_set {to} $upstream_http_{_variable(field)};" for field, to in variables.items()),
        f"# For a log_format of yours: {variables[NAME]}, and why not: {variables[REASON]}.",
        "# Who the client is, in place of what it says of itself. A location that sets a header after this file keeps",
        "# these; an inner location that sets one without including this file again loses them all.",
        *(f"proxy_set_header {field} {variables[field]};" for field in asking.IDENTITY),
        *(f'proxy_set_header {each} "";' for each in asking.forged_spellings()),
        "proxy_set_header Host $host;",
        'proxy_set_header Connection "";',
        "proxy_http_version 1.1;",
    ]
    return "".join(f"{line}\n" for line in lines)


def _question(settings: Settings) -> str:
    lines = [
        "internal;",
        f"proxy_pass http://dnsbound_{_word(settings)}{asking.PATH};",
        "proxy_http_version 1.1;",
        "# Nothing of the request goes along: what the service is told is set here.",
        "proxy_pass_request_body off;",
        "proxy_pass_request_headers off;",
        'proxy_set_header Content-Length "";',
        'proxy_set_header Connection "";',
        "proxy_set_header Host dnsbound;",
        f"proxy_set_header {asking.CERTIFICATE} $ssl_client_escaped_cert;",
        f"proxy_set_header {asking.SOURCE} $remote_addr;",
        "# The service remembers what the DNS says; a verdict is never kept.",
        "proxy_cache off;",
        "# Without an answer in time nobody comes in: nginx says 500.",
        "proxy_connect_timeout 2s;",
        "proxy_read_timeout 10s;",
    ]
    if not isinstance(settings.verifier, OverUnix):
        lines.append(f"include {_quoted_path(settings, 'secret')};")
    return "".join(f"        {line}\n" for line in lines)


def _verifier(settings: Settings) -> str:
    if isinstance(settings.verifier, OverUnix):
        return quoting.nginx(f"unix:{settings.verifier.path}", "the socket")
    return quoting.word(settings.verifier.address.to_text(), "the address")


def _beside(settings: Settings, part: str, text: str, *, secret: bool = False) -> ConfigFile:
    path = _path(settings, part)
    return ConfigFile(name=path.name, text=text, place=str(path), secret=secret)


def _quoted_path(settings: Settings, part: str) -> str:
    return quoting.nginx(str(_path(settings, part)), "the directory")


def _path(settings: Settings, part: str) -> PurePosixPath:
    # Not *.conf: some configurations include all of those of a directory, where these lines are none.
    return settings.directory / f"dnsbound-{settings.label}.{part}"


def _word(settings: Settings) -> str:
    return settings.label.replace("-", "_")


def _variable(field: str) -> str:
    return field.replace("-", "_").lower()


SNIPPET: Final = Snippet(facts=FACTS, files=files)
