//! Requests to responses: who asks, what for, and which route answers.

mod answer;
mod conversational;
mod jobs;
mod request;
mod speech;
mod status;
mod table;

pub use answer::answer;
