//! A client's own DNSSEC chain in its Certificate, under a private code point: the mirror of RFC 9102, which no document
//! specifies. TLS 1.3 alone.
//!
//!   CertificateRequest   extension_data is empty: this server looks at carried chains
//!   Certificate          in the first entry: an AuthenticationChain (RFC 9102 section 2.3), nothing before or behind it
//!
//! Octets only; a Certificate message has at most 100 KiB, and whoever judges a chain has a smaller limit.

use crate::error::{Failure, Outcome};
use crate::extension::{
    self, Alert, Extension, Message, CERTIFICATE, CERTIFICATE_REQUEST, DECODE_ERROR, ILLEGAL_PARAMETER,
    UNSUPPORTED_EXTENSION,
};
use crate::state::State;
use openssl_sys as sys;
use std::cell::{Cell, RefCell};

#[derive(Clone, Copy, Default)]
pub struct Settings {
    known: bool,
    /// The server asks for it.
    wanted: bool,
}

impl Settings {
    pub fn set(&mut self, ctx: *mut sys::SSL_CTX, code_point: u16, wanted: bool) -> Outcome<()> {
        if self.known {
            return Err(Failure::State("the extension is set already"));
        }
        extension::register::<CarriedChain>(ctx, code_point, CERTIFICATE_REQUEST | CERTIFICATE)?;
        *self = Settings { known: true, wanted };
        Ok(())
    }
}

/// What a client's connection is told.
#[derive(Default)]
pub struct Wish {
    pub chain: Option<Vec<u8>>,
}

impl Wish {
    pub fn check(&self, settings: Settings) -> Outcome<()> {
        match &self.chain {
            None => Ok(()),
            Some(_) if !settings.known => Err(Failure::argument("a carried chain needs Config.set_carried_chain")),
            Some(chain) if chain.is_empty() || chain.len() > extension::MOST_OCTETS => {
                Err(Failure::argument("a chain has 1 to 65000 octets"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// A connection's part in it.
#[derive(Default)]
pub struct Cells {
    wanted: bool,
    chain: Option<Vec<u8>>,
    pub requested: Cell<bool>,
    /// Client: the request that is being read asks for a chain; the one that is being answered did.
    asked: Cell<bool>,
    answering: Cell<bool>,
    /// Server: what the client carried.
    pub received: RefCell<Option<Vec<u8>>>,
}

impl Cells {
    pub fn new(settings: Settings, wish: &mut Wish) -> Self {
        Cells { wanted: settings.wanted, chain: wish.chain.take(), ..Cells::default() }
    }

    /// Client: the request has been read, and its answer follows.
    pub fn begin_answer(&self) {
        self.answering.set(self.asked.take());
    }
}

struct CarriedChain;

impl Extension for CarriedChain {
    fn add<'a>(state: &'a State, message: &Message) -> Result<Option<&'a [u8]>, Alert> {
        let cells = &state.carried_chain;
        if message.is(CERTIFICATE_REQUEST) {
            cells.requested.set(cells.wanted);
            return Ok(cells.wanted.then_some(&[]));
        }
        let speaks = !message.server && message.entry == 0 && cells.answering.get();
        Ok(cells.chain.as_deref().filter(|_| speaks))
    }

    fn take(state: &State, message: &Message, data: &[u8]) -> Result<(), Alert> {
        let cells = &state.carried_chain;
        if message.is(CERTIFICATE_REQUEST) {
            cells.requested.set(true);
            cells.asked.set(true);
            return if data.is_empty() { Ok(()) } else { Err(DECODE_ERROR) };
        }
        if !message.server || !cells.requested.get() {
            return Err(UNSUPPORTED_EXTENSION);
        }
        if message.entry > 0 {
            return Err(ILLEGAL_PARAMETER);
        }
        if data.is_empty() {
            return Err(DECODE_ERROR);
        }
        *cells.received.borrow_mut() = Some(data.to_vec());
        Ok(())
    }
}
