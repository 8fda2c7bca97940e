//! A fake `claude` for tests.
fn main() {}
