//! Application data through an open connection: reading, writing, and the orderly end.

use crate::error::{Failure, Outcome, Report};
use crate::ffi;
use crate::late;
use crate::tls::{Step, Tls};
use openssl_sys as sys;
use std::mem::MaybeUninit;
use std::ptr;

/// The plaintext of one TLS record at most (RFC 9846 section 5.1); a read returns no more than one record.
const RECORD: usize = 16 * 1024;
/// Octets that may wait while the peer leaves a handshake message unfinished; the write that passes it still waits.
const MOST_PARKED: usize = 1024 * 1024;

impl Tls {
    /// For what moves application data.
    pub fn open(&self) -> Outcome<()> {
        self.established()?;
        if self.transport.is_holding() {
            Err(Failure::State("the last flight is held: release_flight was not called"))
        } else if self.transport.messages().is_ok() {
            Err(Failure::State("application data of QUIC is in its streams, not in TLS"))
        } else {
            Ok(())
        }
    }

    /// One record's plaintext at most, lent to `take`; `None` when more ciphertext is needed, empty after close_notify.
    pub fn read<T>(&mut self, size: usize, take: impl FnOnce(&[u8]) -> T) -> Outcome<Option<T>> {
        self.open()?;
        let mut buffer = [MaybeUninit::<u8>::uninit(); RECORD];
        let mut count = 0;
        self.begin();
        // SAFETY: ssl is alive; it writes at most the length it is given.
        let result =
            unsafe { sys::SSL_read_ex(self.as_ptr(), buffer.as_mut_ptr().cast(), size.min(RECORD), &mut count) };
        let step = self.end(result, "read failed")?;
        self.after_reading()?;
        match step {
            // SAFETY: OpenSSL wrote `count` octets.
            Step::Done => Ok(Some(take(unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast(), count) }))),
            Step::WantsMore => Ok(None),
            Step::Closed => Ok(Some(take(&[]))),
        }
    }

    /// Reading goes through handshake messages as they come: an answer may be complete, and what was parked may go.
    fn after_reading(&mut self) -> Outcome<()> {
        late::notice(self);
        if self.parked.is_empty() || self.is_half_way() {
            return Ok(());
        }
        let parked = std::mem::take(&mut self.parked);
        self.put(&parked).map(drop)
    }

    /// A handshake message of the peer, or its answer to a late request, has begun to arrive and has not ended.
    fn is_half_way(&self) -> bool {
        // SAFETY: ssl is alive.
        unsafe { ffi::SSL_in_init(self.as_ptr()) == 1 }
    }

    pub fn write(&mut self, data: &[u8]) -> Outcome<usize> {
        self.open()?;
        if self.shut {
            return Err(Failure::State("close_notify has been sent"));
        }
        if data.is_empty() {
            return Ok(0);
        }
        if self.is_half_way() {
            return self.park(data);
        }
        self.put(data)
    }

    /// A peer that never sends the rest must not have everything kept that was meant for it. Datagrams get lost anyway.
    fn park(&mut self, data: &[u8]) -> Outcome<usize> {
        if self.transport.datagrams().is_ok() {
            return Ok(data.len());
        }
        if self.parked.len() >= MOST_PARKED {
            self.parked = Vec::new();
            let text = "the peer leaves a handshake message unfinished".to_owned();
            return Err(self.fail(Report { text, ..Report::default() }));
        }
        self.parked.extend_from_slice(data);
        Ok(data.len())
    }

    /// Octets that were written and wait for the rest of a message of the peer's.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    fn put(&mut self, data: &[u8]) -> Outcome<usize> {
        let mut count = 0;
        self.begin();
        // SAFETY: ssl is alive and reads `data.len()` octets.
        let result = unsafe { sys::SSL_write_ex(self.as_ptr(), data.as_ptr().cast(), data.len(), &mut count) };
        match self.end(result, "write failed")? {
            Step::Done => Ok(count),
            // Neither happens: the queue never fills up and renegotiation is off.
            Step::WantsMore | Step::Closed => {
                let report = self.report("write stopped half way");
                Err(self.fail(report))
            }
        }
    }

    /// Sends close_notify once; true when the peer's has arrived. Data that came before it stays readable.
    pub fn shutdown(&mut self) -> Outcome<bool> {
        self.open()?;
        self.begin();
        if !self.shut {
            // SAFETY: ssl is alive.
            let result = unsafe { sys::SSL_shutdown(self.as_ptr()) };
            if result < 0 {
                let report = self.report("close_notify could not be sent");
                return Err(self.fail(report));
            }
            self.shut = true;
        }
        let mut octet = 0_u8;
        let mut count = 0;
        // SAFETY: ssl is alive; a look at one octet.
        let result = unsafe { sys::SSL_peek_ex(self.as_ptr(), ptr::from_mut(&mut octet).cast(), 1, &mut count) };
        Ok(matches!(self.end(result, "the peer did not close in order")?, Step::Closed))
    }
}
