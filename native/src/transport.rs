//! What a connection reads from and writes to: a stream of octets, datagrams, or QUIC's handshake messages; and the last
//! flight that may not leave yet.

use crate::alert;
use crate::bio;
use crate::datagram::Datagrams;
use crate::error::{Failure, Outcome};
use crate::quic::{self, Messages};
use crate::wire::Wire;
use openssl_sys as sys;
use std::rc::Rc;

pub enum Transport {
    Stream(Rc<Wire>),
    Datagrams(Rc<Datagrams>),
    Quic(Rc<Messages>),
}

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Stream,
    Datagrams,
    Quic,
}

impl Transport {
    pub fn new(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Stream => Transport::Stream(Rc::default()),
            Carrier::Datagrams => Transport::Datagrams(Rc::default()),
            Carrier::Quic => Transport::Quic(Rc::default()),
        }
    }

    /// Has `ssl`, whose role was set, read from and write to this, which must outlive it.
    pub fn attach(&self, ssl: *mut sys::SSL) -> Outcome<()> {
        let bio = match self {
            Transport::Stream(wire) => bio::new(wire)?,
            Transport::Datagrams(queues) => bio::new(queues)?,
            Transport::Quic(messages) => return quic::attach(ssl, messages),
        };
        // SAFETY: ssl is alive; it takes the one reference to bio for both directions.
        unsafe { sys::SSL_set_bio(ssl, bio, bio) };
        Ok(())
    }

    pub fn stream(&self) -> Outcome<&Wire> {
        match self {
            Transport::Stream(wire) => Ok(wire),
            _ => Err(Failure::State("this connection does not run over a stream")),
        }
    }

    pub fn datagrams(&self) -> Outcome<&Datagrams> {
        match self {
            Transport::Datagrams(queues) => Ok(queues),
            _ => Err(Failure::State("this connection does not run over datagrams")),
        }
    }

    pub fn messages(&self) -> Outcome<&Messages> {
        match self {
            Transport::Quic(messages) => Ok(messages),
            _ => Err(Failure::State("this connection is not one of QUIC")),
        }
    }

    pub fn pending_in(&self) -> usize {
        match self {
            Transport::Stream(wire) => wire.pending_in(),
            Transport::Datagrams(queues) => queues.pending_in(),
            Transport::Quic(messages) => messages.pending_in(),
        }
    }

    pub fn pending_out(&self) -> usize {
        match self {
            Transport::Stream(wire) => wire.pending_out(),
            Transport::Datagrams(queues) => queues.pending_out(),
            Transport::Quic(messages) => messages.pending_out(),
        }
    }

    /// Where what is written next begins, for `hold_from`.
    pub fn mark(&self) -> usize {
        match self {
            Transport::Stream(wire) => wire.pending_out(),
            Transport::Datagrams(queues) => queues.count_out(),
            Transport::Quic(_) => 0,
        }
    }

    /// Keeps back what was written since the mark, until `release` or `refuse`.
    pub fn hold_from(&self, mark: usize) {
        match self {
            Transport::Stream(wire) => wire.hold_from(mark),
            Transport::Datagrams(queues) => queues.hold_from(mark),
            // QUIC's TLS is 1.3, which has no flight to hold.
            Transport::Quic(_) => {}
        }
    }

    pub fn is_holding(&self) -> bool {
        match self {
            Transport::Stream(wire) => wire.is_holding(),
            Transport::Datagrams(queues) => queues.is_holding(),
            Transport::Quic(_) => false,
        }
    }

    pub fn release(&self) {
        match self {
            Transport::Stream(wire) => wire.release(),
            Transport::Datagrams(queues) => queues.release(),
            Transport::Quic(_) => {}
        }
    }

    /// Puts a fatal alert in clear in the place of a held flight, or where QUIC's stack finds it; whether it could.
    pub fn refuse(&self, description: u8) -> bool {
        match self {
            Transport::Stream(wire) if wire.drop_held() => {
                wire.put(&alert::plaintext(description));
                true
            }
            Transport::Stream(_) => false,
            Transport::Datagrams(queues) => queues.refuse(description),
            Transport::Quic(messages) => {
                messages.set_alert(description);
                true
            }
        }
    }
}
