"""nginx before a TCP service: njs asks the verify service once a connection's TLS is done.

Seen with nginx 1.22.1 and njs 0.7.9. `js_access` would run before TLS and see no certificate; `js_preread` runs after
it, also for services that speak first. The back end is not told who the client is.
"""

import re
from pathlib import PurePosixPath
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.asking import bearer
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading
from dnsbound.errors import Misuse

FACTS: Final = Facts(
    server="nginx-stream",
    title="nginx before a TCP service",
    program="nginx",
    version_pattern=re.compile(r"nginx/(\d+\.\d+\.\d+)"),
    least=Version((1, 21, 4)),
    tried=Version((1, 22, 1)),
    users=("www-data",),
    unix=False,
    listen=":8883",
    backend="127.0.0.1:1883",
    works=("certificates that are in date", "TLS 1.2, TLS 1.3", "servers that speak first"),
    limits=(
        "certificates that have expired, or are not for clients (extended key usage): the connection ends",
        "telling the back end who the client is",
        "records of usage 2, since nginx tells the leaf certificate alone",
        "raw public keys",
        "cutting a live connection when a record goes; the gate does that",
    ),
)

_SERVER: Final = """\
# Needs the modules stream and njs (Debian: libnginx-mod-stream, libnginx-mod-stream-js).

# The file holds the secret, as the value of $dnsbound_{word}_secret.
include {secret};
js_path {directory};
js_import dnsbound_{word} from {script};

server {{
    listen {listen} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    # Without this line some builds speak TLS 1.2 alone.
    ssl_protocols TLSv1.2 TLSv1.3;
    # Any certificate that is in date and for clients is taken; the verify service says whose it is. It is asked about
    # clients without one too, and denies them.
    ssl_verify_client optional_no_ca;
    ssl_verify_depth 9;
    # A session that is not resumed cannot outlive a record.
    ssl_session_tickets off;
    ssl_session_cache off;
    # Not js_access: that runs before TLS, and there is no certificate yet.
    js_preread dnsbound_{word}.admit;
    preread_timeout 15s;
    proxy_pass {backend};
}}
"""

_SCRIPT: Final = """\
// Asks the verify service of dnsbound about a client's certificate. Loaded by {config}.

const URL = {url};

async function admit(s) {{
    try {{
        const answer = await ngx.fetch(URL + '?client=' + s.remoteAddress, {{
            method: 'POST',
            // A body of nothing is no credential.
            body: s.variables.ssl_client_cert || '-',
            headers: {{'Authorization': 'Bearer ' + s.variables.dnsbound_{word}_secret}},
        }});
        if (answer.status === 200) {{
            s.allow();
            return;
        }}
        s.log('dnsbound: denied: ' + answer.headers.get('Dnsbound-Reason'));
    }} catch (error) {{
        s.error('dnsbound: no answer: ' + error);
    }}
    s.deny();
}}

export default {{admit}};
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """One file for the `stream` context, the script, and the secret. Misuse over a Unix socket: njs cannot use one."""
    value = bearer(settings)
    if isinstance(settings.verifier, OverUnix) or value is None:
        raise Misuse("njs cannot ask over a Unix socket")
    word = settings.label.replace("-", "_")
    name, script = f"dnsbound-{settings.label}.stream", f"dnsbound-{settings.label}.js"
    secret = _beside(settings, f"dnsbound-{settings.label}.secret")
    text = _SERVER.format(
        word=word,
        secret=quoting.nginx(str(secret), "the directory"),
        directory=quoting.nginx(str(settings.directory), "the directory"),
        script=script,
        listen=settings.listen.to_text() if settings.listen.host else settings.listen.port,
        certificate=quoting.nginx(str(settings.certificate), "the certificate"),
        key=quoting.nginx(str(settings.key), "the key"),
        backend=quoting.word(settings.backend.to_text(), "the back end"),
    )
    url = f"http://{settings.verifier.address.to_text()}/verify"
    code = _SCRIPT.format(config=name, word=word, url=quoting.json_text(url, "the address"))
    bare = value.removeprefix("Bearer ")
    line = f"map 1 $dnsbound_{word}_secret {{\n    default {quoting.nginx(bare, 'the secret')};\n}}\n"
    return (
        ConfigFile(name=name, text=heading(FACTS, settings) + text, place=f"/etc/nginx/{name}"),
        ConfigFile(name=script, text=code, place=str(_beside(settings, script))),
        ConfigFile(name=secret.name, text=line, place=str(secret), secret=True),
    )


def _beside(settings: Settings, name: str) -> PurePosixPath:
    return settings.directory / name


SNIPPET: Final = Snippet(facts=FACTS, files=files)
