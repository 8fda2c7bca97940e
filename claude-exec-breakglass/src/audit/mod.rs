//! The record of who did what, from where: hash-chained lines of JSON, durable before a verb and after it.
