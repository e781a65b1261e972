//! The keys that seal session tickets, given by the caller and changed while connections use them.
//!
//! Which key is used from when to when is decided elsewhere: here the first one seals, and every one opens.

use crate::error::{Failure, Outcome};
use crate::ffi;
use crate::state;
use openssl_sys as sys;
use pyo3::prelude::*;
use std::ffi::{c_int, c_uchar, c_void};
use std::ptr;
use std::sync::{Arc, RwLock};

const NAME: usize = 16;
const CIPHER: usize = 32;
const AUTHENTICATION: usize = 32;
/// Octets of one key: its name, for AES-256-CBC, for HMAC-SHA-256 (the ticket form of RFC 5077 section 4).
pub const KEY: usize = NAME + CIPHER + AUTHENTICATION;
const IV: c_int = 16;

struct TicketKey([u8; KEY]);

impl TicketKey {
    fn name(&self) -> &[u8] {
        &self.0[..NAME]
    }

    fn cipher(&self) -> &[u8] {
        &self.0[NAME..NAME + CIPHER]
    }

    fn authentication(&self) -> &[u8] {
        &self.0[NAME + CIPHER..]
    }
}

/// What connections hold of a [`TicketKeys`].
pub struct Ring(RwLock<Vec<TicketKey>>);

impl Ring {
    fn parse(keys: &[Vec<u8>]) -> Outcome<Vec<TicketKey>> {
        if keys.is_empty() {
            return Err(Failure::argument("there is no ticket key"));
        }
        let mut parsed: Vec<TicketKey> = Vec::with_capacity(keys.len());
        for octets in keys {
            let octets = <[u8; KEY]>::try_from(octets.as_slice())
                .map_err(|_| Failure::argument(format!("a ticket key has {KEY} octets")))?;
            let key = TicketKey(octets);
            if parsed.iter().any(|other| other.name() == key.name()) {
                return Err(Failure::argument("two ticket keys have the same name"));
            }
            parsed.push(key);
        }
        Ok(parsed)
    }

    /// The key for a new ticket, or the one of that name.
    fn with<T>(&self, name: Option<&[u8]>, take: impl FnOnce(&TicketKey) -> T) -> Option<T> {
        let keys = self.0.read().ok()?;
        let found = match name {
            None => keys.first(),
            Some(name) => keys.iter().find(|key| key.name() == name),
        };
        found.map(take)
    }
}

/// Keys that any number of Configs share.
#[pyclass(frozen, module = "dnsbound._native")]
pub struct TicketKeys {
    pub ring: Arc<Ring>,
}

#[pymethods]
impl TicketKeys {
    #[new]
    fn new(keys: Vec<Vec<u8>>) -> PyResult<Self> {
        Ok(TicketKeys { ring: Arc::new(Ring(RwLock::new(Ring::parse(&keys)?))) })
    }

    fn replace(&self, keys: Vec<Vec<u8>>) -> PyResult<()> {
        let keys = Ring::parse(&keys)?;
        // A callback that reads holds the lock for microseconds and never waits for Python.
        *self.ring.0.write().map_err(|_| Failure::State("an earlier call on this object broke off"))? = keys;
        Ok(())
    }
}

/// Server: prepares the cipher and the code of a ticket that is sealed or opened. 0: without a key; below: an error.
pub extern "C" fn on_ticket_key(
    ssl: *mut sys::SSL,
    name: *mut c_uchar,
    iv: *mut c_uchar,
    cipher: *mut sys::EVP_CIPHER_CTX,
    code: *mut sys::EVP_MAC_CTX,
    sealing: c_int,
) -> c_int {
    state::guarded(-1, || {
        // SAFETY: OpenSSL passes a live connection, NAME and IV octets to read or to fill, and two contexts of its own.
        unsafe {
            let Some(ring) = state::of(ssl).and_then(|state| state.ticket_keys.as_ref()) else { return 0 };
            if sealing == 1 {
                if sys::RAND_bytes(iv, IV) != 1 {
                    return -1;
                }
                let seal = |key: &TicketKey| {
                    ptr::copy_nonoverlapping(key.name().as_ptr(), name, NAME);
                    let engine = sys::EVP_aes_256_cbc();
                    sys::EVP_EncryptInit_ex(cipher, engine, ptr::null_mut(), key.cipher().as_ptr(), iv) == 1
                        && authenticate(code, key)
                };
                return ring.with(None, seal).map_or(0, answer);
            }
            let open = |key: &TicketKey| {
                let engine = sys::EVP_aes_256_cbc();
                sys::EVP_DecryptInit_ex(cipher, engine, ptr::null_mut(), key.cipher().as_ptr(), iv) == 1
                    && authenticate(code, key)
            };
            ring.with(Some(std::slice::from_raw_parts(name, NAME)), open).map_or(0, answer)
        }
    })
}

fn answer(done: bool) -> c_int {
    if done {
        1
    } else {
        -1
    }
}

/// # Safety
/// `code` is alive.
unsafe fn authenticate(code: *mut sys::EVP_MAC_CTX, key: &TicketKey) -> bool {
    let octets = key.authentication();
    // SAFETY: the parameters point to octets that outlive the call, which copies them; SHA-256's name is terminated.
    unsafe {
        let parameters = [
            sys::OSSL_PARAM_construct_octet_string(
                c"key".as_ptr(),
                octets.as_ptr().cast_mut().cast::<c_void>(),
                octets.len(),
            ),
            ffi::OSSL_PARAM_construct_utf8_string(c"digest".as_ptr(), c"SHA256".as_ptr().cast_mut(), 0),
            sys::OSSL_PARAM_construct_end(),
        ];
        sys::EVP_MAC_CTX_set_params(code, parameters.as_ptr()) == 1
    }
}
