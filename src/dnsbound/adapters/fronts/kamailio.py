"""Kamailio: its script puts the client's certificate to the verify service at each request, before anything else.

Seen with 5.6.3: any certificate is taken, whatever its dates and purposes; the leaf alone is told. The question blocks
one worker. http_client speaks to addresses, not to Unix sockets, so a secret says who asks.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading
from dnsbound.errors import Misuse

FACTS: Final = Facts(
    server="kamailio",
    title="Kamailio",
    program="kamailio",
    version_arguments=("-v",),
    version_pattern=re.compile(r"kamailio (\d+\.\d+\.\d+)"),
    least=Version((5, 4, 0)),
    tried=Version((5, 6, 3)),
    users=("kamailio",),
    unix=False,
    listen=":5061",
    works=("every certificate, expired ones too", "TLS 1.2, TLS 1.3"),
    limits=(
        "records of usage 2, since Kamailio tells the leaf certificate alone",
        "raw public keys",
        "cutting a live connection when a record goes; each request on it is asked about anew",
    ),
)

_SCRIPT: Final = """\
# Needs the modules tls and http_client (Debian: kamailio-tls-modules, kamailio-utils-modules), sl, pv, textops,
# textopsx and xlog. Include it from kamailio.cfg before request_route, and call route(DNSBOUND) first in that: it ends what is not
# let in. What it lets in is from $avp(dnsbound_name), and carries that in Dnsbound-Name.

enable_tls=yes
listen=tls:{listen}

loadmodule "tls.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "textopsx.so"
loadmodule "xlog.so"
loadmodule "http_client.so"
modparam("tls", "config", "{tls}")
modparam("http_client", "connection_timeout", 10)
# The file holds the secret, in the path of $dnsbound's connection.
include_file "{secret}"

route[DNSBOUND] {{
    # Every spelling of what says who a client is: these are the client's own words.
    remove_hf_re("^[Dd][Nn][Ss][Bb][Oo][Uu][Nn][Dd].*");
    remove_hf_re("^[Pp]-[Aa]sserted-[Ii]dentity$");
    remove_hf_re("^[Rr]emote-[Pp]arty-[Ii][Dd]$");
    # Over TCP and UDP there is no certificate, and its variables are those of no connection.
    if (proto != TLS || $tls_peer_raw_cert == $null || $tls_peer_raw_cert == "") {{
        send_reply("403", "Forbidden");
        exit;
    }}
    # The question holds this worker for as long as it takes. Its answer is {{"allowed":true,"name":...}} and nothing of
    # the client's.
    $var(asked) = http_connect("dnsbound", "/verify?client=$si", "application/x-pem-file", "$tls_peer_raw_cert", "$avp(dnsbound_answer)");
    if ($var(asked) != 200) {{
        xlog("L_INFO", "dnsbound: denied: $var(asked) $avp(dnsbound_answer)\\n");
        send_reply("403", "Forbidden");
        exit;
    }}
    $avp(dnsbound_name) = $(avp(dnsbound_answer){{re.subst,/^[^:]*:true,"name":"([^"]*)".*/\\1/s}});
    # Who is registered, and who calls, is who the certificate says: the user of From, and of To where it registers.
    $var(user) = $(fU{{s.tolower}});
    if ($var(user) != $avp(dnsbound_name) || (is_method("REGISTER") && $(tU{{s.tolower}}) != $avp(dnsbound_name))) {{
        send_reply("403", "Forbidden");
        exit;
    }}
    append_hf("Dnsbound-Name: $avp(dnsbound_name)\\r\\n");
    msg_apply_changes();
}}
"""  # noqa: E501 (a call is one line to Kamailio)
_TLS: Final = """\
# Any certificate is taken, and none too; the verify service says whose it is, and the script asks it.
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
verify_client = optional_no_ca
private_key = {key}
certificate = {certificate}
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The script's part, the settings of TLS, and the secret. Misuse over a Unix socket."""
    verifier = settings.verifier
    if isinstance(verifier, OverUnix):
        raise Misuse("Kamailio cannot ask over a Unix socket")
    stem = f"dnsbound-{settings.label}"
    tls, secret = settings.directory / f"{stem}.tls.cfg", settings.directory / f"{stem}.secret"
    script = _SCRIPT.format(
        listen=settings.listen.to_text() if settings.listen.host else f"0.0.0.0:{settings.listen.port}",
        tls=quoting.word(str(tls), "the directory"),
        secret=quoting.word(str(secret), "the directory"),
    )
    keys = _TLS.format(
        key=quoting.word(str(settings.key), "the key"),
        certificate=quoting.word(str(settings.certificate), "the certificate"),
    )
    at = f"http://{verifier.address.to_text()}/s/{verifier.secret}"
    line = f'modparam("http_client", "httpcon", "dnsbound=>{at}")\n'
    name = f"{stem}.cfg"
    return (
        ConfigFile(name=name, text=heading(FACTS, settings) + script, place=f"/etc/kamailio/{name}"),
        ConfigFile(name=tls.name, text=keys, place=str(tls)),
        ConfigFile(name=secret.name, text=line, place=str(secret), secret=True),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
