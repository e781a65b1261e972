//! The request flag in the TLS flags extension (draft-ietf-tls-tlsflags-16, draft-jhoyla-req-mtls-flag).
//!
//! Which flag in which message is `dnsbound.tls.flags` in tables; here is what those tables mean for an end that knows
//! one flag alone and reads past all others. Neither extension type nor flag number is assigned: a server looks for two
//! pairs at most, a client sends the first. Whether to ask a client that signalled is the Config's to say.

use crate::error::{Failure, Outcome};
use crate::extension::{self, Alert, Extension, Message, CERTIFICATE_REQUEST, ILLEGAL_PARAMETER};
use crate::state::State;
use openssl_sys as sys;
use std::cell::Cell;
use std::ffi::c_uint;

/// Extension type and flag number.
pub type Signal = (u16, u16);

/// Callbacks are told apart by type, so each pair has a place of its own.
const PLACES: usize = 2;
const LAST_FLAG: u16 = 255 * 8 - 1;

const CLIENT_HELLO: c_uint = sys::SSL_EXT_CLIENT_HELLO;
const RETRY: c_uint = sys::SSL_EXT_TLS1_3_HELLO_RETRY_REQUEST;
const TICKET: c_uint = sys::SSL_EXT_TLS1_3_NEW_SESSION_TICKET;
/// In ServerHello, EncryptedExtensions and Certificate nothing we send can be answered: there it is unknown to OpenSSL's
/// table, which is illegal_parameter.
const MESSAGES: c_uint = sys::SSL_EXT_TLS1_3_ONLY | CLIENT_HELLO | RETRY | CERTIFICATE_REQUEST | TICKET;

/// What a Config says about the flag.
#[derive(Clone, Default)]
pub struct Settings {
    signals: Vec<Signal>,
    send: bool,
}

impl Settings {
    pub fn set(&mut self, ctx: *mut sys::SSL_CTX, signals: &[Signal], send: bool) -> Outcome<()> {
        if !self.signals.is_empty() {
            return Err(Failure::State("the request signal is set already"));
        }
        if signals.is_empty() || signals.len() > PLACES {
            return Err(Failure::argument("one or two pairs of extension type and flag"));
        }
        if signals.iter().any(|&(_, flag)| flag > LAST_FLAG) {
            return Err(Failure::argument("flags are from 0 to 2039"));
        }
        extension::register::<RequestFlag<0>>(ctx, signals[0].0, MESSAGES)?;
        if let Some(&(code_point, _)) = signals.get(1) {
            extension::register::<RequestFlag<1>>(ctx, code_point, MESSAGES)?;
        }
        *self = Settings { signals: signals.to_vec(), send };
        Ok(())
    }
}

#[derive(Default)]
struct Place {
    flag: u16,
    /// extension_data with this flag alone.
    data: Vec<u8>,
    /// Client: it is in our ClientHello.
    sent: bool,
    /// Server: it was in the ClientHello. Client: it was in the CertificateRequest.
    received: Cell<bool>,
}

/// A connection's part in it.
#[derive(Default)]
pub struct Cells {
    places: [Place; PLACES],
    /// Server: this flag decides whether a certificate is asked for.
    pub decides: bool,
}

impl Cells {
    pub fn new(settings: &Settings, decides: bool) -> Self {
        let mut cells = Cells { decides, ..Cells::default() };
        for (place, &(_, flag)) in cells.places.iter_mut().zip(&settings.signals) {
            *place = Place { flag, data: extension_data(flag), ..Place::default() };
        }
        cells.places[0].sent = settings.send;
        cells
    }

    pub fn received(&self) -> bool {
        self.places.iter().any(|place| place.received.get())
    }
}

/// The shortest form, which is the only one.
fn extension_data(flag: u16) -> Vec<u8> {
    let (octet, bit) = (flag / 8, flag % 8);
    let mut data = vec![0; usize::from(octet) + 2];
    // At most 255: the flag was checked.
    data[0] = (octet + 1) as u8;
    data[usize::from(octet) + 1] = 1 << bit;
    data
}

struct RequestFlag<const PLACE: usize>;

impl<const PLACE: usize> Extension for RequestFlag<PLACE> {
    fn add<'a>(state: &'a State, message: &Message) -> Result<Option<&'a [u8]>, Alert> {
        let place = &state.flags.places[PLACE];
        if message.is(RETRY) {
            // The ClientHello that counts is the next one.
            place.received.set(false);
        }
        let said =
            (message.is(CLIENT_HELLO) && place.sent) || (message.is(CERTIFICATE_REQUEST) && place.received.get());
        Ok(said.then_some(&place.data))
    }

    fn take(state: &State, message: &Message, data: &[u8]) -> Result<(), Alert> {
        let place = &state.flags.places[PLACE];
        let set = is_set(flags(data)?, place.flag);
        let allowed = if message.is(CERTIFICATE_REQUEST) {
            place.sent || !set
        } else if message.is(TICKET) {
            !set
        } else {
            // A HelloRetryRequest could only answer flags of ours, and the one we send is answered elsewhere.
            message.is(CLIENT_HELLO)
        };
        if !allowed {
            return Err(ILLEGAL_PARAMETER);
        }
        if !message.is(TICKET) {
            place.received.set(set);
        }
        Ok(())
    }
}

/// `opaque flags<1..255>`, not ending in an octet of zero, and nothing behind it.
fn flags(data: &[u8]) -> Result<&[u8], Alert> {
    match data.split_first() {
        Some((&length, flags)) if usize::from(length) == flags.len() && flags.last().is_some_and(|&last| last != 0) => {
            Ok(flags)
        }
        _ => Err(ILLEGAL_PARAMETER),
    }
}

fn is_set(flags: &[u8], flag: u16) -> bool {
    flags.get(usize::from(flag / 8)).is_some_and(|octet| octet >> (flag % 8) & 1 == 1)
}
