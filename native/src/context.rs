//! An SSL_CTX and how one is born: what every connection of this crate has in common, before any setting.

use crate::dtls;
use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::shown_key;
use crate::state;
use openssl_sys as sys;
use std::ptr;
use std::sync::Once;

/// Sessions are bound to this crate's contexts; OpenSSL refuses to resume a verified peer without a name here.
const SESSION_CONTEXT: &[u8] = b"dnsbound";

/// Options that are never off: renegotiation is a second handshake nobody judged, compression leaks (CRIME).
pub const ALWAYS_SET: u64 = ffi::SSL_OP_NO_RENEGOTIATION | ffi::SSL_OP_NO_COMPRESSION;
/// Options that are never on: a truncated stream must not look like an ended one, old renegotiation must not come back,
/// and no session resumes without a key exchange of its own, or whoever gets a ticket key later could read it.
pub const NEVER_SET: u64 =
    ffi::SSL_OP_IGNORE_UNEXPECTED_EOF | ffi::SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION | ffi::SSL_OP_ALLOW_NO_DHE_KEX;

/// An owned SSL_CTX. It is only written while its Config is not frozen, under that Config's lock.
pub struct Context(*mut sys::SSL_CTX);

// SAFETY: OpenSSL counts references atomically, and a context that is no longer written may be shared.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and given back once.
        unsafe { sys::SSL_CTX_free(self.0) }
    }
}

impl Context {
    pub fn new(server_side: bool, datagram: bool) -> Outcome<Self> {
        initialise();
        error::clear_queue();
        // SAFETY: the methods are static.
        let ctx = unsafe {
            sys::SSL_CTX_new(match (datagram, server_side) {
                (false, true) => sys::TLS_server_method(),
                (false, false) => sys::TLS_client_method(),
                (true, true) => sys::DTLS_server_method(),
                (true, false) => sys::DTLS_client_method(),
            })
        };
        if ctx.is_null() {
            return Err(Failure::from_queue("no SSL_CTX"));
        }
        let context = Context(ctx);
        context.prepare(server_side, datagram)?;
        Ok(context)
    }

    pub fn as_ptr(&self) -> *mut sys::SSL_CTX {
        self.0
    }

    fn prepare(&self, server_side: bool, datagram: bool) -> Outcome<()> {
        let ctx = self.0;
        // SAFETY: ctx is alive and ours alone; every callback is a static function that fits its slot.
        let done = unsafe {
            sys::SSL_CTX_set_options(ctx, ALWAYS_SET | ffi::SSL_OP_NO_TICKET);
            sys::SSL_CTX_clear_options(ctx, NEVER_SET);
            sys::SSL_CTX_ctrl(
                ctx,
                sys::SSL_CTRL_MODE,
                sys::SSL_MODE_RELEASE_BUFFERS | sys::SSL_MODE_NO_AUTO_CHAIN,
                ptr::null_mut(),
            );
            ffi::SSL_CTX_set_info_callback(ctx, Some(state::on_info));
            ffi::SSL_CTX_set_msg_callback(ctx, Some(shown_key::on_message));
            let param = sys::SSL_CTX_get0_param(ctx);
            let hosts = ffi::X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | ffi::X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
            sys::X509_VERIFY_PARAM_set_hostflags(param, hosts);
            let role = if server_side { prepare_server(ctx) } else { prepare_client(ctx) };
            if datagram {
                prepare_datagrams(ctx, server_side);
            }
            let known = versions(datagram);
            role && self.limit_versions(known[0], known[known.len() - 1])
        };
        if done {
            Ok(())
        } else {
            Err(Failure::from_queue("the SSL_CTX could not be prepared"))
        }
    }

    pub fn limit_versions(&self, minimum: i32, maximum: i32) -> bool {
        // SAFETY: ctx is alive; the two controls take a number.
        unsafe {
            sys::SSL_CTX_ctrl(self.0, ffi::SSL_CTRL_SET_MIN_PROTO_VERSION, minimum.into(), ptr::null_mut()) == 1
                && sys::SSL_CTX_ctrl(self.0, ffi::SSL_CTRL_SET_MAX_PROTO_VERSION, maximum.into(), ptr::null_mut()) == 1
        }
    }
}

/// What can be spoken, oldest first. OpenSSL has no DTLS 1.3: 0xfefc would stand behind 0xfefd.
pub fn versions(datagram: bool) -> &'static [i32] {
    if datagram {
        &[sys::DTLS1_2_VERSION]
    } else {
        &[sys::TLS1_2_VERSION, sys::TLS1_3_VERSION]
    }
}

/// Datagrams know no resumption: no ticket is asked for, none is kept.
///
/// # Safety
/// `ctx` is alive and not shared.
unsafe fn prepare_datagrams(ctx: *mut sys::SSL_CTX, server_side: bool) {
    // SAFETY: the caller's.
    unsafe {
        sys::SSL_CTX_set_options(ctx, ffi::SSL_OP_NO_TICKET);
        sys::SSL_CTX_ctrl(ctx, sys::SSL_CTRL_SET_SESS_CACHE_MODE, sys::SSL_SESS_CACHE_OFF, ptr::null_mut());
    }
    if server_side {
        dtls::expect_cookies(ctx);
    }
}

/// # Safety
/// `ctx` is a server's, alive and not shared.
unsafe fn prepare_server(ctx: *mut sys::SSL_CTX) -> bool {
    // SAFETY: the caller's; every callback is a static function that fits its slot.
    unsafe {
        sys::SSL_CTX_ctrl(ctx, sys::SSL_CTRL_SET_SESS_CACHE_MODE, sys::SSL_SESS_CACHE_OFF, ptr::null_mut());
        ffi::SSL_CTX_set_cert_cb(ctx, Some(state::on_client_hello), ptr::null_mut());
        sys::SSL_CTX_set_num_tickets(ctx, 0) == 1
            && sys::SSL_CTX_set_session_id_context(ctx, SESSION_CONTEXT.as_ptr(), SESSION_CONTEXT.len() as u32) == 1
            && ffi::SSL_CTX_set_session_ticket_cb(
                ctx,
                Some(state::on_generate_ticket),
                Some(state::on_decrypt_ticket),
                ptr::null_mut(),
            ) == 1
    }
}

/// # Safety
/// `ctx` is a client's, alive and not shared.
unsafe fn prepare_client(ctx: *mut sys::SSL_CTX) -> bool {
    // SAFETY: as for the server.
    unsafe {
        // A client may always take a ticket; NO_TICKET would only hide TLS 1.2's.
        sys::SSL_CTX_clear_options(ctx, ffi::SSL_OP_NO_TICKET);
        let mode = sys::SSL_SESS_CACHE_CLIENT | sys::SSL_SESS_CACHE_NO_INTERNAL;
        sys::SSL_CTX_ctrl(ctx, sys::SSL_CTRL_SET_SESS_CACHE_MODE, mode, ptr::null_mut());
        sys::SSL_CTX_sess_set_new_cb(ctx, Some(state::on_new_session));
        ffi::SSL_CTX_set_cert_cb(ctx, Some(state::on_certificate_wanted), ptr::null_mut());
        ffi::SSL_CTX_dane_enable(ctx) == 1
    }
}

/// A vendored OpenSSL reads no configuration file: its compiled-in place is nobody's. No exit handler, since daemon
/// threads may still be inside.
fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let config = if cfg!(vendored_openssl) { ffi::OPENSSL_INIT_NO_LOAD_CONFIG } else { 0 };
        // SAFETY: no settings are passed.
        unsafe { sys::OPENSSL_init_ssl(config | ffi::OPENSSL_INIT_NO_ATEXIT, ptr::null()) };
    });
}
