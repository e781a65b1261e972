//! DER in, DER out: certificates, keys and stacks of them, each freed once.

use crate::error::{self, Failure, Outcome};
use openssl_sys as sys;
use std::ffi::{c_int, c_long, c_uchar};
use std::ptr;

/// An owned X509.
pub struct Certificate(pub *mut sys::X509);

impl Drop for Certificate {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and given back once.
        unsafe { sys::X509_free(self.0) }
    }
}

impl Certificate {
    /// Exactly one DER certificate, nothing behind it.
    pub fn from_der(der: &[u8]) -> Outcome<Self> {
        error::clear_queue();
        let mut position = der.as_ptr();
        let length = c_long::try_from(der.len()).map_err(|_| Failure::argument("certificate too long"))?;
        // SAFETY: position runs over der, at most length octets of it.
        let pointer = unsafe { sys::d2i_X509(ptr::null_mut(), &mut position, length) };
        if pointer.is_null() {
            return Err(Failure::from_queue("not a DER certificate"));
        }
        let certificate = Certificate(pointer);
        if position != der.as_ptr_range().end {
            return Err(Failure::argument("octets behind the certificate"));
        }
        Ok(certificate)
    }
}

/// An owned EVP_PKEY.
pub struct Key(pub *mut sys::EVP_PKEY);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and given back once.
        unsafe { sys::EVP_PKEY_free(self.0) }
    }
}

impl Key {
    /// An unencrypted DER PKCS#8 PrivateKeyInfo, nothing behind it.
    pub fn from_pkcs8(der: &[u8]) -> Outcome<Self> {
        error::clear_queue();
        let mut position = der.as_ptr();
        let length = c_long::try_from(der.len()).map_err(|_| Failure::argument("private key too long"))?;
        // SAFETY: position runs over der, at most length octets of it; info is freed after its one use.
        let (key, rest) = unsafe {
            let info = sys::d2i_PKCS8_PRIV_KEY_INFO(ptr::null_mut(), &mut position, length);
            if info.is_null() {
                return Err(Failure::from_queue("not a DER PKCS#8 private key"));
            }
            let key = sys::EVP_PKCS82PKEY(info);
            sys::PKCS8_PRIV_KEY_INFO_free(info);
            (key, position != der.as_ptr_range().end)
        };
        if key.is_null() {
            return Err(Failure::from_queue("a private key OpenSSL cannot use"));
        }
        let key = Key(key);
        if rest {
            return Err(Failure::argument("octets behind the private key"));
        }
        Ok(key)
    }
}

impl Key {
    /// The public key of a DER SubjectPublicKeyInfo, nothing behind it.
    pub fn from_spki(der: &[u8]) -> Outcome<Self> {
        error::clear_queue();
        let mut position = der.as_ptr();
        let length = c_long::try_from(der.len()).map_err(|_| Failure::argument("public key too long"))?;
        // SAFETY: position runs over der, at most length octets of it.
        let key = unsafe { sys::d2i_PUBKEY(ptr::null_mut(), &mut position, length) };
        if key.is_null() {
            return Err(Failure::from_queue("not a DER SubjectPublicKeyInfo"));
        }
        let key = Key(key);
        if position != der.as_ptr_range().end {
            return Err(Failure::argument("octets behind the public key"));
        }
        Ok(key)
    }
}

/// An owned stack with a reference to each certificate in it.
pub struct Chain(pub *mut sys::stack_st_X509);

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: the stack and one reference to each member are ours.
        unsafe { sys::OPENSSL_sk_pop_free(self.0.cast(), Some(free_certificate)) }
    }
}

unsafe extern "C" fn free_certificate(pointer: *mut std::ffi::c_void) {
    // SAFETY: OpenSSL passes each member of a stack of certificates once.
    unsafe {
        sys::X509_free(pointer.cast());
    }
}

impl Chain {
    pub fn new(certificates: Vec<Certificate>) -> Outcome<Self> {
        // SAFETY: a fresh stack; a certificate that was pushed belongs to it and is not dropped here.
        unsafe {
            let stack = sys::OPENSSL_sk_new_null();
            if stack.is_null() {
                return Err(Failure::from_queue("no stack"));
            }
            let chain = Chain(stack.cast());
            for certificate in certificates {
                if sys::OPENSSL_sk_push(stack, certificate.0.cast()) == 0 {
                    return Err(Failure::from_queue("no room in the stack"));
                }
                std::mem::forget(certificate);
            }
            Ok(chain)
        }
    }
}

/// DER of each certificate in a stack that somebody else owns; null is an empty one.
///
/// # Safety
/// `stack` is null or alive during the call.
pub unsafe fn stack_to_der(stack: *const sys::stack_st_X509) -> Outcome<Vec<Vec<u8>>> {
    // SAFETY: the caller's; members are alive as long as the stack.
    unsafe {
        if stack.is_null() {
            return Ok(Vec::new());
        }
        let count = sys::OPENSSL_sk_num(stack.cast());
        (0..count).map(|place| to_der(sys::OPENSSL_sk_value(stack.cast(), place).cast())).collect()
    }
}

/// # Safety
/// `certificate` is alive during the call.
pub unsafe fn to_der(certificate: *mut sys::X509) -> Outcome<Vec<u8>> {
    // SAFETY: the caller's; encode gives null or a buffer of the length it was told.
    unsafe { encode(|out| sys::i2d_X509(certificate, out)) }
}

/// DER SubjectPublicKeyInfo.
///
/// # Safety
/// `key` is alive during the call.
pub unsafe fn key_to_der(key: *mut sys::EVP_PKEY) -> Outcome<Vec<u8>> {
    // SAFETY: as for a certificate.
    unsafe { encode(|out| sys::i2d_PUBKEY(key, out)) }
}

/// Runs an `i2d` function twice: for the length, then into a vector of that length.
pub fn encode(i2d: impl Fn(*mut *mut c_uchar) -> c_int) -> Outcome<Vec<u8>> {
    error::clear_queue();
    let length = i2d(ptr::null_mut());
    let Ok(size) = usize::try_from(length) else { return Err(Failure::from_queue("no DER form")) };
    let mut octets = vec![0_u8; size];
    let mut position = octets.as_mut_ptr();
    if i2d(&mut position) != length {
        return Err(Failure::from_queue("no DER form"));
    }
    Ok(octets)
}
