//! One place where secrets are taken out of a text, before audit, log and stream.
