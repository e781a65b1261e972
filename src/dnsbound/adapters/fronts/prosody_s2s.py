"""Prosody among servers: another server is who its DNS-bound certificate says, by SASL EXTERNAL and nothing else.

Seen with 0.12.3. The name is the domain that the other server speaks for, and its record stands at that domain: no
authority has to vouch for it, and dialback, which believes plain DNS, is off. Whom this Prosody connects to is judged
as before. Sections: RFC 6120 section 13.7.2, XEP-0178.
"""

import re
from typing import Final

from dnsbound.adapters.fronts.prosody_asking import asking_lua, prosody_files
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, Settings, Snippet, Version

FACTS: Final = Facts(
    server="prosody-s2s",
    title="Prosody among servers",
    program="prosodyctl",
    version_arguments=("about",),
    version_pattern=re.compile(r"Prosody (\d+\.\d+\.\d+)"),
    least=Version((0, 12, 0)),
    tried=Version((0, 12, 3)),
    claim_from="stated",
    users=("prosody",),
    unix=False,
    comment="--",
    admits='"gov.example"',
    listen=":5269",
    works=("every certificate, expired ones too", "chains, usage 2", "TLS 1.2, TLS 1.3"),
    limits=(
        "servers that this one connects to: their certificates are judged by Prosody's authorities as before",
        "several domains on one stream: each is asked about when it opens one",
        "raw public keys",
        "cutting a live stream when a record goes",
    ),
)
MODULE: Final = "mod_s2s_auth_dnsbound.lua"

_GLOBAL: Final = """\
-- Include it in prosody.cfg.lua behind the global settings and before the first VirtualHost, and name the module once
-- more beside those you have.

-- Where {module} lies; with other directories of modules, list them all.
plugin_paths = {{ {directory} }}
modules_enabled = {{ "s2s_auth_dnsbound"; "saslauth"; "tls"; "disco" }}
-- Dialback believes what plain DNS says of a domain.
modules_disabled = {{ "dialback" }}
s2s_interfaces = {{ {interfaces} }}
s2s_ports = {{ {port} }}
s2s_require_encryption = true
-- Without a verdict that says yes a stream is closed.
s2s_secure_auth = true
s2s_insecure_domains = {{}}
dnsbound_s2s_verify_url = {url}
dnsbound_s2s_secret_file = {secret}

VirtualHost {name}
    ssl = {{
        certificate = {certificate};
        key = {key};
        protocol = "tlsv1_2+";
        verify = {{ "peer" }};
        verifyext = {{ "lsec_continue", "lsec_ignore_purpose" }};
        options = {{ "no_ticket", "no_compression", "no_renegotiation", "cipher_server_preference" }};
    }}
"""
_MODULE: Final = """\
-- Servers for Prosody: the verify service of dnsbound says whether a certificate is that of the domain it is shown for.
-- The settings are dnsbound_s2s_verify_url and dnsbound_s2s_secret_file.

module:set_global();
local nameprep = require "util.encodings".stringprep.nameprep;
"""
_HOOK: Final = """\
-- After mod_s2s_auth_certs (509), whose verdict by authorities is overwritten, and before the one who closes (-1).
module:hook("s2s-check-certificate", function(event)
	local session, host = event.session, event.host;
	if session.direction == "outgoing" then return; end
	local name = host and verified(session, host);
	local valid = name ~= nil and name ~= false and nameprep(name) == nameprep(host);
	session.cert_chain_status = valid and "valid" or "invalid";
	session.cert_identity_status = valid and "valid" or "invalid";
end, 10);
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The server's part, our module, and the secret. Misuse over a Unix socket."""
    lua = _MODULE + asking_lua("dnsbound_s2s") + _HOOK
    return prosody_files(FACTS, settings, configuration=_GLOBAL, module=MODULE, lua=lua)


SNIPPET: Final = Snippet(facts=FACTS, files=files)
