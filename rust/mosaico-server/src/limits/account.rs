//! Who pays for a call: one account per peer, with the calls, the rate and the bytes that it uses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mosaico_engine::state::limits::Limits;
use mosaico_types::ErrorCode;
use mosaico_wire::status::status;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::connections::Connection;

/// How long a caller should wait before it repeats a refused call, in milliseconds; the header is that of gRPC.
pub(super) const RETRY_HEADER: &str = "grpc-retry-pushback-ms";

/// Accounts that nobody uses are forgotten once there are more than this.
const KEPT: usize = 1024;

/// The identity that limits apply to. This is the one place that decides it: a call that proves another identity
/// than its address, such as a key, pays with that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Payer {
    /// A host. Of IPv6 only the network counts: a host has as many addresses in it as it wants.
    Address(IpAddr),
}

impl Payer {
    /// `None` inside the process: no limit of a peer applies.
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        connection.address.map(|address| {
            Self::Address(match address.to_canonical() {
                IpAddr::V6(address) => IpAddr::V6(network(address)),
                address => address,
            })
        })
    }
}

fn network(address: Ipv6Addr) -> Ipv6Addr {
    const NETWORK: u128 = !(u64::MAX as u128);
    Ipv6Addr::from_bits(address.to_bits() & NETWORK)
}

/// What one payer uses.
#[derive(Debug)]
pub(super) struct Account {
    calls: AtomicUsize,
    /// Calls that may begin now, and when that number was computed.
    allowance: Mutex<(f64, Instant)>,
    /// Permits for bytes of received messages.
    pub(super) bytes: Arc<Semaphore>,
}

/// The accounts of all payers.
#[derive(Debug)]
pub(super) struct Accounts {
    limits: Limits,
    /// Bytes in flight of one payer.
    share: usize,
    known: Mutex<HashMap<Payer, Arc<Account>>>,
}

/// A call in progress on an account.
#[derive(Debug)]
pub(super) struct Counting(Arc<Account>);

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Accounts {
    pub(super) fn new(limits: &Limits, share: usize) -> Self {
        Self { limits: limits.clone(), share, known: Mutex::default() }
    }

    /// The account of `payer`.
    pub(super) fn account(&self, payer: Payer) -> Arc<Account> {
        let mut known = self.known.lock();
        if known.len() > KEPT {
            let full = f64::from(self.limits.address_call_rate) * f64::from(Limits::BURST);
            known.retain(|_, account| {
                Arc::strong_count(account) > 1 || self.refilled(&mut account.allowance.lock()) < full
            });
        }
        let full = f64::from(self.limits.address_call_rate) * f64::from(Limits::BURST);
        let open = || Account {
            calls: AtomicUsize::new(0),
            allowance: Mutex::new((full, Instant::now())),
            bytes: Arc::new(Semaphore::new(self.share)),
        };
        Arc::clone(known.entry(payer).or_insert_with(|| Arc::new(open())))
    }

    fn refilled(&self, allowance: &mut (f64, Instant)) -> f64 {
        let rate = f64::from(self.limits.address_call_rate);
        let (left, at) = allowance;
        *left = (*left + at.elapsed().as_secs_f64() * rate).min(rate * f64::from(Limits::BURST));
        *at = Instant::now();
        *left
    }

    /// Counts a call that begins, unless its payer has too many.
    pub(super) fn begin(&self, account: &Arc<Account>) -> Result<Counting, Status> {
        {
            let mut allowance = account.allowance.lock();
            let left = self.refilled(&mut allowance);
            if left < 1.0 {
                let rate = self.limits.address_call_rate;
                let pause =
                    Duration::from_secs_f64((1.0 - left) / f64::from(rate)).max(Duration::from_millis(1));
                let what = format!("this address began more than {rate} calls per second");
                return Err(refusal(&what, pause));
            }
            allowance.0 -= 1.0;
        }
        let limit = self.limits.address_calls;
        if account.calls.fetch_add(1, Ordering::Relaxed) >= limit {
            account.calls.fetch_sub(1, Ordering::Relaxed);
            let what = format!("this address has {limit} calls in progress, the limit; end some of them");
            return Err(refusal(&what, Duration::from_secs(1)));
        }
        Ok(Counting(Arc::clone(account)))
    }
}

/// A refusal that names the limit and when a repeated call may succeed.
pub(super) fn refusal(what: &str, pause: Duration) -> Status {
    let text = format!("{what}; try again in {:.3} s", pause.as_secs_f64());
    let mut status = status(ErrorCode::TooMany, text);
    let pause = MetadataValue::from(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    status.metadata_mut().insert(RETRY_HEADER, pause);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(address_call_rate: u32, address_calls: usize) -> Accounts {
        Accounts::new(&Limits { address_call_rate, address_calls, ..Limits::default() }, 1)
    }

    const LOCAL: Payer = Payer::Address(IpAddr::V6(Ipv6Addr::LOCALHOST));

    #[test]
    fn calls_are_limited_by_rate_and_number() {
        let all = accounts(10, 1000);
        let account = all.account(LOCAL);
        let begun = (0..1000).map(|_| all.begin(&account)).collect::<Vec<_>>();
        let refused = begun.iter().find_map(|call| call.as_ref().err()).unwrap();
        assert_eq!(begun.iter().filter(|call| call.is_ok()).count(), 50, "five seconds of calls");
        assert!(refused.message().contains("more than 10 calls per second; try again in 0."), "{refused}");
        assert!(refused.metadata().contains_key(RETRY_HEADER));
        account.allowance.lock().1 -= Duration::from_secs(1);
        assert!(all.begin(&account).is_ok(), "a second refills ten");

        let all = accounts(1000, 2);
        let account = all.account(LOCAL);
        let (first, _second) = (all.begin(&account).unwrap(), all.begin(&account).unwrap());
        let refused = all.begin(&account).unwrap_err();
        assert!(refused.message().contains("2 calls in progress"), "{refused}");
        drop(first);
        assert!(all.begin(&account).is_ok());
    }

    #[test]
    fn accounts_are_forgotten_once_they_are_full_again() {
        let all = accounts(1000, 2);
        for host in 0..4 * KEPT as u32 {
            all.account(Payer::Address(IpAddr::V4(host.into())));
        }
        assert!(all.known.lock().len() <= KEPT + 1);
    }

    #[test]
    fn an_ipv6_network_is_one_payer() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
