//! The conformance test that any executor can be put through (feature `test-util`).
