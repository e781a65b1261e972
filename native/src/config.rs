//! The Python face of a Config.

use crate::dtls;
use crate::error::{Failure, Outcome};
use crate::settings::Settings;
use crate::signer::Signer;
use crate::ticket_keys::TicketKeys;
use crate::tls::Tls;
use crate::transport::Carrier;
use crate::verification::PeerVerification;
use crate::wishes::Wishes;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyBytes;
use std::sync::{Arc, Mutex};

/// What connections of one role share: an SSL_CTX. Frozen once the first Connection was made from it.
#[pyclass(frozen, module = "dnsbound._native")]
pub struct Config {
    #[pyo3(get)]
    server_side: bool,
    #[pyo3(get)]
    datagram: bool,
    #[pyo3(get)]
    quic: bool,
    settings: Mutex<Settings>,
}

impl Config {
    fn read<T>(&self, py: Python<'_>, get: impl FnOnce(&Settings) -> T) -> PyResult<T> {
        let settings = self.settings.lock_py_attached(py).map_err(|_| poisoned())?;
        Ok(get(&settings))
    }

    // An exception is made after the lock was given back: making one runs Python, which may come back here.
    fn change<T>(&self, py: Python<'_>, set: impl FnOnce(&mut Settings) -> Outcome<T>) -> PyResult<T> {
        let outcome = {
            let mut settings = self.settings.lock_py_attached(py).map_err(|_| poisoned())?;
            if settings.frozen {
                Err(Failure::State("the Config is frozen: a Connection was made from it"))
            } else {
                set(&mut settings)
            }
        };
        Ok(outcome?)
    }

    /// Connections of this Config come of cookies.
    pub fn listens(&self) -> bool {
        self.server_side && self.datagram
    }

    /// A connection of this Config, which is frozen from now on.
    pub fn connect(&self, py: Python<'_>, wishes: Wishes) -> PyResult<Tls> {
        let outcome = {
            let mut settings = self.settings.lock_py_attached(py).map_err(|_| poisoned())?;
            let tls = Tls::new(&settings, wishes);
            settings.frozen |= tls.is_ok();
            tls
        };
        Ok(outcome?)
    }
}

fn poisoned() -> PyErr {
    Failure::State("an earlier call on this object broke off").into()
}

fn list_of_bytes<'py>(py: Python<'py>, items: &[Vec<u8>]) -> Vec<Bound<'py, PyBytes>> {
    items.iter().map(|octets| PyBytes::new(py, octets)).collect()
}

#[pymethods]
impl Config {
    #[new]
    #[pyo3(signature = (*, server_side, datagram = false, quic = false))]
    fn new(server_side: bool, datagram: bool, quic: bool) -> PyResult<Self> {
        let carrier = match (datagram, quic) {
            (false, false) => Carrier::Stream,
            (true, false) => Carrier::Datagrams,
            (false, true) => Carrier::Quic,
            (true, true) => return Err(Failure::argument("datagram means DTLS, which is not QUIC").into()),
        };
        Ok(Config { server_side, datagram, quic, settings: Mutex::new(Settings::new(server_side, carrier)?) })
    }

    #[getter]
    fn frozen(&self, py: Python<'_>) -> PyResult<bool> {
        self.read(py, |settings| settings.frozen)
    }

    fn set_versions(&self, py: Python<'_>, minimum: i32, maximum: i32) -> PyResult<()> {
        self.change(py, |settings| settings.set_versions(minimum, maximum))
    }

    #[pyo3(signature = (*, set_bits, clear_bits = 0))]
    fn set_options(&self, py: Python<'_>, set_bits: u64, clear_bits: u64) -> PyResult<u64> {
        self.change(py, |settings| Ok(settings.set_options(set_bits, clear_bits)))
    }

    fn set_cipher_list(&self, py: Python<'_>, ciphers: &str) -> PyResult<()> {
        self.change(py, |settings| settings.set_cipher_list(ciphers))
    }

    fn set_cipher_suites(&self, py: Python<'_>, suites: &str) -> PyResult<()> {
        self.change(py, |settings| settings.set_cipher_suites(suites))
    }

    fn set_groups(&self, py: Python<'_>, groups: &str) -> PyResult<()> {
        self.change(py, |settings| settings.set_groups(groups))
    }

    fn set_signature_algorithms(&self, py: Python<'_>, algorithms: &str) -> PyResult<()> {
        self.change(py, |settings| settings.set_signature_algorithms(algorithms))
    }

    fn set_security_level(&self, py: Python<'_>, level: i32) -> PyResult<()> {
        self.change(py, |settings| settings.set_security_level(level))
    }

    fn set_alpn(&self, py: Python<'_>, protocols: Vec<Vec<u8>>) -> PyResult<()> {
        self.change(py, |settings| settings.set_alpn(&protocols))
    }

    fn set_credential(&self, py: Python<'_>, chain: Vec<Vec<u8>>, private_key: &[u8]) -> PyResult<()> {
        self.change(py, |settings| settings.set_credential(&chain, private_key))
    }

    fn set_credential_signer(
        &self,
        py: Python<'_>,
        chain: Vec<Vec<u8>>,
        spki: &[u8],
        schemes: Vec<u16>,
        sign: Py<PyAny>,
    ) -> PyResult<()> {
        let signer = Signer { schemes, sign };
        self.change(py, |settings| settings.set_credential_signer(&chain, spki, signer))
    }

    #[pyo3(signature = (*, own, peer))]
    fn set_certificate_types(&self, py: Python<'_>, own: Vec<u8>, peer: Vec<u8>) -> PyResult<()> {
        self.change(py, |settings| settings.set_certificate_types(&own, &peer))
    }

    fn add_trust_anchors(&self, py: Python<'_>, certificates: Vec<Vec<u8>>) -> PyResult<()> {
        self.change(py, |settings| settings.add_trust_anchors(&certificates))
    }

    fn set_default_verify_paths(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, Settings::set_default_verify_paths)
    }

    fn load_verify_locations(&self, py: Python<'_>, cafile: Option<&str>, capath: Option<&str>) -> PyResult<()> {
        if cafile.is_none() && capath.is_none() {
            return Err(Failure::argument("cafile and capath cannot both be omitted").into());
        }
        self.change(py, |settings| settings.load_verify_locations(cafile, capath))
    }

    fn trust_anchors<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let anchors = self.read(py, Settings::trust_anchors)??;
        Ok(list_of_bytes(py, &anchors))
    }

    fn set_verify_flags(&self, py: Python<'_>, flags: u64) -> PyResult<()> {
        self.change(py, |settings| settings.set_verify_flags(flags))
    }

    fn set_host_flags(&self, py: Python<'_>, flags: u32) -> PyResult<()> {
        self.change(py, |settings| {
            settings.set_host_flags(flags);
            Ok(())
        })
    }

    fn set_peer_verification(&self, py: Python<'_>, mode: &str) -> PyResult<()> {
        let mode = PeerVerification::parse(mode)?;
        if mode == PeerVerification::AcceptSignalled && !self.server_side {
            return Err(Failure::argument("only a server asks clients that signal").into());
        }
        self.change(py, |settings| {
            settings.set_verification(mode);
            Ok(())
        })
    }

    #[pyo3(signature = (code_point, *, request = true, profiles = None))]
    fn set_clientid(
        &self,
        py: Python<'_>,
        code_point: u16,
        request: bool,
        profiles: Option<Vec<String>>,
    ) -> PyResult<()> {
        let profiles = profiles.unwrap_or_else(|| vec!["ca13".to_owned()]);
        self.change(py, |settings| settings.set_clientid(code_point, request, &profiles))
    }

    fn set_danger_no_extended_master_secret(&self, py: Python<'_>, allowed: bool) -> PyResult<()> {
        self.change(py, |settings| {
            settings.danger_no_extended_master_secret = allowed;
            Ok(())
        })
    }

    fn set_held_flight(&self, py: Python<'_>, held: bool) -> PyResult<()> {
        self.change(py, |settings| settings.set_held_flight(held))
    }

    fn set_dnssec_chain(&self, py: Python<'_>, code_point: u16) -> PyResult<()> {
        self.change(py, |settings| settings.set_dnssec_chain(code_point))
    }

    #[pyo3(signature = (code_point, *, request = true))]
    fn set_carried_chain(&self, py: Python<'_>, code_point: u16, request: bool) -> PyResult<()> {
        self.change(py, |settings| settings.set_carried_chain(code_point, request))
    }

    #[pyo3(signature = (signals, *, send = false))]
    fn set_request_signal(&self, py: Python<'_>, signals: Vec<(u16, u16)>, send: bool) -> PyResult<()> {
        self.change(py, |settings| settings.set_request_signal(&signals, send))
    }

    #[pyo3(signature = (*, lifetime, context = None, keys = None))]
    fn set_tickets(
        &self,
        py: Python<'_>,
        lifetime: u32,
        context: Option<&[u8]>,
        keys: Option<&Bound<'_, TicketKeys>>,
    ) -> PyResult<()> {
        let ring = keys.map(|keys| Arc::clone(&keys.get().ring));
        self.change(py, |settings| settings.set_tickets(lifetime, context.unwrap_or_default(), ring))
    }

    #[pyo3(signature = (*, mtu = 1200, first_timeout = 1_000, longest_timeout = 60_000))]
    fn set_datagrams(&self, py: Python<'_>, mtu: u32, first_timeout: u32, longest_timeout: u32) -> PyResult<()> {
        let settings = dtls::Settings::new(mtu, first_timeout, longest_timeout)?;
        self.change(py, |own| own.set_datagrams(settings))
    }

    fn set_post_handshake_auth(&self, py: Python<'_>, enabled: bool) -> PyResult<()> {
        self.change(py, |settings| {
            settings.set_post_handshake_auth(enabled);
            Ok(())
        })
    }

    fn set_keylog(&self, py: Python<'_>, enabled: bool) -> PyResult<()> {
        self.change(py, |settings| {
            settings.set_key_log(enabled);
            Ok(())
        })
    }

    fn ciphers(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.read(py, Settings::ciphers)
    }
}
