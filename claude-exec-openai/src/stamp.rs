//! What every object of one answer says of itself.

/// What every object of one answer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The answer's id, such as `chatcmpl-…`; the same in every chunk.
    pub id: String,
    /// Seconds since the Unix epoch, the same in every chunk.
    pub created: u64,
    /// The model as the caller named it.
    pub model: String,
}
