//! The Python face of a server's door for datagrams: what arrives from an address that nothing is known of.

use crate::config::Config;
use crate::connection::Connection;
use crate::cookie::Hello;
use crate::error::Failure;
use crate::octets::Octets;
use crate::wishes::Wishes;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Answers hellos without keeping anything, until one shows the cookie of its address.
#[pyclass(frozen, module = "dnsbound._native")]
pub struct CookieListener {
    config: Py<Config>,
}

/// What a datagram from an unknown address leads to.
#[derive(IntoPyObject)]
pub enum Answer<'py> {
    VerifyRequest(Bound<'py, PyBytes>),
    Connection(Bound<'py, Connection>),
}

#[pymethods]
impl CookieListener {
    #[new]
    fn new(config: Py<Config>) -> PyResult<Self> {
        if !config.get().listens() {
            return Err(Failure::argument("cookies need the Config of a server over datagrams").into());
        }
        Ok(CookieListener { config })
    }

    #[pyo3(signature = (datagram, *, address, keys))]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        datagram: &Bound<'py, PyAny>,
        address: &[u8],
        keys: Vec<Vec<u8>>,
    ) -> PyResult<Option<Answer<'py>>> {
        let datagram = Octets::of(datagram)?;
        if address.is_empty() {
            return Err(Failure::argument("an address has one octet at least").into());
        }
        let Some(newest) = keys.first() else {
            return Err(Failure::argument("at least one cookie key is needed").into());
        };
        let Some(hello) = Hello::parse(&datagram) else { return Ok(None) };
        if !hello.is_verified(address, &keys)? {
            let request = hello.verify_request(&hello.expected(address, newest)?);
            return Ok(Some(Answer::VerifyRequest(PyBytes::new(py, &request))));
        }
        let mut tls = self.config.get().connect(py, Wishes::default())?;
        if !tls.listen(&datagram, &hello)? {
            return Ok(None);
        }
        Ok(Some(Answer::Connection(Bound::new(py, Connection::new_of(tls))?)))
    }
}

/// The random of a ClientHello, which tells one hello of an address from another; None for anything else.
#[pyfunction]
pub fn client_hello_random<'py>(
    py: Python<'py>,
    datagram: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let datagram = Octets::of(datagram)?;
    Ok(Hello::parse(&datagram).map(|hello| PyBytes::new(py, hello.random())))
}
