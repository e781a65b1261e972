//! `dnsbound._native`: OpenSSL's TLS over memory BIOs. Mechanism only: no policy, no DNS, no IO, no threads.
//!
//! The contract with Python, in words: `src/dnsbound/_native.pyi`.

mod accept;
mod alert;
mod bio;
mod carried_chain;
mod clientid;
mod config;
mod connection;
mod context;
mod cookie;
mod credential;
mod dane;
mod data;
mod datagram;
mod dnssec_chain;
mod dtls;
mod error;
mod extension;
mod facts;
mod ffi;
mod flags;
mod foreign_key;
mod foreign_signature;
mod late;
mod listener;
mod octets;
mod quic;
mod settings;
mod shown_key;
mod signer;
mod state;
mod ticket_keys;
mod tickets;
mod tls;
mod transport;
mod verification;
mod wire;
mod wishes;
mod x509;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    // SAFETY: both functions answer about the library itself, at any time.
    let (number, version) =
        unsafe { (openssl_sys::OpenSSL_version_num(), openssl_sys::OpenSSL_version(openssl_sys::OPENSSL_VERSION)) };
    module.add("OPENSSL_VERSION", error::text(version))?;
    module.add("OPENSSL_VERSION_NUMBER", number)?;
    module.add("VENDORED", cfg!(vendored_openssl))?;
    module.add("TlsError", error::tls_error_type(py)?)?;
    module.add_class::<config::Config>()?;
    module.add_class::<connection::Connection>()?;
    module.add_class::<ticket_keys::TicketKeys>()?;
    module.add_class::<listener::CookieListener>()?;
    module.add_function(wrap_pyfunction!(listener::client_hello_random, module)?)?;
    Ok(())
}
