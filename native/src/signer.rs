//! Asking Python for a signature from inside OpenSSL, and keeping what went wrong for the call that caused it.

use crate::error::{Failure, Outcome};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::cell::RefCell;
use std::sync::Arc;

/// A private key that is not here: what it can do, and whom to ask.
pub struct Signer {
    /// SignatureSchemes (RFC 9846 section 4.3.3), best first.
    pub schemes: Vec<u16>,
    /// `sign(scheme, message) -> bytes`.
    pub sign: Py<PyAny>,
}

/// Why there is no signature.
pub struct Complaint {
    pub words: String,
    pub cause: Option<Arc<Cause>>,
}

/// What the signer raised.
#[derive(Debug)]
pub struct Cause {
    pub error: PyErr,
    /// KeyboardInterrupt and its likes are nobody's failure: raised once, as they are.
    pub interrupts: bool,
}

thread_local! {
    static COMPLAINT: RefCell<Option<Complaint>> = const { RefCell::new(None) };
    static AT_WORK: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The complaint of this thread's last signature, once.
pub fn take_complaint() -> Option<Complaint> {
    COMPLAINT.take()
}

fn complain(words: impl Into<String>, cause: Option<Cause>) -> Option<Vec<u8>> {
    COMPLAINT.set(Some(Complaint { words: words.into(), cause: cause.map(Arc::new) }));
    None
}

impl Signer {
    /// The signature, `longest` octets at most; the GIL is held for the call alone.
    pub fn sign(&self, scheme: u16, message: &[u8], longest: usize) -> Option<Vec<u8>> {
        if !self.schemes.contains(&scheme) {
            return complain(format!("the key does not sign with scheme 0x{scheme:04x}"), None);
        }
        let asked = Python::try_attach(|py| {
            self.ask(py, scheme, message).map_err(|error| {
                let interrupts = !error.is_instance_of::<PyException>(py);
                Cause { error, interrupts }
            })
        });
        match asked {
            Some(Ok(signature)) if (1..=longest).contains(&signature.len()) => Some(signature),
            Some(Ok(signature)) => complain(format!("a signature of {} octets", signature.len()), None),
            Some(Err(cause)) => complain("the key's signer failed", Some(cause)),
            None => complain("the interpreter is ending", None),
        }
    }

    fn ask(&self, py: Python<'_>, scheme: u16, message: &[u8]) -> PyResult<Vec<u8>> {
        let answer = self.sign.bind(py).call1((scheme, PyBytes::new(py, message)))?;
        Ok(answer.cast_into::<PyBytes>()?.as_bytes().to_vec())
    }
}

/// Marks a Connection as being inside a call of this thread, so that a signer that calls it again is told so and not
/// left to wait for itself.
pub struct AtWork(());

impl AtWork {
    pub fn begin(place: usize) -> Outcome<Self> {
        refuse_reentry(place)?;
        AT_WORK.with_borrow_mut(|places| places.push(place));
        Ok(AtWork(()))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.with_borrow_mut(Vec::pop);
    }
}

pub fn refuse_reentry(place: usize) -> Outcome<()> {
    if AT_WORK.with_borrow(|places| places.contains(&place)) {
        return Err(Failure::State("a signer may not use the Connection it signs for"));
    }
    Ok(())
}
