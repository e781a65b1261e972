//! What a connection reads from and writes to: a stream of octets, or datagrams; and the last flight that may not leave
//! yet.

use crate::alert;
use crate::bio;
use crate::datagram::Datagrams;
use crate::error::{Failure, Outcome};
use crate::wire::Wire;
use openssl_sys as sys;
use std::rc::Rc;

pub enum Transport {
    Stream(Rc<Wire>),
    Datagrams(Rc<Datagrams>),
}

impl Transport {
    pub fn new(datagram: bool) -> Self {
        if datagram {
            Transport::Datagrams(Rc::default())
        } else {
            Transport::Stream(Rc::default())
        }
    }

    /// A BIO over the queues, which must outlive it.
    pub fn new_bio(&self) -> Outcome<*mut sys::BIO> {
        match self {
            Transport::Stream(wire) => bio::new(wire),
            Transport::Datagrams(queues) => bio::new(queues),
        }
    }

    pub fn stream(&self) -> Outcome<&Wire> {
        match self {
            Transport::Stream(wire) => Ok(wire),
            Transport::Datagrams(_) => Err(Failure::State("this connection runs over datagrams")),
        }
    }

    pub fn datagrams(&self) -> Outcome<&Datagrams> {
        match self {
            Transport::Stream(_) => Err(Failure::State("this connection runs over a stream")),
            Transport::Datagrams(queues) => Ok(queues),
        }
    }

    pub fn pending_in(&self) -> usize {
        match self {
            Transport::Stream(wire) => wire.pending_in(),
            Transport::Datagrams(queues) => queues.pending_in(),
        }
    }

    pub fn pending_out(&self) -> usize {
        match self {
            Transport::Stream(wire) => wire.pending_out(),
            Transport::Datagrams(queues) => queues.pending_out(),
        }
    }

    /// Where what is written next begins, for `hold_from`.
    pub fn mark(&self) -> usize {
        match self {
            Transport::Stream(wire) => wire.pending_out(),
            Transport::Datagrams(queues) => queues.count_out(),
        }
    }

    /// Keeps back what was written since the mark, until `release` or `refuse`.
    pub fn hold_from(&self, mark: usize) {
        match self {
            Transport::Stream(wire) => wire.hold_from(mark),
            Transport::Datagrams(queues) => queues.hold_from(mark),
        }
    }

    pub fn is_holding(&self) -> bool {
        match self {
            Transport::Stream(wire) => wire.is_holding(),
            Transport::Datagrams(queues) => queues.is_holding(),
        }
    }

    pub fn release(&self) {
        match self {
            Transport::Stream(wire) => wire.release(),
            Transport::Datagrams(queues) => queues.release(),
        }
    }

    /// Puts a fatal alert in clear in the place of a held flight; whether there was one.
    pub fn refuse(&self, description: u8) -> bool {
        match self {
            Transport::Stream(wire) if wire.drop_held() => {
                wire.put(&alert::plaintext(description));
                true
            }
            Transport::Stream(_) => false,
            Transport::Datagrams(queues) => queues.refuse(description),
        }
    }
}
