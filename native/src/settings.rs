//! The settings of a Config: an SSL_CTX that may still be written, and what its connections are told.

use crate::carried_chain;
use crate::clientid::{self, Profiles};
use crate::context::{self, Context, ALWAYS_SET, NEVER_SET};
use crate::credential;
use crate::dnssec_chain;
use crate::dtls;
use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::flags;
use crate::signer::Signer;
use crate::state;
use crate::ticket_keys::{self, Ring};
use crate::transport::Carrier;
use crate::verification::PeerVerification;
use openssl_sys as sys;
use std::ffi::{c_char, c_int, c_long, c_uint, CString};
use std::ptr;
use std::sync::Arc;

pub struct Settings {
    pub context: Arc<Context>,
    pub server_side: bool,
    /// Over datagrams rather than a stream.
    pub datagram: Option<dtls::Settings>,
    /// For the handshakes of QUIC.
    pub quic: bool,
    pub frozen: bool,
    pub verification: PeerVerification,
    pub post_handshake_auth: bool,
    pub alpn: Arc<[u8]>,
    pub clientid: clientid::Settings,
    pub dnssec_chain: dnssec_chain::Settings,
    pub carried_chain: carried_chain::Settings,
    pub flags: flags::Settings,
    pub holds_flight: bool,
    /// TLS 1.2 may do without RFC 7627.
    pub danger_no_extended_master_secret: bool,
    pub ticket_lifetime: u32,
    pub ticket_keys: Option<Arc<Ring>>,
    pub own_types: Vec<u8>,
    pub peer_types: Vec<u8>,
    credential: credential::Settings,
}

impl Settings {
    pub fn new(server_side: bool, carrier: Carrier) -> Outcome<Self> {
        let datagram = carrier == Carrier::Datagrams;
        let mut settings = Settings {
            context: Arc::new(Context::new(server_side, datagram)?),
            server_side,
            datagram: datagram.then(dtls::Settings::default),
            quic: carrier == Carrier::Quic,
            frozen: false,
            verification: PeerVerification::None,
            post_handshake_auth: false,
            alpn: Arc::default(),
            clientid: clientid::Settings::default(),
            dnssec_chain: dnssec_chain::Settings::default(),
            carried_chain: carried_chain::Settings::default(),
            flags: flags::Settings::default(),
            holds_flight: false,
            danger_no_extended_master_secret: false,
            ticket_lifetime: 0,
            ticket_keys: None,
            own_types: vec![ffi::TLSEXT_CERT_TYPE_X509],
            peer_types: vec![ffi::TLSEXT_CERT_TYPE_X509],
            credential: credential::Settings::new(server_side),
        };
        if settings.quic {
            settings.set_versions(sys::TLS1_3_VERSION, sys::TLS1_3_VERSION)?;
        }
        settings.set_verification(if server_side { PeerVerification::None } else { PeerVerification::Verify });
        Ok(settings)
    }

    pub fn carrier(&self) -> Carrier {
        match (self.quic, self.datagram) {
            (true, _) => Carrier::Quic,
            (false, Some(_)) => Carrier::Datagrams,
            (false, None) => Carrier::Stream,
        }
    }

    pub fn ctx(&self) -> *mut sys::SSL_CTX {
        self.context.as_ptr()
    }

    pub fn set_versions(&mut self, minimum: i32, maximum: i32) -> Outcome<()> {
        let all = context::versions(self.datagram.is_some());
        let known = if self.quic { &all[all.len() - 1..] } else { all };
        let place = |version| known.iter().position(|one| *one == version);
        if place(minimum).is_none_or(|oldest| place(maximum).is_none_or(|newest| oldest > newest)) {
            return Err(Failure::argument("versions are 0x0303 and 0x0304, or 0xfefd over datagrams, the older first"));
        }
        error::clear_queue();
        if self.context.limit_versions(minimum, maximum) {
            Ok(())
        } else {
            Err(Failure::from_queue("versions not accepted"))
        }
    }

    pub fn set_options(&mut self, set_bits: u64, clear_bits: u64) -> u64 {
        // NO_TICKET belongs to set_tickets: without it a server would resume what nobody judged.
        let ours = if self.server_side || self.datagram.is_some() { ffi::SSL_OP_NO_TICKET } else { 0 };
        // SAFETY: the context is alive and not frozen.
        unsafe {
            sys::SSL_CTX_clear_options(self.ctx(), clear_bits & !(ALWAYS_SET | ours));
            sys::SSL_CTX_set_options(self.ctx(), set_bits & !(NEVER_SET | ours))
        }
    }

    pub fn set_cipher_list(&mut self, ciphers: &str) -> Outcome<()> {
        // SAFETY: the context is alive, the string terminated.
        self.with_text(ciphers, "no such ciphers", |ctx, list| unsafe { sys::SSL_CTX_set_cipher_list(ctx, list) })
    }

    pub fn set_cipher_suites(&mut self, suites: &str) -> Outcome<()> {
        // SAFETY: the context is alive, the string terminated.
        self.with_text(suites, "no such cipher suites", |ctx, list| unsafe { sys::SSL_CTX_set_ciphersuites(ctx, list) })
    }

    pub fn set_groups(&mut self, groups: &str) -> Outcome<()> {
        self.with_text(groups, "no such groups", |ctx, list| control_list(ctx, ffi::SSL_CTRL_SET_GROUPS_LIST, list))
    }

    pub fn set_signature_algorithms(&mut self, algorithms: &str) -> Outcome<()> {
        let ctx = self.ctx();
        self.credential.accept(ctx, c_string(algorithms)?)
    }

    fn with_text(
        &self,
        text: &str,
        complaint: &str,
        set: impl FnOnce(*mut sys::SSL_CTX, *const c_char) -> c_int,
    ) -> Outcome<()> {
        let text = c_string(text)?;
        error::clear_queue();
        if set(self.ctx(), text.as_ptr()) == 1 {
            Ok(())
        } else {
            Err(Failure::from_queue(complaint))
        }
    }

    pub fn set_security_level(&mut self, level: c_int) -> Outcome<()> {
        if !(0..=5).contains(&level) {
            return Err(Failure::argument("security levels are 0 to 5"));
        }
        // SAFETY: the context is alive and not frozen.
        unsafe { sys::SSL_CTX_set_security_level(self.ctx(), level) };
        Ok(())
    }

    pub fn set_alpn(&mut self, protocols: &[Vec<u8>]) -> Outcome<()> {
        let mut wire = Vec::new();
        for protocol in protocols {
            match u8::try_from(protocol.len()) {
                Ok(length) if length > 0 => wire.push(length),
                _ => return Err(Failure::argument("an ALPN protocol has 1 to 255 octets")),
            }
            wire.extend_from_slice(protocol);
        }
        let length = u16::try_from(wire.len()).map_err(|_| Failure::argument("too many ALPN protocols"))?;
        error::clear_queue();
        // SAFETY: the context is alive and not frozen; the client's list is copied.
        unsafe {
            if self.server_side {
                let choose = (length > 0).then_some(state::on_alpn as _);
                sys::SSL_CTX_set_alpn_select_cb__fixed_rust(self.ctx(), choose, ptr::null_mut());
            } else if sys::SSL_CTX_set_alpn_protos(self.ctx(), wire.as_ptr(), length.into()) != 0 {
                return Err(Failure::from_queue("ALPN protocols not accepted"));
            }
        }
        self.alpn = wire.into();
        Ok(())
    }

    pub fn set_credential(&mut self, chain: &[Vec<u8>], private_key: &[u8]) -> Outcome<()> {
        let ctx = self.ctx();
        self.credential.set(ctx, chain, private_key)
    }

    pub fn set_credential_signer(&mut self, chain: &[Vec<u8>], spki: &[u8], signer: Signer) -> Outcome<()> {
        let ctx = self.ctx();
        self.credential.set_signer(ctx, chain, spki, signer)
    }

    pub fn set_certificate_types(&mut self, own: &[u8], peer: &[u8]) -> Outcome<()> {
        let (client, server) = if self.server_side { (peer, own) } else { (own, peer) };
        for list in [client, server] {
            let known = list.iter().all(|kind| [ffi::TLSEXT_CERT_TYPE_X509, ffi::TLSEXT_CERT_TYPE_RPK].contains(kind));
            if !known || list.is_empty() || list.len() > 2 || (list.len() == 2 && list[0] == list[1]) {
                return Err(Failure::argument("certificate types are 0 (X.509) and 2 (raw public key), each once"));
            }
        }
        error::clear_queue();
        // SAFETY: the context is alive and not frozen; lists are copied, and null with 0 means X.509 alone without
        // saying so (RFC 7250 section 4.1).
        let done = unsafe {
            let (types, length) = type_list(client);
            let first = ffi::SSL_CTX_set1_client_cert_type(self.ctx(), types, length);
            let (types, length) = type_list(server);
            first == 1 && ffi::SSL_CTX_set1_server_cert_type(self.ctx(), types, length) == 1
        };
        if !done {
            return Err(Failure::from_queue("certificate types not accepted"));
        }
        (self.own_types, self.peer_types) = (own.to_vec(), peer.to_vec());
        Ok(())
    }

    pub fn set_clientid(&mut self, code_point: u16, request: bool, profiles: &[String]) -> Outcome<()> {
        let ctx = self.ctx();
        self.clientid.set(ctx, code_point, Profiles::parse(profiles)?, self.server_side && request)
    }

    pub fn set_held_flight(&mut self, held: bool) -> Outcome<()> {
        if !self.server_side {
            return Err(Failure::State("only a server holds its last flight"));
        }
        self.holds_flight = held;
        Ok(())
    }

    pub fn set_dnssec_chain(&mut self, code_point: u16) -> Outcome<()> {
        let ctx = self.ctx();
        self.dnssec_chain.set(ctx, code_point)?;
        self.set_verification(self.verification);
        Ok(())
    }

    pub fn set_carried_chain(&mut self, code_point: u16, request: bool) -> Outcome<()> {
        let ctx = self.ctx();
        self.carried_chain.set(ctx, code_point, self.server_side && request)
    }

    pub fn set_request_signal(&mut self, signals: &[flags::Signal], send: bool) -> Outcome<()> {
        if self.server_side && send {
            return Err(Failure::argument("a server does not signal, it answers"));
        }
        let ctx = self.ctx();
        self.flags.set(ctx, signals, send)
    }

    pub fn set_datagrams(&mut self, settings: dtls::Settings) -> Outcome<()> {
        match self.datagram.replace(settings) {
            Some(_) => Ok(()),
            None => {
                self.datagram = None;
                Err(Failure::State("this Config is for streams"))
            }
        }
    }

    pub fn set_tickets(&mut self, lifetime: u32, context: &[u8], keys: Option<Arc<Ring>>) -> Outcome<()> {
        if !self.server_side || self.carrier() != Carrier::Stream {
            return Err(Failure::State("only a server over streams has tickets"));
        }
        if lifetime > crate::tickets::LONGEST {
            return Err(Failure::argument("a ticket lives seven days at most (RFC 9846 section 4.7.1)"));
        }
        let length = c_uint::try_from(context.len()).unwrap_or(c_uint::MAX);
        error::clear_queue();
        // SAFETY: the context is alive and not frozen; the octets are copied, the callback is static.
        unsafe {
            if length > 0 && sys::SSL_CTX_set_session_id_context(self.ctx(), context.as_ptr(), length) != 1 {
                return Err(Failure::argument("a session context has 32 octets at most"));
            }
            ffi::SSL_CTX_set_tlsext_ticket_key_evp_cb(self.ctx(), keys.is_some().then_some(ticket_keys::on_ticket_key));
            if lifetime == 0 {
                sys::SSL_CTX_set_options(self.ctx(), ffi::SSL_OP_NO_TICKET);
            } else {
                sys::SSL_CTX_clear_options(self.ctx(), ffi::SSL_OP_NO_TICKET);
                ffi::SSL_CTX_set_timeout(self.ctx(), c_long::from(lifetime));
            }
        }
        (self.ticket_lifetime, self.ticket_keys) = (lifetime, keys);
        Ok(())
    }

    pub fn set_key_log(&mut self, enabled: bool) {
        let log: sys::SSL_CTX_keylog_cb_func = if enabled { Some(on_key_log) } else { None };
        // SAFETY: the context is alive and not frozen; the callback is static.
        unsafe { sys::SSL_CTX_set_keylog_callback(self.ctx(), log) };
    }

    pub fn ciphers(&self) -> Vec<String> {
        // SAFETY: the context is alive; the stack and its names are the context's and static.
        unsafe { cipher_names(ffi::SSL_CTX_get_ciphers(self.ctx())) }
    }
}

unsafe extern "C" fn on_key_log(ssl: *const sys::SSL, line: *const c_char) {
    state::on_key_log(ssl, line);
}

/// # Safety
/// `stack` is null or alive during the call.
pub unsafe fn cipher_names(stack: *const sys::stack_st_SSL_CIPHER) -> Vec<String> {
    // SAFETY: the caller's; a cipher and its name are static.
    unsafe {
        if stack.is_null() {
            return Vec::new();
        }
        (0..sys::OPENSSL_sk_num(stack.cast()))
            .map(|place| error::text(sys::SSL_CIPHER_get_name(sys::OPENSSL_sk_value(stack.cast(), place).cast())))
            .collect()
    }
}

pub fn control_list(ctx: *mut sys::SSL_CTX, control: c_int, list: *const c_char) -> c_int {
    // SAFETY: the caller's context is alive; the control reads a terminated string.
    let done = unsafe { sys::SSL_CTX_ctrl(ctx, control, 0, list.cast_mut().cast()) };
    c_int::from(done == 1)
}

fn type_list(list: &[u8]) -> (*const u8, usize) {
    if list == [ffi::TLSEXT_CERT_TYPE_X509] {
        (ptr::null(), 0)
    } else {
        (list.as_ptr(), list.len())
    }
}

pub fn c_string(text: &str) -> Outcome<CString> {
    CString::new(text).map_err(|_| Failure::argument("a zero octet inside a text"))
}
