//! What a connection can tell about itself and its peer. Nothing here decides anything.
//!
//! What the peer showed is told once the handshake is complete, since only then its possession is proved.

use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::late::Shown;
use crate::settings;
use crate::tls::Tls;
use crate::x509;
use openssl_sys as sys;
use std::ffi::{c_int, c_long, c_uint};
use std::ptr;

/// Keying material at most, in octets: HKDF-Expand's limit with SHA-256 (RFC 5869 section 2.3).
const MOST_KEYING_MATERIAL: usize = 255 * 32;
/// Finished at most: the longest hash of any cipher suite.
const MOST_FINISHED: usize = 64;
/// Octets of a hello's random.
const RANDOM: usize = 32;

/// Negotiated version, 0 before.
pub fn version(tls: &Tls) -> c_int {
    if tls.complete {
        tls.version()
    } else {
        0
    }
}

/// Name, protocol, secret bits.
pub fn cipher(tls: &Tls) -> Option<(String, String, c_int)> {
    if !tls.complete {
        return None;
    }
    // SAFETY: the SSL is alive; a cipher is static.
    unsafe {
        let cipher = sys::SSL_get_current_cipher(tls.as_ptr());
        if cipher.is_null() {
            return None;
        }
        let bits = sys::SSL_CIPHER_get_bits(cipher, ptr::null_mut());
        Some((error::text(sys::SSL_CIPHER_get_name(cipher)), error::text(sys::SSL_CIPHER_get_version(cipher)), bits))
    }
}

/// hashlib's name of the hash that the cipher suite, in TLS 1.2 its PRF, derives keys with.
pub fn handshake_digest(tls: &Tls) -> Option<&'static str> {
    if !tls.complete {
        return None;
    }
    // SAFETY: the SSL is alive; a cipher and its digest are static.
    let kind = unsafe {
        let cipher = sys::SSL_get_current_cipher(tls.as_ptr());
        if cipher.is_null() {
            return None;
        }
        sys::EVP_MD_get_type(sys::SSL_CIPHER_get_handshake_digest(cipher))
    };
    match kind {
        sys::NID_sha256 => Some("sha256"),
        sys::NID_sha384 => Some("sha384"),
        // What suites older than TLS 1.2 were made for; its PRF takes SHA-256 for them (RFC 5246 section 5).
        sys::NID_md5_sha1 => Some("sha256"),
        _ => None,
    }
}

pub fn extended_master_secret(tls: &Tls) -> bool {
    tls.complete && !tls.is_tls13() && tls.has_extended_master_secret()
}

/// Server: the client's cipher suites that this side has too, in the client's order.
pub fn shared_ciphers(tls: &Tls) -> Vec<String> {
    if !tls.server_side || !tls.complete {
        return Vec::new();
    }
    // SAFETY: the SSL is alive; both stacks belong to it.
    let (ours, theirs) = unsafe {
        (
            settings::cipher_names(ffi::SSL_get_ciphers(tls.as_ptr())),
            settings::cipher_names(ffi::SSL_get_client_ciphers(tls.as_ptr())),
        )
    };
    theirs.into_iter().filter(|name| ours.contains(name)).collect()
}

pub fn group(tls: &Tls) -> Option<String> {
    if !tls.complete {
        return None;
    }
    // SAFETY: the SSL is alive; the name belongs to it and is copied.
    let name = error::text(unsafe { sys::SSL_get0_group_name(tls.as_ptr()) });
    (!name.is_empty()).then_some(name)
}

pub fn selected_alpn(tls: &Tls) -> Option<Vec<u8>> {
    let (mut name, mut length): (_, c_uint) = (ptr::null(), 0);
    // SAFETY: the SSL is alive; the name belongs to it and is copied.
    unsafe {
        sys::SSL_get0_alpn_selected(tls.as_ptr(), &mut name, &mut length);
        if name.is_null() {
            return None;
        }
        Some(std::slice::from_raw_parts(name, length as usize).to_vec())
    }
}

/// SNI, as received or sent; none when it is not ASCII.
pub fn server_name(tls: &Tls) -> Option<String> {
    // SAFETY: the SSL is alive; the name belongs to it and is copied.
    let name = error::text(unsafe { sys::SSL_get_servername(tls.as_ptr(), sys::TLSEXT_NAMETYPE_host_name) });
    (!name.is_empty() && name.is_ascii()).then_some(name)
}

/// Leaf first. A resumed connection has the leaf alone.
pub fn peer_chain(tls: &Tls) -> Outcome<Vec<Vec<u8>>> {
    match &tls.late.accepted {
        Some(shown) => Ok(shown.chain.clone()),
        None => last_chain(tls),
    }
}

fn last_chain(tls: &Tls) -> Outcome<Vec<Vec<u8>>> {
    if !tls.complete {
        return Ok(Vec::new());
    }
    // SAFETY: the SSL is alive; leaf and chain belong to its session. A server's chain lacks the leaf, a client's has it.
    unsafe {
        let leaf = ffi::SSL_get0_peer_certificate(tls.as_ptr());
        if leaf.is_null() {
            return Ok(Vec::new());
        }
        let mut chain = x509::stack_to_der(sys::SSL_get_peer_cert_chain(tls.as_ptr()))?;
        if tls.server_side || chain.is_empty() {
            chain.insert(0, x509::to_der(leaf)?);
        }
        Ok(chain)
    }
}

pub fn peer_raw_public_key(tls: &Tls) -> Outcome<Option<Vec<u8>>> {
    match &tls.late.accepted {
        Some(shown) => Ok(shown.raw_public_key.clone()),
        None => last_raw_public_key(tls),
    }
}

fn last_raw_public_key(tls: &Tls) -> Outcome<Option<Vec<u8>>> {
    if !tls.complete {
        return Ok(None);
    }
    // SAFETY: the SSL is alive; the key belongs to its session.
    unsafe {
        let key = ffi::SSL_get0_peer_rpk(tls.as_ptr());
        if key.is_null() {
            return Ok(None);
        }
        match tls.state.peer_spki.borrow().as_ref() {
            Some(sent) => Ok(Some(sent.clone())),
            None => x509::key_to_der(key).map(Some),
        }
    }
}

/// Empty unless OpenSSL itself verified the peer's chain.
pub fn verified_chain(tls: &Tls) -> Outcome<Vec<Vec<u8>>> {
    if !tls.complete || !tls.verification.checks_certificates() {
        return Ok(Vec::new());
    }
    // SAFETY: the SSL is alive; the chain belongs to it.
    unsafe { x509::stack_to_der(sys::SSL_get0_verified_chain(tls.as_ptr())) }
}

pub fn verify_result(tls: &Tls) -> c_long {
    // SAFETY: the SSL is alive.
    unsafe { sys::SSL_get_verify_result(tls.as_ptr()) }
}

/// Negotiated (client's, server's).
pub fn certificate_types(tls: &Tls) -> (c_int, c_int) {
    // SAFETY: the SSL is alive.
    unsafe {
        (ffi::SSL_get_negotiated_client_cert_type(tls.as_ptr()), ffi::SSL_get_negotiated_server_cert_type(tls.as_ptr()))
    }
}

/// Server: (entry, ClientName) of what the client answered; none for an extension without a ClientName inside.
pub fn client_answers(tls: &Tls) -> Vec<(u32, Option<Vec<u8>>)> {
    match &tls.late.accepted {
        Some(shown) => shown.answers.clone(),
        None if tls.complete => tls.state.clientid.answers(tls.is_tls13()),
        None => Vec::new(),
    }
}

/// The credential that the facts tell.
pub fn shown(tls: &Tls) -> Outcome<Shown> {
    Ok(Shown { chain: peer_chain(tls)?, raw_public_key: peer_raw_public_key(tls)?, answers: client_answers(tls) })
}

/// The credential that the peer showed last.
pub fn shown_last(tls: &Tls) -> Outcome<Shown> {
    Ok(Shown {
        chain: last_chain(tls)?,
        raw_public_key: last_raw_public_key(tls)?,
        answers: tls.state.clientid.answers(tls.is_tls13()),
    })
}

/// Server: the DNSSEC chain that the client carried; nothing before its possession of the key is proved.
pub fn carried_chain(tls: &Tls) -> Option<Vec<u8>> {
    tls.complete.then(|| tls.state.carried_chain.received.borrow().clone()).flatten()
}

pub fn export_keying_material(tls: &Tls, label: &[u8], length: usize, context: Option<&[u8]>) -> Outcome<Vec<u8>> {
    tls.established()?;
    if length == 0 || length > MOST_KEYING_MATERIAL {
        return Err(Failure::argument(format!("keying material has 1 to {MOST_KEYING_MATERIAL} octets")));
    }
    let mut out = vec![0_u8; length];
    let (data, size) = context.map_or((ptr::null(), 0), |context| (context.as_ptr(), context.len()));
    error::clear_queue();
    // SAFETY: the SSL is alive; it reads label and context and writes `length` octets.
    let done = unsafe {
        sys::SSL_export_keying_material(
            tls.as_ptr(),
            out.as_mut_ptr(),
            length,
            label.as_ptr().cast(),
            label.len(),
            data,
            size,
            c_int::from(context.is_some()),
        )
    };
    if done == 1 {
        Ok(out)
    } else {
        Err(Failure::from_queue("no keying material"))
    }
}

/// (own, peer's) Finished; empty before they exist.
pub fn finished(tls: &Tls) -> (Vec<u8>, Vec<u8>) {
    let read = |get: unsafe extern "C" fn(*const sys::SSL, *mut std::ffi::c_void, usize) -> usize| {
        let mut buffer = vec![0_u8; MOST_FINISHED];
        // SAFETY: the SSL is alive; at most the given length is written.
        let length = unsafe { get(tls.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
        buffer.truncate(length);
        buffer
    };
    (read(sys::SSL_get_finished), read(sys::SSL_get_peer_finished))
}

/// (client's, server's) random of the hellos.
pub fn randoms(tls: &Tls) -> Outcome<([u8; RANDOM], [u8; RANDOM])> {
    tls.established()?;
    let read = |get: unsafe extern "C" fn(*const sys::SSL, *mut u8, usize) -> usize| {
        let mut random = [0_u8; RANDOM];
        // SAFETY: the SSL is alive; at most the given length is written.
        unsafe { get(tls.as_ptr(), random.as_mut_ptr(), random.len()) };
        random
    };
    Ok((read(sys::SSL_get_client_random), read(sys::SSL_get_server_random)))
}

/// Decrypted octets that a read returns without more ciphertext.
pub fn pending_plain(tls: &Tls) -> usize {
    // SAFETY: the SSL is alive.
    usize::try_from(unsafe { sys::SSL_pending(tls.as_ptr()) }).unwrap_or(0)
}
