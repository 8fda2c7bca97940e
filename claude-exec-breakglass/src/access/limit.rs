//! How often a peer may fail. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Failures of a peer in a row; a page that loads without being signed in makes a few at once.
const FAILURES: u32 = 20;

/// One of them is forgiven in this time.
const FORGIVEN: Duration = Duration::from_secs(3);

/// Peers remembered; when there are more, the ones that failed longest ago are forgotten.
const PEERS: usize = 4096;

/// Counts failures by peer: a bucket that fills with each and drains with time.
///
/// It never shuts out whoever proves who they are: behind a proxy all callers share one address, and an emergency
/// is no time to be shut out by somebody else's guesses. A key has 256 bits; what is limited is the noise.
#[derive(Debug, Default)]
pub(super) struct Failures {
    full_until: HashMap<IpAddr, Instant>,
}

impl Failures {
    /// Counts one failure, and tells whether it is one too many.
    pub(super) fn count(&mut self, peer: IpAddr, now: Instant) -> bool {
        if self.full_until.len() >= PEERS {
            self.full_until.retain(|_, until| *until > now);
        }
        if self.full_until.len() >= PEERS
            && let Some(oldest) =
                self.full_until.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer)
        {
            self.full_until.remove(&oldest);
        }
        let until = self.full_until.entry(network(peer)).or_insert(now);
        let drained = (*until).max(now);
        if drained.saturating_duration_since(now) >= FORGIVEN * FAILURES {
            return true;
        }
        *until = drained + FORGIVEN;
        false
    }
}

/// A subscriber of IPv6 has a whole /64 to fail from.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(peer) => IpAddr::V4(peer),
        IpAddr::V6(peer) => {
            let [a, b, c, d, ..] = peer.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_goes_on_failing_is_told_to_wait() {
        let mut failures = Failures::default();
        let now = Instant::now();
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let refused = (0..30).filter(|_| failures.count(peer, now)).count();
        assert_eq!(refused, 10);
        assert!(!failures.count("10.0.0.2".parse().unwrap(), now), "another peer");
        assert!(!failures.count(peer, now + FORGIVEN), "one is forgiven");
        assert!(failures.count(peer, now + FORGIVEN), "and no more");
    }

    #[test]
    fn a_subscriber_is_one_peer_and_memory_is_bounded() {
        let mut failures = Failures::default();
        let now = Instant::now();
        let refused = (0..30u16)
            .filter(|n| failures.count(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, *n).into(), now))
            .count();
        assert_eq!(refused, 10);
        for n in 0..20_000u32 {
            failures.count(std::net::Ipv4Addr::from(n).into(), now);
        }
        assert!(failures.full_until.len() <= PEERS);
    }
}
