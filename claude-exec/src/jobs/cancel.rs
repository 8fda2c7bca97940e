//! The wish that something end, from the one who may wish it to all who must hear it.

use tokio::sync::watch;

/// The side that cancels. Dropping it cancels too: nobody is left who wants the work.
#[derive(Debug)]
pub(crate) struct Canceller(watch::Sender<bool>);

/// The side that listens.
#[derive(Debug, Clone)]
pub struct Cancelled(watch::Receiver<bool>);

impl Canceller {
    pub(crate) fn new() -> (Self, Cancelled) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Cancelled(receiver))
    }

    pub(crate) fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Cancelled {
    /// True once the end was wished for.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for the wish.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn wait(&self) {
        // An error means that the canceller is gone, which says the same.
        let _ = self.0.clone().wait_for(|cancelled| *cancelled).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_wish_is_heard_by_those_who_listen_before_and_after() {
        let (canceller, cancelled) = Canceller::new();
        assert!(cancelled.wait().now_or_never().is_none() && !cancelled.is_cancelled());
        canceller.cancel();
        assert!(cancelled.wait().now_or_never().is_some() && cancelled.clone().is_cancelled());
    }

    #[test]
    fn nobody_left_to_want_the_work_is_a_wish_to_end_it() {
        let (canceller, cancelled) = Canceller::new();
        drop(canceller);
        assert!(cancelled.wait().now_or_never().is_some() && cancelled.is_cancelled());
    }
}
