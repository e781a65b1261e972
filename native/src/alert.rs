//! A fatal alert after the handshake, which OpenSSL's public functions cannot send, and one by hand before the peer's
//! handshake is over.
//!
//! A vendored build calls libssl's internal `ssl3_send_alert`. Whether that still does what it did is tried once, on a
//! connection of our own, before it is first used.

use crate::error::{Failure, Outcome};
use openssl_sys as sys;
use std::ffi::c_int;

#[cfg(vendored_openssl)]
pub fn send(ssl: *mut sys::SSL, description: c_int) -> Outcome<()> {
    if !works() {
        return Err(Failure::from_queue("this OpenSSL's alerts failed their self-test"));
    }
    // SAFETY: ssl is alive, made by a TLS method, and has no write pending: the queue takes everything at once.
    if unsafe { crate::ffi::ssl3_send_alert(ssl, crate::ffi::SSL3_AL_FATAL, description) } > 0 {
        Ok(())
    } else {
        Err(Failure::argument(format!("alert {description} cannot be sent in this version of TLS")))
    }
}

const ALERT: u8 = 21;
const FATAL: u8 = 2;

/// A fatal alert as a record of its own, for a peer of TLS 1.2 that has not yet seen our ChangeCipherSpec.
pub fn plaintext(description: u8) -> [u8; 7] {
    [ALERT, 3, 3, 0, 2, FATAL, description]
}

/// The same for a peer of DTLS 1.2. sequence: one that no record of epoch 0 has had.
pub fn plaintext_datagram(sequence: u64, description: u8) -> Vec<u8> {
    let head = [ALERT, 0xfe, 0xfd];
    [&head[..], &sequence.to_be_bytes(), &[0, 2, FATAL, description]].concat()
}

#[cfg(not(vendored_openssl))]
pub fn send(_ssl: *mut sys::SSL, _description: c_int) -> Outcome<()> {
    Err(Failure::from_queue("a shared OpenSSL has no way to send an alert after the handshake"))
}

#[cfg(vendored_openssl)]
fn works() -> bool {
    static WORKS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *WORKS.get_or_init(|| self_test::alert_arrives().unwrap_or(false))
}

#[cfg(vendored_openssl)]
mod self_test {
    use super::{c_int, sys, Outcome};
    use crate::error::{self, Failure};
    use crate::ffi;
    use crate::settings::Settings;
    use crate::tls::Tls;
    use crate::transport::Carrier;
    use crate::verification::PeerVerification;
    use crate::wishes::Wishes;
    use crate::x509::Key;
    use std::ptr;

    const ACCESS_DENIED: u8 = 49;
    /// SSL_R_ of a received alert: 1000 plus its description.
    const SSL_R_ACCESS_DENIED: i32 = 1049;

    /// A handshake with a fresh raw key, some data, the alert: the client must read the data, then the alert.
    pub fn alert_arrives() -> Outcome<bool> {
        let mut server = server()?;
        let mut settings = Settings::new(false, Carrier::Stream)?;
        settings.set_certificate_types(&[ffi::TLSEXT_CERT_TYPE_X509], &[ffi::TLSEXT_CERT_TYPE_RPK])?;
        settings.set_verification(PeerVerification::None);
        let mut client = Tls::new(&settings, Wishes::default())?;
        for _ in 0..2 {
            client.do_handshake()?;
            carry(&client, &server)?;
            server.do_handshake()?;
            carry(&server, &client)?;
        }
        server.established()?;
        server.write(b"before")?;
        // SAFETY: the connection is alive and established.
        let sent = unsafe { ffi::ssl3_send_alert(server.as_ptr(), ffi::SSL3_AL_FATAL, c_int::from(ACCESS_DENIED)) };
        carry(&server, &client)?;
        let data = client.read(64, <[u8]>::to_vec)?;
        let alert = client.read(64, <[u8]>::to_vec);
        let arrived = matches!(&alert, Err(Failure::Tls(report))
            if report.reason == SSL_R_ACCESS_DENIED && report.alert_received == Some(ACCESS_DENIED));
        error::clear_queue();
        Ok(sent > 0 && data.as_deref() == Some(b"before".as_slice()) && arrived)
    }

    fn carry(sender: &Tls, receiver: &Tls) -> Outcome<()> {
        let receiver = receiver.transport.stream()?;
        sender.transport.stream()?.drain(|octets| receiver.feed(octets));
        Ok(())
    }

    fn server() -> Outcome<Tls> {
        let mut settings = Settings::new(true, Carrier::Stream)?;
        settings.set_certificate_types(&[ffi::TLSEXT_CERT_TYPE_RPK], &[ffi::TLSEXT_CERT_TYPE_X509])?;
        // SAFETY: no library context, no properties; the kind needs no further arguments.
        let key = Key(unsafe { ffi::EVP_PKEY_Q_keygen(ptr::null_mut(), ptr::null(), c"ED25519".as_ptr()) });
        if key.0.is_null() {
            return Err(Failure::from_queue("no key"));
        }
        // SAFETY: the context is alive and takes a reference of its own.
        if unsafe { sys::SSL_CTX_use_PrivateKey(settings.context.as_ptr(), key.0) } != 1 {
            return Err(Failure::from_queue("key not accepted"));
        }
        Tls::new(&settings, Wishes::default())
    }
}
