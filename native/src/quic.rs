//! The handshake of a QUIC connection (RFC 9001): TLS's messages by encryption level in place of records, and the
//! secrets of each level, for a QUIC stack that lives elsewhere.
//!
//! OpenSSL's `SSL_set_quic_tls_cbs`. Not here: packets, their protection, streams, time.

use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::state::guarded;
use crate::tls::Tls;
use openssl_sys as sys;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::ffi::{c_int, c_uchar, c_void};
use std::rc::Rc;

/// Lent to OpenSSL at a time: no more than a record would have (RFC 9846 section 5.1).
const MOST_LENT: usize = 16 * 1024;
const MOST_PARAMETERS: usize = crate::extension::MOST_OCTETS;
const UNEXPECTED_MESSAGE: u8 = 10;

/// A traffic secret as TLS yields it.
pub struct Secret {
    /// 1 early data, 2 handshake, 3 application.
    pub level: u32,
    /// For what this side writes.
    pub writes: bool,
    /// The cipher suite's number in TLS.
    pub suite: u16,
    pub octets: Vec<u8>,
}

/// Handshake messages in both directions, each with its encryption level. One thread at a time, which the connection's
/// lock sees to.
#[derive(Default)]
pub struct Messages {
    incoming: RefCell<VecDeque<(u32, Vec<u8>)>>,
    /// What OpenSSL reads from and has not given back.
    lent: RefCell<Vec<u8>>,
    outgoing: RefCell<Vec<(u32, Vec<u8>)>>,
    secrets: RefCell<Vec<Secret>>,
    reads: Cell<u32>,
    writes: Cell<u32>,
    /// OpenSSL points to it.
    own_parameters: OnceCell<Vec<u8>>,
    peer_parameters: RefCell<Option<Vec<u8>>>,
    alert: Cell<Option<u8>>,
}

impl Messages {
    /// Octets of CRYPTO frames, in order.
    pub fn feed(&self, level: u32, data: &[u8]) {
        if !data.is_empty() {
            self.incoming.borrow_mut().push_back((level, data.to_vec()));
        }
    }

    pub fn take(&self) -> Vec<(u32, Vec<u8>)> {
        self.outgoing.take()
    }

    pub fn take_secrets(&self) -> Vec<Secret> {
        self.secrets.take()
    }

    pub fn peer_parameters(&self) -> Option<Vec<u8>> {
        self.peer_parameters.borrow().clone()
    }

    pub fn pending_in(&self) -> usize {
        self.lent.borrow().len() + self.incoming.borrow().iter().map(|(_, data)| data.len()).sum::<usize>()
    }

    pub fn pending_out(&self) -> usize {
        self.outgoing.borrow().iter().map(|(_, data)| data.len()).sum()
    }

    /// The alert that ended it, for the CONNECTION_CLOSE that carries it (RFC 9001 section 4.8).
    pub fn alert(&self) -> Option<u8> {
        self.alert.get()
    }

    pub fn set_alert(&self, description: u8) {
        self.alert.set(Some(description));
    }

    /// Nothing of another level than the one that is read now, and one piece until it is given back.
    fn lend(&self) -> (*const u8, usize) {
        let mut lent = self.lent.borrow_mut();
        if lent.is_empty() {
            let mut incoming = self.incoming.borrow_mut();
            match incoming.front_mut() {
                Some((level, data)) if *level == self.reads.get() => {
                    let rest = data.split_off(data.len().min(MOST_LENT));
                    *lent = std::mem::replace(data, rest);
                    if data.is_empty() {
                        incoming.pop_front();
                    }
                }
                _ => return (std::ptr::null(), 0),
            }
        }
        (lent.as_ptr(), lent.len())
    }

    /// RFC 9001 section 4.1.3: what was sent in a level that is over must all have been read. False ends the handshake.
    fn begin_level(&self, secret: Secret) -> bool {
        if secret.writes {
            self.writes.set(secret.level);
        } else if self.has_unread() {
            self.set_alert(UNEXPECTED_MESSAGE);
            return false;
        } else {
            self.reads.set(secret.level);
        }
        self.secrets.borrow_mut().push(secret);
        true
    }

    fn has_unread(&self) -> bool {
        let over = self.reads.get();
        !self.lent.borrow().is_empty() || self.incoming.borrow().iter().any(|(level, _)| *level <= over)
    }

    fn put(&self, message: &[u8]) {
        self.outgoing.borrow_mut().push((self.writes.get(), message.to_vec()));
    }
}

static CALLBACKS: [ffi::Dispatch; 7] = ffi::dispatch![
    ffi::OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_SEND => on_send,
    ffi::OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RECV_RCD => on_receive,
    ffi::OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RELEASE_RCD => on_release,
    ffi::OSSL_FUNC_SSL_QUIC_TLS_YIELD_SECRET => on_secret,
    ffi::OSSL_FUNC_SSL_QUIC_TLS_GOT_TRANSPORT_PARAMS => on_parameters,
    ffi::OSSL_FUNC_SSL_QUIC_TLS_ALERT => on_alert,
];

/// Has `ssl`, whose role was set, speak through `messages`, which must outlive it.
pub fn attach(ssl: *mut sys::SSL, messages: &Rc<Messages>) -> Outcome<()> {
    error::clear_queue();
    let argument = Rc::as_ptr(messages).cast_mut().cast();
    // SAFETY: ssl is alive and new; the table is static; the pointer is only turned back by messages_of.
    if unsafe { ffi::SSL_set_quic_tls_cbs(ssl, CALLBACKS.as_ptr(), argument) } == 1 {
        Ok(())
    } else {
        Err(Failure::from_queue("no QUIC handshake"))
    }
}

impl Tls {
    /// What this side says of itself (RFC 9000 section 18); before the handshake, once.
    pub fn set_transport_parameters(&mut self, parameters: &[u8]) -> Outcome<()> {
        let messages = self.transport.messages()?;
        if parameters.is_empty() || parameters.len() > MOST_PARAMETERS {
            return Err(Failure::argument(format!("transport parameters have 1 to {MOST_PARAMETERS} octets")));
        }
        if messages.own_parameters.set(parameters.to_vec()).is_err() {
            return Err(Failure::State("the transport parameters are set"));
        }
        let kept = messages.own_parameters.get().map_or(&[][..], Vec::as_slice);
        error::clear_queue();
        // SAFETY: ssl is alive; the octets are never changed and live longer.
        if unsafe { ffi::SSL_set_quic_tls_transport_params(self.as_ptr(), kept.as_ptr(), kept.len()) } == 1 {
            Ok(())
        } else {
            Err(Failure::from_queue("transport parameters not accepted"))
        }
    }

    /// RFC 9001 section 8.2: a handshake of QUIC has transport parameters.
    pub fn can_shake(&self) -> Outcome<()> {
        match self.transport.messages() {
            Ok(messages) if messages.own_parameters.get().is_none() => {
                Err(Failure::State("set_transport_parameters comes before the handshake"))
            }
            _ => Ok(()),
        }
    }
}

/// # Safety
/// `argument` is what [`attach`] passed, and the result is not kept beyond the callback.
unsafe fn messages_of<'a>(argument: *mut c_void) -> &'a Messages {
    // SAFETY: the caller's.
    unsafe { &*argument.cast::<Messages>() }
}

extern "C" fn on_send(
    _ssl: *mut sys::SSL,
    data: *const c_uchar,
    length: usize,
    consumed: *mut usize,
    argument: *mut c_void,
) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes our pointer, `length` readable octets and a place for the count.
        unsafe {
            if length > 0 {
                messages_of(argument).put(std::slice::from_raw_parts(data, length));
            }
            *consumed = length;
        }
        1
    })
}

extern "C" fn on_receive(
    _ssl: *mut sys::SSL,
    data: *mut *const c_uchar,
    length: *mut usize,
    argument: *mut c_void,
) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes our pointer and two places; what is lent stays where it is until it is released.
        unsafe { (*data, *length) = messages_of(argument).lend() };
        1
    })
}

extern "C" fn on_release(_ssl: *mut sys::SSL, length: usize, argument: *mut c_void) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes our pointer.
        let mut lent = unsafe { messages_of(argument) }.lent.borrow_mut();
        if length > lent.len() {
            return 0;
        }
        lent.drain(..length);
        1
    })
}

extern "C" fn on_secret(
    ssl: *mut sys::SSL,
    level: u32,
    direction: c_int,
    secret: *const c_uchar,
    length: usize,
    argument: *mut c_void,
) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes a live connection, our pointer and `length` readable octets; a cipher is static.
        unsafe {
            let cipher = ffi::SSL_get_pending_cipher(ssl);
            if cipher.is_null() {
                return 0;
            }
            let secret = Secret {
                level,
                writes: direction == ffi::OSSL_RECORD_DIRECTION_WRITE,
                suite: ffi::SSL_CIPHER_get_protocol_id(cipher),
                octets: std::slice::from_raw_parts(secret, length).to_vec(),
            };
            c_int::from(messages_of(argument).begin_level(secret))
        }
    })
}

extern "C" fn on_parameters(
    _ssl: *mut sys::SSL,
    parameters: *const c_uchar,
    length: usize,
    argument: *mut c_void,
) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes our pointer and `length` readable octets.
        unsafe {
            let octets = if length == 0 { &[][..] } else { std::slice::from_raw_parts(parameters, length) };
            *messages_of(argument).peer_parameters.borrow_mut() = Some(octets.to_vec());
        }
        1
    })
}

extern "C" fn on_alert(_ssl: *mut sys::SSL, description: c_uchar, argument: *mut c_void) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes our pointer.
        let messages = unsafe { messages_of(argument) };
        // The first cause stays: OpenSSL calls a level that begins too early an internal error.
        if messages.alert().is_none() {
            messages.set_alert(description);
        }
        1
    })
}
