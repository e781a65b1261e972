//! The two byte queues between a connection and its transport, as an OpenSSL BIO.
//!
//! OpenSSL's own memory BIO moves its contents on every write and wipes its whole capacity on every reset; these do not.

use crate::bio::{Method, Queues};
use crate::ffi;
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_long, CStr};
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
}

impl Queues for Wire {
    const NAME: &'static CStr = c"wire";

    fn method() -> &'static OnceLock<Option<Method>> {
        static METHOD: OnceLock<Option<Method>> = OnceLock::new();
        &METHOD
    }

    fn read(&self, into: &mut [u8]) -> Option<usize> {
        let mut incoming = self.incoming.borrow_mut();
        let start = self.taken.get();
        let count = into.len().min(incoming.len() - start);
        if count == 0 {
            return self.at_eof().then_some(0);
        }
        into[..count].copy_from_slice(&incoming[start..start + count]);
        if start + count == incoming.len() {
            empty(&mut incoming);
            self.taken.set(0);
        } else {
            self.taken.set(start + count);
        }
        Some(count)
    }

    fn write(&self, octets: &[u8]) {
        self.put(octets);
    }

    fn control(&self, command: c_int) -> c_long {
        match command {
            ffi::BIO_CTRL_FLUSH => 1,
            ffi::BIO_CTRL_EOF => c_long::from(self.at_eof() && self.pending_in() == 0),
            ffi::BIO_CTRL_PENDING => c_long::try_from(self.pending_in()).unwrap_or(c_long::MAX),
            ffi::BIO_CTRL_WPENDING => c_long::try_from(self.pending_out()).unwrap_or(c_long::MAX),
            _ => 0,
        }
    }
}

fn empty(queue: &mut Vec<u8>) {
    if queue.capacity() > KEEP {
        *queue = Vec::new();
    } else {
        queue.clear();
    }
}
