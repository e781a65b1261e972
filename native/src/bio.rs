//! Our own queues as OpenSSL BIOs.
//!
//! A kind of queue is a type that says what a read, a write and a control come to; what OpenSSL calls is the same for
//! all. Not here: any queue.

use crate::error::{Failure, Outcome};
use crate::ffi;
use crate::state::guarded;
use openssl_sys as sys;
use std::ffi::{c_char, c_int, c_long, c_void, CStr};
use std::rc::Rc;
use std::sync::OnceLock;

/// What a BIO reads from and writes to.
pub trait Queues {
    /// What OpenSSL calls this kind of BIO.
    const NAME: &'static CStr;

    /// Where the kind is kept: a static inside a generic function is one for all types, so each has its own here.
    fn method() -> &'static OnceLock<Option<Method>>;

    /// Octets put into `into`; 0 for the end of the transport, nothing when more has to arrive first.
    fn read(&self, into: &mut [u8]) -> Option<usize>;

    /// Takes all of it.
    fn write(&self, octets: &[u8]);

    /// The answer to a BIO_CTRL_ number; 0 to one that means nothing here.
    fn control(&self, command: c_int) -> c_long;
}

/// A kind of BIO.
pub struct Method(*const sys::BIO_METHOD);

// SAFETY: a BIO_METHOD is read only once it is built.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

impl Method {
    fn new<Q: Queues>() -> Option<Self> {
        // SAFETY: a fresh method, filled before anybody else sees it and never freed.
        unsafe {
            let method = sys::BIO_meth_new(ffi::BIO_get_new_index() | ffi::BIO_TYPE_SOURCE_SINK, Q::NAME.as_ptr());
            if method.is_null() {
                return None;
            }
            let done = sys::BIO_meth_set_read__fixed_rust(method, Some(on_read::<Q>)) == 1
                && sys::BIO_meth_set_write__fixed_rust(method, Some(on_write::<Q>)) == 1
                && sys::BIO_meth_set_ctrl__fixed_rust(method, Some(on_control::<Q>)) == 1;
            done.then_some(Method(method))
        }
    }
}

/// A BIO over `queues`, which must outlive it.
pub fn new<Q: Queues>(queues: &Rc<Q>) -> Outcome<*mut sys::BIO> {
    let method = Q::method().get_or_init(Method::new::<Q>).as_ref();
    let method = method.ok_or_else(|| Failure::from_queue("no BIO method"))?;
    // SAFETY: the method lives for ever; the pointer is only turned back by queues_of.
    unsafe {
        let bio = sys::BIO_new(method.0);
        if bio.is_null() {
            return Err(Failure::from_queue("no BIO"));
        }
        sys::BIO_set_data(bio, Rc::as_ptr(queues).cast_mut().cast());
        sys::BIO_set_init(bio, 1);
        Ok(bio)
    }
}

/// # Safety
/// `bio` was made by [`new`] over a `Q`.
unsafe fn queues_of<'a, Q: Queues>(bio: *mut sys::BIO) -> &'a Q {
    // SAFETY: the caller's; the pointer was put there by new.
    unsafe { &*sys::BIO_get_data(bio).cast::<Q>() }
}

extern "C" fn on_read<Q: Queues>(bio: *mut sys::BIO, into: *mut c_char, length: c_int) -> c_int {
    guarded(-1, || {
        // SAFETY: OpenSSL passes our BIO and a buffer of `length` octets that nobody else holds.
        unsafe {
            sys::BIO_clear_flags(bio, ffi::BIO_FLAGS_RWS | ffi::BIO_FLAGS_SHOULD_RETRY);
            let size = usize::try_from(length).unwrap_or(0);
            if into.is_null() || size == 0 {
                return 0;
            }
            if let Some(count) = queues_of::<Q>(bio).read(std::slice::from_raw_parts_mut(into.cast::<u8>(), size)) {
                // Never more than `length`.
                return count as c_int;
            }
            sys::BIO_set_flags(bio, ffi::BIO_FLAGS_READ | ffi::BIO_FLAGS_SHOULD_RETRY);
            -1
        }
    })
}

extern "C" fn on_write<Q: Queues>(bio: *mut sys::BIO, from: *const c_char, length: c_int) -> c_int {
    guarded(-1, || {
        // SAFETY: OpenSSL passes our BIO and `length` readable octets.
        unsafe {
            sys::BIO_clear_flags(bio, ffi::BIO_FLAGS_RWS | ffi::BIO_FLAGS_SHOULD_RETRY);
            let size = usize::try_from(length).unwrap_or(0);
            if from.is_null() || size == 0 {
                return 0;
            }
            queues_of::<Q>(bio).write(std::slice::from_raw_parts(from.cast::<u8>(), size));
            length
        }
    })
}

extern "C" fn on_control<Q: Queues>(
    bio: *mut sys::BIO,
    command: c_int,
    _number: c_long,
    _pointer: *mut c_void,
) -> c_long {
    // SAFETY: OpenSSL passes our BIO.
    guarded(0, || unsafe { queues_of::<Q>(bio) }.control(command))
}
