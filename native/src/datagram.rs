//! The two queues of datagrams between a connection and its transport, as an OpenSSL BIO: one read takes one datagram,
//! one write makes one.

use crate::alert;
use crate::bio::{Method, Queues};
use crate::cookie;
use crate::ffi;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{c_int, c_long, CStr};
use std::ops::Range;
use std::sync::OnceLock;

/// RFC 6347 section 4.1: type, version, epoch, sequence number, length.
pub const RECORD_HEADER: usize = 13;
const NUMBER: Range<usize> = 3..11;
/// Far from the end of the numbers; nobody repeats a hello so often.
const HIGHEST_BEGINNING: u64 = 1 << 40;
/// Above these bits of a record's number stands its epoch.
const EPOCH: u32 = 48;
/// AES-CCM-8: a nonce of 8 octets and a tag of 8.
const SHORTEST_SEAL: usize = 16;
/// AES-GCM and AES-CCM: a nonce of 8 octets and a tag of 16. Records of CBC have 32 octets at least.
const LONGEST_SEAL: usize = 24;
/// A peer repeats its flight twelve times at most if it is OpenSSL.
const MOST_REPETITIONS: u8 = 12;

/// Datagrams in both directions. One thread at a time, which the connection's lock sees to.
#[derive(Default)]
pub struct Datagrams {
    incoming: RefCell<VecDeque<Vec<u8>>>,
    outgoing: RefCell<Vec<Vec<u8>>>,
    /// The end of what was produced, while it may not leave.
    held: RefCell<Option<Vec<Vec<u8>>>>,
    /// The alert that stands in the place of what was held.
    refusal: Cell<Option<u8>>,
    repetitions: Cell<u8>,
    /// Above every sequence number that was written in epoch 0.
    unused_sequence: Cell<u64>,
    /// What is added to each of OpenSSL's sequence numbers in epoch 0, where nothing seals them.
    raised_by: Cell<u64>,
    /// What the cipher adds to a plaintext, in octets.
    seal: Cell<usize>,
}

impl Datagrams {
    /// While the last flight is held or refused, only repetitions of the peer's own can come, since the peer has nothing
    /// else to say before that flight: they are dropped, and a refused peer is told again. An empty datagram, which
    /// anybody can send, is no record: OpenSSL would take a read of no octets for the end of the transport.
    pub fn feed(&self, datagram: &[u8]) {
        if let Some(description) = self.refusal.get() {
            self.refuse_again(description, datagram);
        } else if !self.is_holding() && !datagram.is_empty() {
            self.incoming.borrow_mut().push_back(datagram.to_vec());
        }
    }

    /// Alerts get lost like any datagram. One for each Finished of the peer, which alone is sealed; not for ever.
    fn refuse_again(&self, description: u8, datagram: &[u8]) {
        let repeats = records(datagram).any(|record| record.is_sealed());
        if repeats && self.repetitions.get() < MOST_REPETITIONS {
            self.repetitions.set(self.repetitions.get() + 1);
            self.put_alert(description);
        }
    }

    fn put_alert(&self, description: u8) {
        let sequence = self.unused_sequence.get();
        self.unused_sequence.set(sequence + 1);
        self.outgoing.borrow_mut().push(alert::plaintext_datagram(sequence, description));
    }

    pub fn take(&self) -> Vec<Vec<u8>> {
        self.outgoing.take()
    }

    pub fn pending_in(&self) -> usize {
        self.incoming.borrow().iter().map(Vec::len).sum()
    }

    pub fn pending_out(&self) -> usize {
        self.outgoing.borrow().iter().map(Vec::len).sum()
    }

    /// How many datagrams wait to be sent.
    pub fn count_out(&self) -> usize {
        self.outgoing.borrow().len()
    }

    /// Keeps back what is to be sent, from this datagram on, until `release` or `refuse`.
    pub fn hold_from(&self, start: usize) {
        *self.held.borrow_mut() = Some(self.outgoing.borrow_mut().split_off(start));
    }

    pub fn is_holding(&self) -> bool {
        self.held.borrow().is_some()
    }

    pub fn release(&self) {
        if let Some(datagrams) = self.held.take() {
            self.outgoing.borrow_mut().extend(datagrams);
        }
    }

    /// Drops what is held and puts an alert in clear in its place; whether there was something.
    pub fn refuse(&self, description: u8) -> bool {
        if self.held.take().is_none() {
            return false;
        }
        self.refusal.set(Some(description));
        self.put_alert(description);
        true
    }

    /// The cipher is known, and adds so many octets at least; with CBC the first look says more than it is.
    pub fn sealed_with(&self, octets: usize) {
        self.seal.set(octets.min(LONGEST_SEAL));
    }

    /// OpenSSL ends a connection over a sealed record that is too short for its cipher, which anybody can send (seen in
    /// 3.6.3); RFC 6347 section 4.1.2.7 has it dropped.
    fn is_too_short(&self, datagram: &[u8]) -> bool {
        let least = self.seal.get().max(SHORTEST_SEAL);
        records(datagram).any(|record| record.is_sealed() && record.length < least)
    }

    /// Server: its first record gets this sequence number, the verified hello's own (RFC 6347 section 4.2.1). OpenSSL
    /// begins at 1, which a HelloVerifyRequest may have had if hellos were repeated, and a client drops doubles.
    pub fn begin_at(&self, sequence: u64) {
        self.raised_by.set(if sequence < HIGHEST_BEGINNING { sequence.saturating_sub(1) } else { 0 });
    }
}

impl Queues for Datagrams {
    const NAME: &'static CStr = c"datagrams";

    fn method() -> &'static OnceLock<Option<Method>> {
        static METHOD: OnceLock<Option<Method>> = OnceLock::new();
        &METHOD
    }

    fn read(&self, into: &mut [u8]) -> Option<usize> {
        let mut incoming = self.incoming.borrow_mut();
        let mut datagram = incoming.pop_front()?;
        while self.is_too_short(&datagram) {
            datagram = incoming.pop_front()?;
        }
        // A datagram longer than any record is cut, and its record then fails like every other broken one.
        let count = into.len().min(datagram.len());
        into[..count].copy_from_slice(&datagram[..count]);
        Some(count)
    }

    fn write(&self, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let plaintext: Vec<_> = records(&datagram).filter(|record| !record.is_sealed()).collect();
        for record in plaintext {
            let raised = record.number + self.raised_by.get();
            datagram[record.begins + NUMBER.start..record.begins + NUMBER.end].copy_from_slice(&raised.to_be_bytes());
            self.unused_sequence.set(self.unused_sequence.get().max(raised + 1));
        }
        self.outgoing.borrow_mut().push(datagram);
    }

    /// The MTU is the connection's (SSL_OP_NO_QUERY_MTU), addresses are the caller's, and nothing waits inside: OpenSSL
    /// would take octets that wait here for part of the datagram it is filling.
    fn control(&self, command: c_int) -> c_long {
        match command {
            ffi::BIO_CTRL_FLUSH => 1,
            ffi::BIO_CTRL_PENDING => c_long::try_from(self.pending_in()).unwrap_or(c_long::MAX),
            _ => 0,
        }
    }
}

/// A record's header.
struct Record {
    /// Its place in the datagram.
    begins: usize,
    /// Epoch and sequence number.
    number: u64,
    length: usize,
}

impl Record {
    fn is_sealed(&self) -> bool {
        self.number >> EPOCH != 0
    }
}

fn records(datagram: &[u8]) -> impl Iterator<Item = Record> + '_ {
    let mut place = 0;
    std::iter::from_fn(move || {
        let header = datagram.get(place..place + RECORD_HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let record = Record { begins: place, number: cookie::number(&header[NUMBER]), length };
        place += RECORD_HEADER + length;
        Some(record)
    })
}
