//! What a connection over datagrams has beyond one over a stream: a path MTU, timers, a hello that was verified.
//!
//! The clock of the retransmission timer is OpenSSL's own and cannot be given to it; when to look at it is the caller's.

use crate::cookie::{self, Hello};
use crate::datagram;
use crate::error::{self, Failure, Outcome};
use crate::ffi;
use crate::state::{self, guarded};
use crate::tls::Tls;
use openssl_sys as sys;
use std::cell::RefCell;
use std::ffi::{c_int, c_long, c_uint};
use std::ptr;
use std::time::Duration;

/// OpenSSL's own least; and its buffer in front of our BIO, which would tear longer datagrams apart.
const MTU: std::ops::RangeInclusive<u32> = 256..=4096;
/// RFC 6347 section 4.2.4.1, in milliseconds.
const FIRST_TIMEOUT: u32 = 1_000;
const LONGEST_TIMEOUT: u32 = 60_000;

/// What a Config says about datagrams.
#[derive(Clone, Copy)]
pub struct Settings {
    mtu: u32,
    first_timeout: u32,
    longest_timeout: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { mtu: 1200, first_timeout: FIRST_TIMEOUT, longest_timeout: LONGEST_TIMEOUT }
    }
}

impl Settings {
    pub fn new(mtu: u32, first_timeout: u32, longest_timeout: u32) -> Outcome<Self> {
        if !MTU.contains(&mtu) {
            return Err(Failure::argument(format!("a datagram has {} to {} octets", MTU.start(), MTU.end())));
        }
        if first_timeout == 0 || first_timeout > longest_timeout || longest_timeout > LONGEST_TIMEOUT {
            let words = format!("timeouts are 1 to {LONGEST_TIMEOUT} milliseconds, the first the shortest");
            return Err(Failure::argument(words));
        }
        Ok(Settings { mtu, first_timeout, longest_timeout })
    }
}

/// A connection's part in it.
#[derive(Default)]
pub struct Cells {
    settings: Settings,
    /// Server: the cookie of the hello that made this connection.
    pub cookie: RefCell<Vec<u8>>,
}

impl Cells {
    pub fn new(settings: Settings) -> Self {
        Cells { settings, ..Cells::default() }
    }
}

/// Room for any platform's struct timeval, which OpenSSL fills: two numbers of 64 bits, where time has 32 bits two of 32.
struct Timeval([i64; 2]);

impl Timeval {
    /// No number of microseconds looks like this.
    const UNTOUCHED: i64 = -1;

    fn new() -> Self {
        Timeval([Self::UNTOUCHED; 2])
    }

    fn duration(&self) -> Duration {
        let [first, second] = self.0;
        let (seconds, micros) = if second == Self::UNTOUCHED {
            let octets = first.to_ne_bytes();
            let half =
                |from: usize| i32::from_ne_bytes([octets[from], octets[from + 1], octets[from + 2], octets[from + 3]]);
            (i64::from(half(0)), i64::from(half(4)))
        } else {
            // Some have 32 bits of microseconds in the place of 64.
            (first, second & 0xffff_ffff)
        };
        let (seconds, micros) = (u64::try_from(seconds).unwrap_or(0), u64::try_from(micros).unwrap_or(0));
        Duration::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))
    }
}

impl Tls {
    /// Sets up an SSL over datagrams; its state was attached.
    pub fn prepare_datagrams(&mut self) -> Outcome<()> {
        let mtu = c_long::from(self.state.dtls.settings.mtu);
        // SAFETY: ssl is alive; the callback is static.
        let done = unsafe {
            ffi::SSL_set_options(self.as_ptr(), ffi::SSL_OP_NO_QUERY_MTU);
            ffi::DTLS_set_timer_cb(self.as_ptr(), Some(on_timer));
            sys::SSL_ctrl(self.as_ptr(), ffi::SSL_CTRL_SET_MTU, mtu, ptr::null_mut())
        };
        if done > 0 {
            Ok(())
        } else {
            Err(Failure::from_queue("MTU not accepted"))
        }
    }

    /// Server: reads the hello whose cookie was verified. False: OpenSSL reads none in this datagram.
    pub fn listen(&mut self, datagram: &[u8], hello: &Hello) -> Outcome<bool> {
        let queues = self.transport.datagrams()?;
        queues.begin_at(hello.sequence());
        queues.feed(datagram);
        self.state.dtls.cookie.replace(hello.cookie.to_vec());
        error::clear_queue();
        // SAFETY: ssl is alive and new; the address is written to, and freed once.
        let result = unsafe {
            let address = ffi::BIO_ADDR_new();
            if address.is_null() {
                return Err(Failure::from_queue("no room for an address"));
            }
            let result = ffi::DTLSv1_listen(self.as_ptr(), address);
            ffi::BIO_ADDR_free(address);
            result
        };
        error::clear_queue();
        Ok(result == 1)
    }

    /// Until the last flight has to be sent again; none while none waits for an answer.
    pub fn timeout(&self) -> Outcome<Option<Duration>> {
        self.transport.datagrams()?;
        let mut left = Timeval::new();
        // SAFETY: ssl is alive; the control fills a struct timeval, for which there is room.
        let running =
            unsafe { sys::SSL_ctrl(self.as_ptr(), ffi::DTLS_CTRL_GET_TIMEOUT, 0, ptr::from_mut(&mut left).cast()) };
        Ok((running == 1).then(|| left.duration()))
    }

    /// Sends the last flight again when its time has come; whether it had. Too often is a failure.
    pub fn handle_timeout(&mut self) -> Outcome<bool> {
        self.transport.datagrams()?;
        self.alive()?;
        self.begin();
        // SAFETY: ssl is alive; the control takes no argument.
        let result = unsafe { sys::SSL_ctrl(self.as_ptr(), ffi::DTLS_CTRL_HANDLE_TIMEOUT, 0, ptr::null_mut()) };
        if result < 0 {
            let report = self.report("no answer from the peer");
            return Err(self.fail(report));
        }
        Ok(result > 0)
    }

    /// The handshake is complete: what a sealed record has at least.
    pub fn note_seal(&self) {
        if let Ok(queues) = self.transport.datagrams() {
            let mtu = self.state.dtls.settings.mtu as usize;
            // SAFETY: ssl is alive.
            let data = unsafe { ffi::DTLS_get_data_mtu(self.as_ptr()) };
            queues.sealed_with(mtu.saturating_sub(data + datagram::RECORD_HEADER));
        }
    }

    /// Application data that fits one datagram, in octets; 0 before the cipher is known.
    pub fn data_mtu(&self) -> Outcome<usize> {
        self.transport.datagrams()?;
        // SAFETY: ssl is alive.
        Ok(if self.complete { unsafe { ffi::DTLS_get_data_mtu(self.as_ptr()) } } else { 0 })
    }
}

/// Microseconds until a flight is sent again, doubled each time; 0 asks for the first.
extern "C" fn on_timer(ssl: *mut sys::SSL, microseconds: c_uint) -> c_uint {
    guarded(FIRST_TIMEOUT * 1000, || {
        // SAFETY: OpenSSL passes a live connection.
        let settings = unsafe { state::of(ssl) }.map(|state| state.dtls.settings).unwrap_or_default();
        if microseconds == 0 {
            settings.first_timeout * 1000
        } else {
            microseconds.saturating_mul(2).min(settings.longest_timeout * 1000)
        }
    })
}

/// Server: every hello that OpenSSL reads shows a cookie, and OpenSSL never makes one.
pub fn expect_cookies(ctx: *mut sys::SSL_CTX) {
    // SAFETY: ctx is alive and not shared; the callbacks are static.
    unsafe {
        sys::SSL_CTX_set_cookie_verify_cb(ctx, Some(cookie::on_verify));
        sys::SSL_CTX_set_cookie_generate_cb(ctx, Some(on_generate));
    }
}

extern "C" fn on_generate(_ssl: *mut sys::SSL, _cookie: *mut u8, _length: *mut c_uint) -> c_int {
    0
}
