//! `dane_clientid` as a custom extension, in three profiles: `ca13` and `ca10` (draft-ietf-dance-client-auth-13 section 7
//! and -10) for TLS 1.3, `cid07` (draft-ietf-dance-tls-clientid-07 section 3) for TLS 1.2 as well.
//!
//! Shape only: lengths, who may send it in which message, and how often. What a name must look like, and whether its
//! owner may come in, is decided elsewhere.

use crate::error::{Failure, Outcome};
use crate::extension::{
    self, Alert, Extension, Message, CERTIFICATE, CERTIFICATE_REQUEST, CLIENT_HELLO, DECODE_ERROR, ILLEGAL_PARAMETER,
    TLS12_SERVER_HELLO, UNSUPPORTED_EXTENSION,
};
use crate::state::State;
use openssl_sys as sys;
use std::cell::{Cell, RefCell};
use std::ffi::c_uint;

/// A zero-length ClientName.
static ZERO_LENGTH: [u8; 1] = [0];

/// Which texts of the drafts are spoken.
#[derive(Clone, Copy, Default)]
pub struct Profiles {
    ca13: bool,
    ca10: bool,
    cid07: bool,
}

impl Profiles {
    pub fn parse(words: &[String]) -> Outcome<Self> {
        let mut profiles = Profiles::default();
        for word in words {
            match word.as_str() {
                "ca13" => profiles.ca13 = true,
                "ca10" => profiles.ca10 = true,
                "cid07" => profiles.cid07 = true,
                _ => return Err(Failure::argument(format!("no such profile: {word:?}"))),
            }
        }
        if words.is_empty() {
            return Err(Failure::argument("no profile"));
        }
        Ok(profiles)
    }

    /// `ClientName<0..2^8-1>`, as client-auth has it; tls-clientid-07 begins at 1.
    fn zero_length(self) -> bool {
        self.ca13 || self.ca10
    }

    /// An extension_data without any octet.
    fn empty_data(self) -> bool {
        self.ca10 || self.cid07
    }

    fn messages(self) -> c_uint {
        let hellos = if self.cid07 { CLIENT_HELLO | TLS12_SERVER_HELLO } else { 0 };
        CERTIFICATE_REQUEST | CERTIFICATE | hellos
    }

    /// What a CertificateRequest carries.
    fn request(self) -> &'static [u8] {
        if self.zero_length() {
            &ZERO_LENGTH
        } else {
            &[]
        }
    }
}

/// What a Config says about the extension.
#[derive(Clone, Copy, Default)]
pub struct Settings {
    /// It is spoken at all.
    known: bool,
    profiles: Profiles,
    /// The server asks for it.
    wanted: bool,
}

impl Settings {
    pub fn set(&mut self, ctx: *mut sys::SSL_CTX, code_point: u16, profiles: Profiles, wanted: bool) -> Outcome<()> {
        if self.known {
            return Err(Failure::State("the extension is set already"));
        }
        extension::register::<ClientId>(ctx, code_point, profiles.messages())?;
        *self = Settings { known: true, profiles, wanted };
        Ok(())
    }
}

/// What a connection is told.
#[derive(Default)]
pub struct Wish {
    pub name: Option<Vec<u8>>,
    /// The name may stand in the ClientHello, which anybody can read.
    pub clear: bool,
}

impl Wish {
    pub fn is_any(&self) -> bool {
        self.name.is_some() || self.clear
    }

    pub fn check(&self, settings: Settings) -> Outcome<()> {
        let Some(name) = &self.name else {
            return if self.clear { Err(Failure::argument("there is no client name to send")) } else { Ok(()) };
        };
        if !settings.known {
            return Err(Failure::argument("a client name needs Config.set_clientid"));
        }
        let least = usize::from(!settings.profiles.empty_data());
        if name.len() < least || name.len() > 255 {
            return Err(Failure::argument(format!("a ClientName has {least} to 255 octets")));
        }
        if self.clear && !settings.profiles.cid07 {
            return Err(Failure::argument("only profile cid07 has a place in the ClientHello"));
        }
        Ok(())
    }
}

/// A connection's part in it.
#[derive(Default)]
pub struct Cells {
    profiles: Profiles,
    /// Server: it asks.
    wanted: bool,
    /// Client: its extension_data; none when it says nothing.
    answer: Option<Vec<u8>>,
    /// Client: the answer stands in the ClientHello as well.
    clear: bool,
    pub requested: Cell<bool>,
    /// Client: the request that is being read asks for the name; the one that is being answered did.
    asked: Cell<bool>,
    answering: Cell<bool>,
    /// Server: the name in the ClientHello, empty for an extension without one.
    hello: RefCell<Option<Vec<u8>>>,
    /// Server: the client's answers by entry; none for an extension_data without any octet.
    answers: RefCell<Vec<(u32, Option<Vec<u8>>)>>,
}

impl Cells {
    pub fn new(settings: Settings, wish: &Wish) -> Self {
        Cells {
            profiles: settings.profiles,
            wanted: settings.wanted,
            answer: wish.name.as_deref().map(extension_data),
            clear: wish.clear,
            ..Cells::default()
        }
    }

    /// Server: the ClientHello had it, which says that the client has a credential as well as a request flag does.
    pub fn offered(&self) -> bool {
        self.hello.borrow().is_some()
    }

    /// Client: the request has been read, and its answer follows.
    pub fn begin_answer(&self) {
        self.answering.set(self.asked.take());
    }

    /// Server: another answer follows.
    pub fn forget_answers(&self) {
        self.answers.borrow_mut().clear();
    }

    /// Server: (entry, ClientName) of what carries the client's name in this version of TLS; none for an extension
    /// without a ClientName inside.
    pub fn answers(&self, tls13: bool) -> Vec<(u32, Option<Vec<u8>>)> {
        if tls13 {
            return self.answers.borrow().clone();
        }
        let name = self.hello.borrow().clone();
        name.map(|name| (0, (!name.is_empty()).then_some(name))).into_iter().collect()
    }
}

/// `opaque ClientName<0..2^8-1>`, and nothing at all for no name; its length was checked.
fn extension_data(name: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let prefix = (length > 0).then_some(length);
    prefix.into_iter().chain(name.iter().copied()).collect()
}

struct ClientId;

impl Extension for ClientId {
    fn add<'a>(state: &'a State, message: &Message) -> Result<Option<&'a [u8]>, Alert> {
        let cells = &state.clientid;
        if message.is(CLIENT_HELLO) {
            return Ok(cells.answer.as_deref().filter(|_| cells.clear));
        }
        if message.is(CERTIFICATE_REQUEST | TLS12_SERVER_HELLO) {
            cells.requested.set(cells.wanted);
            let data = if message.is(CERTIFICATE_REQUEST) { cells.profiles.request() } else { &[] };
            return Ok(cells.wanted.then_some(data));
        }
        // OpenSSL asks for a client's Certificate only after the server's request was seen; a server's own Certificate
        // and every entry but the first go without.
        let speaks = !message.server && message.entry == 0 && cells.answering.get();
        Ok(cells.answer.as_deref().filter(|_| speaks))
    }

    fn take(state: &State, message: &Message, data: &[u8]) -> Result<(), Alert> {
        let cells = &state.clientid;
        if message.is(CLIENT_HELLO) {
            return take_hello(cells, data);
        }
        if message.is(TLS12_SERVER_HELLO) {
            cells.requested.set(true);
            return if data.is_empty() { Ok(()) } else { Err(DECODE_ERROR) };
        }
        if message.is(CERTIFICATE_REQUEST) {
            take_request(cells, data)
        } else if message.server {
            take_answer(cells, client_name(cells.profiles, data)?, message.entry)
        } else {
            Err(UNSUPPORTED_EXTENSION)
        }
    }
}

/// A Certificate's `opaque ClientName`, none for an extension_data without any octet, and nothing behind it.
fn client_name(profiles: Profiles, data: &[u8]) -> Result<Option<&[u8]>, Alert> {
    match data.split_first() {
        None if profiles.empty_data() => Ok(None),
        Some((0, [])) if !profiles.zero_length() => Err(DECODE_ERROR),
        Some((&length, name)) if usize::from(length) == name.len() => Ok(Some(name)),
        _ => Err(DECODE_ERROR),
    }
}

/// Zero length is what a server sends that speaks several profiles, so every client takes it.
fn take_request(cells: &Cells, data: &[u8]) -> Result<(), Alert> {
    match data.split_first() {
        None if !cells.profiles.empty_data() => return Err(DECODE_ERROR),
        Some((&length, name)) if usize::from(length) != name.len() => return Err(DECODE_ERROR),
        Some((_, name)) if !name.is_empty() => return Err(ILLEGAL_PARAMETER),
        _ => {
            cells.requested.set(true);
            cells.asked.set(true);
        }
    }
    Ok(())
}

/// Nobody asked for it and nobody has to heed it; a second ClientHello says the same again.
fn take_hello(cells: &Cells, data: &[u8]) -> Result<(), Alert> {
    let name = match data.split_first() {
        None => data,
        Some((&length, name)) if length > 0 && usize::from(length) == name.len() => name,
        Some(_) => return Err(DECODE_ERROR),
    };
    let mut hello = cells.hello.borrow_mut();
    if hello.as_deref().is_some_and(|first| first != name) {
        return Err(ILLEGAL_PARAMETER);
    }
    if cells.wanted {
        *hello = Some(name.to_vec());
    }
    Ok(())
}

fn take_answer(cells: &Cells, name: Option<&[u8]>, entry: usize) -> Result<(), Alert> {
    if !cells.requested.get() {
        return Err(UNSUPPORTED_EXTENSION);
    }
    let mut answers = cells.answers.borrow_mut();
    let hello = cells.hello.borrow();
    let another = match (hello.as_deref(), name) {
        (Some(hello), Some(name)) => !hello.is_empty() && hello != name,
        _ => false,
    };
    if another || !answers.is_empty() {
        return Err(ILLEGAL_PARAMETER);
    }
    let entry = u32::try_from(entry).map_err(|_| ILLEGAL_PARAMETER)?;
    answers.push((entry, name.map(<[u8]>::to_vec)));
    Ok(())
}
