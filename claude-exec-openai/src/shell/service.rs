//! Routes, and the order that callers are owed: who they are, then what they ask, then their body.

use std::convert::Infallible;
use std::fmt;
use std::future;
use std::task::{Context, Poll};

use bytes::Bytes;
use claude_exec::http::{Body, KeyName, REQUEST_ID, RequestId};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderName, Request, Response};
use tower_service::Service;

use super::builder::OpenAi;
use super::respond::{self, Dialect};
use super::route::Route;
use super::wire::Api;
use super::{exchange, responses};
use crate::error::ApiError;

/// Where Anthropic's clients put their key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

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
            Decided::Later(response) => response.map(stamped).boxed(),
        }
    }
}

enum Decided {
    Answer(Box<Response<Body>>),
    Later(BoxFuture<'static, Response<Body>>),
}

impl OpenAi {
    /// Decides everything that needs no byte of the body.
    fn decide<B>(&self, request: Request<B>, request_id: RequestId) -> Decided
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: fmt::Display,
    {
        let dialect = Dialect::of(request.uri().path());
        let caller = match &self.0.keyring {
            None => None,
            Some(keyring) => match keyring.authenticate_or(request.headers(), &API_KEY) {
                Ok(name) => Some(KeyName::clone(name)),
                Err(error) => {
                    tracing::info!(%request_id, %error, "refused a caller");
                    return Decided::Answer(Box::new(respond::unauthorized(dialect, error, &request_id)));
                }
            },
        };
        let refuse = |error: ApiError| dialect.refusal(&error, &request_id);
        let path = request.uri().path().to_owned();
        let api = match Route::find(request.method(), &path) {
            Route::Chat => Api::Chat,
            Route::Responses => Api::Responses,
            Route::Messages => Api::Messages,
            Route::Response(id) => {
                return Decided::Later(responses::get(self.clone(), id.to_owned(), caller).boxed());
            }
            Route::DeleteResponse(id) => {
                return Decided::Later(responses::delete(self.clone(), id.to_owned(), caller).boxed());
            }
            Route::CancelResponse(id) => {
                return Decided::Later(responses::cancel(self.clone(), id.to_owned(), caller).boxed());
            }
            Route::InputItems(id) => {
                let query = request.uri().query().unwrap_or_default().to_owned();
                return Decided::Later(responses::items(self.clone(), id.to_owned(), query, caller).boxed());
            }
            known => {
                return Decided::Answer(Box::new(match known {
                    Route::Models => {
                        let allowed = self.0.models.filtered(|name| self.allows(caller.as_ref(), name));
                        respond::json(allowed.list_json(self.0.started))
                    }
                    Route::Model(name) => {
                        let allowed = self.0.models.filtered(|name| self.allows(caller.as_ref(), name));
                        allowed.one_json(name, self.0.started).map_or_else(refuse, respond::json)
                    }
                    Route::Usage => self
                        .usage(caller.as_ref())
                        .map_or_else(|| refuse(no_usage()), |usage| respond::json(usage.to_string())),
                    Route::CountTokens => refuse(no_count()),
                    Route::Method(allowed) => respond::wrong_method(dialect, allowed, &request_id),
                    _ => refuse(respond::unknown_path()),
                }));
            }
        };
        Decided::Later(exchange::answer(self.clone(), request, request_id, caller, api).boxed())
    }
}

fn no_usage() -> ApiError {
    ApiError::new(404, "invalid_request_error", "this server does not count what keys use")
        .code("not_supported")
}

/// The CLI has no way to count tokens without spending them, and a guess would be taken for a count.
fn no_count() -> ApiError {
    let message = "tokens cannot be counted here: the CLI behind this server has no count of them";
    ApiError::new(404, "invalid_request_error", message).code("not_supported").final_answer()
}
