//! The two byte queues between a connection and its transport, as an OpenSSL BIO.
//!
//! OpenSSL's own memory BIO moves its contents on every write and wipes its whole capacity on every reset; these do not.

use crate::error::{Failure, Outcome};
use crate::ffi;
use crate::state::guarded;
use openssl_sys as sys;
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_long, c_void, CStr};
use std::rc::Rc;
use std::sync::OnceLock;

/// An emptied queue larger than this gives its memory back: idle connections stay small.
const KEEP: usize = 16 * 1024;

/// Ciphertext in both directions. One thread at a time, which the connection's lock sees to.
#[derive(Default)]
pub struct Wire {
    incoming: RefCell<Vec<u8>>,
    taken: Cell<usize>,
    outgoing: RefCell<Vec<u8>>,
    /// The end of what was produced, while it may not leave.
    held: RefCell<Option<Vec<u8>>>,
    eof: Cell<bool>,
}

impl Wire {
    pub fn feed(&self, data: &[u8]) {
        let mut incoming = self.incoming.borrow_mut();
        let taken = self.taken.get();
        if taken > incoming.len() / 2 {
            incoming.drain(..taken);
            self.taken.set(0);
        }
        incoming.extend_from_slice(data);
    }

    pub fn feed_eof(&self) {
        self.eof.set(true);
    }

    pub fn at_eof(&self) -> bool {
        self.eof.get()
    }

    pub fn pending_in(&self) -> usize {
        self.incoming.borrow().len() - self.taken.get()
    }

    pub fn pending_out(&self) -> usize {
        self.outgoing.borrow().len()
    }

    /// Lends what is to be sent, then forgets it.
    pub fn drain<T>(&self, take: impl FnOnce(&[u8]) -> T) -> T {
        let mut outgoing = self.outgoing.borrow_mut();
        let result = take(&outgoing);
        empty(&mut outgoing);
        result
    }

    /// Adds to what is to be sent.
    pub fn put(&self, octets: &[u8]) {
        self.outgoing.borrow_mut().extend_from_slice(octets);
    }

    /// Keeps back what is to be sent, from this octet on, until `release` or `drop_held`.
    pub fn hold_from(&self, start: usize) {
        *self.held.borrow_mut() = Some(self.outgoing.borrow_mut().split_off(start));
    }

    pub fn is_holding(&self) -> bool {
        self.held.borrow().is_some()
    }

    pub fn release(&self) {
        if let Some(octets) = self.held.take() {
            self.put(&octets);
        }
    }

    /// Whether there was something to drop.
    pub fn drop_held(&self) -> bool {
        self.held.take().is_some()
    }

    fn read(&self, into: &mut [u8]) -> usize {
        let mut incoming = self.incoming.borrow_mut();
        let start = self.taken.get();
        let count = into.len().min(incoming.len() - start);
        into[..count].copy_from_slice(&incoming[start..start + count]);
        if start + count == incoming.len() {
            empty(&mut incoming);
            self.taken.set(0);
        } else {
            self.taken.set(start + count);
        }
        count
    }
}

fn empty(queue: &mut Vec<u8>) {
    if queue.capacity() > KEEP {
        *queue = Vec::new();
    } else {
        queue.clear();
    }
}

/// A BIO over `wire`, which must outlive it.
pub fn new_bio(wire: &Rc<Wire>) -> Outcome<*mut sys::BIO> {
    static METHOD: OnceLock<Option<Method>> = OnceLock::new();
    let method = METHOD.get_or_init(|| new_method(c"wire", on_read, on_write, on_control));
    new_bio_of(method.as_ref(), Rc::as_ptr(wire).cast_mut().cast())
}

/// A BIO of this method whose callbacks find `data`, which the caller keeps until SSL_free.
pub fn new_bio_of(method: Option<&Method>, data: *mut c_void) -> Outcome<*mut sys::BIO> {
    let method = method.ok_or_else(|| Failure::from_queue("no BIO method"))?;
    // SAFETY: the method lives for ever.
    unsafe {
        let bio = sys::BIO_new(method.0);
        if bio.is_null() {
            return Err(Failure::from_queue("no BIO"));
        }
        sys::BIO_set_data(bio, data);
        sys::BIO_set_init(bio, 1);
        Ok(bio)
    }
}

/// A kind of BIO.
pub struct Method(*const sys::BIO_METHOD);

// SAFETY: a BIO_METHOD is read only once it is built.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

type Read = unsafe extern "C" fn(*mut sys::BIO, *mut c_char, c_int) -> c_int;
type Write = unsafe extern "C" fn(*mut sys::BIO, *const c_char, c_int) -> c_int;
type Control = unsafe extern "C" fn(*mut sys::BIO, c_int, c_long, *mut c_void) -> c_long;

pub fn new_method(name: &'static CStr, read: Read, write: Write, control: Control) -> Option<Method> {
    // SAFETY: a fresh method, filled before anybody else sees it and never freed.
    unsafe {
        let method = sys::BIO_meth_new(ffi::BIO_get_new_index() | ffi::BIO_TYPE_SOURCE_SINK, name.as_ptr());
        if method.is_null() {
            return None;
        }
        let done = sys::BIO_meth_set_read__fixed_rust(method, Some(read)) == 1
            && sys::BIO_meth_set_write__fixed_rust(method, Some(write)) == 1
            && sys::BIO_meth_set_ctrl__fixed_rust(method, Some(control)) == 1;
        done.then_some(Method(method))
    }
}

/// # Safety
/// `bio` was made by [`new_bio`].
unsafe fn wire_of<'a>(bio: *mut sys::BIO) -> &'a Wire {
    // SAFETY: the caller's; the pointer was put there by new_bio.
    unsafe { &*sys::BIO_get_data(bio).cast::<Wire>() }
}

extern "C" fn on_read(bio: *mut sys::BIO, into: *mut c_char, length: c_int) -> c_int {
    guarded(-1, || {
        // SAFETY: OpenSSL passes our BIO and a buffer of `length` octets that nobody else holds.
        unsafe {
            sys::BIO_clear_flags(bio, ffi::BIO_FLAGS_RWS | ffi::BIO_FLAGS_SHOULD_RETRY);
            let size = usize::try_from(length).unwrap_or(0);
            if into.is_null() || size == 0 {
                return 0;
            }
            let wire = wire_of(bio);
            let count = wire.read(std::slice::from_raw_parts_mut(into.cast::<u8>(), size));
            if count > 0 {
                // Never more than `length`.
                return count as c_int;
            }
            if wire.at_eof() {
                return 0;
            }
            sys::BIO_set_flags(bio, ffi::BIO_FLAGS_READ | ffi::BIO_FLAGS_SHOULD_RETRY);
            -1
        }
    })
}

extern "C" fn on_write(bio: *mut sys::BIO, from: *const c_char, length: c_int) -> c_int {
    guarded(-1, || {
        // SAFETY: OpenSSL passes our BIO and `length` readable octets.
        unsafe {
            sys::BIO_clear_flags(bio, ffi::BIO_FLAGS_RWS | ffi::BIO_FLAGS_SHOULD_RETRY);
            let size = usize::try_from(length).unwrap_or(0);
            if from.is_null() || size == 0 {
                return 0;
            }
            wire_of(bio).put(std::slice::from_raw_parts(from.cast::<u8>(), size));
            length
        }
    })
}

extern "C" fn on_control(bio: *mut sys::BIO, command: c_int, _number: c_long, _pointer: *mut c_void) -> c_long {
    guarded(0, || {
        // SAFETY: OpenSSL passes our BIO.
        let wire = unsafe { wire_of(bio) };
        match command {
            ffi::BIO_CTRL_FLUSH => 1,
            ffi::BIO_CTRL_EOF => c_long::from(wire.at_eof() && wire.pending_in() == 0),
            ffi::BIO_CTRL_PENDING => c_long::try_from(wire.pending_in()).unwrap_or(c_long::MAX),
            ffi::BIO_CTRL_WPENDING => c_long::try_from(wire.pending_out()).unwrap_or(c_long::MAX),
            _ => 0,
        }
    })
}
