//! Routes, and the order that callers are owed: who they are, then what they ask, then their body.

use std::convert::Infallible;
use std::fmt;
use std::future;
use std::task::{Context, Poll};

use bytes::Bytes;
use claude_exec::http::{Body, KeyName, REQUEST_ID, RequestId};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use tower_service::Service;

use super::builder::OpenAi;
use super::{chat, respond};

impl<B> Service<Request<B>> for OpenAi
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request_id = RequestId::of(request.headers());
        let header = request_id.to_header();
        let stamped = move |mut response: Response<Body>| {
            response.headers_mut().insert(REQUEST_ID, header);
            Ok(response)
        };
        match self.decide(request, request_id) {
            Decided::Answer(response) => future::ready(stamped(*response)).boxed(),
            Decided::Chat(chat) => chat.map(stamped).boxed(),
        }
    }
}

enum Decided {
    Answer(Box<Response<Body>>),
    Chat(BoxFuture<'static, Response<Body>>),
}

impl OpenAi {
    /// Decides everything that needs no byte of the body.
    fn decide<B>(&self, request: Request<B>, request_id: RequestId) -> Decided
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display,
    {
        let caller = match &self.0.keyring {
            None => None,
            Some(keyring) => match keyring.authenticate(request.headers()) {
                Ok(name) => Some(KeyName::clone(name)),
                Err(error) => {
                    tracing::info!(%request_id, %error, "refused a caller");
                    return Decided::Answer(Box::new(respond::unauthorized(error)));
                }
            },
        };
        let models = &self.0.models;
        Decided::Answer(Box::new(match (request.uri().path(), request.method()) {
            ("/v1/chat/completions", &Method::POST) => {
                return Decided::Chat(chat::answer(self.clone(), request, request_id, caller).boxed());
            }
            ("/v1/chat/completions", _) => respond::wrong_method(&Method::POST),
            ("/v1/models", &Method::GET) => respond::json(models.list_json(self.0.started)),
            ("/v1/models", _) => respond::wrong_method(&Method::GET),
            (path, method) => match path.strip_prefix("/v1/models/") {
                None => respond::unknown_path(),
                Some(_) if method != Method::GET => respond::wrong_method(&Method::GET),
                Some(name) => match models.one_json(name, self.0.started) {
                    Ok(body) => respond::json(body),
                    Err(error) => error.to_response(),
                },
            },
        }))
    }
}
