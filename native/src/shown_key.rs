//! The octets of the peer's raw public key as they stood in its Certificate message.
//!
//! OpenSSL keeps the key, not its octets; writing it anew costs tens of microseconds, and gives other octets where the
//! peer's encoding is not the usual one. What is noted here is shown only once OpenSSL has taken the message.

use crate::ffi;
use crate::state::{self, guarded};
use openssl_sys as sys;
use std::ffi::{c_int, c_void};

const HANDSHAKE: c_int = 22;
const CERTIFICATE: u8 = 11;
/// DTLS versions are 0xfeff and 0xfefd.
const DTLS_MAJOR: c_int = 0xfe;
/// Octets before a handshake message's body (RFC 9846 section 4, RFC 6347 section 4.2.2).
const TLS_HEADER: usize = 4;
const DTLS_HEADER: usize = 12;

/// Sees every message in both directions (SSL_CTX_set_msg_callback).
pub extern "C" fn on_message(
    written: c_int,
    version: c_int,
    content_type: c_int,
    message: *const c_void,
    length: usize,
    ssl: *mut sys::SSL,
    _arg: *mut c_void,
) {
    if written != 0 || content_type != HANDSHAKE || length <= DTLS_HEADER {
        return;
    }
    guarded((), || {
        // SAFETY: OpenSSL passes a live connection and `length` readable octets.
        unsafe {
            let message = std::slice::from_raw_parts(message.cast::<u8>(), length);
            if message[0] != CERTIFICATE || !is_raw(ssl) {
                return;
            }
            let header = if version >> 8 == DTLS_MAJOR { DTLS_HEADER } else { TLS_HEADER };
            if let Some(state) = state::of(ssl) {
                *state.peer_spki.borrow_mut() = raw_key(&message[header..], version).map(<[u8]>::to_vec);
            }
        }
    });
}

/// Whether the peer's Certificate carries a raw public key.
///
/// # Safety
/// `ssl` is alive.
unsafe fn is_raw(ssl: *const sys::SSL) -> bool {
    // SAFETY: the caller's.
    let kind = unsafe {
        if sys::SSL_is_server(ssl) == 1 {
            ffi::SSL_get_negotiated_client_cert_type(ssl)
        } else {
            ffi::SSL_get_negotiated_server_cert_type(ssl)
        }
    };
    kind == c_int::from(ffi::TLSEXT_CERT_TYPE_RPK)
}

/// TLS 1.3: certificate_request_context, then a list of entries, the key first in the first (RFC 9846 section 4.5.2).
/// Before: the key alone (RFC 7250 section 3).
fn raw_key(body: &[u8], version: c_int) -> Option<&[u8]> {
    if version != sys::TLS1_3_VERSION {
        return vector(body, 3);
    }
    let context = vector(body, 1)?;
    vector(vector(&body[1 + context.len()..], 3)?, 3)
}

/// The content of the vector at the front, whose length has `width` octets.
fn vector(octets: &[u8], width: usize) -> Option<&[u8]> {
    let length = octets.get(..width)?.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    octets.get(width..width + length)
}
