//! The machine of one run: what is remembered, what was observed, what to do next.
//!
//! **Observe, `step`, commit the new row together with its effects, then deliver the effects**, and again.
//! Nothing is decided from what was done before a crash, only from the row and from what is seen now:
//!
//! 1. Read the row, then the world, into an [`Observation`]: the session before the remote, the remote before
//!    CI, CI before the deployment, so that what a run did last is never missed by what is read later.
//! 2. `step` decides, purely.
//! 3. The row and the effects become durable in one transaction, which is refused when the row has changed.
//! 4. Each effect is delivered at least once, in the order of [`Effect::rank`], and acknowledged. All of them
//!    can be repeated: their [keys](Effect::key) are theirs for ever.

mod effect;
mod landing;
mod observation;
mod record;
mod reminder;
mod row;
mod state;
mod step;
mod working;

pub use effect::{Effect, Ring, TurnKind};
pub use observation::{
    Activity, CiRun, Deployed, Evidence, Head, Holder, IssueView, Mode, Observation, Proof, Room, Session,
    Verdict,
};
pub use record::{Delivery, Record};
pub use reminder::remind;
pub use row::{Bell, Claimed, Red, Row};
pub use state::{Outcome, State, Why};
pub use step::step;
