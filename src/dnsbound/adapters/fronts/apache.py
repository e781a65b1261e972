"""Apache HTTP Server: mod_lua asks the verify service at every request, by way of LuaSocket.

Seen with 2.4.71: certificates of any maker and chain come in, so records of usage 2 match too. Certificates that have
expired or are for servers fail in the handshake, and no way round was found. The question blocks one worker thread.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.asking import bearer
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading

FACTS: Final = Facts(
    server="apache",
    title="Apache HTTP Server",
    program="apache2",
    version_pattern=re.compile(r"Apache/(\d+\.\d+\.\d+)"),
    least=Version((2, 4, 50)),
    tried=Version((2, 4, 71)),
    users=("www-data",),
    works=("certificates that are in date", "chains, usage 2", "TLS 1.2, TLS 1.3"),
    limits=(
        "certificates that have expired, or are not for clients (extended key usage): the handshake fails",
        "raw public keys",
    ),
)

_SITE: Final = """\
# Needs the modules ssl, lua, headers, proxy, proxy_http and socache_shmcb (a2enmod), and the package lua-socket.

Listen {listen}

<VirtualHost {host}:{port}>
    ServerName {name}
    SSLEngine on
    SSLProtocol -all +TLSv1.2 +TLSv1.3
    SSLCertificateFile {certificate}
    SSLCertificateKeyFile {key}
    # Any certificate is taken; the verify service says whose it is. What SSL_CLIENT_VERIFY says means nothing here: it
    # is GENEROUS under TLS 1.2 and FAILED under TLS 1.3.
    SSLVerifyClient optional_no_ca
    SSLVerifyDepth 9
    SSLOptions +StdEnvVars +ExportCertData
    # A session that is not resumed cannot outlive a record.
    SSLSessionTickets off
    # Field names that are none are refused, not repaired.
    HttpProtocolOptions Strict

    # Removes every field that tells who a client is, in any spelling, then asks, then sets those fields. Satisfy Any,
    # in an inner section, would let others in.
    LuaScope thread
    LuaHookAccessChecker {script} dnsbound_check

    <Location "/">
        Require all granted
        Satisfy All
    </Location>
    ProxyPass "/" "http://{backend}/"
    ProxyPassReverse "/" "http://{backend}/"
</VirtualHost>
"""

_LUA: Final = """\
-- Asks the verify service of dnsbound about a client's certificate. Loaded by {config}.

local socket = require "socket"
local unix = {unix}
local AT = {at}
local SECRET = {bearer}
local SECONDS = 10
local MAX_CHAIN = 9

local TOLD = {{ "Dnsbound-Name", "Dnsbound-Door", "Dnsbound-Grants", "Dnsbound-Valid-Until" }}

-- Whether a back end could take a field for one that says who the client is: to many, any mark is a hyphen.
local function identifies(name)
    local spelling = name:lower():gsub("[^a-z0-9]", "-"):gsub("^-+", ""):gsub("-+$", "")
    return spelling:find("^dnsbound") ~= nil or spelling == "client-cert" or spelling == "client-cert-chain"
        or spelling == "x-forwarded-client-cert" or spelling == "x-client-cert" or spelling == "x-client-verify"
        or spelling:find("^x%-ssl%-") ~= nil or spelling:find("^ssl%-") ~= nil
end

local function connected()
    local made = unix and unix() or socket.tcp()
    made:settimeout(SECONDS)
    if unix then
        assert(made:connect(AT.path))
    else
        assert(made:connect(AT.host, AT.port))
    end
    return made
end

-- The status and the fields of the service's answer; an error when there is none in time.
local function ask(client, shown)
    local lines = {{
        "POST /verify?client=" .. client .. " HTTP/1.1", "Host: dnsbound", "Connection: close",
        "Content-Type: application/x-pem-file", "Content-Length: " .. #shown
    }}
    if SECRET then
        lines[#lines + 1] = "Authorization: Bearer " .. SECRET
    end
    local connection = connected()
    local ok, status, fields = pcall(function()
        assert(connection:send(table.concat(lines, "\\r\\n") .. "\\r\\n\\r\\n" .. shown))
        local code = assert(connection:receive("*l")):match("^HTTP/1%.[01] (%d%d%d)")
        local found = {{}}
        for line in function() return assert(connection:receive("*l")) end do
            local name, value = line:match("^([^:]+):%s*(.-)%s*$")
            if not name then break end
            found[name:lower()] = value
        end
        return tonumber(code), found
    end)
    connection:close()
    assert(ok, status)
    return status, fields
end

local function certificates(r)
    local shown = {{ r:ssl_var_lookup("SSL_CLIENT_CERT") or "" }}
    for index = 0, MAX_CHAIN - 1 do
        local other = r:ssl_var_lookup("SSL_CLIENT_CERT_CHAIN_" .. index)
        if not other or #other == 0 then break end
        shown[#shown + 1] = other
    end
    return table.concat(shown, "\\n")
end

function dnsbound_check(r)
    for name, _ in pairs(r:headers_in_table()) do
        if identifies(name) then
            r.headers_in[name] = nil
        end
    end
    local shown = certificates(r)
    if #shown == 0 then
        return 403
    end
    local answered, status, told = pcall(ask, r.useragent_ip, shown)
    if not answered then
        r:err("dnsbound: no answer: " .. tostring(status))
        return 403
    end
    if status ~= 200 or not told["dnsbound-name"] then
        r:info("dnsbound: denied: " .. (told["dnsbound-reason"] or "status " .. tostring(status)))
        return 403
    end
    for _, name in ipairs(TOLD) do
        if told[name:lower()] then
            r.headers_in[name] = told[name:lower()]
        end
    end
    r.user = told["dnsbound-name"]
    return apache2.OK
end
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The site, and its script, which holds the secret where there is one."""
    name, script = f"dnsbound-{settings.label}.conf", settings.directory / f"dnsbound-{settings.label}.lua"
    listen = settings.listen.to_text() if settings.listen.host else str(settings.listen.port)
    text = _SITE.format(
        listen=listen,
        host=quoting.word(settings.listen.to_text().rpartition(":")[0], "the address") if settings.listen.host else "*",
        port=settings.listen.port,
        name=quoting.word(settings.server_name, "the server name"),
        certificate=quoting.apache(str(settings.certificate), "the certificate"),
        key=quoting.apache(str(settings.key), "the key"),
        script=quoting.apache(str(script), "the directory"),
        backend=quoting.word(settings.backend.to_text(), "the back end"),
    )
    # The script runs as the server's own account, so that this must be able to read it; it is the file's group.
    lua = ConfigFile(
        name=script.name, text=_script(settings, name), place=str(script), secret=bearer(settings) is not None
    )
    return ConfigFile(
        name=name, text=heading(FACTS, settings) + text, place=f"/etc/apache2/sites-available/{name}"
    ), lua


def _script(settings: Settings, config: str) -> str:
    verifier = settings.verifier
    if isinstance(verifier, OverUnix):
        at = f"{{ path = {quoting.lua(str(verifier.path), 'the socket')} }}"
        return _LUA.format(config=config, unix='require "socket.unix"', at=at, bearer="nil")
    host = quoting.lua(verifier.address.host, "the address")
    at = f"{{ host = {host}, port = {verifier.address.port} }}"
    return _LUA.format(config=config, unix="nil", at=at, bearer=quoting.lua(verifier.secret, "the secret"))


SNIPPET: Final = Snippet(facts=FACTS, files=files)
