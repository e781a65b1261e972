//! Keys whose private half is elsewhere, as an OpenSSL provider compiled in: one mechanism for every kind of key and for
//! TLS 1.2, TLS 1.3 and DTLS.
//!
//! The provider lives in a library context of its own, so that nobody who asks OpenSSL for "EC" or "RSA" gets ours. A
//! key of it holds the public half as an ordinary key, to which it leaves every question but one: signing goes to
//! [`Signer`] (`foreign_signature`). It verifies nothing, decrypts nothing and exports no private half, since it has none.

use crate::error::{self, Failure, Outcome};
use crate::ffi::{self, dispatch, Algorithm, Dispatch};
use crate::foreign_signature;
use crate::signer::Signer;
use crate::x509::Key;
use openssl_sys as sys;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr;
use std::sync::{Arc, OnceLock};

const PROVIDER: &CStr = c"dnsbound";
const PROPERTIES: &CStr = c"provider=dnsbound";
/// No other provider has an operation of this name: whoever signs with one of our keys comes here.
const OPERATION: &CStr = c"dnsbound-foreign-signature";
const SIGNER: &CStr = c"dnsbound-signer";

/// All names OpenSSL's own provider has for a kind of key, so that one is as good as the other.
const EC: &CStr = c"EC:id-ecPublicKey:1.2.840.10045.2.1";
const RSA: &CStr = c"RSA:rsaEncryption:1.2.840.113549.1.1.1";
const ED25519: &CStr = c"ED25519:1.3.101.112";
const ED448: &CStr = c"ED448:1.3.101.113";
const ML_DSA_44: &CStr = c"ML-DSA-44:MLDSA44:2.16.840.1.101.3.4.3.17:id-ml-dsa-44";
const ML_DSA_65: &CStr = c"ML-DSA-65:MLDSA65:2.16.840.1.101.3.4.3.18:id-ml-dsa-65";
const ML_DSA_87: &CStr = c"ML-DSA-87:MLDSA87:2.16.840.1.101.3.4.3.19:id-ml-dsa-87";

/// Kinds of key by the name OpenSSL is asked with.
const KINDS: [(&CStr, Kind); 7] = [
    (c"EC", Kind::Ec),
    (c"RSA", Kind::Rsa),
    (c"ED25519", Kind::Whole(0x0807)),
    (c"ED448", Kind::Whole(0x0808)),
    (c"ML-DSA-44", Kind::Whole(0x0904)),
    (c"ML-DSA-65", Kind::Whole(0x0905)),
    (c"ML-DSA-87", Kind::Whole(0x0906)),
];

/// How a kind of key names its SignatureSchemes (RFC 9846 section 4.3.3).
#[derive(Clone, Copy)]
pub enum Kind {
    /// 0x0403, 0x0503, 0x0603 by hash.
    Ec,
    /// 0x0401 to 0x0601 (PKCS #1 v1.5) or 0x0804 to 0x0806 (PSS) by hash.
    Rsa,
    /// One scheme, which takes the message whole.
    Whole(u16),
}

/// What our EVP_PKEYs hold.
pub struct ForeignKey {
    public: Key,
    pub kind: Kind,
    pub signer: Signer,
    /// Octets of a signature at most.
    pub longest: usize,
}

// SAFETY: the public key is only read, and OpenSSL's keys may be read by several threads.
unsafe impl Send for ForeignKey {}
// SAFETY: as above.
unsafe impl Sync for ForeignKey {}

pub type KeyData = Option<Arc<ForeignKey>>;

/// An EVP_PKEY for the public half in `spki` (DER SubjectPublicKeyInfo) that has `signer` sign.
pub fn new(spki: &[u8], signer: Signer) -> Outcome<Key> {
    let public = Key::from_spki(spki)?;
    // SAFETY: the key is alive, the names terminated.
    let known = KINDS.iter().find(|(name, _)| unsafe { sys::EVP_PKEY_is_a(public.0, name.as_ptr()) } == 1);
    let Some((name, kind)) = known else {
        return Err(Failure::argument("a kind of key that TLS does not sign with"));
    };
    // SAFETY: the key is alive.
    let longest = usize::try_from(unsafe { sys::EVP_PKEY_size(public.0) }).unwrap_or(0);
    make(name, Arc::new(ForeignKey { public, kind: *kind, signer, longest }))
}

fn make(name: &CStr, key: Arc<ForeignKey>) -> Outcome<Key> {
    let library = library()?;
    let mut made = ptr::null_mut();
    // The only way into a provider's key is import, which takes its own reference to what is behind the pointer.
    let held: KeyData = Some(key);
    let mut parameters = [
        ffi::parameter(SIGNER, ffi::OSSL_PARAM_OCTET_PTR, ptr::from_ref(&held).cast_mut().cast(), size_of::<KeyData>()),
        ffi::no_parameter(),
    ];
    error::clear_queue();
    // SAFETY: the library context lives for ever, `held` until the end of this function; the context is freed once.
    let done = unsafe {
        let ctx = sys::EVP_PKEY_CTX_new_from_name(library, name.as_ptr(), PROPERTIES.as_ptr());
        if ctx.is_null() {
            return Err(Failure::from_queue("this OpenSSL has no such kind of key"));
        }
        let done = sys::EVP_PKEY_fromdata_init(ctx) == 1
            && sys::EVP_PKEY_fromdata(ctx, &mut made, sys::EVP_PKEY_KEYPAIR, parameters.as_mut_ptr()) == 1;
        sys::EVP_PKEY_CTX_free(ctx);
        done
    };
    if done && !made.is_null() {
        Ok(Key(made))
    } else {
        Err(Failure::from_queue("the key was not accepted"))
    }
}

struct Library(*mut sys::OSSL_LIB_CTX);
// SAFETY: a library context may be used by all threads; this one is never freed.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// Our provider's library context. OpenSSL's own provider is there too, because it knows how to write public keys.
fn library() -> Outcome<*mut sys::OSSL_LIB_CTX> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    let made = LIBRARY.get_or_init(|| {
        // SAFETY: the names are terminated, the entry point is static and fits.
        unsafe {
            let ctx = sys::OSSL_LIB_CTX_new();
            let done = !ctx.is_null()
                && ffi::OSSL_PROVIDER_add_builtin(ctx, PROVIDER.as_ptr(), Some(provider_init)) == 1
                && !sys::OSSL_PROVIDER_load(ctx, c"default".as_ptr()).is_null()
                && !sys::OSSL_PROVIDER_load(ctx, PROVIDER.as_ptr()).is_null();
            done.then_some(Library(ctx))
        }
    });
    made.as_ref().map(|library| library.0).ok_or_else(|| Failure::from_queue("the provider of foreign keys is missing"))
}

// --- the provider

static PROVIDER_FUNCTIONS: [Dispatch; 2] = dispatch![1027 => query_operation];

static KEY_FUNCTIONS: [Dispatch; 11] = dispatch![
    1 => key_new,
    10 => key_free,
    11 => key_get_params,
    12 => no_types,
    20 => key_operation_name,
    21 => key_has,
    40 => key_import,
    41 => key_types,
    42 => key_export,
    43 => key_types,
];

macro_rules! key_kinds {
    ($($names:expr),+ $(,)?) => {
        [$(Algorithm::new($names, PROPERTIES, &KEY_FUNCTIONS)),+, Algorithm::END]
    };
}

static KEY_KINDS: [Algorithm; 8] = key_kinds![EC, RSA, ED25519, ED448, ML_DSA_44, ML_DSA_65, ML_DSA_87];
static SIGNATURES: [Algorithm; 2] =
    [Algorithm::new(OPERATION, PROPERTIES, &foreign_signature::FUNCTIONS), Algorithm::END];

unsafe extern "C" fn provider_init(
    handle: *const c_void,
    _upcalls: *const Dispatch,
    out: *mut *const Dispatch,
    context: *mut *mut c_void,
) -> c_int {
    // SAFETY: OpenSSL passes places for both answers; the context is only ever handed back.
    unsafe {
        *out = PROVIDER_FUNCTIONS.as_ptr();
        *context = handle.cast_mut();
    }
    1
}

unsafe extern "C" fn query_operation(
    _context: *mut c_void,
    operation: c_int,
    no_cache: *mut c_int,
) -> *const Algorithm {
    // SAFETY: OpenSSL passes a place for the answer.
    unsafe { *no_cache = 0 };
    match operation {
        ffi::OSSL_OP_KEYMGMT => KEY_KINDS.as_ptr(),
        ffi::OSSL_OP_SIGNATURE => SIGNATURES.as_ptr(),
        _ => ptr::null(),
    }
}

// --- keys

unsafe extern "C" fn key_new(_context: *mut c_void) -> *mut c_void {
    Box::into_raw(Box::<KeyData>::default()).cast()
}

unsafe extern "C" fn key_free(data: *mut c_void) {
    if !data.is_null() {
        // SAFETY: made by key_new, freed once.
        drop(unsafe { Box::from_raw(data.cast::<KeyData>()) });
    }
}

/// # Safety
/// `data` is null or key_new's, and the result is not kept beyond the call.
pub unsafe fn key_of<'a>(data: *const c_void) -> Option<&'a Arc<ForeignKey>> {
    // SAFETY: the caller's.
    unsafe { data.cast::<KeyData>().as_ref() }?.as_ref()
}

unsafe extern "C" fn key_get_params(data: *mut c_void, parameters: *mut sys::OSSL_PARAM) -> c_int {
    // SAFETY: data is key_new's; the parameters are OpenSSL's.
    unsafe { key_of(data).map_or(0, |key| sys::EVP_PKEY_get_params(key.public.0, parameters)) }
}

unsafe extern "C" fn key_operation_name(_operation: c_int) -> *const c_char {
    OPERATION.as_ptr()
}

unsafe extern "C" fn key_has(data: *const c_void, _selection: c_int) -> c_int {
    // SAFETY: data is key_new's. That the private half is elsewhere is no reason to say that there is none.
    c_int::from(unsafe { key_of(data) }.is_some())
}

unsafe extern "C" fn key_import(data: *mut c_void, _selection: c_int, parameters: *const sys::OSSL_PARAM) -> c_int {
    // SAFETY: data is key_new's; nobody but `make` knows this library context, and what it passes is alive.
    unsafe {
        let given = sys::OSSL_PARAM_locate_const(parameters, SIGNER.as_ptr());
        if given.is_null() || (*given).data.is_null() {
            return 0;
        }
        let held = (*given).data.cast::<KeyData>();
        (*data.cast::<KeyData>()).clone_from(&*held);
    }
    1
}

/// The public half alone: OpenSSL then signs nowhere but here.
unsafe extern "C" fn key_export(
    data: *mut c_void,
    selection: c_int,
    take: Option<ffi::TakeParameters>,
    arg: *mut c_void,
) -> c_int {
    if selection & ffi::OSSL_KEYMGMT_SELECT_PRIVATE_KEY != 0 {
        return 0;
    }
    // SAFETY: data is key_new's; callback and argument are OpenSSL's.
    unsafe { key_of(data).map_or(0, |key| ffi::EVP_PKEY_export(key.public.0, selection, take, arg)) }
}

static NO_PARAMETERS: ffi::Parameters = ffi::Parameters([ffi::no_parameter()]);

unsafe extern "C" fn no_types(_context: *mut c_void) -> *const sys::OSSL_PARAM {
    NO_PARAMETERS.0.as_ptr()
}

unsafe extern "C" fn key_types(_selection: c_int) -> *const sys::OSSL_PARAM {
    NO_PARAMETERS.0.as_ptr()
}
