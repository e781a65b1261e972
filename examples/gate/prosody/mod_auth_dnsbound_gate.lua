-- Users are logged in by the dnsbound gate in front of this server, which has verified them by their DNS names
-- (docs/howto/gate-xmpp.md). The gate's secret is every user's password here, so nobody but the gate may reach the
-- port: c2s_interfaces is the loopback address, and --check of the gate proves it.
--
--   VirtualHost "xmpp.isp.example"
--     authentication = "dnsbound_gate"
--     dnsbound_gate_secret_file = "/etc/dnsbound/prosody.secret"

local new_sasl = require "util.sasl".new;
local equals = require "util.hashes".equals;

local path = assert(module:get_option_string("dnsbound_gate_secret_file"), "dnsbound_gate_secret_file is missing");
local file = assert(io.open(path));
local secret = file:read("*a"):match("^%s*(%S+)%s*$");
file:close();
assert(secret and #secret >= 22, "the secret of the gate has 22 characters or more, and no white space");

local provider = {};

function provider.get_sasl_handler()
	return new_sasl(module.host, {
		plain_test = function (_, _, password)
			return equals(password, secret), true;
		end;
	});
end

function provider.user_exists()
	return true; -- who is known is on the access list of the gate's door
end

function provider.test_password(_, password)
	return equals(password, secret);
end

module:provides("auth", provider);
