//! Money, as the core counts it.

pub use claude_exec::Usd;
