//! `dane_clientid` (draft-ietf-dance-client-auth-13 section 7) as a custom extension.
//!
//! Shape only: lengths, who may send it and how often. What a name must look like, and whether its owner may come in,
//! is decided elsewhere.

use crate::error::{Failure, Outcome};
use crate::extension::{
    self, Alert, Extension, Message, CERTIFICATE, CERTIFICATE_REQUEST, DECODE_ERROR, ILLEGAL_PARAMETER,
    UNSUPPORTED_EXTENSION,
};
use crate::state::State;
use openssl_sys as sys;
use std::cell::{Cell, RefCell};

/// A zero-length ClientName: what a server's CertificateRequest carries.
static REQUEST: [u8; 1] = [0];

/// What a Config says about the extension.
#[derive(Clone, Copy, Default)]
pub struct Settings {
    /// It is spoken at all.
    pub known: bool,
    /// The server puts it into its CertificateRequest.
    pub wanted: bool,
}

impl Settings {
    pub fn set(&mut self, ctx: *mut sys::SSL_CTX, code_point: u16, wanted: bool) -> Outcome<()> {
        if self.known {
            return Err(Failure::State("the extension is set already"));
        }
        extension::register::<ClientId>(ctx, code_point, CERTIFICATE_REQUEST | CERTIFICATE)?;
        *self = Settings { known: true, wanted };
        Ok(())
    }
}

/// What a connection is told.
#[derive(Default)]
pub struct Wish {
    pub name: Option<Vec<u8>>,
}

impl Wish {
    pub fn check(&self, settings: Settings) -> Outcome<()> {
        match &self.name {
            None => Ok(()),
            Some(name) if name.is_empty() || name.len() > 255 => {
                Err(Failure::argument("a ClientName has 1 to 255 octets"))
            }
            Some(_) if !settings.known => Err(Failure::argument("a client name needs Config.set_clientid")),
            Some(_) => Ok(()),
        }
    }
}

/// A connection's part in it.
#[derive(Default)]
pub struct Cells {
    wanted: bool,
    /// The client's extension_data, length octet first; empty when it has no name to give.
    answer: Vec<u8>,
    pub requested: Cell<bool>,
    pub names: RefCell<Vec<(u32, Vec<u8>)>>,
}

impl Cells {
    pub fn new(settings: Settings, wish: &Wish) -> Self {
        Cells {
            wanted: settings.wanted,
            answer: wish.name.as_deref().map(extension_data).unwrap_or_default(),
            ..Cells::default()
        }
    }
}

/// `opaque ClientName<0..2^8-1>`; its length was checked.
fn extension_data(name: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    std::iter::once(length).chain(name.iter().copied()).collect()
}

struct ClientId;

impl Extension for ClientId {
    fn add<'a>(state: &'a State, message: &Message) -> Result<Option<&'a [u8]>, Alert> {
        let cells = &state.clientid;
        if message.is(CERTIFICATE_REQUEST) {
            cells.requested.set(cells.wanted);
            return Ok(cells.wanted.then_some(&REQUEST));
        }
        // OpenSSL asks for a client's Certificate only after the server's request was seen; a server's own Certificate
        // and every entry but the first go without.
        let silent = message.entry > 0 || !cells.requested.get() || cells.answer.is_empty();
        Ok((!silent).then_some(&cells.answer))
    }

    fn take(state: &State, message: &Message, data: &[u8]) -> Result<(), Alert> {
        let name = client_name(data)?;
        if message.is(CERTIFICATE_REQUEST) {
            take_request(&state.clientid, name)
        } else if message.server {
            take_answer(&state.clientid, name, message.entry)
        } else {
            Err(UNSUPPORTED_EXTENSION)
        }
    }
}

/// `opaque ClientName<0..2^8-1>`, and nothing behind it.
fn client_name(data: &[u8]) -> Result<&[u8], Alert> {
    match data.split_first() {
        Some((&length, name)) if usize::from(length) == name.len() => Ok(name),
        _ => Err(DECODE_ERROR),
    }
}

fn take_request(cells: &Cells, name: &[u8]) -> Result<(), Alert> {
    if !name.is_empty() {
        return Err(ILLEGAL_PARAMETER);
    }
    cells.requested.set(true);
    Ok(())
}

fn take_answer(cells: &Cells, name: &[u8], entry: usize) -> Result<(), Alert> {
    if !cells.requested.get() {
        return Err(UNSUPPORTED_EXTENSION);
    }
    let mut names = cells.names.borrow_mut();
    if !names.is_empty() {
        return Err(ILLEGAL_PARAMETER);
    }
    let entry = u32::try_from(entry).map_err(|_| ILLEGAL_PARAMETER)?;
    names.push((entry, name.to_vec()));
    Ok(())
}
