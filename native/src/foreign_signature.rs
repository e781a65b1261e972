//! Signing with a key of [`foreign_key`](crate::foreign_key): the provider's one operation.

use crate::error;
use crate::ffi::{self, dispatch, Dispatch};
use crate::foreign_key::{key_of, KeyData, Kind};
use crate::state::guarded;
use openssl_sys as sys;
use std::ffi::{c_char, c_int, c_uchar, c_void, CStr};
use std::ptr;
use std::sync::Arc;

pub static FUNCTIONS: [Dispatch; 7] = dispatch![
    1 => signature_new,
    8 => digest_sign_init,
    11 => digest_sign,
    16 => signature_free,
    20 => signature_set_params,
    21 => signature_settable,
];

/// One signature under way.
#[derive(Default)]
struct Signing {
    key: KeyData,
    /// Bits of the hash, where the scheme has one.
    hash: Option<u32>,
    pss: bool,
}

impl Signing {
    fn scheme(&self) -> Option<u16> {
        let by_hash = |first: u16, step: u16| match self.hash {
            Some(256) => Some(first),
            Some(384) => Some(first + step),
            Some(512) => Some(first + 2 * step),
            _ => None,
        };
        match self.key.as_ref()?.kind {
            Kind::Ec => by_hash(0x0403, 0x0100),
            Kind::Rsa if self.pss => by_hash(0x0804, 1),
            Kind::Rsa => by_hash(0x0401, 0x0100),
            Kind::Whole(scheme) => self.hash.is_none().then_some(scheme),
        }
    }
}

unsafe extern "C" fn signature_new(_context: *mut c_void, _properties: *const c_char) -> *mut c_void {
    Box::into_raw(Box::<Signing>::default()).cast()
}

unsafe extern "C" fn signature_free(signing: *mut c_void) {
    if !signing.is_null() {
        // SAFETY: made by signature_new, freed once.
        drop(unsafe { Box::from_raw(signing.cast::<Signing>()) });
    }
}

unsafe extern "C" fn digest_sign_init(
    signing: *mut c_void,
    digest: *const c_char,
    key: *mut c_void,
    parameters: *const sys::OSSL_PARAM,
) -> c_int {
    // SAFETY: signing is signature_new's, key null or key_new's, the name terminated or null.
    unsafe {
        let Some(state) = signing.cast::<Signing>().as_mut() else { return 0 };
        if let Some(key) = key_of(key) {
            state.key = Some(Arc::clone(key));
        }
        let name = error::text(digest);
        state.pss = false;
        state.hash = if name.is_empty() { None } else { hash_bits(&name).or(Some(0)) };
        signature_set_params(signing, parameters)
    }
}

/// SHA-2 under any of OpenSSL's names for it: SHA256, SHA2-256.
fn hash_bits(name: &str) -> Option<u32> {
    let name = name.strip_prefix("SHA2-").or_else(|| name.strip_prefix("SHA"))?;
    name.parse().ok()
}

/// libssl sets an RSA key's padding, and PSS' salt to the hash's length, which is all that TLS knows.
unsafe extern "C" fn signature_set_params(signing: *mut c_void, parameters: *const sys::OSSL_PARAM) -> c_int {
    // SAFETY: signing is signature_new's; a parameter is read as the type it says it has.
    unsafe {
        let Some(state) = signing.cast::<Signing>().as_mut() else { return 0 };
        if parameters.is_null() {
            return 1;
        }
        let padding = sys::OSSL_PARAM_locate_const(parameters, PADDING.as_ptr());
        if !padding.is_null() {
            // A wrong guess of the type would stay on the error queue, where libssl takes it for a failure.
            let (mut text, mut number) = (ptr::null(), 0);
            state.pss = if (*padding).data_type == ffi::OSSL_PARAM_UTF8_STRING {
                sys::OSSL_PARAM_get_utf8_string_ptr(padding, &mut text) == 1 && error::text(text) == "pss"
            } else {
                ffi::OSSL_PARAM_get_int(padding, &mut number) == 1 && number == sys::RSA_PKCS1_PSS_PADDING
            };
        }
        1
    }
}

const PADDING: &CStr = c"pad-mode";

static SETTABLE: ffi::Parameters<3> = ffi::Parameters([
    ffi::parameter(PADDING, ffi::OSSL_PARAM_UTF8_STRING, ptr::null_mut(), 0),
    ffi::parameter(c"saltlen", ffi::OSSL_PARAM_UTF8_STRING, ptr::null_mut(), 0),
    ffi::no_parameter(),
]);

unsafe extern "C" fn signature_settable(_signing: *mut c_void, _context: *mut c_void) -> *const sys::OSSL_PARAM {
    SETTABLE.0.as_ptr()
}

/// The whole message at once; asked for the length alone, when there is nowhere to put the signature.
unsafe extern "C" fn digest_sign(
    signing: *mut c_void,
    out: *mut c_uchar,
    out_length: *mut usize,
    room: usize,
    message: *const c_uchar,
    message_length: usize,
) -> c_int {
    guarded(0, || {
        // SAFETY: signing is signature_new's; OpenSSL passes `room` writable and `message_length` readable octets.
        unsafe {
            let Some(state) = signing.cast::<Signing>().as_ref() else { return 0 };
            let Some(key) = &state.key else { return 0 };
            if out.is_null() {
                *out_length = key.longest;
                return 1;
            }
            let Some(scheme) = state.scheme() else { return 0 };
            let message = std::slice::from_raw_parts(message, message_length);
            let Some(signature) = key.signer.sign(scheme, message, key.longest.min(room)) else { return 0 };
            // Whatever a signer did with OpenSSL on this thread is no error of this connection.
            error::clear_queue();
            ptr::copy_nonoverlapping(signature.as_ptr(), out, signature.len());
            *out_length = signature.len();
            1
        }
    })
}
