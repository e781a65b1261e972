//! What OpenSSL's callbacks learn about one connection, and the callbacks that only take notes.
//!
//! A callback runs inside a call on its connection, under that connection's lock and on its thread: cells are enough.

use crate::carried_chain;
use crate::clientid;
use crate::dnssec_chain;
use crate::dtls;
use crate::error;
use crate::ffi;
use crate::flags;
use crate::ticket_keys;
use openssl_sys as sys;
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// A NewSessionTicket that is about to be written.
pub struct Ticket {
    pub lifetime: u32,
    pub application_data: Vec<u8>,
}

/// An owned reference to an SSL_SESSION.
pub struct Session(pub *mut sys::SSL_SESSION);

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and given back once.
        unsafe { sys::SSL_SESSION_free(self.0) }
    }
}

#[derive(Default)]
pub struct State {
    pub clientid: clientid::Cells,
    pub dnssec_chain: dnssec_chain::Cells,
    pub carried_chain: carried_chain::Cells,
    pub flags: flags::Cells,
    pub dtls: dtls::Cells,
    /// Server: ALPN protocols in preference order, wire form.
    pub alpn: Arc<[u8]>,
    /// RFC 7250 types this side may show.
    pub own_types: Vec<u8>,
    pub certificate_requested: Cell<bool>,
    /// Client: a request after the handshake ends the connection.
    pub late_forbidden: Cell<bool>,
    /// The peer's raw public key as it was sent; nothing with certificates, and after resumption.
    pub peer_spki: RefCell<Option<Vec<u8>>>,
    pub alert_received: Cell<Option<u8>>,
    pub alert_sent: Cell<Option<u8>>,
    pub key_log: RefCell<Vec<String>>,
    pub session: RefCell<Option<Session>>,
    pub ticket: RefCell<Option<Ticket>>,
    /// Server: what seals and opens tickets; OpenSSL's own keys otherwise.
    pub ticket_keys: Option<Arc<ticket_keys::Ring>>,
}

/// Runs a callback's body; a panic becomes `otherwise`, since it may not unwind into C.
pub fn guarded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

fn index() -> c_int {
    static INDEX: OnceLock<c_int> = OnceLock::new();
    // SAFETY: no callbacks are registered with the index.
    *INDEX.get_or_init(|| unsafe { sys::SSL_get_ex_new_index(0, ptr::null_mut(), None, None, None) })
}

/// Lets callbacks find `state`, which must outlive `ssl`.
pub fn attach(ssl: *mut sys::SSL, state: &Rc<State>) -> bool {
    // SAFETY: ssl is alive; the pointer is only turned back by [`of`].
    unsafe { sys::SSL_set_ex_data(ssl, index(), Rc::as_ptr(state).cast_mut().cast()) == 1 }
}

/// The state of a connection; none for the connections of the alert self-test.
///
/// # Safety
/// `ssl` is alive, and the result is not kept beyond the callback.
pub unsafe fn of<'a>(ssl: *const sys::SSL) -> Option<&'a State> {
    // SAFETY: the caller's; the slot holds null or what attach put there.
    unsafe { sys::SSL_get_ex_data(ssl, index()).cast::<State>().as_ref() }
}

pub extern "C" fn on_info(ssl: *const sys::SSL, place: c_int, value: c_int) {
    if place & ffi::SSL_CB_ALERT == 0 {
        return;
    }
    let description = (value & 0xff) as u8;
    // close_notify and user_canceled end a connection in order; they are nobody's error.
    if description == 0 || description == 90 {
        return;
    }
    guarded((), || {
        // SAFETY: OpenSSL passes a live connection.
        if let Some(state) = unsafe { of(ssl) } {
            let cell = if place & ffi::SSL_CB_READ != 0 { &state.alert_received } else { &state.alert_sent };
            cell.set(Some(description));
        }
    });
}

pub extern "C" fn on_key_log(ssl: *const sys::SSL, line: *const c_char) {
    guarded((), || {
        // SAFETY: OpenSSL passes a live connection.
        if let Some(state) = unsafe { of(ssl) } {
            state.key_log.borrow_mut().push(error::text(line));
        }
    });
}

/// Client: a session that can be resumed has arrived. 1 keeps the reference.
pub extern "C" fn on_new_session(ssl: *mut sys::SSL, session: *mut sys::SSL_SESSION) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes a live connection.
        let Some(state) = (unsafe { of(ssl) }) else { return 0 };
        *state.session.borrow_mut() = Some(Session(session));
        1
    })
}

/// Client: the server asked for a certificate. A server that does not know RFC 7250 means X.509: a client that may not
/// show one then shows nothing.
pub extern "C" fn on_certificate_wanted(ssl: *mut sys::SSL, _arg: *mut c_void) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes a live connection.
        let Some(state) = (unsafe { of(ssl) }) else { return 1 };
        state.certificate_requested.set(true);
        state.clientid.begin_answer();
        state.carried_chain.begin_answer();
        if state.late_forbidden.get() {
            return 0;
        }
        // SAFETY: as above; the type was negotiated before the request came.
        unsafe {
            let kind = ffi::SSL_get_negotiated_client_cert_type(ssl);
            if !state.own_types.iter().any(|own| c_int::from(*own) == kind) {
                ffi::SSL_certs_clear(ssl);
            }
        }
        1
    })
}

/// Server: a ClientHello was read. TLS 1.2 would send a ticket inside its handshake, before anybody has spoken about the
/// client; and who asks only clients that signal knows now.
pub extern "C" fn on_client_hello(ssl: *mut sys::SSL, _arg: *mut c_void) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes a live connection.
        unsafe {
            if let Some(state) = of(ssl).filter(|state| state.flags.decides) {
                let mode = if state.flags.received() || state.clientid.offered() {
                    sys::SSL_VERIFY_PEER
                } else {
                    sys::SSL_VERIFY_NONE
                };
                sys::SSL_set_verify(ssl, mode, None);
            }
            if sys::SSL_version(ssl) != sys::TLS1_3_VERSION {
                ffi::SSL_set_options(ssl, ffi::SSL_OP_NO_TICKET);
            }
        }
        1
    })
}

/// Server: fills in what [`Ticket`] says.
pub extern "C" fn on_generate_ticket(ssl: *mut sys::SSL, _arg: *mut c_void) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes a live connection whose session it is about to seal; application data is copied.
        unsafe {
            let Some(ticket) = of(ssl).and_then(|state| state.ticket.borrow_mut().take()) else { return 0 };
            let session = sys::SSL_get_session(ssl);
            ffi::SSL_SESSION_set_timeout(session, c_long::from(ticket.lifetime));
            let data = &ticket.application_data;
            ffi::SSL_SESSION_set1_ticket_appdata(session, data.as_ptr().cast(), data.len())
        }
    })
}

/// Server: a ticket we cannot open is a full handshake, never an error.
pub extern "C" fn on_decrypt_ticket(
    _ssl: *mut sys::SSL,
    _session: *mut sys::SSL_SESSION,
    _key_name: *const c_uchar,
    _key_name_length: usize,
    status: c_int,
    _arg: *mut c_void,
) -> c_int {
    match status {
        ffi::SSL_TICKET_SUCCESS | ffi::SSL_TICKET_SUCCESS_RENEW => ffi::SSL_TICKET_RETURN_USE,
        _ => ffi::SSL_TICKET_RETURN_IGNORE,
    }
}

/// Server: our order decides; no protocol in common is no_application_protocol.
pub extern "C" fn on_alpn(
    ssl: *mut sys::SSL,
    out: *mut *const c_uchar,
    out_length: *mut c_uchar,
    offered: *const c_uchar,
    offered_length: c_uint,
    _arg: *mut c_void,
) -> c_int {
    guarded(sys::SSL_TLSEXT_ERR_ALERT_FATAL, || {
        // SAFETY: OpenSSL passes a live connection and a well-formed list; the choice points into one of the two lists,
        // and both outlive the callback (ours lives as long as the connection).
        unsafe {
            let Some(state) = of(ssl) else { return sys::SSL_TLSEXT_ERR_NOACK };
            let Ok(length) = c_uint::try_from(state.alpn.len()) else { return sys::SSL_TLSEXT_ERR_ALERT_FATAL };
            let mut chosen: *mut c_uchar = ptr::null_mut();
            let ours = state.alpn.as_ptr();
            let result = sys::SSL_select_next_proto(&mut chosen, out_length, ours, length, offered, offered_length);
            if result != sys::OPENSSL_NPN_NEGOTIATED {
                return sys::SSL_TLSEXT_ERR_ALERT_FATAL;
            }
            *out = chosen;
            sys::SSL_TLSEXT_ERR_OK
        }
    })
}
