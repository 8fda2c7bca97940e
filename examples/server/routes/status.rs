//! What is asked about the server itself: `/health`, `/ready`, `/metrics`, `/openapi.json`.

use claude_exec::http::{Body, json, with_json};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::app::App;
use crate::metrics;
use crate::phase::Phase;

/// All that this role speaks; `tests/suite/openapi.rs` holds the server to it.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The original's fields, in its order, and whether the CLI answers.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    busy: bool,
    active: usize,
    queued: usize,
    capacity: usize,
    cli: bool,
}

/// `GET /health`: the process lives. 200 always; restarting it would not bring a CLI back.
pub fn health(app: &App) -> Response<Body> {
    let gate = app.gate.status();
    let health = Health {
        status: "ok",
        busy: gate.active >= gate.capacity,
        active: gate.active,
        queued: gate.queued,
        capacity: gate.capacity,
        cli: app.probe.is_up(),
    };
    json(StatusCode::OK, &health)
}

/// `GET /ready`: whether new work may be sent here.
pub fn ready(app: &App) -> Response<Body> {
    let (status, word) = readiness(app.phases.now(), app.probe.is_up());
    json(status, &serde_json::json!({ "status": word }))
}

fn readiness(phase: Phase, cli: bool) -> (StatusCode, &'static str) {
    match (phase, cli) {
        (Phase::Serving, true) => (StatusCode::OK, "ready"),
        (Phase::Serving, false) => (StatusCode::SERVICE_UNAVAILABLE, "the CLI does not answer"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    }
}

/// `GET /metrics`.
pub fn metrics(app: &App) -> Response<Body> {
    let mut response = Response::new(Body::full(app.metrics.render(app.now())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    response
}

/// `GET /openapi.json`.
pub fn openapi() -> Response<Body> {
    with_json(StatusCode::OK, OPENAPI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_serving_server_with_a_cli_is_ready() {
        let table = [
            (Phase::Serving, true, 200, "ready"),
            (Phase::Serving, false, 503, "the CLI does not answer"),
            (Phase::Draining, true, 503, "draining"),
            (Phase::Ending, false, 503, "draining"),
        ];
        for (phase, cli, status, word) in table {
            let (found, said) = readiness(phase, cli);
            assert_eq!((found.as_u16(), said), (status, word), "{phase:?} {cli}");
        }
    }
}
