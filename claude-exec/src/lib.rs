//! `Invocation -> Command -> bytes -> Event`.
