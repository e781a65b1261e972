//! What one connection is made with, checked before it is made.

use crate::carried_chain;
use crate::clientid;
use crate::dnssec_chain;
use crate::error::{Failure, Outcome};
use crate::settings::Settings;

#[derive(Default)]
pub struct Wishes {
    pub server_hostname: Option<String>,
    pub verify_hostname: Option<String>,
    pub clientid: clientid::Wish,
    pub dnssec_chain: dnssec_chain::Wish,
    pub carried_chain: carried_chain::Wish,
    pub session: Option<Vec<u8>>,
}

impl Wishes {
    pub fn check(&self, settings: &Settings) -> Outcome<()> {
        let any = self.server_hostname.is_some()
            || self.verify_hostname.is_some()
            || self.clientid.is_any()
            || self.carried_chain.chain.is_some()
            || self.session.is_some();
        if settings.server_side && any {
            return Err(Failure::argument("a server connection takes none of these"));
        }
        self.clientid.check(settings.clientid)?;
        self.dnssec_chain.check(settings.dnssec_chain, settings.server_side, self.server_hostname.is_some())?;
        self.carried_chain.check(settings.carried_chain)?;
        if self.verify_hostname.is_some() && !settings.verification.checks_certificates() {
            return Err(Failure::argument("this Config does not check certificates, so no host name either"));
        }
        for name in [&self.server_hostname, &self.verify_hostname].into_iter().flatten() {
            if name.is_empty() || !name.is_ascii() {
                return Err(Failure::argument("host names are A-labels or addresses, and not empty"));
            }
        }
        Ok(())
    }
}
