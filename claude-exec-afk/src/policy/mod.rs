//! Which issue may be started now, and which gate holds each other one.
