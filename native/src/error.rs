//! What went wrong: OpenSSL's error queue as numbers, and how it becomes a Python exception.

use crate::ffi;
use crate::signer::Cause;
use openssl_sys as sys;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};
use std::ffi::{c_char, c_int, c_long, CStr};
use std::ptr;
use std::sync::Arc;

/// One cause, as `TlsError` shows it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub library: i32,
    pub reason: i32,
    pub text: String,
    pub alert_received: Option<u8>,
    pub alert_sent: Option<u8>,
    pub verify_code: c_long,
    pub verify_text: String,
    pub unexpected_eof: bool,
    /// What a signer raised.
    pub cause: Option<Arc<Cause>>,
}

/// Why a call did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// OpenSSL, or the connection it drives, failed.
    Tls(Box<Report>),
    /// The call is not possible in this state: RuntimeError.
    State(&'static str),
    /// An argument can never be right: ValueError.
    Argument(String),
}

pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub fn argument(text: impl Into<String>) -> Self {
        Failure::Argument(text.into())
    }

    /// The cause on top of this thread's error queue; the queue is empty afterwards.
    pub fn from_queue(what: &str) -> Self {
        Failure::Tls(Box::new(Report::from_queue(what)))
    }
}

impl Report {
    /// Prefers libssl's own entry: what lies below it is detail that changes between versions.
    pub fn from_queue(what: &str) -> Self {
        let mut chosen = Report { text: what.to_owned(), ..Report::default() };
        while let Some(entry) = next_entry() {
            if chosen.library != ffi::ERR_LIB_SSL || entry.library == ffi::ERR_LIB_SSL {
                chosen = entry;
            }
        }
        chosen
    }

    pub fn with_verify_code(mut self, code: c_long) -> Self {
        self.verify_code = code;
        self.verify_text = verify_text(code);
        self
    }
}

pub fn verify_text(code: c_long) -> String {
    // SAFETY: the function accepts any number and returns a static string.
    text(unsafe { sys::X509_verify_cert_error_string(code) })
}

pub fn clear_queue() {
    // SAFETY: touches this thread's queue only.
    unsafe { sys::ERR_clear_error() }
}

/// A C string of OpenSSL's, empty when there is none.
pub fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, and OpenSSL terminates its strings; it is copied at once.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn next_entry() -> Option<Report> {
    let (mut data, mut flags): (*const c_char, c_int) = (ptr::null(), 0);
    // SAFETY: null is allowed for outputs nobody wants; data is valid until the next call on this thread's queue.
    let code =
        unsafe { sys::ERR_get_error_all(ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), &mut data, &mut flags) };
    if code == 0 {
        return None;
    }
    // SAFETY: any code is accepted; the answer is static or null.
    let mut words = text(unsafe { sys::ERR_reason_error_string(code) });
    let detail = text(data);
    if !detail.is_empty() {
        words = format!("{words} ({detail})");
    }
    let reason = sys::ERR_GET_REASON(code);
    let library = sys::ERR_GET_LIB(code);
    Some(Report {
        library,
        reason,
        text: words,
        unexpected_eof: library == ffi::ERR_LIB_SSL && reason == ffi::SSL_R_UNEXPECTED_EOF_WHILE_READING,
        ..Report::default()
    })
}

static TLS_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

const TLS_ERROR_DOC: &CStr = c"An error OpenSSL put on its queue, or a connection that ended without close_notify.

Numbers, not texts, are to be compared: texts differ between versions.";

/// The exception class; its class attributes are the values of an error nobody filled in.
pub fn tls_error_type(py: Python<'_>) -> PyResult<&Py<PyType>> {
    TLS_ERROR.get_or_try_init(py, || {
        let members = PyDict::new(py);
        members.set_item("library", 0)?;
        members.set_item("reason", 0)?;
        members.set_item("text", "")?;
        members.set_item("alert_received", py.None())?;
        members.set_item("alert_sent", py.None())?;
        members.set_item("verify_code", 0)?;
        members.set_item("verify_text", "")?;
        members.set_item("unexpected_eof", false)?;
        // new_type gives its reference to the dictionary up before it uses it: `members` has to stay.
        let dictionary = Some(members.clone().into_any().unbind());
        let class = PyErr::new_type(py, c"dnsbound._native.TlsError", Some(TLS_ERROR_DOC), None, dictionary);
        drop(members);
        class
    })
}

fn to_exception(py: Python<'_>, report: &Report) -> PyResult<PyErr> {
    if let Some(cause) = report.cause.as_ref().filter(|cause| cause.interrupts) {
        return Ok(cause.error.clone_ref(py));
    }
    let words =
        if report.verify_code == 0 { report.text.clone() } else { format!("{}: {}", report.text, report.verify_text) };
    let instance = tls_error_type(py)?.bind(py).call1((words,))?;
    instance.setattr("library", report.library)?;
    instance.setattr("reason", report.reason)?;
    instance.setattr("text", &report.text)?;
    instance.setattr("alert_received", report.alert_received)?;
    instance.setattr("alert_sent", report.alert_sent)?;
    instance.setattr("verify_code", report.verify_code)?;
    instance.setattr("verify_text", &report.verify_text)?;
    instance.setattr("unexpected_eof", report.unexpected_eof)?;
    let error = PyErr::from_value(instance);
    if let Some(cause) = &report.cause {
        error.set_cause(py, Some(cause.error.clone_ref(py)));
    }
    Ok(error)
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        match failure {
            Failure::Tls(report) => {
                Python::attach(|py| to_exception(py, &report).unwrap_or_else(|while_raising| while_raising))
            }
            Failure::State(words) => PyRuntimeError::new_err(words),
            Failure::Argument(words) => PyValueError::new_err(words),
        }
    }
}
