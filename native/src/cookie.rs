//! DTLS 1.2 cookies (RFC 6347 section 4.2.1): what a server reads of a ClientHello before it keeps anything, and the
//! HelloVerifyRequest it answers with.
//!
//! The cookie is an HMAC over the client's address and the parts of its hello that stand before the cookie. Only the
//! first fragment is read, since putting fragments together is keeping state.

use crate::error::{Failure, Outcome};
use crate::ffi;
use openssl_sys as sys;
use std::ffi::c_int;
use std::ptr;

/// Octets of a cookie: half an HMAC-SHA-256. A HelloVerifyRequest is then shorter than any ClientHello.
pub const LENGTH: usize = 16;
/// Octets of a key at least.
pub const SHORTEST_KEY: usize = 16;
/// Octets of an address at most.
pub const LONGEST_ADDRESS: usize = 255;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// The major version octet of every DTLS (one's complement of 1).
const DTLS: u8 = 0xfe;
/// What a HelloVerifyRequest says whatever will be negotiated, and what 1.2 clients expect.
const DTLS_1_0: [u8; 2] = [0xfe, 0xff];
const RANDOM: usize = 32;

/// A ClientHello, as far as its cookie.
pub struct Hello<'a> {
    /// Epoch and sequence number of its record.
    number: &'a [u8],
    /// client_version, random and session_id, with its length.
    parameters: &'a [u8],
    pub cookie: &'a [u8],
}

impl<'a> Hello<'a> {
    /// The first record of a datagram, when that is the beginning of a ClientHello in epoch 0.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let mut rest = datagram;
        let [kind, major, _minor] = take(&mut rest, 3)? else { return None };
        let numbered = take(&mut rest, 8)?;
        let body = take_prefixed(&mut rest, 2)?;
        if *kind != HANDSHAKE || *major != DTLS || numbered[..2] != [0, 0] {
            return None;
        }
        let mut body = body;
        let [kind, length @ .., high, sequence] = take(&mut body, 6)? else { return None };
        let offset = take(&mut body, 3)?;
        let fragment = take_prefixed(&mut body, 3)?;
        let whole = fragment.len() as u64 <= number(length);
        if *kind != CLIENT_HELLO || *high > 0 || *sequence > 1 || offset != [0; 3] || !whole {
            return None;
        }
        let mut rest = fragment;
        take(&mut rest, 2 + RANDOM)?;
        take_prefixed(&mut rest, 1)?;
        let parameters = &fragment[..fragment.len() - rest.len()];
        let cookie = take_prefixed(&mut rest, 1)?;
        Some(Hello { number: numbered, parameters, cookie })
    }

    /// The sequence number of its record.
    pub fn sequence(&self) -> u64 {
        number(self.number)
    }

    pub fn random(&self) -> &'a [u8] {
        &self.parameters[2..2 + RANDOM]
    }

    /// The cookie that this hello from this address would have to show.
    pub fn expected(&self, address: &[u8], key: &[u8]) -> Outcome<[u8; LENGTH]> {
        if key.len() < SHORTEST_KEY {
            return Err(Failure::argument(format!("a cookie key has {SHORTEST_KEY} octets at least")));
        }
        let length = u8::try_from(address.len())
            .map_err(|_| Failure::argument(format!("an address has {LONGEST_ADDRESS} octets at most")))?;
        let message = [&[length], address, self.parameters].concat();
        let mut mac = [0_u8; 32];
        let mut size = 0;
        // SAFETY: key and message are read as long as they are; the output has room for SHA-256 and says so.
        let done = unsafe {
            ffi::EVP_Q_mac(
                ptr::null_mut(),
                c"HMAC".as_ptr(),
                ptr::null(),
                c"SHA2-256".as_ptr(),
                ptr::null(),
                key.as_ptr().cast(),
                key.len(),
                message.as_ptr(),
                message.len(),
                mac.as_mut_ptr(),
                mac.len(),
                &mut size,
            )
        };
        if done.is_null() || size != mac.len() {
            return Err(Failure::from_queue("no HMAC"));
        }
        let mut cookie = [0_u8; LENGTH];
        cookie.copy_from_slice(&mac[..LENGTH]);
        Ok(cookie)
    }

    /// Whether its cookie is the one of any of these keys; compared in constant time.
    pub fn is_verified(&self, address: &[u8], keys: &[Vec<u8>]) -> Outcome<bool> {
        let mut verified = false;
        for key in keys {
            let expected = self.expected(address, key)?;
            verified |= self.cookie.len() == LENGTH && same(self.cookie, &expected);
        }
        Ok(verified)
    }

    /// The datagram that asks for `cookie`, with the sequence number of the hello's own record.
    pub fn verify_request(&self, cookie: &[u8; LENGTH]) -> Vec<u8> {
        const BODY: u8 = 2 + 1 + LENGTH as u8;
        let mut datagram = Vec::with_capacity(13 + 12 + usize::from(BODY));
        datagram.push(HANDSHAKE);
        datagram.extend(DTLS_1_0);
        datagram.extend(self.number);
        datagram.extend([0, 12 + BODY]);
        datagram.extend([HELLO_VERIFY_REQUEST, 0, 0, BODY, 0, 0, 0, 0, 0, 0, 0, BODY]);
        datagram.extend(DTLS_1_0);
        datagram.push(LENGTH as u8);
        datagram.extend(cookie);
        datagram
    }
}

/// A number in network order.
pub fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

fn same(left: &[u8], right: &[u8; LENGTH]) -> bool {
    // SAFETY: both are LENGTH octets long; the caller looked.
    unsafe { sys::CRYPTO_memcmp(left.as_ptr().cast(), right.as_ptr().cast(), LENGTH) == 0 }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

/// Octets behind a length of `size` octets.
fn take_prefixed<'a>(rest: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let length = number(take(rest, size)?);
    take(rest, usize::try_from(length).ok()?)
}

/// Confirms, while OpenSSL reads a hello, the cookie that was verified before OpenSSL saw it.
pub extern "C" fn on_verify(ssl: *mut sys::SSL, cookie: *const u8, length: u32) -> c_int {
    crate::state::guarded(0, || {
        // SAFETY: OpenSSL passes a live connection and `length` readable octets.
        unsafe {
            let Some(state) = crate::state::of(ssl) else { return 0 };
            let verified = state.dtls.cookie.borrow();
            let shown = std::slice::from_raw_parts(cookie, length as usize);
            c_int::from(!verified.is_empty() && verified.as_slice() == shown)
        }
    })
}
