//! Taking any certificate or raw key: no chain, no dates, no names. TLS still checks possession, and a key below the
//! Config's security level is as weak here as anywhere.

use crate::ffi;
use crate::state::guarded;
use openssl_sys as sys;
use std::ffi::{c_int, c_void};

/// Security bits that levels 1 to 5 ask for (SSL_CTX_set_security_level).
const BITS: [c_int; 5] = [80, 112, 128, 192, 256];

/// Stands in for OpenSSL's verification (SSL_CTX_set_cert_verify_callback); 1 accepts.
pub extern "C" fn on_verify(ctx: *mut sys::X509_STORE_CTX, _arg: *mut c_void) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes a live verification.
        let strong = unsafe { is_strong(ctx) };
        let result = if strong { sys::X509_V_OK } else { sys::X509_V_ERR_EE_KEY_TOO_SMALL };
        // SAFETY: as above.
        unsafe { sys::X509_STORE_CTX_set_error(ctx, result) };
        c_int::from(strong)
    })
}

/// # Safety
/// `ctx` is alive, with a certificate or a raw key to verify.
unsafe fn is_strong(ctx: *mut sys::X509_STORE_CTX) -> bool {
    // SAFETY: the caller's; parameters, certificate and key belong to ctx.
    unsafe {
        let level = ffi::X509_VERIFY_PARAM_get_auth_level(ffi::X509_STORE_CTX_get0_param(ctx));
        let raw = ffi::X509_STORE_CTX_get0_rpk(ctx);
        let key = if raw.is_null() { ffi::X509_get0_pubkey(ffi::X509_STORE_CTX_get0_cert(ctx)) } else { raw };
        if key.is_null() {
            return false;
        }
        match usize::try_from(level) {
            Ok(level) if level > 0 => {
                let least = BITS.get(level - 1).copied().unwrap_or(c_int::MAX);
                ffi::EVP_PKEY_get_security_bits(key) >= least
            }
            _ => true,
        }
    }
}
