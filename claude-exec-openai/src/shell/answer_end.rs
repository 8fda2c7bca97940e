//! What became of a streamed answer, for whoever counts.

use std::sync::{Arc, OnceLock};

/// How a streamed answer ended, known when its body has: an extension of the response.
///
/// The status line of a stream says 200 before anybody can know.
#[derive(Debug, Clone, Default)]
pub struct AnswerEnd(Arc<OnceLock<u16>>);

impl AnswerEnd {
    /// Tells the end: 200, or the status that the failure would have had. Only the first word counts.
    pub fn tell(&self, status: u16) {
        let _told_before = self.0.set(status);
    }

    /// The status; `None` while it is under way, and when its client left before its end.
    pub fn status(&self) -> Option<u16> {
        self.0.get().copied()
    }
}
