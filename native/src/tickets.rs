//! Session tickets that are only sent when somebody asks for one, with data of the caller's sealed inside.
//!
//! OpenSSL keeps the peer's leaf certificate or raw key in a ticket, not the rest of its chain.

use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::state::Ticket;
use crate::tls::Tls;
use crate::x509;
use openssl_sys as sys;
use std::ptr;

/// Seven days, in seconds (RFC 9846 section 4.7.1).
pub const LONGEST: u32 = 7 * 24 * 3600;
/// Sealed data at most, in octets: with the peer's certificate beside it a ticket has to stay below 64 KiB.
pub const MOST_DATA: usize = 16 * 1024;

pub fn send(tls: &mut Tls, lifetime: u32, application_data: &[u8]) -> Outcome<()> {
    tls.established()?;
    if !tls.server_side || tls.version() != sys::TLS1_3_VERSION {
        return Err(Failure::State("only a TLS 1.3 server sends tickets"));
    }
    if tls.ticket_lifetime == 0 {
        return Err(Failure::State("tickets are off: Config.set_tickets"));
    }
    if lifetime == 0 {
        return Err(Failure::argument("a ticket lives one second at least"));
    }
    if application_data.len() > MOST_DATA {
        return Err(Failure::argument(format!("application data has {MOST_DATA} octets at most")));
    }
    error::clear_queue();
    let lifetime = lifetime.min(tls.ticket_lifetime);
    *tls.state.ticket.borrow_mut() = Some(Ticket { lifetime, application_data: application_data.to_vec() });
    // SAFETY: the SSL is alive; the second call writes the ticket that the first one announces.
    let done = unsafe { ffi::SSL_new_session_ticket(tls.as_ptr()) == 1 && sys::SSL_do_handshake(tls.as_ptr()) == 1 };
    let unsent = tls.state.ticket.borrow_mut().take();
    if done && unsent.is_none() {
        return Ok(());
    }
    let report = error::Report::from_queue("the ticket could not be sent");
    Err(tls.fail(report))
}

/// What the ticket of a resumed server connection carries.
pub fn sealed_data(tls: &Tls) -> Option<Vec<u8>> {
    if !tls.server_side || !reused(tls) {
        return None;
    }
    let (mut data, mut length) = (ptr::null_mut(), 0);
    // SAFETY: the SSL is alive; the data belongs to its session and is copied at once.
    unsafe {
        let session = sys::SSL_get_session(tls.as_ptr());
        if session.is_null() || ffi::SSL_SESSION_get0_ticket_appdata(session, &mut data, &mut length) != 1 {
            return None;
        }
        if data.is_null() {
            return None;
        }
        Some(std::slice::from_raw_parts(data.cast::<u8>(), length).to_vec())
    }
}

pub fn reused(tls: &Tls) -> bool {
    // SAFETY: the SSL is alive.
    unsafe { sys::SSL_session_reused(tls.as_ptr()) == 1 }
}

/// Client: the newest session, serialised.
pub fn session(tls: &Tls) -> Outcome<Option<Vec<u8>>> {
    tls.state
        .session
        .borrow()
        .as_ref()
        // SAFETY: the session is alive; encode gives either null or a buffer of the length it was told.
        .map(|session| x509::encode(|out| unsafe { sys::i2d_SSL_SESSION(session.0, out) }))
        .transpose()
}
