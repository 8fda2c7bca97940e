//! Which refused sign-ins are recorded: not all of them, or whoever is refused could fill the disk. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// One record of each peer in this time.
const EACH: Duration = Duration::from_secs(10);

/// One record of all peers together, on average, in this time: addresses are cheap.
const ALL: Duration = Duration::from_secs(1);

/// As many at once before the average counts.
const BURST: u32 = 30;

/// Peers remembered; further ones share one place.
const PEERS: usize = 1024;

/// Remembers whose refusals were recorded lately.
#[derive(Debug, Default)]
pub(super) struct Sampling {
    peers: HashMap<Option<IpAddr>, (Instant, u64)>,
    /// When the burst is whole again.
    whole: Option<Instant>,
}

impl Sampling {
    /// Whether this refusal is recorded; if so, how many of the same peer's were not since the last that was.
    pub(super) fn take(&mut self, peer: Option<IpAddr>, now: Instant) -> Option<u64> {
        if self.peers.len() >= PEERS {
            self.peers.retain(|_, (last, _)| now.saturating_duration_since(*last) < EACH);
        }
        let key = if self.peers.len() >= PEERS && !self.peers.contains_key(&peer) { None } else { peer };
        let due = self.peers.get(&key).is_none_or(|(last, _)| now.saturating_duration_since(*last) >= EACH);
        let whole = self.whole.map_or(now, |whole| whole.max(now));
        if !due || whole.saturating_duration_since(now) >= ALL * BURST {
            if let Some((_, suppressed)) = self.peers.get_mut(&key) {
                *suppressed += 1;
            }
            return None;
        }
        self.whole = Some(whole + ALL);
        let suppressed = self.peers.insert(key, (now, 0)).map_or(0, |(_, suppressed)| suppressed);
        Some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(n: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from(n).into())
    }

    #[test]
    fn one_of_a_peer_in_ten_seconds_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut sampling = Sampling::default();
        let table = [(0, Some(0)), (1, None), (9, None), (10, Some(2)), (11, None), (100, Some(1))];
        for (second, expected) in table {
            let now = start + Duration::from_secs(second);
            assert_eq!(sampling.take(peer(1), now), expected, "at {second} s");
        }
        assert_eq!(sampling.take(peer(2), start + Duration::from_secs(100)), Some(0));
    }

    #[test]
    fn many_peers_do_not_fill_the_disk_nor_the_memory() {
        let now = Instant::now();
        let mut sampling = Sampling::default();
        let recorded = (0..100_000).filter(|n| sampling.take(peer(*n), now).is_some()).count();
        assert_eq!(recorded, BURST as usize);
        assert!(sampling.peers.len() <= PEERS);
    }
}
