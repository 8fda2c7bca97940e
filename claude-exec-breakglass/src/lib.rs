//! Sessions that the server owns and phones attach to, and VM power verbs that work when the model is down.
//!
//! Empty for now: the core and the OpenAI endpoint come first.
