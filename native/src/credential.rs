//! What this end shows and signs with: a private key of this process, or one elsewhere.
//!
//! Which signature algorithms the peer may use, and which the own key does, are one list in OpenSSL unless told
//! otherwise; a key elsewhere may do less than OpenSSL could with one of its kind.

use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::foreign_key;
use crate::settings::control_list;
use crate::signer::Signer;
use crate::x509::{self, Certificate, Chain, Key};
use openssl_sys as sys;
use std::ffi::{CStr, CString};

/// SignatureSchemes (RFC 9846 section 4.3.3) and OpenSSL's names for them.
const NAMES: [(u16, &str); 14] = [
    (0x0401, "rsa_pkcs1_sha256"),
    (0x0501, "rsa_pkcs1_sha384"),
    (0x0601, "rsa_pkcs1_sha512"),
    (0x0403, "ecdsa_secp256r1_sha256"),
    (0x0503, "ecdsa_secp384r1_sha384"),
    (0x0603, "ecdsa_secp521r1_sha512"),
    (0x0804, "rsa_pss_rsae_sha256"),
    (0x0805, "rsa_pss_rsae_sha384"),
    (0x0806, "rsa_pss_rsae_sha512"),
    (0x0807, "ed25519"),
    (0x0808, "ed448"),
    (0x0904, "mldsa44"),
    (0x0905, "mldsa65"),
    (0x0906, "mldsa87"),
];

/// What a server asks its clients for when nothing else was said: OpenSSL's own list, without SHA-1, SHA-224 and DSA,
/// which its security level 2 or TLS 1.3 drop anyway.
const USUAL: &CStr =
    c"mldsa65:mldsa87:mldsa44:ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512:ed25519:ed448:\
rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:\
rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512";

pub struct Settings {
    server_side: bool,
    has_key: bool,
    /// What a signer can do; nothing without one.
    own_algorithms: Option<CString>,
    /// What the peer may sign with; nothing leaves OpenSSL's list.
    accepted_algorithms: Option<CString>,
}

impl Settings {
    pub fn new(server_side: bool) -> Self {
        Settings { server_side, has_key: false, own_algorithms: None, accepted_algorithms: None }
    }

    pub fn set(&mut self, ctx: *mut sys::SSL_CTX, chain: &[Vec<u8>], private_key: &[u8]) -> Outcome<()> {
        if self.own_algorithms.is_some() {
            return Err(Failure::State("the credential's key is a signer's already"));
        }
        use_key(ctx, chain, &Key::from_pkcs8(private_key)?)?;
        self.has_key = true;
        Ok(())
    }

    pub fn set_signer(
        &mut self,
        ctx: *mut sys::SSL_CTX,
        chain: &[Vec<u8>],
        spki: &[u8],
        signer: Signer,
    ) -> Outcome<()> {
        if self.has_key || self.own_algorithms.is_some() {
            return Err(Failure::State("there is a credential already"));
        }
        let own = names(&signer.schemes)?;
        let key = foreign_key::new(spki, signer)?;
        // SAFETY: the key is alive.
        if chain.is_empty() && unsafe { x509::key_to_der(key.0) }? != spki {
            return Err(Failure::argument("a bare key is shown in OpenSSL's encoding, which is another than this one"));
        }
        use_key(ctx, chain, &key)?;
        self.apply(ctx, Some(&own), self.accepted_algorithms.as_deref())?;
        self.own_algorithms = Some(own);
        Ok(())
    }

    pub fn accept(&mut self, ctx: *mut sys::SSL_CTX, algorithms: CString) -> Outcome<()> {
        self.apply(ctx, self.own_algorithms.as_deref(), Some(&algorithms))?;
        self.accepted_algorithms = Some(algorithms);
        Ok(())
    }

    /// OpenSSL's "client" list is what a client signs with and what a server asks clients for; the other list is the
    /// other way round.
    fn apply(&self, ctx: *mut sys::SSL_CTX, own: Option<&CStr>, accepted: Option<&CStr>) -> Outcome<()> {
        let (clients, servers) = match (own, self.server_side) {
            (Some(own), true) => (Some(accepted.unwrap_or(USUAL)), Some(own)),
            (Some(own), false) => (Some(own), accepted),
            (None, _) => (None, accepted),
        };
        error::clear_queue();
        let set = |control, list: Option<&CStr>| list.is_none_or(|list| control_list(ctx, control, list.as_ptr()) == 1);
        if set(ffi::SSL_CTRL_SET_CLIENT_SIGALGS_LIST, clients) && set(ffi::SSL_CTRL_SET_SIGALGS_LIST, servers) {
            Ok(())
        } else {
            Err(Failure::from_queue("no such signature algorithms"))
        }
    }
}

fn use_key(ctx: *mut sys::SSL_CTX, chain: &[Vec<u8>], key: &Key) -> Outcome<()> {
    let mut certificates = chain.iter().map(|der| Certificate::from_der(der)).collect::<Outcome<Vec<_>>>()?;
    error::clear_queue();
    // SAFETY: the context is alive and not frozen; OpenSSL takes references of its own to all it is given.
    let done = unsafe {
        if certificates.is_empty() {
            sys::SSL_CTX_use_PrivateKey(ctx, key.0)
        } else {
            let leaf = certificates.remove(0);
            let rest = Chain::new(certificates)?;
            ffi::SSL_CTX_use_cert_and_key(ctx, leaf.0, key.0, rest.0, 1)
        }
    };
    if done == 1 {
        Ok(())
    } else {
        Err(Failure::from_queue("credential not accepted"))
    }
}

/// A list for OpenSSL.
pub fn names(schemes: &[u16]) -> Outcome<CString> {
    let name = |scheme: &u16| {
        let known = NAMES.iter().find(|(number, _)| number == scheme).map(|(_, name)| *name);
        known.ok_or_else(|| Failure::argument(format!("signature scheme 0x{scheme:04x} is not known")))
    };
    let names = schemes.iter().map(name).collect::<Outcome<Vec<_>>>()?;
    if names.is_empty() {
        return Err(Failure::argument("a signer has one signature scheme at least"));
    }
    CString::new(names.join(":")).map_err(|_| Failure::argument("a zero octet inside a name"))
}
