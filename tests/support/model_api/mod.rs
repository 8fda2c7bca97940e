//! A stand-in for the Anthropic Messages API on loopback, so that the real CLI runs without an account.
//!
//! What it answers is written in the text of the last user message, as markers in double brackets that are played
//! in order: `[[words 5 delay_ms=10]] [[tool Bash {"command":"true"}]] [[next]] [[text all done]]`. The grammar
//! is on [`Scenario::parse`]. Text without a marker gets [`DEFAULT_ANSWER`].

mod play;
mod request;
mod scenario;
mod server;

pub(crate) use request::{Recorded, last_user_text, roles, system_text, tool_results, user_texts};
pub(crate) use scenario::{Action, DEFAULT_ANSWER, RETRIED_ANSWER, Scenario, TOOL_ANSWER};
pub(crate) use server::ModelApi;
