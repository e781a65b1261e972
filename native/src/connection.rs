//! The Python face of a Connection: a lock around one [`Tls`], and the GIL given up wherever cryptography runs.

use crate::carried_chain;
use crate::clientid;
use crate::config::Config;
use crate::dane::{self, Record};
use crate::datagram::Datagrams;
use crate::dnssec_chain;
use crate::error::{Failure, Outcome};
use crate::facts;
use crate::late;
use crate::octets::Octets;
use crate::quic::{Messages, Secret};
use crate::signer::{self, AtWork};
use crate::tickets;
use crate::tls::Tls;
use crate::wire::Wire;
use crate::wishes::Wishes;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyBytes;
use std::ptr;
use std::sync::Mutex;

/// One TLS connection over two memory BIOs.
#[pyclass(frozen, module = "dnsbound._native")]
pub struct Connection {
    #[pyo3(get)]
    server_side: bool,
    tls: Mutex<Tls>,
}

type PyOctets<'py> = Bound<'py, PyBytes>;
/// Chain, raw public key, (entry, ClientName).
type PyShown<'py> = (Vec<PyOctets<'py>>, Option<PyOctets<'py>>, Vec<(u32, Option<PyOctets<'py>>)>);
type PyRecord<'py> = (u8, u8, u8, PyOctets<'py>);

impl Connection {
    pub fn new_of(tls: Tls) -> Self {
        Connection { server_side: tls.server_side, tls: Mutex::new(tls) }
    }

    /// Cheap work, done with the GIL held.
    fn look<T>(&self, py: Python<'_>, look: impl FnOnce(&mut Tls) -> T) -> PyResult<T> {
        signer::refuse_reentry(self.place())?;
        let mut tls = self.tls.lock_py_attached(py).map_err(|_| poisoned())?;
        Ok(look(&mut tls))
    }

    /// Work that runs cryptography, done without the GIL. Only a signer takes it back, for the time of its call.
    fn work<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Tls) -> Outcome<T> + Send) -> PyResult<T> {
        let at_work = AtWork::begin(self.place())?;
        let result = py.detach(|| match self.tls.lock() {
            Ok(mut tls) => work(&mut tls),
            Err(_) => Err(poisoned()),
        });
        drop(at_work);
        Ok(result?)
    }

    fn place(&self) -> usize {
        ptr::from_ref(self).addr()
    }
}

fn poisoned() -> Failure {
    Failure::State("an earlier call on this object broke off")
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (
        config, *, server_hostname=None, verify_hostname=None, client_name=None, clear_name=false, session=None,
        chain_port=None, served_chains=None, carried_chain=None
    ))]
    #[allow(clippy::too_many_arguments)] // Python's keywords
    fn new(
        py: Python<'_>,
        config: &Bound<'_, Config>,
        server_hostname: Option<String>,
        verify_hostname: Option<String>,
        client_name: Option<Vec<u8>>,
        clear_name: bool,
        session: Option<Vec<u8>>,
        chain_port: Option<u16>,
        served_chains: Option<Vec<dnssec_chain::Served>>,
        carried_chain: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        let clientid = clientid::Wish { name: client_name, clear: clear_name };
        let dnssec_chain = dnssec_chain::Wish { port: chain_port, served: served_chains.unwrap_or_default() };
        let carried_chain = carried_chain::Wish { chain: carried_chain };
        let wishes = Wishes { server_hostname, verify_hostname, clientid, dnssec_chain, carried_chain, session };
        if config.get().listens() {
            return Err(Failure::argument("a server's connection over datagrams comes from a CookieListener").into());
        }
        Ok(Self::new_of(config.get().connect(py, wishes)?))
    }

    fn feed(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = Octets::of(data)?;
        Ok(self.look(py, |tls| tls.feed(&data))??)
    }

    fn feed_eof(&self, py: Python<'_>) -> PyResult<()> {
        Ok(self.look(py, |tls| tls.transport.stream().map(Wire::feed_eof))??)
    }

    fn drain<'py>(&self, py: Python<'py>) -> PyResult<PyOctets<'py>> {
        let drain = |wire: &Wire| wire.drain(|octets| PyBytes::new(py, octets));
        Ok(self.look(py, |tls| tls.transport.stream().map(drain))??)
    }

    fn feed_datagram(&self, py: Python<'_>, datagram: &Bound<'_, PyAny>) -> PyResult<()> {
        let datagram = Octets::of(datagram)?;
        Ok(self.look(py, |tls| tls.transport.datagrams().map(|queues| queues.feed(&datagram)))??)
    }

    fn take_datagrams<'py>(&self, py: Python<'py>) -> PyResult<Vec<PyOctets<'py>>> {
        let datagrams = self.look(py, |tls| tls.transport.datagrams().map(Datagrams::take))??;
        Ok(list_of_bytes(py, &datagrams))
    }

    fn set_transport_parameters(&self, py: Python<'_>, parameters: &[u8]) -> PyResult<()> {
        Ok(self.look(py, |tls| tls.set_transport_parameters(parameters))??)
    }

    fn feed_crypto(&self, py: Python<'_>, level: u32, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = Octets::of(data)?;
        Ok(self.look(py, |tls| tls.transport.messages().map(|messages| messages.feed(level, &data)))??)
    }

    fn take_crypto<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u32, PyOctets<'py>)>> {
        let taken = self.look(py, |tls| tls.transport.messages().map(Messages::take))??;
        Ok(taken.iter().map(|(level, data)| (*level, PyBytes::new(py, data))).collect())
    }

    fn take_secrets<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u32, bool, u16, PyOctets<'py>)>> {
        let taken = self.look(py, |tls| tls.transport.messages().map(Messages::take_secrets))??;
        let shown = |secret: &Secret| (secret.level, secret.writes, secret.suite, PyBytes::new(py, &secret.octets));
        Ok(taken.iter().map(shown).collect())
    }

    fn peer_transport_parameters<'py>(&self, py: Python<'py>) -> PyResult<Option<PyOctets<'py>>> {
        let parameters = self.look(py, |tls| tls.transport.messages().map(Messages::peer_parameters))??;
        Ok(parameters.map(|octets| PyBytes::new(py, &octets)))
    }

    fn alert(&self, py: Python<'_>) -> PyResult<Option<u8>> {
        Ok(self.look(py, |tls| tls.transport.messages().map(Messages::alert))??)
    }

    fn timeout(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let left = self.look(py, |tls| tls.timeout())??;
        Ok(left.map(|left| left.as_secs_f64()))
    }

    fn handle_timeout(&self, py: Python<'_>) -> PyResult<bool> {
        self.work(py, Tls::handle_timeout)
    }

    fn data_mtu(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.look(py, |tls| tls.data_mtu())??)
    }

    fn pending_in(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py, |tls| tls.transport.pending_in())
    }

    fn pending_out(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py, |tls| tls.transport.pending_out())
    }

    fn pending_plain(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py, |tls| facts::pending_plain(tls))
    }

    fn do_handshake(&self, py: Python<'_>) -> PyResult<bool> {
        self.work(py, Tls::do_handshake)
    }

    fn read<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Option<PyOctets<'py>>> {
        if size == 0 {
            return Err(Failure::argument("a read takes one octet at least").into());
        }
        let data = self.work(py, |tls| tls.read(size, <[u8]>::to_vec))?;
        Ok(data.map(|data| PyBytes::new(py, &data)))
    }

    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        let data = Octets::of(data)?;
        let octets: &[u8] = &data;
        self.work(py, |tls| tls.write(octets))
    }

    fn parked(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py, |tls| tls.parked())
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<bool> {
        self.work(py, Tls::shutdown)
    }

    fn send_alert(&self, py: Python<'_>, description: u8) -> PyResult<()> {
        self.work(py, |tls| tls.send_alert(description))
    }

    fn release_flight(&self, py: Python<'_>) -> PyResult<()> {
        self.look(py, Tls::release_flight)??;
        Ok(())
    }

    fn send_ticket(&self, py: Python<'_>, lifetime: u32, application_data: &[u8]) -> PyResult<()> {
        self.work(py, |tls| tickets::send(tls, lifetime, application_data))
    }

    fn request_client_certificate(&self, py: Python<'_>) -> PyResult<()> {
        self.work(py, late::request)
    }

    fn forbid_late_requests(&self, py: Python<'_>) -> PyResult<()> {
        self.look(py, |tls| tls.state.late_forbidden.set(true))
    }

    fn late_answer_awaited(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| late::is_awaited(tls))
    }

    fn late_answer<'py>(&self, py: Python<'py>) -> PyResult<Option<PyShown<'py>>> {
        let shown = self.look(py, |tls| late::answer(tls))??;
        Ok(shown.map(|shown| {
            let key = shown.raw_public_key.map(|key| PyBytes::new(py, &key));
            let octets = |name: Option<Vec<u8>>| name.map(|name| PyBytes::new(py, &name));
            let answers = shown.answers.into_iter().map(|(entry, name)| (entry, octets(name))).collect();
            (list_of_bytes(py, &shown.chain), key, answers)
        }))
    }

    fn settle_late_answer(&self, py: Python<'_>, accept: bool) -> PyResult<()> {
        Ok(self.look(py, |tls| late::settle(tls, accept))??)
    }

    #[getter]
    fn handshake_complete(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| tls.complete)
    }

    #[getter]
    fn flight_held(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| tls.transport.is_holding())
    }

    fn version(&self, py: Python<'_>) -> PyResult<i32> {
        self.look(py, |tls| facts::version(tls))
    }

    fn cipher(&self, py: Python<'_>) -> PyResult<Option<(String, String, i32)>> {
        self.look(py, |tls| facts::cipher(tls))
    }

    fn handshake_digest(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        self.look(py, |tls| facts::handshake_digest(tls))
    }

    fn extended_master_secret(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| facts::extended_master_secret(tls))
    }

    fn shared_ciphers(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.look(py, |tls| facts::shared_ciphers(tls))
    }

    fn group(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.look(py, |tls| facts::group(tls))
    }

    fn selected_alpn<'py>(&self, py: Python<'py>) -> PyResult<Option<PyOctets<'py>>> {
        let name = self.look(py, |tls| facts::selected_alpn(tls))?;
        Ok(name.map(|name| PyBytes::new(py, &name)))
    }

    fn server_name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.look(py, |tls| facts::server_name(tls))
    }

    fn peer_chain<'py>(&self, py: Python<'py>) -> PyResult<Vec<PyOctets<'py>>> {
        let chain = self.look(py, |tls| facts::peer_chain(tls))??;
        Ok(list_of_bytes(py, &chain))
    }

    fn peer_raw_public_key<'py>(&self, py: Python<'py>) -> PyResult<Option<PyOctets<'py>>> {
        let key = self.look(py, |tls| facts::peer_raw_public_key(tls))??;
        Ok(key.map(|key| PyBytes::new(py, &key)))
    }

    fn verified_chain<'py>(&self, py: Python<'py>) -> PyResult<Vec<PyOctets<'py>>> {
        let chain = self.look(py, |tls| facts::verified_chain(tls))??;
        Ok(list_of_bytes(py, &chain))
    }

    fn verify_result(&self, py: Python<'_>) -> PyResult<std::ffi::c_long> {
        self.look(py, |tls| facts::verify_result(tls))
    }

    fn certificate_types(&self, py: Python<'_>) -> PyResult<(i32, i32)> {
        self.look(py, |tls| facts::certificate_types(tls))
    }

    fn clientid_requested(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| tls.state.clientid.requested.get())
    }

    fn client_names<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u32, PyOctets<'py>)>> {
        let answers = self.look(py, |tls| facts::client_answers(tls))?;
        Ok(answers.into_iter().filter_map(|(entry, name)| Some((entry, PyBytes::new(py, &name?)))).collect())
    }

    fn clientid_empty(&self, py: Python<'_>) -> PyResult<bool> {
        let answers = self.look(py, |tls| facts::client_answers(tls))?;
        Ok(answers.iter().any(|(entry, name)| *entry == 0 && name.is_none()))
    }

    fn awaits_judgement(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| tls.state.dnssec_chain.awaits_judgement())
    }

    fn judge_server(&self, py: Python<'_>, allowed: bool) -> PyResult<()> {
        Ok(self.look(py, |tls| tls.state.dnssec_chain.judge(allowed))??)
    }

    fn server_chain<'py>(&self, py: Python<'py>) -> PyResult<Option<PyOctets<'py>>> {
        let chain = self.look(py, |tls| tls.state.dnssec_chain.answer.borrow().clone())?;
        Ok(chain.map(|chain| PyBytes::new(py, &chain)))
    }

    fn carried_chain_requested(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| tls.state.carried_chain.requested.get())
    }

    fn carried_chain<'py>(&self, py: Python<'py>) -> PyResult<Option<PyOctets<'py>>> {
        let chain = self.look(py, |tls| facts::carried_chain(tls))?;
        Ok(chain.map(|chain| PyBytes::new(py, &chain)))
    }

    fn request_signalled(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| tls.state.flags.received())
    }

    fn certificate_requested(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| tls.state.certificate_requested.get())
    }

    fn set_server_tlsa(&self, py: Python<'_>, base_domain: &str, records: Vec<Record>) -> PyResult<usize> {
        Ok(self.look(py, |tls| dane::set_records(tls, base_domain, &records))??)
    }

    fn server_tlsa_match<'py>(&self, py: Python<'py>) -> PyResult<Option<PyRecord<'py>>> {
        let record = self.look(py, |tls| dane::matched(tls))?;
        Ok(record.map(|(usage, selector, matching, data)| (usage, selector, matching, PyBytes::new(py, &data))))
    }

    fn session<'py>(&self, py: Python<'py>) -> PyResult<Option<PyOctets<'py>>> {
        let session = self.look(py, |tls| tickets::session(tls))??;
        Ok(session.map(|session| PyBytes::new(py, &session)))
    }

    fn session_reused(&self, py: Python<'_>) -> PyResult<bool> {
        self.look(py, |tls| tickets::reused(tls))
    }

    fn ticket_application_data<'py>(&self, py: Python<'py>) -> PyResult<Option<PyOctets<'py>>> {
        self.look(py, |tls| tls.resumed_data.as_ref().map(|data| PyBytes::new(py, data)))
    }

    #[pyo3(signature = (label, length, context))]
    fn export_keying_material<'py>(
        &self,
        py: Python<'py>,
        label: &[u8],
        length: usize,
        context: Option<&[u8]>,
    ) -> PyResult<PyOctets<'py>> {
        let material = self.work(py, |tls| facts::export_keying_material(tls, label, length, context))?;
        Ok(PyBytes::new(py, &material))
    }

    fn finished<'py>(&self, py: Python<'py>) -> PyResult<(PyOctets<'py>, PyOctets<'py>)> {
        let (own, peer) = self.look(py, |tls| facts::finished(tls))?;
        Ok((PyBytes::new(py, &own), PyBytes::new(py, &peer)))
    }

    fn randoms<'py>(&self, py: Python<'py>) -> PyResult<(PyOctets<'py>, PyOctets<'py>)> {
        let (client, server) = self.look(py, |tls| facts::randoms(tls))??;
        Ok((PyBytes::new(py, &client), PyBytes::new(py, &server)))
    }

    fn take_keylog(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.look(py, |tls| tls.state.key_log.take())
    }
}

fn list_of_bytes<'py>(py: Python<'py>, items: &[Vec<u8>]) -> Vec<PyOctets<'py>> {
    items.iter().map(|octets| PyBytes::new(py, octets)).collect()
}
