//! When a service wants to be left alone, and for how long.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// The least wait after a limit that names none: GitHub's documentation asks for a minute.
const LEAST: Duration = Duration::from_secs(60);
/// The longest wait: a limit is per hour, and a wrong header must not stop the loop for a year.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a status and its headers say about asking further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is an answer to what was asked.
    Answered,
    /// The account is to ask nothing for this long.
    LeaveAlone(Duration),
    /// The service failed; this request may be tried again, no sooner than it says.
    Failed(Option<Duration>),
    /// The credential is not accepted.
    NotKnown,
    /// What was asked for is at another address.
    Moved,
}

/// Reads it. `strikes` counts the limits in a row that were met; `said` is the service's own words.
///
/// GitHub, "Rate limits for the REST API": a limit is 403 or 429; `retry-after` counts first, then
/// `x-ratelimit-remaining: 0` with `x-ratelimit-reset`, and else at least a minute, longer each time. A 403 with
/// none of it is a permission. Proxies before a Forgejo say 429 or 503 with `Retry-After`.
pub(super) fn standing(status: u16, headers: &HeaderMap, said: &str, strikes: u32) -> Standing {
    let told = retry_after(headers).map(bounded);
    let (limited, unavailable) = (status == 403 || status == 429, status == 503);
    match told {
        Some(wait) if limited || unavailable => return Standing::LeaveAlone(wait),
        _ => {}
    }
    if limited {
        if number(headers, "x-ratelimit-remaining") == Some(0) {
            return Standing::LeaveAlone(reset(headers).map_or(LEAST, bounded));
        }
        if status == 429 || said.to_ascii_lowercase().contains("rate limit") {
            return Standing::LeaveAlone((LEAST * 2_u32.saturating_pow(strikes.min(10))).min(LONGEST));
        }
    }
    match status {
        401 => Standing::NotKnown,
        300..=303 | 307 | 308 => Standing::Moved,
        408 | 425 | 500..=599 => Standing::Failed(told),
        _ => Standing::Answered,
    }
}

fn bounded(wait: Duration) -> Duration {
    wait.clamp(Duration::from_secs(1), LONGEST)
}

/// In seconds, or a date: then by the service's own clock, since ours may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(date(headers)?).unwrap_or_default())
}

/// How long until the limit is new, by the service's own clock.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    let reset = SystemTime::UNIX_EPOCH + Duration::from_secs(number(headers, "x-ratelimit-reset")?);
    Some(reset.duration_since(date(headers)?).unwrap_or_default())
}

/// The service's own time.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    // A year 9999 in seconds fits twelve digits; more would not fit the clock.
    headers.get(name)?.to_str().ok()?.trim().parse().ok().filter(|number| *number < 1_000_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
        entries
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>()
    }

    #[test]
    fn f07_a_limit_is_told_from_a_refusal() {
        use Standing::{Answered, Failed, LeaveAlone, Moved, NotKnown};
        let seconds = Duration::from_secs;
        const DAY: (&str, &str) = ("date", "Tue, 24 Nov 2026 12:00:00 GMT");
        for (status, entries, said, strikes, expected) in [
            (200, &[("x-ratelimit-remaining", "0")][..], "", 0, Answered),
            (403, &[], "Must have admin rights to Repository.", 0, Answered),
            (403, &[("retry-after", "90")], "", 0, LeaveAlone(seconds(90))),
            (429, &[("retry-after", "0")], "", 0, LeaveAlone(seconds(1))),
            (403, &[DAY, ("retry-after", "Tue, 24 Nov 2026 12:05:00 GMT")], "", 0, LeaveAlone(seconds(300))),
            (
                403,
                &[DAY, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795523400")],
                "",
                0,
                LeaveAlone(seconds(1800)),
            ),
            (
                403,
                &[DAY, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "99999999999")],
                "",
                0,
                LeaveAlone(seconds(3600)),
            ),
            (429, &[("x-ratelimit-remaining", "0")], "", 0, LeaveAlone(seconds(60))),
            (403, &[], "You have exceeded a secondary rate limit.", 0, LeaveAlone(seconds(60))),
            (429, &[], "", 2, LeaveAlone(seconds(240))),
            (429, &[], "", 4_000_000_000, LeaveAlone(seconds(3600))),
            (503, &[("retry-after", "5")], "", 0, LeaveAlone(seconds(5))),
            (503, &[], "", 0, Failed(None)),
            (502, &[("retry-after", "5")], "", 0, Failed(Some(seconds(5)))),
            (401, &[], "", 0, NotKnown),
            (301, &[], "", 0, Moved),
            (304, &[], "", 0, Answered),
            (404, &[], "", 0, Answered),
        ] {
            assert_eq!(standing(status, &headers(entries), said, strikes), expected, "{status} {entries:?}");
        }
    }
}
