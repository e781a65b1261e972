//! Decides whether OpenSSL's internal functions may be linked, and refuses an OpenSSL that is too old.
//!
//! Only the static library of a vendored build has internal symbols; `OPENSSL_NO_VENDOR` is the switch openssl-sys
//! itself obeys.

use std::env;

/// OpenSSL 3.5.0: raw public keys need 3.2, ML-DSA needs 3.5.
const OLDEST: u64 = 0x3050_0000;

fn main() -> Result<(), String> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=OPENSSL_NO_VENDOR");
    println!("cargo:rustc-check-cfg=cfg(vendored_openssl)");
    let refused = env::var("OPENSSL_NO_VENDOR").is_ok_and(|value| value != "0");
    if env::var_os("CARGO_FEATURE_VENDORED").is_some() && !refused {
        println!("cargo:rustc-cfg=vendored_openssl");
    }
    let version = env::var("DEP_OPENSSL_VERSION_NUMBER").unwrap_or_default();
    match u64::from_str_radix(&version, 16) {
        Ok(number) if number >= OLDEST => Ok(()),
        _ => Err(format!("OpenSSL 3.5 or later is needed, found version number 0x{version}")),
    }
}
