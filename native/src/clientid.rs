//! `dane_clientid` (draft-ietf-dance-client-auth-13 section 7) as a custom extension.
//!
//! Shape only: lengths, who may send it and how often. What a name must look like, and whether its owner may come in,
//! is decided elsewhere.

use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::state::{self, guarded, State};
use openssl_sys as sys;
use std::ffi::{c_int, c_uchar, c_uint, c_void};
use std::ptr;

const DECODE_ERROR: c_int = 50;
const ILLEGAL_PARAMETER: c_int = 47;
const INTERNAL_ERROR: c_int = 80;
const UNSUPPORTED_EXTENSION: c_int = 110;

/// Without RAW_PUBLIC_KEY the client silently omits the extension beside a raw public key.
const CONTEXT: c_uint =
    sys::SSL_EXT_TLS1_3_CERTIFICATE_REQUEST | sys::SSL_EXT_TLS1_3_CERTIFICATE | ffi::SSL_EXT_TLS1_3_RAW_PUBLIC_KEY;

/// A zero-length ClientName: what a server's CertificateRequest carries.
static REQUEST: [u8; 1] = [0];

pub fn register(ctx: *mut sys::SSL_CTX, code_point: u16) -> Outcome<()> {
    error::clear_queue();
    // SAFETY: ctx is alive and not yet used by a connection; the callbacks are static.
    unsafe {
        if sys::SSL_extension_supported(c_uint::from(code_point)) == 1 {
            return Err(Failure::argument(format!("extension {code_point} is OpenSSL's own")));
        }
        let added = sys::SSL_CTX_add_custom_ext(
            ctx,
            c_uint::from(code_point),
            CONTEXT,
            Some(on_add),
            None,
            ptr::null_mut(),
            Some(on_parse),
            ptr::null_mut(),
        );
        if added == 1 {
            Ok(())
        } else {
            Err(Failure::from_queue("the extension could not be registered"))
        }
    }
}

extern "C" fn on_add(
    ssl: *mut sys::SSL,
    _code_point: c_uint,
    context: c_uint,
    out: *mut *const c_uchar,
    out_length: *mut usize,
    _certificate: *mut sys::X509,
    entry: usize,
    _alert: *mut c_int,
    _arg: *mut c_void,
) -> c_int {
    // SAFETY: OpenSSL passes a live connection and two places for the answer; it copies the octets before it returns to
    // us, and they live as long as the connection.
    unsafe {
        let Some(state) = state::of(ssl) else { return 0 };
        let data: &[u8] = if context & sys::SSL_EXT_TLS1_3_CERTIFICATE_REQUEST != 0 {
            if !state.clientid_wanted {
                return 0;
            }
            state.clientid_requested.set(true);
            &REQUEST
        } else {
            // OpenSSL asks for a client's Certificate only after the server's request was seen; a server's own
            // Certificate and every entry but the first go without.
            if entry > 0 || !state.clientid_requested.get() || state.client_name.is_empty() {
                return 0;
            }
            &state.client_name
        };
        *out = data.as_ptr();
        *out_length = data.len();
        1
    }
}

extern "C" fn on_parse(
    ssl: *mut sys::SSL,
    _code_point: c_uint,
    context: c_uint,
    data: *const c_uchar,
    length: usize,
    _certificate: *mut sys::X509,
    entry: usize,
    alert: *mut c_int,
    _arg: *mut c_void,
) -> c_int {
    // SAFETY: OpenSSL passes a live connection, `length` readable octets and a place for the alert.
    unsafe {
        *alert = INTERNAL_ERROR;
        let Some(state) = state::of(ssl) else { return 0 };
        let data = if length == 0 { &[][..] } else { std::slice::from_raw_parts(data, length) };
        let server = sys::SSL_is_server(ssl) == 1;
        let verdict = guarded(Err(INTERNAL_ERROR), || {
            let name = client_name(data)?;
            if context & sys::SSL_EXT_TLS1_3_CERTIFICATE_REQUEST != 0 {
                take_request(state, name)
            } else if server {
                take_answer(state, name, entry)
            } else {
                Err(UNSUPPORTED_EXTENSION)
            }
        });
        match verdict {
            Ok(()) => 1,
            Err(description) => {
                *alert = description;
                0
            }
        }
    }
}

/// `opaque ClientName<0..2^8-1>`, and nothing behind it.
fn client_name(data: &[u8]) -> Result<&[u8], c_int> {
    match data.split_first() {
        Some((&length, name)) if usize::from(length) == name.len() => Ok(name),
        _ => Err(DECODE_ERROR),
    }
}

fn take_request(state: &State, name: &[u8]) -> Result<(), c_int> {
    if !name.is_empty() {
        return Err(ILLEGAL_PARAMETER);
    }
    state.clientid_requested.set(true);
    Ok(())
}

fn take_answer(state: &State, name: &[u8], entry: usize) -> Result<(), c_int> {
    if !state.clientid_requested.get() {
        return Err(UNSUPPORTED_EXTENSION);
    }
    let mut names = state.client_names.borrow_mut();
    if !names.is_empty() {
        return Err(ILLEGAL_PARAMETER);
    }
    let entry = u32::try_from(entry).map_err(|_| ILLEGAL_PARAMETER)?;
    names.push((entry, name.to_vec()));
    Ok(())
}
