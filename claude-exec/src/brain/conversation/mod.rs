//! Conversations: any caller's id, kept as one CLI session, one turn at a time.

mod builder;
mod exchange;
mod line;
mod lock;
mod message;
mod record;
mod talk;
mod turn;

pub use builder::BrainBuilder;
pub use exchange::Exchange;
pub use line::Busy;
pub use message::Message;
pub use talk::Brain;
pub use turn::ConversationTurn;
