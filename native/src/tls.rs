//! One SSL over two memory queues: made, taken through its handshake, refused. What then goes through it: `data`.
//!
//! Not thread-safe by itself: the Python face keeps it behind a lock.

use crate::alert;
use crate::carried_chain;
use crate::clientid;
use crate::context::Context;
use crate::dnssec_chain;
use crate::dtls;
use crate::error::{self, Failure, Outcome, Report};
use crate::ffi;
use crate::flags;
use crate::late::Late;
use crate::settings::{c_string, Settings};
use crate::signer;
use crate::state::{self, Session, State};
use crate::transport::Transport;
use crate::verification::PeerVerification;
use crate::wishes::Wishes;
use openssl_sys as sys;
use std::ffi::{c_int, c_long, CString};
use std::net::IpAddr;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

const HANDSHAKE_FAILURE: u8 = 40;
const UNSUPPORTED_CERTIFICATE: u8 = 43;

pub struct Tls {
    ssl: *mut sys::SSL,
    pub transport: Transport,
    pub state: Rc<State>,
    pub server_side: bool,
    pub complete: bool,
    pub ticket_lifetime: u32,
    pub verify_hostname: Option<CString>,
    pub verification: PeerVerification,
    peer_types: Vec<u8>,
    holds_flight: bool,
    danger_no_extended_master_secret: bool,
    /// What a resumed ticket had sealed inside; a later send_ticket overwrites it in OpenSSL's session.
    pub resumed_data: Option<Vec<u8>>,
    failed: Option<Box<Report>>,
    /// close_notify has been sent.
    pub shut: bool,
    pub late: Late,
    /// Written while a message of the peer was half read, when OpenSSL takes nothing; sent once the rest is here.
    pub parked: Vec<u8>,
    // Callbacks and the SSL point into it: it goes last.
    _context: Arc<Context>,
}

// SAFETY: an SSL may move between threads; the Rcs and cells in here are shared with nothing outside this value but that
// SSL, and the Python face lets one thread in at a time.
unsafe impl Send for Tls {}

impl Drop for Tls {
    fn drop(&mut self) {
        // SAFETY: the SSL is ours and freed once, before transport and state that it points to.
        unsafe { sys::SSL_free(self.ssl) }
    }
}

/// How far a call that drives the connection came.
pub enum Step {
    Done,
    WantsMore,
    Closed,
}

impl Tls {
    pub fn new(settings: &Settings, mut wishes: Wishes) -> Outcome<Self> {
        wishes.check(settings)?;
        let verify_hostname = wishes.verify_hostname.as_deref().map(c_string).transpose()?;
        error::clear_queue();
        // SAFETY: the context is alive.
        let ssl = unsafe { sys::SSL_new(settings.context.as_ptr()) };
        if ssl.is_null() {
            return Err(Failure::from_queue("no SSL"));
        }
        let mut tls = Tls {
            ssl,
            transport: Transport::new(settings.carrier()),
            state: Rc::new(State {
                clientid: clientid::Cells::new(settings.clientid, &wishes.clientid),
                dnssec_chain: dnssec_chain::Cells::new(&mut wishes.dnssec_chain),
                carried_chain: carried_chain::Cells::new(settings.carried_chain, &mut wishes.carried_chain),
                flags: flags::Cells::new(&settings.flags, settings.verification == PeerVerification::AcceptSignalled),
                alpn: Arc::clone(&settings.alpn),
                own_types: settings.own_types.clone(),
                ticket_keys: settings.ticket_keys.clone(),
                dtls: settings.datagram.map(dtls::Cells::new).unwrap_or_default(),
                ..State::default()
            }),
            server_side: settings.server_side,
            complete: false,
            ticket_lifetime: settings.ticket_lifetime,
            verify_hostname,
            verification: settings.verification,
            peer_types: settings.peer_types.clone(),
            holds_flight: settings.holds_flight,
            danger_no_extended_master_secret: settings.danger_no_extended_master_secret,
            resumed_data: None,
            failed: None,
            shut: false,
            late: Late::default(),
            parked: Vec::new(),
            _context: Arc::clone(&settings.context),
        };
        tls.set_up(wishes)?;
        Ok(tls)
    }

    fn set_up(&mut self, wishes: Wishes) -> Outcome<()> {
        // SAFETY: ssl is alive.
        unsafe {
            if self.server_side {
                sys::SSL_set_accept_state(self.ssl);
            } else {
                sys::SSL_set_connect_state(self.ssl);
            }
        }
        self.transport.attach(self.ssl)?;
        if !state::attach(self.ssl, &self.state) {
            return Err(Failure::from_queue("no room beside the SSL"));
        }
        if self.transport.datagrams().is_ok() {
            self.prepare_datagrams()?;
        }
        if let Some(name) = wishes.server_hostname {
            self.offer_name(&name)?;
        }
        if let Some(name) = &self.verify_hostname {
            // SAFETY: ssl is alive, the name terminated; OpenSSL tells names from addresses itself and copies.
            if unsafe { ffi::SSL_set1_host(self.ssl, name.as_ptr()) } != 1 {
                return Err(Failure::from_queue("not a host name"));
            }
        }
        wishes.session.map_or(Ok(()), |session| self.offer_session(&session))
    }

    /// SNI; an address is never sent (RFC 6066 section 3).
    fn offer_name(&mut self, name: &str) -> Outcome<()> {
        if name.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let name = c_string(name)?;
        // SAFETY: ssl is alive, the name terminated and copied.
        let done = unsafe { sys::SSL_set_tlsext_host_name(self.ssl, name.as_ptr().cast_mut()) };
        if done == 1 {
            Ok(())
        } else {
            Err(Failure::from_queue("not a server name"))
        }
    }

    fn offer_session(&mut self, octets: &[u8]) -> Outcome<()> {
        let length = c_long::try_from(octets.len()).map_err(|_| Failure::argument("session too long"))?;
        let mut position = octets.as_ptr();
        // SAFETY: position runs over octets; ssl takes a reference of its own.
        let done = unsafe {
            let session = sys::d2i_SSL_SESSION(ptr::null_mut(), &mut position, length);
            if session.is_null() {
                return Err(Failure::from_queue("not a session"));
            }
            let session = Session(session);
            sys::SSL_set_session(self.ssl, session.0)
        };
        if done == 1 {
            Ok(())
        } else {
            Err(Failure::from_queue("session not accepted"))
        }
    }

    pub fn as_ptr(&self) -> *mut sys::SSL {
        self.ssl
    }

    pub fn feed(&self, data: &[u8]) -> Outcome<()> {
        let wire = self.transport.stream()?;
        if wire.at_eof() {
            return Err(Failure::State("the transport has ended: feed_eof was called"));
        }
        wire.feed(data);
        Ok(())
    }

    /// For what needs an established connection that has not failed.
    pub fn established(&self) -> Outcome<()> {
        self.alive()?;
        if self.complete {
            Ok(())
        } else {
            Err(Failure::State("the handshake is not complete"))
        }
    }

    pub fn alive(&self) -> Outcome<()> {
        self.failed.as_ref().map_or(Ok(()), |report| Err(Failure::Tls(report.clone())))
    }

    pub fn fail(&mut self, report: Report) -> Failure {
        // An exception holds the frames it came through, and they this connection: kept, it would never be freed.
        self.failed = Some(Box::new(Report { cause: None, ..report.clone() }));
        Failure::Tls(Box::new(report))
    }

    pub fn begin(&self) {
        error::clear_queue();
        signer::take_cause();
        self.state.alert_received.set(None);
        self.state.alert_sent.set(None);
    }

    /// Sorts the result of a call that drives the connection; a failure is final.
    pub fn end(&mut self, result: c_int, what: &str) -> Outcome<Step> {
        if result > 0 {
            return Ok(Step::Done);
        }
        // SAFETY: ssl is alive, and the queue was cleared before the call that gave `result`.
        match unsafe { sys::SSL_get_error(self.ssl, result) } {
            // A retry: the server's certificate waits for a judgement (dnssec_chain).
            sys::SSL_ERROR_WANT_READ | ffi::SSL_ERROR_WANT_RETRY_VERIFY => Ok(Step::WantsMore),
            sys::SSL_ERROR_ZERO_RETURN => Ok(Step::Closed),
            _ => {
                let report = self.report(what);
                Err(self.fail(report))
            }
        }
    }

    pub fn report(&self, what: &str) -> Report {
        let mut report = Report::from_queue(what);
        if report.library == ffi::ERR_LIB_SSL && report.reason == ffi::SSL_R_CERTIFICATE_VERIFY_FAILED {
            // SAFETY: ssl is alive.
            report = report.with_verify_code(unsafe { sys::SSL_get_verify_result(self.ssl) });
        }
        if let Some(cause) = signer::take_cause() {
            (report.text, report.cause) = ("the key's signer failed".to_owned(), Some(cause));
        }
        report.alert_received = self.state.alert_received.get();
        report.alert_sent = self.state.alert_sent.get();
        report
    }

    pub fn do_handshake(&mut self) -> Outcome<bool> {
        self.alive()?;
        if self.complete {
            return Ok(true);
        }
        self.can_shake()?;
        self.begin();
        let already_out = self.transport.mark();
        // SAFETY: ssl is alive.
        let result = unsafe { sys::SSL_do_handshake(self.ssl) };
        match self.end(result, "handshake failed")? {
            Step::Done => {
                // Before TLS 1.3 the call that completes a server's handshake writes its last flight and nothing else.
                if self.holds_flight && !self.is_tls13() {
                    self.transport.hold_from(already_out);
                }
                self.finish_handshake().map(|()| true)
            }
            Step::WantsMore => Ok(false),
            Step::Closed => {
                let report = self.report("close_notify during the handshake");
                Err(self.fail(report))
            }
        }
    }

    /// Two things OpenSSL would let pass.
    fn finish_handshake(&mut self) -> Outcome<()> {
        if !self.is_tls13() && !self.has_extended_master_secret() && !self.danger_no_extended_master_secret {
            let words = "(D)TLS 1.2 without extended master secret (RFC 7627)";
            return Err(self.refuse(HANDSHAKE_FAILURE, ffi::SSL_R_INCONSISTENT_EXTMS, words));
        }
        if !self.shows_an_expected_type() {
            let words = "the peer showed a type of certificate that was not asked for (RFC 7250)";
            return Err(self.refuse(UNSUPPORTED_CERTIFICATE, ffi::SSL_R_UNKNOWN_CERTIFICATE_TYPE, words));
        }
        self.resumed_data = crate::tickets::sealed_data(self);
        self.complete = true;
        self.note_seal();
        // OpenSSL's pointer to the state is not in use between its calls.
        if let Some(state) = Rc::get_mut(&mut self.state) {
            state.dnssec_chain.forget_served();
        }
        Ok(())
    }

    fn refuse(&mut self, description: u8, reason: c_int, words: &str) -> Failure {
        let sent = self.put_alert(description).is_ok();
        self.fail(Report {
            library: ffi::ERR_LIB_SSL,
            reason,
            text: words.to_owned(),
            alert_sent: sent.then_some(description),
            ..Report::default()
        })
    }

    /// A peer whose handshake waits for the last flight still reads in clear: it never gets that flight.
    fn put_alert(&mut self, description: u8) -> Outcome<()> {
        if self.transport.refuse(description) {
            return Ok(());
        }
        alert::send(self.ssl, c_int::from(description))
    }

    /// A peer that does not know RFC 7250 shows X.509, whatever was asked for.
    fn shows_an_expected_type(&self) -> bool {
        // SAFETY: ssl is alive; whether the pointers are null is all that is asked.
        let (certificate, raw) = unsafe {
            (!ffi::SSL_get0_peer_certificate(self.ssl).is_null(), !ffi::SSL_get0_peer_rpk(self.ssl).is_null())
        };
        let expected = |kind| self.peer_types.contains(&kind);
        (!certificate || expected(ffi::TLSEXT_CERT_TYPE_X509)) && (!raw || expected(ffi::TLSEXT_CERT_TYPE_RPK))
    }

    pub fn version(&self) -> c_int {
        // SAFETY: ssl is alive.
        unsafe { sys::SSL_version(self.ssl) }
    }

    pub fn is_tls13(&self) -> bool {
        self.version() == sys::TLS1_3_VERSION
    }

    pub fn has_extended_master_secret(&self) -> bool {
        // SAFETY: ssl is alive; the control takes no argument.
        unsafe { sys::SSL_ctrl(self.ssl, ffi::SSL_CTRL_GET_EXTMS_SUPPORT, 0, ptr::null_mut()) == 1 }
    }

    /// Lets the last flight go; nothing to do where none is held.
    pub fn release_flight(&mut self) -> Outcome<()> {
        self.established()?;
        self.transport.release();
        Ok(())
    }

    pub fn send_alert(&mut self, description: u8) -> Outcome<()> {
        self.established()?;
        if self.shut {
            return Err(Failure::State("close_notify has been sent"));
        }
        self.begin();
        self.put_alert(description)?;
        self.failed = Some(Box::new(Report {
            text: "closed by an alert of ours".to_owned(),
            alert_sent: Some(description),
            ..Report::default()
        }));
        Ok(())
    }
}
