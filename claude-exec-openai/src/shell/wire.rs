//! What differs between the wires of one request that was understood.

use std::fmt;

use claude_exec::http::KeyName;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::answering::Answering;
use super::builder::OpenAi;
use super::responses;
use crate::answer::Step;
use crate::chat::{ChatRequest, Chunker, completion};
use crate::collected::Whole;
use crate::envelope::Envelope;
use crate::error::ApiError;
use crate::messages::{MessageEvents, MessagesRequest, message};
use crate::request::Request;
use crate::stamp::Stamp;

/// The steps of one answer.
pub(super) type Steps = BoxStream<'static, Step>;

/// How one answer is written.
pub(super) trait Wire: Send {
    /// As events.
    fn envelope(self: Box<Self>) -> Box<dyn Envelope + Send>;

    /// As one object.
    fn whole(self: Box<Self>, answer: &Whole) -> Vec<u8>;

    /// What is to happen along the way.
    fn steps(&mut self, answering: Answering) -> Steps {
        answering.boxed()
    }

    /// Comes when the caller has cancelled the answer by another request.
    fn cancelled(&mut self) -> Option<BoxFuture<'static, ()>> {
        None
    }
}

/// A request, and how its answer will be written once its model is known.
pub(super) type Read = (Request, Box<dyn FnOnce(Stamp) -> Box<dyn Wire> + Send>);

/// The three ways to ask for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    Responses,
    Messages,
}

impl Api {
    /// What the ids of its answers begin with.
    pub(super) fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Responses => "resp_",
            Self::Messages => "msg_",
        }
    }

    /// Names the conversation as this wire does.
    pub(super) fn in_its_words(self, error: ApiError) -> ApiError {
        match (self, error.param.as_deref()) {
            (Self::Responses, Some("messages")) => error.param("input"),
            _ => error,
        }
    }

    /// Reads a body.
    pub(super) async fn read(
        self,
        endpoint: &OpenAi,
        caller: Option<&KeyName>,
        body: &[u8],
    ) -> Result<Read, ApiError> {
        match self {
            Self::Chat => {
                let ChatRequest { request, include_usage } = ChatRequest::parse(body)?;
                Ok((request, Box::new(move |stamp| Box::new(Chat { stamp, include_usage }))))
            }
            Self::Messages => {
                let MessagesRequest { request } = MessagesRequest::parse(body)?;
                Ok((request, Box::new(move |stamp| Box::new(Messages { stamp }))))
            }
            Self::Responses => responses::read(endpoint, caller, body).await,
        }
    }
}

struct Chat {
    stamp: Stamp,
    include_usage: bool,
}

impl Wire for Chat {
    fn envelope(self: Box<Self>) -> Box<dyn Envelope + Send> {
        Box::new(Chunker::new(&self.stamp, self.include_usage))
    }

    fn whole(self: Box<Self>, answer: &Whole) -> Vec<u8> {
        completion(&self.stamp, answer)
    }
}

struct Messages {
    stamp: Stamp,
}

impl Wire for Messages {
    fn envelope(self: Box<Self>) -> Box<dyn Envelope + Send> {
        Box::new(MessageEvents::new(self.stamp))
    }

    fn whole(self: Box<Self>, answer: &Whole) -> Vec<u8> {
        message(&self.stamp, answer)
    }
}

impl fmt::Debug for dyn Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}
