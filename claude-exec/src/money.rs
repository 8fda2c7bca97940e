//! Money, exactly.

use std::fmt;
use std::ops::{Add, AddAssign, Mul};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// US dollars in whole millionths: sums are exact, and there is no NaN and no debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(u64);

/// The most that can be written as a setting: a million dollars.
const LIMIT: u64 = 1_000_000 * Usd::ONE.0;

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One dollar.
    pub const ONE: Self = Self(1_000_000);

    /// So many millionths of a dollar.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// So many dollars.
    pub const fn dollars(dollars: u64) -> Self {
        Self(dollars.saturating_mul(Self::ONE.0))
    }

    /// A price as the CLI reports it; `None` for what is no price (NaN, infinite, negative), which whoever
    /// counts takes for the maximum. Rounds up.
    pub fn from_price(price: f64) -> Option<Self> {
        let micros = (price * 1e6).ceil();
        (price.is_finite() && price >= 0.0 && micros <= LIMIT as f64).then_some(Self(micros as u64))
    }

    /// In millionths of a dollar.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// In dollars, for JSON and metrics.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / Self::ONE.0 as f64
    }

    /// What is left after `spent`; never below zero.
    pub const fn less(self, spent: Self) -> Self {
        Self(self.0.saturating_sub(spent.0))
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<u32> for Usd {
    type Output = Self;
    fn mul(self, times: u32) -> Self {
        Self(self.0.saturating_mul(u64::from(times)))
    }
}

/// As `12.34`; at least two decimals, more only when they are needed.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cents = format!("{:06}", self.0 % Self::ONE.0);
        while cents.len() > 2 && cents.ends_with('0') {
            cents.pop();
        }
        write!(f, "{}.{cents}", self.0 / Self::ONE.0)
    }
}

/// Reads `100`, `0.5` or `12.345678`; no sign, no exponent.
impl FromStr for Usd {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused =
            || Error::invalid("amount", format!("`{text}` is no amount in US dollars, such as 12.50"));
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 6 {
            return Err(refused());
        }
        let whole: u64 = whole.parse().map_err(|_| refused())?;
        let part: u64 = format!("{part:0<6}").parse().map_err(|_| refused())?;
        let micros = whole.checked_mul(Self::ONE.0).and_then(|micros| micros.checked_add(part));
        micros.filter(|micros| *micros <= LIMIT).map(Self).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, micros, shown) in
            [("100", 100_000_000, "100.00"), ("0.5", 500_000, "0.50"), ("12.345678", 12_345_678, "12.345678")]
        {
            let amount: Usd = text.parse().unwrap();
            assert_eq!((amount.micros(), amount.to_string().as_str()), (micros, shown));
        }
        for text in ["", "-1", "nan", "inf", "1e9", "1.", ".5", "1.2345678", "1,5", "1000001", "+1"] {
            assert!(text.parse::<Usd>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_price_that_is_none_is_not_zero() {
        assert_eq!(Usd::from_price(0.0000001), Some(Usd::from_micros(1)));
        for price in [f64::NAN, f64::INFINITY, -0.1, 1e12] {
            assert_eq!(Usd::from_price(price), None, "{price}");
        }
    }
}
