//! Post-handshake authentication (RFC 9846 section 4.7.2): a server asks for a certificate on a connection that is open.
//!
//! What the client shows then replaces its credential inside OpenSSL at once. Here it is kept apart: the facts stay those
//! of the credential shown before, until somebody has settled what to make of the new one. One request at a time, which
//! is OpenSSL's limit. Not here: whether to ask, and whom to let in.

use crate::error::{self, Failure, Outcome};
use crate::facts;
use crate::ffi;
use crate::tls::Tls;
use openssl_sys as sys;

/// What the client shows.
#[derive(Clone, Default)]
pub struct Shown {
    pub chain: Vec<Vec<u8>>,
    pub raw_public_key: Option<Vec<u8>>,
    /// (entry, ClientName) as `facts::client_answers` has them.
    pub answers: Vec<(u32, Option<Vec<u8>>)>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Quiet,
    /// The request is out; the client's Finished was this one before.
    Asked(Vec<u8>),
    /// The answer is complete: certificate, signature and Finished are checked.
    Answered,
}

/// A connection's part in it.
#[derive(Default)]
pub struct Late {
    stage: Stage,
    /// What the facts tell while OpenSSL has something newer.
    pub accepted: Option<Shown>,
}

/// Server: asks. An error of OpenSSL's leaves the connection as it is: the client did not offer, or this is not TLS 1.3.
pub fn request(tls: &mut Tls) -> Outcome<()> {
    tls.open()?;
    if !tls.server_side {
        return Err(Failure::State("only a server asks for a client's certificate"));
    }
    if !matches!(tls.late.stage, Stage::Quiet) {
        return Err(Failure::State("a request is open already"));
    }
    let shown = facts::shown(tls)?;
    let finished = facts::finished(tls).1;
    tls.begin();
    // SAFETY: the SSL is alive.
    let ready = unsafe {
        let mode = sys::SSL_get_verify_mode(tls.as_ptr());
        if mode & sys::SSL_VERIFY_PEER == 0 {
            sys::SSL_set_verify(tls.as_ptr(), sys::SSL_VERIFY_PEER, None);
        }
        ffi::SSL_verify_client_post_handshake(tls.as_ptr()) == 1
    };
    if !ready {
        return Err(Failure::from_queue("no certificate can be asked for"));
    }
    tls.late.accepted = Some(shown);
    tls.late.stage = Stage::Asked(finished);
    tls.state.clientid.forget_answers();
    tls.state.carried_chain.received.take();
    // SAFETY: the SSL is alive; this writes the request and nothing else.
    if unsafe { sys::SSL_do_handshake(tls.as_ptr()) } == 1 {
        return Ok(());
    }
    let report = error::Report::from_queue("the request could not be sent");
    Err(tls.fail(report))
}

/// After every call that may have read: has the answer come in?
pub fn notice(tls: &mut Tls) {
    if let Stage::Asked(before) = &tls.late.stage {
        // SAFETY: the SSL is alive.
        let between = unsafe { ffi::SSL_in_init(tls.as_ptr()) } == 1;
        if !between && facts::finished(tls).1 != *before {
            tls.late.stage = Stage::Answered;
        }
    }
}

/// A request is out, and its answer is not complete.
pub fn is_awaited(tls: &Tls) -> bool {
    matches!(tls.late.stage, Stage::Asked(_))
}

/// The answer, once it is complete; nothing in it for a client that declined.
pub fn answer(tls: &Tls) -> Outcome<Option<Shown>> {
    match tls.late.stage {
        Stage::Answered => facts::shown_last(tls).map(Some),
        _ => Ok(None),
    }
}

/// accept: the facts are those of the answer from now on. Otherwise they stay what they were.
pub fn settle(tls: &mut Tls, accept: bool) -> Outcome<()> {
    if !matches!(tls.late.stage, Stage::Answered) {
        return Err(Failure::State("there is no answer to settle"));
    }
    tls.late.stage = Stage::Quiet;
    if accept {
        tls.late.accepted = None;
    }
    Ok(())
}
