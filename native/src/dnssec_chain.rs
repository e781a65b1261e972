//! `dnssec_chain` (RFC 9102): a server's own DNSSEC chain in its Certificate or, before TLS 1.3, its ServerHello; and the
//! pause in which a client's caller judges it, before the server's certificate is verified by what it says.
//!
//! Octets only: what is in a chain, and whether it proves anything, is decided elsewhere.

use crate::error::{Failure, Outcome};
use crate::extension::{
    self, Alert, Extension, Message, CERTIFICATE, CLIENT_HELLO, DECODE_ERROR, ILLEGAL_PARAMETER, TLS12_SERVER_HELLO,
    UNSUPPORTED_EXTENSION,
};
use crate::ffi;
use crate::state::{self, guarded, State};
use openssl_sys as sys;
use pyo3::pybacked::PyBackedBytes;
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;

/// Host in A-labels, port, extension_data: Python's own octets, not a copy.
pub type Served = (String, u16, PyBackedBytes);

#[derive(Clone, Copy, Default)]
pub struct Settings {
    pub known: bool,
}

impl Settings {
    pub fn set(&mut self, ctx: *mut sys::SSL_CTX, code_point: u16) -> Outcome<()> {
        if self.known {
            return Err(Failure::State("the extension is set already"));
        }
        extension::register::<DnssecChain>(ctx, code_point, CLIENT_HELLO | CERTIFICATE | TLS12_SERVER_HELLO)?;
        self.known = true;
        Ok(())
    }
}

/// What a connection is told: a client the port it asks for, a server what it answers.
#[derive(Default)]
pub struct Wish {
    pub port: Option<u16>,
    pub served: Vec<Served>,
}

impl Wish {
    pub fn check(&self, settings: Settings, server_side: bool, names_its_server: bool) -> Outcome<()> {
        let any = self.port.is_some() || !self.served.is_empty();
        if any && !settings.known {
            return Err(Failure::argument("chains need Config.set_dnssec_chain"));
        }
        if self.port.is_some() && (server_side || !names_its_server) {
            return Err(Failure::argument("a client asks for a chain, with the server's name (RFC 9102 section 2.1)"));
        }
        if !self.served.is_empty() && !server_side {
            return Err(Failure::argument("only a server serves its chain"));
        }
        if self.served.iter().any(|(_, _, data)| data.is_empty() || data.len() > extension::MOST_OCTETS) {
            return Err(Failure::argument("a chain has 1 to 65000 octets"));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Judgement {
    /// No chain was asked for.
    #[default]
    NotNeeded,
    Open,
    Awaited,
    Allowed,
    Denied,
}

/// A connection's part in it.
#[derive(Default)]
pub struct Cells {
    /// Client: its extension_data.
    question: Option<[u8; 2]>,
    served: Vec<Served>,
    /// Server: the port in the ClientHello.
    port: Cell<u16>,
    /// Client: the server's extension_data.
    pub answer: RefCell<Option<Vec<u8>>>,
    judgement: Cell<Judgement>,
}

impl Cells {
    pub fn new(wish: &mut Wish) -> Self {
        Cells {
            question: wish.port.map(u16::to_be_bytes),
            served: std::mem::take(&mut wish.served),
            judgement: Cell::new(if wish.port.is_some() { Judgement::Open } else { Judgement::NotNeeded }),
            ..Cells::default()
        }
    }

    /// Server: the handshake is over; a chain is long, and connections live long.
    pub fn forget_served(&mut self) {
        self.served = Vec::new();
    }

    /// Client: the handshake stands still until [`Cells::judge`].
    pub fn awaits_judgement(&self) -> bool {
        self.judgement.get() == Judgement::Awaited
    }

    pub fn judge(&self, allowed: bool) -> Outcome<()> {
        if !self.awaits_judgement() {
            return Err(Failure::State("no judgement is awaited"));
        }
        self.judgement.set(if allowed { Judgement::Allowed } else { Judgement::Denied });
        Ok(())
    }
}

struct DnssecChain;

impl Extension for DnssecChain {
    fn add<'a>(state: &'a State, message: &Message) -> Result<Option<&'a [u8]>, Alert> {
        let cells = &state.dnssec_chain;
        if message.is(CLIENT_HELLO) {
            return Ok(cells.question.as_ref().map(<[u8; 2]>::as_slice));
        }
        // OpenSSL asks only where the ClientHello had it; a client's own Certificate goes without.
        if !message.server || message.entry > 0 {
            return Ok(None);
        }
        let Some(name) = message.server_name() else { return Ok(None) };
        let port = cells.port.get();
        let chain = cells.served.iter().find(|(host, at, _)| *at == port && host.eq_ignore_ascii_case(&name));
        Ok(chain.map(|(_, _, data)| &**data))
    }

    fn take(state: &State, message: &Message, data: &[u8]) -> Result<(), Alert> {
        let cells = &state.dnssec_chain;
        if message.is(CLIENT_HELLO) {
            let port = <[u8; 2]>::try_from(data).map_err(|_| DECODE_ERROR)?;
            cells.port.set(u16::from_be_bytes(port));
            return Ok(());
        }
        if message.server || cells.question.is_none() {
            return Err(UNSUPPORTED_EXTENSION);
        }
        if message.entry > 0 {
            return Err(ILLEGAL_PARAMETER);
        }
        *cells.answer.borrow_mut() = Some(data.to_vec());
        Ok(())
    }
}

/// Stands around OpenSSL's verification of a server (SSL_CTX_set_cert_verify_callback) where chains may be asked for: the
/// handshake stops until the caller has judged, since its judgement may say by which records to verify.
pub extern "C" fn on_verify(ctx: *mut sys::X509_STORE_CTX, _arg: *mut c_void) -> c_int {
    guarded(0, || {
        // SAFETY: OpenSSL passes a live verification of a live connection.
        unsafe {
            let ssl: *mut sys::SSL =
                sys::X509_STORE_CTX_get_ex_data(ctx, sys::SSL_get_ex_data_X509_STORE_CTX_idx()).cast();
            let Some(state) = state::of(ssl) else { return 0 };
            let judgement = &state.dnssec_chain.judgement;
            match judgement.get() {
                Judgement::NotNeeded | Judgement::Allowed => sys::X509_verify_cert(ctx),
                Judgement::Open | Judgement::Awaited => {
                    judgement.set(Judgement::Awaited);
                    sys::SSL_ctrl(ssl, ffi::SSL_CTRL_SET_RETRY_VERIFY, 0, ptr::null_mut());
                    1
                }
                Judgement::Denied => {
                    sys::X509_STORE_CTX_set_error(ctx, sys::X509_V_ERR_APPLICATION_VERIFICATION);
                    0
                }
            }
        }
    })
}
