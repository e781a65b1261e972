//! A client that authenticates its server by TLSA records (RFC 6698, RFC 7671), with OpenSSL's own matching.
//!
//! Whether the records are secure, and what to do when none is usable, is the caller's to know.

use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::settings::c_string;
use crate::tls::Tls;
use std::ptr;

/// Usage, selector, matching type, certificate association data.
pub type Record = (u8, u8, u8, Vec<u8>);

pub fn set_records(tls: &mut Tls, base_domain: &str, records: &[Record]) -> Outcome<usize> {
    if tls.server_side {
        return Err(Failure::State("only a client has TLSA records of its server"));
    }
    if !tls.verification.checks_certificates() {
        return Err(Failure::State("this Config does not check certificates"));
    }
    // SAFETY: the SSL is alive.
    if unsafe { ffi::SSL_in_before(tls.as_ptr()) } != 1 && !tls.state.dnssec_chain.awaits_judgement() {
        return Err(Failure::State("TLSA records come before the handshake, or while a judgement is awaited"));
    }
    if base_domain.is_empty() || !base_domain.is_ascii() {
        return Err(Failure::argument("the base domain is in A-labels and not empty"));
    }
    enable(tls, base_domain)?;
    let mut usable = 0;
    for record in records {
        usable += usize::from(add(tls, record)?);
    }
    if usable == 0 {
        restore_name(tls)?;
    }
    Ok(usable)
}

fn enable(tls: &mut Tls, base_domain: &str) -> Outcome<()> {
    let name = c_string(base_domain)?;
    error::clear_queue();
    // SAFETY: the SSL is alive, the name terminated and copied. The name is the only reference identity (RFC 7671
    // section 10.2), so one that was set before goes.
    let done = unsafe {
        ffi::SSL_set1_host(tls.as_ptr(), ptr::null());
        ffi::SSL_dane_set_flags(tls.as_ptr(), ffi::DANE_FLAG_NO_DANE_EE_NAMECHECKS);
        ffi::SSL_dane_enable(tls.as_ptr(), name.as_ptr())
    };
    if done == 1 {
        Ok(())
    } else {
        Err(Failure::from_queue("not a base domain, or set before"))
    }
}

fn add(tls: &mut Tls, (usage, selector, matching, data): &Record) -> Outcome<bool> {
    error::clear_queue();
    // SAFETY: the SSL is alive; the data is copied.
    match unsafe { ffi::SSL_dane_tlsa_add(tls.as_ptr(), *usage, *selector, *matching, data.as_ptr(), data.len()) } {
        1 => Ok(true),
        0 => Ok(false),
        _ => Err(Failure::from_queue("TLSA record not accepted")),
    }
}

/// With no usable record OpenSSL verifies as without DANE: then the name must be the one it had without DANE.
fn restore_name(tls: &mut Tls) -> Outcome<()> {
    let name = tls.verify_hostname.as_ref().map_or(ptr::null(), |name| name.as_ptr());
    // SAFETY: the SSL is alive, the name terminated or null.
    if unsafe { ffi::SSL_set1_host(tls.as_ptr(), name) } == 1 {
        Ok(())
    } else {
        Err(Failure::from_queue("host name not accepted"))
    }
}

/// The record that authenticated the server.
pub fn matched(tls: &Tls) -> Option<Record> {
    let (mut usage, mut selector, mut matching) = (0, 0, 0);
    let (mut data, mut length) = (ptr::null(), 0);
    if !tls.complete {
        return None;
    }
    // SAFETY: the SSL is alive; the data belongs to it and is copied at once.
    unsafe {
        let depth =
            ffi::SSL_get0_dane_tlsa(tls.as_ptr(), &mut usage, &mut selector, &mut matching, &mut data, &mut length);
        if depth < 0 || data.is_null() {
            return None;
        }
        Some((usage, selector, matching, std::slice::from_raw_parts(data, length).to_vec()))
    }
}
