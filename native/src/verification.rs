//! How a Config has its peers checked: by whom, when, and against which trust anchors.

use crate::accept;
use crate::dnssec_chain;
use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::settings::{c_string, Settings};
use crate::x509::{self, Certificate, Chain};
use openssl_sys as sys;
use std::ffi::{c_int, CStr, CString};
use std::ptr;

/// Who checks the peer, and how far.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PeerVerification {
    Verify,
    VerifyRequired,
    Accept,
    AcceptRequired,
    AcceptSignalled,
    None,
}

impl PeerVerification {
    pub fn parse(mode: &str) -> Outcome<Self> {
        match mode {
            "verify" => Ok(Self::Verify),
            "verify-required" => Ok(Self::VerifyRequired),
            "accept" => Ok(Self::Accept),
            "accept-required" => Ok(Self::AcceptRequired),
            "accept-signalled" => Ok(Self::AcceptSignalled),
            "none" => Ok(Self::None),
            _ => Err(Failure::argument(format!("no such peer verification: {mode:?}"))),
        }
    }

    pub fn checks_certificates(self) -> bool {
        matches!(self, Self::Verify | Self::VerifyRequired)
    }

    fn bits(self) -> c_int {
        match self {
            // A connection that should ask after all is told once its ClientHello was read.
            Self::None | Self::AcceptSignalled => sys::SSL_VERIFY_NONE,
            Self::Verify | Self::Accept => sys::SSL_VERIFY_PEER,
            Self::VerifyRequired | Self::AcceptRequired => sys::SSL_VERIFY_PEER | sys::SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
        }
    }
}

impl Settings {
    /// Client: offers to authenticate later. Server: asks later, and not in a handshake of TLS 1.3.
    pub fn set_post_handshake_auth(&mut self, enabled: bool) {
        self.post_handshake_auth = enabled;
        if self.server_side {
            self.set_verification(self.verification);
        } else {
            // SAFETY: the context is alive and not frozen.
            unsafe { ffi::SSL_CTX_set_post_handshake_auth(self.ctx(), c_int::from(enabled)) };
        }
    }

    pub fn set_verification(&mut self, mode: PeerVerification) {
        self.verification = mode;
        let later = if self.server_side && self.post_handshake_auth { ffi::SSL_VERIFY_POST_HANDSHAKE } else { 0 };
        // OpenSSL would build a chain even for a client that verifies nothing.
        let verify: Option<ffi::VerifyAll> = match (mode.checks_certificates(), self.dnssec_chain.known) {
            (false, _) => Some(accept::on_verify),
            (true, true) if !self.server_side => Some(dnssec_chain::on_verify),
            (true, _) => None,
        };
        // SAFETY: the context is alive and not frozen; the callback is static.
        unsafe {
            sys::SSL_CTX_set_verify(self.ctx(), mode.bits() | later, None);
            ffi::SSL_CTX_set_cert_verify_callback(self.ctx(), verify, ptr::null_mut());
        }
    }

    pub fn add_trust_anchors(&mut self, certificates: &[Vec<u8>]) -> Outcome<()> {
        for der in certificates {
            let certificate = Certificate::from_der(der)?;
            error::clear_queue();
            // SAFETY: the store belongs to the living context and takes a reference of its own.
            let done = unsafe { sys::X509_STORE_add_cert(sys::SSL_CTX_get_cert_store(self.ctx()), certificate.0) };
            if done != 1 {
                return Err(Failure::from_queue("trust anchor not accepted"));
            }
        }
        Ok(())
    }

    pub fn set_default_verify_paths(&mut self) -> Outcome<()> {
        error::clear_queue();
        // SAFETY: the context is alive and not frozen.
        if unsafe { sys::SSL_CTX_set_default_verify_paths(self.ctx()) } == 1 {
            Ok(())
        } else {
            Err(Failure::from_queue("default trust anchors not found"))
        }
    }

    pub fn load_verify_locations(&mut self, file: Option<&str>, path: Option<&str>) -> Outcome<()> {
        let (file, path) = (file.map(c_string).transpose()?, path.map(c_string).transpose()?);
        let pointer = |text: &Option<CString>| text.as_deref().map_or(ptr::null(), CStr::as_ptr);
        error::clear_queue();
        // SAFETY: the context is alive, the strings terminated or null.
        if unsafe { sys::SSL_CTX_load_verify_locations(self.ctx(), pointer(&file), pointer(&path)) } == 1 {
            Ok(())
        } else {
            Err(Failure::from_queue("trust anchors not loaded"))
        }
    }

    pub fn trust_anchors(&self) -> Outcome<Vec<Vec<u8>>> {
        // SAFETY: the store belongs to the living context; the stack of references is ours and freed by Chain.
        unsafe {
            let all = Chain(sys::X509_STORE_get1_all_certs(sys::SSL_CTX_get_cert_store(self.ctx())));
            x509::stack_to_der(all.0)
        }
    }

    pub fn set_verify_flags(&mut self, flags: u64) -> Outcome<()> {
        // SAFETY: the parameters belong to the living context.
        let done = unsafe {
            let param = sys::SSL_CTX_get0_param(self.ctx());
            let old = sys::X509_VERIFY_PARAM_get_flags(param);
            sys::X509_VERIFY_PARAM_clear_flags(param, old) == 1 && sys::X509_VERIFY_PARAM_set_flags(param, flags) == 1
        };
        if done {
            Ok(())
        } else {
            Err(Failure::from_queue("verification flags not accepted"))
        }
    }

    pub fn set_host_flags(&mut self, flags: u32) {
        // SAFETY: the parameters belong to the living context.
        unsafe { sys::X509_VERIFY_PARAM_set_hostflags(sys::SSL_CTX_get0_param(self.ctx()), flags) };
    }
}
