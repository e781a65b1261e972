//! OpenSSL functions, types and numbers that openssl-sys does not declare.
//!
//! Taken from the public headers of OpenSSL 3.5 and later, except the one internal function at the end.

#![allow(non_camel_case_types, non_snake_case)]

use openssl_sys as sys;
use std::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_void, CStr};

pub const SSL_EXT_TLS1_3_RAW_PUBLIC_KEY: c_uint = 0x10000;
pub const SSL_CTRL_SET_MTU: c_int = 17;
pub const DTLS_CTRL_GET_TIMEOUT: c_int = 73;
pub const DTLS_CTRL_HANDLE_TIMEOUT: c_int = 74;
pub const SSL_CTRL_GET_EXTMS_SUPPORT: c_int = 122;
pub const SSL_CTRL_SET_RETRY_VERIFY: c_int = 136;
pub const SSL_ERROR_WANT_RETRY_VERIFY: c_int = 12;
pub const SSL_CTRL_SET_SIGALGS_LIST: c_int = 98;
pub const SSL_CTRL_SET_CLIENT_SIGALGS_LIST: c_int = 102;
pub const SSL_CTRL_SET_GROUPS_LIST: c_int = 92;
pub const SSL_CTRL_SET_MIN_PROTO_VERSION: c_int = 123;
pub const SSL_CTRL_SET_MAX_PROTO_VERSION: c_int = 124;
pub const SSL_OP_IGNORE_UNEXPECTED_EOF: u64 = 1 << 7;
pub const SSL_OP_NO_QUERY_MTU: u64 = 1 << 12;
pub const SSL_OP_ALLOW_NO_DHE_KEX: u64 = 1 << 10;
pub const SSL_OP_NO_TICKET: u64 = 1 << 14;
pub const SSL_OP_NO_COMPRESSION: u64 = 1 << 17;
pub const SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION: u64 = 1 << 18;
pub const SSL_OP_NO_RENEGOTIATION: u64 = 1 << 30;
pub const SSL_VERIFY_POST_HANDSHAKE: c_int = 0x08;
pub const SSL_CB_ALERT: c_int = 0x4000;
pub const SSL_CB_READ: c_int = 0x04;
#[cfg(vendored_openssl)]
pub const SSL3_AL_FATAL: c_int = 2;

pub const SSL_TICKET_SUCCESS: c_int = 5;
pub const SSL_TICKET_SUCCESS_RENEW: c_int = 6;
pub const SSL_TICKET_RETURN_IGNORE: c_int = 1;
pub const SSL_TICKET_RETURN_USE: c_int = 3;

pub const SSL_R_UNEXPECTED_EOF_WHILE_READING: c_int = 294;
pub const SSL_R_CERTIFICATE_VERIFY_FAILED: c_int = 134;
pub const SSL_R_INCONSISTENT_EXTMS: c_int = 104;
pub const SSL_R_UNKNOWN_CERTIFICATE_TYPE: c_int = 247;
pub const ERR_LIB_SSL: c_int = 20;

pub const X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS: c_uint = 0x4;
pub const X509_CHECK_FLAG_NEVER_CHECK_SUBJECT: c_uint = 0x20;
pub const DANE_FLAG_NO_DANE_EE_NAMECHECKS: u64 = 1;

pub const TLSEXT_CERT_TYPE_X509: u8 = 0;
pub const TLSEXT_CERT_TYPE_RPK: u8 = 2;

pub const BIO_TYPE_SOURCE_SINK: c_int = 0x0400;
pub const BIO_FLAGS_READ: c_int = 0x01;
pub const BIO_FLAGS_RWS: c_int = 0x07;
pub const BIO_FLAGS_SHOULD_RETRY: c_int = 0x08;
pub const BIO_CTRL_EOF: c_int = 2;
pub const BIO_CTRL_PENDING: c_int = 10;
pub const BIO_CTRL_FLUSH: c_int = 11;
pub const BIO_CTRL_WPENDING: c_int = 13;

pub const OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_SEND: c_int = 2001;
pub const OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RECV_RCD: c_int = 2002;
pub const OSSL_FUNC_SSL_QUIC_TLS_CRYPTO_RELEASE_RCD: c_int = 2003;
pub const OSSL_FUNC_SSL_QUIC_TLS_YIELD_SECRET: c_int = 2004;
pub const OSSL_FUNC_SSL_QUIC_TLS_GOT_TRANSPORT_PARAMS: c_int = 2005;
pub const OSSL_FUNC_SSL_QUIC_TLS_ALERT: c_int = 2006;
pub const OSSL_RECORD_DIRECTION_WRITE: c_int = 1;

pub const OPENSSL_INIT_NO_LOAD_CONFIG: u64 = 0x80;
pub const OPENSSL_INIT_NO_ATEXIT: u64 = 0x0008_0000;

pub const OSSL_OP_KEYMGMT: c_int = 10;
pub const OSSL_OP_SIGNATURE: c_int = 12;
pub const OSSL_KEYMGMT_SELECT_PRIVATE_KEY: c_int = 0x01;
pub const OSSL_PARAM_UTF8_STRING: c_uint = 4;
pub const OSSL_PARAM_OCTET_PTR: c_uint = 7;

/// One function of a provider, by number (OSSL_DISPATCH).
#[repr(C)]
pub struct Dispatch {
    pub id: c_int,
    pub function: *const c_void,
}
// SAFETY: only static functions are pointed to.
unsafe impl Sync for Dispatch {}

impl Dispatch {
    pub const END: Dispatch = Dispatch { id: 0, function: std::ptr::null() };
}

/// A provider's functions by their OSSL_FUNC_ numbers (openssl/core_dispatch.h).
macro_rules! dispatch {
    ($($id:expr => $function:expr),+ $(,)?) => {
        [
            $($crate::ffi::Dispatch { id: $id, function: $function as *const ::std::ffi::c_void }),+,
            $crate::ffi::Dispatch::END
        ]
    };
}
pub(crate) use dispatch;

/// One algorithm of a provider (OSSL_ALGORITHM).
#[repr(C)]
pub struct Algorithm {
    names: *const c_char,
    properties: *const c_char,
    functions: *const Dispatch,
    description: *const c_char,
}
// SAFETY: only static texts and tables are pointed to.
unsafe impl Sync for Algorithm {}

impl Algorithm {
    pub const END: Algorithm = Algorithm {
        names: std::ptr::null(),
        properties: std::ptr::null(),
        functions: std::ptr::null(),
        description: std::ptr::null(),
    };

    pub const fn new(names: &'static CStr, properties: &'static CStr, functions: &'static [Dispatch]) -> Self {
        Algorithm {
            names: names.as_ptr(),
            properties: properties.as_ptr(),
            functions: functions.as_ptr(),
            description: std::ptr::null(),
        }
    }
}

/// A static list of parameters, ended by [`no_parameter`].
#[repr(transparent)]
pub struct Parameters<const N: usize = 1>(pub [sys::OSSL_PARAM; N]);
// SAFETY: only static texts are pointed to.
unsafe impl<const N: usize> Sync for Parameters<N> {}

pub const fn parameter(key: &CStr, data_type: c_uint, data: *mut c_void, data_size: usize) -> sys::OSSL_PARAM {
    sys::OSSL_PARAM { key: key.as_ptr(), data_type, data, data_size, return_size: usize::MAX }
}

pub const fn no_parameter() -> sys::OSSL_PARAM {
    let nothing = std::ptr::null_mut();
    sys::OSSL_PARAM { key: std::ptr::null(), data_type: 0, data: nothing, data_size: 0, return_size: 0 }
}

pub type ProviderInit = unsafe extern "C" fn(
    handle: *const c_void,
    upcalls: *const Dispatch,
    out: *mut *const Dispatch,
    context: *mut *mut c_void,
) -> c_int;
pub type TakeParameters = unsafe extern "C" fn(parameters: *const sys::OSSL_PARAM, arg: *mut c_void) -> c_int;
pub type GenerateTicket = unsafe extern "C" fn(ssl: *mut sys::SSL, arg: *mut c_void) -> c_int;
pub type DecryptTicket = unsafe extern "C" fn(
    ssl: *mut sys::SSL,
    session: *mut sys::SSL_SESSION,
    key_name: *const c_uchar,
    key_name_length: usize,
    status: c_int,
    arg: *mut c_void,
) -> c_int;
pub type TicketKey = unsafe extern "C" fn(
    ssl: *mut sys::SSL,
    name: *mut c_uchar,
    iv: *mut c_uchar,
    cipher: *mut sys::EVP_CIPHER_CTX,
    code: *mut sys::EVP_MAC_CTX,
    sealing: c_int,
) -> c_int;
pub type VerifyAll = unsafe extern "C" fn(ctx: *mut sys::X509_STORE_CTX, arg: *mut c_void) -> c_int;
pub type Info = unsafe extern "C" fn(ssl: *const sys::SSL, place: c_int, value: c_int);
pub type Timer = unsafe extern "C" fn(ssl: *mut sys::SSL, microseconds: c_uint) -> c_uint;
pub type Message = unsafe extern "C" fn(
    written: c_int,
    version: c_int,
    content_type: c_int,
    message: *const c_void,
    length: usize,
    ssl: *mut sys::SSL,
    arg: *mut c_void,
);
pub type CertificateWanted = unsafe extern "C" fn(ssl: *mut sys::SSL, arg: *mut c_void) -> c_int;

extern "C" {
    pub fn BIO_get_new_index() -> c_int;
    pub fn BIO_ADDR_new() -> *mut sys::BIO_ADDR;
    pub fn BIO_ADDR_free(address: *mut sys::BIO_ADDR);

    pub fn DTLSv1_listen(ssl: *mut sys::SSL, client: *mut sys::BIO_ADDR) -> c_int;
    pub fn DTLS_set_timer_cb(ssl: *mut sys::SSL, timer: Option<Timer>);
    pub fn DTLS_get_data_mtu(ssl: *const sys::SSL) -> usize;

    pub fn EVP_Q_mac(
        libctx: *mut c_void,
        name: *const c_char,
        properties: *const c_char,
        algorithm: *const c_char,
        parameters: *const c_void,
        key: *const c_void,
        key_length: usize,
        data: *const c_uchar,
        data_length: usize,
        out: *mut c_uchar,
        out_size: usize,
        out_length: *mut usize,
    ) -> *mut c_uchar;

    pub fn OSSL_PROVIDER_add_builtin(
        library: *mut sys::OSSL_LIB_CTX,
        name: *const c_char,
        init: Option<ProviderInit>,
    ) -> c_int;
    pub fn EVP_PKEY_export(
        key: *const sys::EVP_PKEY,
        selection: c_int,
        take: Option<TakeParameters>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn OSSL_PARAM_get_int(parameter: *const sys::OSSL_PARAM, value: *mut c_int) -> c_int;

    pub fn SSL_CTX_set1_client_cert_type(ctx: *mut sys::SSL_CTX, types: *const c_uchar, length: usize) -> c_int;
    pub fn SSL_CTX_set1_server_cert_type(ctx: *mut sys::SSL_CTX, types: *const c_uchar, length: usize) -> c_int;
    pub fn SSL_get_negotiated_client_cert_type(ssl: *const sys::SSL) -> c_int;
    pub fn SSL_get_negotiated_server_cert_type(ssl: *const sys::SSL) -> c_int;
    pub fn SSL_get0_peer_rpk(ssl: *const sys::SSL) -> *mut sys::EVP_PKEY;
    pub fn SSL_get0_peer_certificate(ssl: *const sys::SSL) -> *mut sys::X509;

    pub fn SSL_CTX_dane_enable(ctx: *mut sys::SSL_CTX) -> c_int;
    pub fn SSL_dane_enable(ssl: *mut sys::SSL, base_domain: *const c_char) -> c_int;
    pub fn SSL_dane_set_flags(ssl: *mut sys::SSL, flags: u64) -> u64;
    pub fn SSL_dane_tlsa_add(
        ssl: *mut sys::SSL,
        usage: u8,
        selector: u8,
        matching: u8,
        data: *const c_uchar,
        length: usize,
    ) -> c_int;
    pub fn SSL_get0_dane_tlsa(
        ssl: *mut sys::SSL,
        usage: *mut u8,
        selector: *mut u8,
        matching: *mut u8,
        data: *mut *const c_uchar,
        length: *mut usize,
    ) -> c_int;

    pub fn SSL_set_quic_tls_cbs(ssl: *mut sys::SSL, callbacks: *const Dispatch, arg: *mut c_void) -> c_int;
    pub fn SSL_set_quic_tls_transport_params(ssl: *mut sys::SSL, parameters: *const c_uchar, length: usize) -> c_int;
    pub fn SSL_get_pending_cipher(ssl: *const sys::SSL) -> *const sys::SSL_CIPHER;
    pub fn SSL_CIPHER_get_protocol_id(cipher: *const sys::SSL_CIPHER) -> u16;

    pub fn SSL_new_session_ticket(ssl: *mut sys::SSL) -> c_int;
    pub fn SSL_CTX_set_session_ticket_cb(
        ctx: *mut sys::SSL_CTX,
        generate: Option<GenerateTicket>,
        decrypt: Option<DecryptTicket>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn SSL_SESSION_set1_ticket_appdata(session: *mut sys::SSL_SESSION, data: *const c_void, length: usize)
        -> c_int;
    pub fn SSL_SESSION_get0_ticket_appdata(
        session: *mut sys::SSL_SESSION,
        data: *mut *mut c_void,
        length: *mut usize,
    ) -> c_int;
    pub fn SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx: *mut sys::SSL_CTX, key: Option<TicketKey>) -> c_int;
    pub fn OSSL_PARAM_construct_utf8_string(key: *const c_char, text: *mut c_char, length: usize) -> sys::OSSL_PARAM;
    pub fn SSL_SESSION_set_timeout(session: *mut sys::SSL_SESSION, seconds: c_long) -> c_long;
    pub fn SSL_CTX_set_timeout(ctx: *mut sys::SSL_CTX, seconds: c_long) -> c_long;

    pub fn SSL_CTX_use_cert_and_key(
        ctx: *mut sys::SSL_CTX,
        leaf: *mut sys::X509,
        key: *mut sys::EVP_PKEY,
        chain: *mut sys::stack_st_X509,
        replace: c_int,
    ) -> c_int;
    pub fn SSL_CTX_set_cert_verify_callback(ctx: *mut sys::SSL_CTX, verify: Option<VerifyAll>, arg: *mut c_void);
    pub fn X509_STORE_CTX_get0_cert(ctx: *const sys::X509_STORE_CTX) -> *mut sys::X509;
    pub fn X509_STORE_CTX_get0_rpk(ctx: *const sys::X509_STORE_CTX) -> *mut sys::EVP_PKEY;
    pub fn X509_STORE_CTX_get0_param(ctx: *const sys::X509_STORE_CTX) -> *mut sys::X509_VERIFY_PARAM;
    pub fn X509_VERIFY_PARAM_get_auth_level(param: *const sys::X509_VERIFY_PARAM) -> c_int;
    pub fn X509_get0_pubkey(certificate: *const sys::X509) -> *mut sys::EVP_PKEY;
    pub fn EVP_PKEY_get_security_bits(key: *const sys::EVP_PKEY) -> c_int;
    pub fn SSL_CTX_set_msg_callback(ctx: *mut sys::SSL_CTX, message: Option<Message>);
    pub fn SSL_CTX_set_info_callback(ctx: *mut sys::SSL_CTX, info: Option<Info>);
    pub fn SSL_CTX_set_cert_cb(ctx: *mut sys::SSL_CTX, wanted: Option<CertificateWanted>, arg: *mut c_void);
    pub fn SSL_CTX_get_ciphers(ctx: *const sys::SSL_CTX) -> *mut sys::stack_st_SSL_CIPHER;
    pub fn SSL_get_ciphers(ssl: *const sys::SSL) -> *mut sys::stack_st_SSL_CIPHER;
    pub fn SSL_get_client_ciphers(ssl: *const sys::SSL) -> *mut sys::stack_st_SSL_CIPHER;
    pub fn SSL_certs_clear(ssl: *mut sys::SSL);
    pub fn SSL_set_options(ssl: *mut sys::SSL, bits: u64) -> u64;
    pub fn SSL_in_init(ssl: *const sys::SSL) -> c_int;
    pub fn SSL_verify_client_post_handshake(ssl: *mut sys::SSL) -> c_int;
    pub fn SSL_CTX_set_post_handshake_auth(ctx: *mut sys::SSL_CTX, enabled: c_int);
    pub fn SSL_in_before(ssl: *const sys::SSL) -> c_int;
    pub fn SSL_set1_host(ssl: *mut sys::SSL, host: *const c_char) -> c_int;
}

#[cfg(vendored_openssl)]
extern "C" {
    pub fn EVP_PKEY_Q_keygen(
        libctx: *mut c_void,
        properties: *const c_char,
        kind: *const c_char,
        ...
    ) -> *mut sys::EVP_PKEY;
    /// Internal to libssl: `ssl/s3_msg.c`. An `SSL` made by a TLS method is the first member of its connection.
    pub fn ssl3_send_alert(ssl: *mut sys::SSL, level: c_int, description: c_int) -> c_int;
}
