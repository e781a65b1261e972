"""What both our modules for Prosody share: the Lua that asks who is at the other end of a stream, and the files.

Prosody's HTTP client speaks to addresses alone, so a secret says who asks.
"""

from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, heading
from dnsbound.errors import Misuse

_ASKING: Final = """\
local wait_for = require "util.async".wait_for;
local http = require "net.http";
local urlencode = require "util.http".urlencode;

local url = assert(module:get_option_string("{prefix}_verify_url"), "{prefix}_verify_url is missing");
local path = assert(module:get_option_string("{prefix}_secret_file"), "{prefix}_secret_file is missing");
local file = assert(io.open(path));
local secret = assert(file:read("*a"):match("^%s*(%S+)%s*$"), "{prefix}_secret_file holds no secret");
file:close();

-- All that the client showed, leaf first; nil without a certificate.
local function shown(socket)
	local leaf = socket:getpeercertificate();
	if not leaf then return nil; end
	local pem = { leaf:pem() };
	-- The peer's chain begins with the leaf, here.
	local chain = socket.getpeerchain and socket:getpeerchain() or {};
	for i = 1, #chain do
		local other = chain[i]:pem();
		if other ~= pem[1] then pem[#pem + 1] = other; end
	end
	return table.concat(pem, "\\n");
end

-- The name, or nil where nobody may come in: refused, not to be found out, and no answer are all the same here. stated:
-- what the other end calls itself, where that counts.
local function verified(session, stated)
	local socket = session.conn:socket();
	local pem = socket.getpeercertificate and shown(socket);
	if not pem then return nil; end
	local query = "?client=" .. urlencode(session.ip or "");
	if stated then query = query .. "&name=" .. urlencode(stated); end
	local answer, failed = wait_for(http.request(url .. query, {
		body = pem;
		headers = { ["Content-Type"] = "application/x-pem-file"; ["Authorization"] = "Bearer " .. secret };
	}));
	if not answer or answer.code ~= 200 then
		local reason = answer and answer.headers and answer.headers["dnsbound-reason"] or failed;
		module:log("info", "dnsbound: denied: %s", tostring(reason or (answer and answer.code)));
		return nil;
	end
	return answer.headers["dnsbound-name"];
end

"""


def prosody_files(
    facts: Facts, settings: Settings, *, configuration: str, module: str, lua: str
) -> tuple[ConfigFile, ...]:
    """The configuration, our module, and the secret. configuration: to be formatted. lua: of the module. Misuse
    over a Unix socket."""
    verifier = settings.verifier
    if isinstance(verifier, OverUnix):
        raise Misuse("Prosody cannot ask over a Unix socket")
    secret = settings.directory / f"dnsbound-{settings.label}.secret"
    host = settings.listen.host
    text = configuration.format(
        module=module,
        directory=quoting.lua(str(settings.directory), "the directory"),
        interfaces=quoting.lua(host, "the address") if host else '"*", "::"',
        port=settings.listen.port,
        name=quoting.lua(settings.server_name, "the server name"),
        url=quoting.lua(f"http://{verifier.address.to_text()}/verify", "the address"),
        secret=quoting.lua(str(secret), "the directory"),
        certificate=quoting.lua(str(settings.certificate), "the certificate"),
        key=quoting.lua(str(settings.key), "the key"),
    )
    name = f"dnsbound-{settings.label}.cfg.lua"
    return (
        ConfigFile(name=name, text=heading(facts, settings) + text, place=f"/etc/prosody/conf.avail/{name}"),
        ConfigFile(name=module, text=lua, place=str(settings.directory / module)),
        ConfigFile(name=secret.name, text=f"{verifier.secret}\n", place=str(secret), secret=True),
    )


def asking_lua(prefix: str) -> str:
    """Lua with the function `verified`. prefix: of the two settings, PREFIX_verify_url and PREFIX_secret_file."""
    return _ASKING.replace("{prefix}", prefix)
