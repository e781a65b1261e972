//! Python's bytes-like objects as octets, without a copy where nobody can change them meanwhile.

use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ops::Deref;

pub enum Octets<'py> {
    Bytes(Bound<'py, PyBytes>),
    Copied(Vec<u8>),
}

impl<'py> Octets<'py> {
    /// `bytes` as they are; any other contiguous buffer of octets is copied, since its owner may write to it.
    pub fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(Octets::Bytes(bytes.clone())),
            Err(_) => Ok(Octets::Copied(PyBuffer::<u8>::get(object)?.to_vec(object.py())?)),
        }
    }
}

impl Deref for Octets<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Octets::Bytes(bytes) => bytes.as_bytes(),
            Octets::Copied(octets) => octets,
        }
    }
}
