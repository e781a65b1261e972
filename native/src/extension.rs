//! TLS extensions of our own: what one has to answer, and the callbacks that carry it into OpenSSL.
//!
//! An extension is a type that says what to add to a message and what to make of what arrives. What it was told and
//! what it learnt about a connection are its cells inside [`State`]. Not here: any extension's rules.

use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::state::{self, guarded, State};
use openssl_sys as sys;
use std::ffi::{c_int, c_uchar, c_uint, c_void};
use std::ptr;

/// An AlertDescription (RFC 9846 section 6).
pub type Alert = c_int;

/// Of one extension_data: a block of extensions has at most 65535 octets, and this one is not alone in it.
pub const MOST_OCTETS: usize = 65_000;

pub const ILLEGAL_PARAMETER: Alert = 47;
pub const DECODE_ERROR: Alert = 50;
pub const INTERNAL_ERROR: Alert = 80;
pub const UNSUPPORTED_EXTENSION: Alert = 110;

/// A Certificate's entry. Without RAW_PUBLIC_KEY a client silently omits an extension beside a raw public key.
pub const CERTIFICATE: c_uint = sys::SSL_EXT_TLS1_3_CERTIFICATE | ffi::SSL_EXT_TLS1_3_RAW_PUBLIC_KEY;
pub const CERTIFICATE_REQUEST: c_uint = sys::SSL_EXT_TLS1_3_CERTIFICATE_REQUEST;
pub const CLIENT_HELLO: c_uint = sys::SSL_EXT_CLIENT_HELLO;
/// Of TLS 1.2 and DTLS 1.2.
pub const TLS12_SERVER_HELLO: c_uint = sys::SSL_EXT_TLS1_2_SERVER_HELLO;

/// One block of extensions that is being written or read.
pub struct Message {
    ssl: *const sys::SSL,
    context: c_uint,
    /// This side is the server.
    pub server: bool,
    /// Which entry of a Certificate; 0 in every other message.
    pub entry: usize,
}

impl Message {
    /// The message is one of these (SSL_EXT_ bits).
    pub fn is(&self, messages: c_uint) -> bool {
        self.context & messages != 0
    }

    /// SNI, as received or sent.
    pub fn server_name(&self) -> Option<String> {
        // SAFETY: a Message is made and gone within a callback of its live connection; the name is copied.
        let name = error::text(unsafe { sys::SSL_get_servername(self.ssl, sys::TLSEXT_NAMETYPE_host_name) });
        (!name.is_empty()).then_some(name)
    }
}

/// A custom extension. OpenSSL itself keeps an answer (ServerHello, Certificate, ...) from being written when the
/// question was not read, and a server's answer from being read when the question was not written.
pub trait Extension {
    /// The extension_data to write, nothing to leave the extension out.
    fn add<'a>(state: &'a State, message: &Message) -> Result<Option<&'a [u8]>, Alert>;

    /// Takes note of an extension_data that arrived, or says which alert ends the handshake.
    fn take(state: &State, message: &Message, data: &[u8]) -> Result<(), Alert>;
}

/// Speaks `E` under `code_point` in `messages` (SSL_EXT_ bits); in any other message a copy is illegal_parameter.
pub fn register<E: Extension>(ctx: *mut sys::SSL_CTX, code_point: u16, messages: c_uint) -> Outcome<()> {
    error::clear_queue();
    // SAFETY: ctx is alive and not yet used by a connection; the callbacks are static.
    unsafe {
        if sys::SSL_extension_supported(c_uint::from(code_point)) == 1 {
            return Err(Failure::argument(format!("extension {code_point} is OpenSSL's own")));
        }
        let added = sys::SSL_CTX_add_custom_ext(
            ctx,
            c_uint::from(code_point),
            messages,
            Some(on_add::<E>),
            None,
            ptr::null_mut(),
            Some(on_parse::<E>),
            ptr::null_mut(),
        );
        if added == 1 {
            Ok(())
        } else {
            Err(Failure::from_queue("the extension could not be registered"))
        }
    }
}

extern "C" fn on_add<E: Extension>(
    ssl: *mut sys::SSL,
    _code_point: c_uint,
    context: c_uint,
    out: *mut *const c_uchar,
    out_length: *mut usize,
    _certificate: *mut sys::X509,
    entry: usize,
    alert: *mut c_int,
    _arg: *mut c_void,
) -> c_int {
    // SAFETY: OpenSSL passes a live connection and places for the answer; it copies the octets before it returns to us,
    // and they live as long as the connection.
    unsafe {
        let Some(state) = state::of(ssl) else { return 0 };
        let message = Message { ssl, context, server: sys::SSL_is_server(ssl) == 1, entry };
        match guarded(Err(INTERNAL_ERROR), || E::add(state, &message)) {
            Ok(Some(data)) => {
                *out = data.as_ptr();
                *out_length = data.len();
                1
            }
            Ok(None) => 0,
            Err(description) => {
                *alert = description;
                -1
            }
        }
    }
}

extern "C" fn on_parse<E: Extension>(
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
        let message = Message { ssl, context, server: sys::SSL_is_server(ssl) == 1, entry };
        match guarded(Err(INTERNAL_ERROR), || E::take(state, &message, data)) {
            Ok(()) => 1,
            Err(description) => {
                *alert = description;
                0
            }
        }
    }
}
