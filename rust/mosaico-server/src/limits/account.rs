//! Who pays for a call: the address that it comes from and, if it has one, the API key. Each has an account
//! with the calls, the rate and the bytes that it uses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mosaico_engine::state::limits::Limits;
use mosaico_types::ErrorCode;
use mosaico_wire::status::{LIMIT_HEADER, RETRY_HEADER, status};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::access::identity::Identity;
use crate::connections::Connection;

/// Accounts that nobody uses are forgotten once there are more than this.
const KEPT: usize = 1024;

/// The identity that limits apply to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Payer {
    /// A host. Of IPv6 only the network counts: a host has as many addresses in it as it wants.
    Address(IpAddr),
    /// A caller that proved who it is. It pays in addition to its address.
    Caller(Identity),
}

/// What a payer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) calls: usize,
    pub(super) call_rate: u32,
    /// Bytes in flight.
    pub(super) bytes: usize,
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
    payer: Payer,
    pub(super) quota: Quota,
    calls: AtomicUsize,
    /// Calls that may begin now, and when that number was computed.
    allowance: Mutex<(f64, Instant)>,
    /// Permits for bytes of received messages.
    pub(super) bytes: Arc<Semaphore>,
}

impl Account {
    fn new(payer: Payer, quota: Quota) -> Self {
        let full = quota.full();
        Self {
            payer,
            quota,
            calls: AtomicUsize::new(0),
            allowance: Mutex::new((full, Instant::now())),
            bytes: Arc::new(Semaphore::new(quota.bytes)),
        }
    }

    /// The calls that may begin now.
    fn refilled(&self, allowance: &mut (f64, Instant)) -> f64 {
        let (left, at) = allowance;
        *left = (*left + at.elapsed().as_secs_f64() * f64::from(self.quota.call_rate)).min(self.quota.full());
        *at = Instant::now();
        *left
    }

    fn is_unused(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && self.refilled(&mut self.allowance.lock()) >= self.quota.full()
    }

    /// Counts a call that begins, unless the payer has too many.
    pub(super) fn begin(self: &Arc<Self>) -> Result<Counting, Status> {
        let (who, settings) = match &self.payer {
            Payer::Address(_) => ("this address".to_owned(), ["max-address-call-rate", "max-address-calls"]),
            Payer::Caller(identity) => (identity.to_string(), ["max-key-call-rate", "max-key-calls"]),
        };
        let Quota { calls, call_rate, .. } = self.quota;
        {
            let mut allowance = self.allowance.lock();
            let left = self.refilled(&mut allowance);
            if left < 1.0 {
                let pause = Duration::from_secs_f64((1.0 - left) / f64::from(call_rate));
                let what = format!("{who} began more than {call_rate} calls per second");
                return Err(refusal(settings[0], &what, pause.max(Duration::from_millis(1))));
            }
            allowance.0 -= 1.0;
        }
        if self.calls.fetch_add(1, Ordering::Relaxed) >= calls {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            let what = format!("{who} has {calls} calls in progress, the limit; end some of them");
            return Err(refusal(settings[1], &what, Duration::from_secs(1)));
        }
        Ok(Counting(Arc::clone(self)))
    }
}

impl Quota {
    /// Calls that may begin at once.
    fn full(&self) -> f64 {
        f64::from(self.call_rate) * f64::from(Limits::BURST)
    }
}

/// The accounts of all payers.
#[derive(Debug, Default)]
pub(super) struct Accounts(Mutex<HashMap<Payer, Arc<Account>>>);

/// A call in progress on an account.
#[derive(Debug)]
pub(super) struct Counting(Arc<Account>);

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Accounts {
    /// The account of `payer`, which keeps its quota as long as it is used.
    pub(super) fn account(&self, payer: Payer, quota: Quota) -> Arc<Account> {
        let mut known = self.0.lock();
        if known.len() > KEPT {
            known.retain(|_, account| !account.is_unused());
        }
        let account = known.entry(payer.clone()).or_insert_with(|| Arc::new(Account::new(payer, quota)));
        Arc::clone(account)
    }
}

/// A refusal that names the limit, its setting, and when a repeated call may succeed.
pub(super) fn refusal(setting: &'static str, what: &str, pause: Duration) -> Status {
    let text = format!("{what}; try again in {:.3} s", pause.as_secs_f64());
    let mut status = status(ErrorCode::TooMany, text);
    status.metadata_mut().insert(LIMIT_HEADER, MetadataValue::from_static(setting));
    let pause = MetadataValue::from(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    status.metadata_mut().insert(RETRY_HEADER, pause);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Payer = Payer::Address(IpAddr::V6(Ipv6Addr::LOCALHOST));

    fn account(payer: Payer, call_rate: u32, calls: usize) -> Arc<Account> {
        Accounts::default().account(payer, Quota { calls, call_rate, bytes: 1 })
    }

    fn setting(status: &Status) -> &str {
        status.metadata().get(LIMIT_HEADER).unwrap().to_str().unwrap()
    }

    #[test]
    fn calls_are_limited_by_rate_and_number() {
        let rated = account(LOCAL, 10, 1000);
        let begun = (0..1000).map(|_| rated.begin()).collect::<Vec<_>>();
        let refused = begun.iter().find_map(|call| call.as_ref().err()).unwrap();
        assert_eq!(begun.iter().filter(|call| call.is_ok()).count(), 50, "five seconds of calls");
        assert!(refused.message().contains("more than 10 calls per second; try again in 0."), "{refused}");
        assert!(refused.metadata().contains_key(RETRY_HEADER));
        assert_eq!(setting(refused), "max-address-call-rate");
        rated.allowance.lock().1 -= Duration::from_secs(1);
        assert!(rated.begin().is_ok(), "a second refills ten");

        let key = Identity::Key("1b676530".parse().unwrap());
        let crowded = account(Payer::Caller(key), 1000, 2);
        let (first, _second) = (crowded.begin().unwrap(), crowded.begin().unwrap());
        let refused = crowded.begin().unwrap_err();
        assert!(refused.message().contains("key 1b676530 has 2 calls in progress"), "{refused}");
        assert_eq!(setting(&refused), "max-key-calls");
        drop(first);
        assert!(crowded.begin().is_ok());
    }

    #[test]
    fn accounts_are_forgotten_once_they_are_full_again() {
        let all = Accounts::default();
        for host in 0..4 * KEPT as u32 {
            all.account(Payer::Address(IpAddr::V4(host.into())), Quota { calls: 2, call_rate: 1, bytes: 1 });
        }
        assert!(all.0.lock().len() <= KEPT + 1);
    }

    #[test]
    fn an_ipv6_network_is_one_payer() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
