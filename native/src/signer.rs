//! Asking Python for a signature from inside OpenSSL, and keeping what went wrong for the call that caused it.

use crate::error::{Failure, Outcome};
use pyo3::exceptions::{PyException, PyValueError};
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

/// Why there is no signature: what the signer raised, or what was wrong with its answer.
#[derive(Debug)]
pub struct Cause {
    pub error: PyErr,
    /// KeyboardInterrupt and its likes are nobody's failure: raised once, as they are.
    pub interrupts: bool,
}

thread_local! {
    static CAUSE: RefCell<Option<Arc<Cause>>> = const { RefCell::new(None) };
    static AT_WORK: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Why this thread's last signature failed, once.
pub fn take_cause() -> Option<Arc<Cause>> {
    CAUSE.take()
}

impl Signer {
    /// The signature, `longest` octets at most; the GIL is held for the call alone. None leaves a cause behind, unless
    /// the interpreter is ending.
    pub fn sign(&self, scheme: u16, message: &[u8], longest: usize) -> Option<Vec<u8>> {
        Python::try_attach(|py| match self.ask(py, scheme, message, longest) {
            Ok(signature) => Some(signature),
            Err(error) => {
                let interrupts = !error.is_instance_of::<PyException>(py);
                CAUSE.set(Some(Arc::new(Cause { error, interrupts })));
                None
            }
        })?
    }

    fn ask(&self, py: Python<'_>, scheme: u16, message: &[u8], longest: usize) -> PyResult<Vec<u8>> {
        if !self.schemes.contains(&scheme) {
            return Err(PyValueError::new_err(format!("the key does not sign with scheme 0x{scheme:04x}")));
        }
        let answer = self.sign.bind(py).call1((scheme, PyBytes::new(py, message)))?;
        let signature = answer.cast_into::<PyBytes>()?.as_bytes().to_vec();
        if !(1..=longest).contains(&signature.len()) {
            return Err(PyValueError::new_err(format!("a signature of {} octets", signature.len())));
        }
        Ok(signature)
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
