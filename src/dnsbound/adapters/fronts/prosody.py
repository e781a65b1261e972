"""Prosody: a module of ours, for SASL EXTERNAL, puts the certificate of a client to the verify service.

Seen with 0.12.3: any certificate is taken, whatever its dates and purposes, with its chain, so that records of usage 2
match too. Prosody's HTTP client speaks to addresses alone, so a secret says who asks. Users are called by their names:
`car54._device.cars.example@xmpp.cars.example`. Other servers (server to server) are `fronts.prosody_s2s`.
"""

import re
from typing import Final

from dnsbound.adapters.fronts.prosody_asking import asking_lua, prosody_files
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, Settings, Snippet, Version

FACTS: Final = Facts(
    server="prosody",
    title="Prosody",
    # Not prosody itself, which knows no option for this and would start.
    program="prosodyctl",
    version_arguments=("about",),
    version_pattern=re.compile(r"Prosody (\d+\.\d+\.\d+)"),
    least=Version((0, 12, 0)),
    tried=Version((0, 12, 3)),
    users=("prosody",),
    unix=False,
    comment="--",
    listen=":5222",
    works=("every certificate, expired ones too", "chains, usage 2", "TLS 1.2, TLS 1.3"),
    limits=(
        "other servers by DNS name: that is the configuration prosody-s2s",
        "raw public keys",
        "cutting a live stream when a record goes; the gate does that",
    ),
)
MODULE: Final = "mod_auth_dnsbound.lua"

_HOST: Final = """\
-- Include it in prosody.cfg.lua behind the global settings and before the first VirtualHost: what follows a VirtualHost
-- is that one's alone.

-- Where {module} lies; with other directories of modules, list them all.
plugin_paths = {{ {directory} }}
c2s_interfaces = {{ {interfaces} }}
c2s_ports = {{ {port} }}
-- EXTERNAL is for encrypted streams.
c2s_require_encryption = true

VirtualHost {name}
    authentication = "dnsbound"
    dnsbound_verify_url = {url}
    dnsbound_secret_file = {secret}
    ssl = {{
        certificate = {certificate};
        key = {key};
        protocol = "tlsv1_2+";
        -- A certificate is asked for, and any is taken: lsec_continue for those of unknown makers and of other times,
        -- lsec_ignore_purpose for servers' own. The verify service says whose it is; mod_auth_ccert would want a CA.
        verify = {{ "peer" }};
        verifyext = {{ "lsec_continue", "lsec_ignore_purpose" }};
        -- A session that is not resumed cannot outlive a record.
        options = {{ "no_ticket", "no_compression", "no_renegotiation", "cipher_server_preference" }};
    }}
"""

_MODULE: Final = """\
-- SASL EXTERNAL for Prosody: the verify service of dnsbound says who the owner of a client's certificate is.
-- The client is called by that name and no other; the host's settings are dnsbound_verify_url and dnsbound_secret_file.

local new_sasl = require "util.sasl".new;
local jid_prep = require "util.jid".prep;
"""
_PROVIDER: Final = """\
local provider = {};

function provider.get_sasl_handler(session)
	local profile = {};
	if session.secure then
		function profile.external(authzid)
			local name = verified(session);
			if not name then return nil; end
			local jid = jid_prep(name .. "@" .. module.host);
			if not jid or (authzid ~= "" and jid_prep(authzid) ~= jid) then return nil; end
			return name, true;
		end
	end
	return new_sasl(module.host, profile);
end

function provider.user_exists()
	return true; -- who is known is on the access list of the door
end

module:provides("auth", provider);
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The server's part, our module, and the secret. Misuse over a Unix socket."""
    lua = _MODULE + asking_lua("dnsbound") + _PROVIDER
    return prosody_files(FACTS, settings, configuration=_HOST, module=MODULE, lua=lua)


SNIPPET: Final = Snippet(facts=FACTS, files=files)
