//! Which request is whose: pure.

use http::Method;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    Health,
    Ready,
    Metrics,
    OpenApi,
    Execute,
    Jobs,
    Job(&'a str),
    CancelJob(&'a str),
    JobEvents(&'a str),
    Conversational,
    /// Everything else below `/v1`, its unknown paths included.
    OpenAi,
    /// A known path with the wrong method; the methods it takes.
    Method(&'static str),
    Unknown,
}

impl<'a> Route<'a> {
    /// Finds the route of a request.
    pub fn find(method: &Method, path: &'a str) -> Self {
        let (route, allowed) = match path {
            "/health" => (Self::Health, "GET, HEAD"),
            "/ready" => (Self::Ready, "GET, HEAD"),
            "/metrics" => (Self::Metrics, "GET"),
            "/openapi.json" => (Self::OpenApi, "GET"),
            "/execute" => (Self::Execute, "POST"),
            "/jobs" => (Self::Jobs, "GET"),
            "/v1/conversational" => (Self::Conversational, "POST"),
            "/v1" => return Self::OpenAi,
            _ if path.starts_with("/v1/") => return Self::OpenAi,
            _ => match Self::of_job(path) {
                Some(found) => found,
                None => return Self::Unknown,
            },
        };
        if allowed.split(", ").any(|allowed| allowed == method.as_str()) {
            route
        } else {
            Self::Method(allowed)
        }
    }

    fn of_job(path: &'a str) -> Option<(Self, &'static str)> {
        let rest = path.strip_prefix("/jobs/")?;
        let (id, action) = rest.split_once('/').unwrap_or((rest, ""));
        let found = match action {
            "" if !rest.ends_with('/') => (Self::Job(id), "GET"),
            "cancel" => (Self::CancelJob(id), "POST"),
            "events" => (Self::JobEvents(id), "GET"),
            _ => return None,
        };
        (!id.is_empty()).then_some(found)
    }

    /// The route's name in logs and metrics: never a part of the path that the caller chose.
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Ready => "/ready",
            Self::Metrics => "/metrics",
            Self::OpenApi => "/openapi.json",
            Self::Execute => "/execute",
            Self::Jobs => "/jobs",
            Self::Job(_) => "/jobs/{id}",
            Self::CancelJob(_) => "/jobs/{id}/cancel",
            Self::JobEvents(_) => "/jobs/{id}/events",
            Self::Conversational => "/v1/conversational",
            Self::OpenAi => "/v1",
            Self::Method(_) | Self::Unknown => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::status::OPENAPI;

    const TABLE: &[(&str, &str, Route<'static>)] = &[
        ("GET", "/health", Route::Health),
        ("HEAD", "/ready", Route::Ready),
        ("GET", "/metrics", Route::Metrics),
        ("POST", "/execute", Route::Execute),
        ("GET", "/execute", Route::Method("POST")),
        ("GET", "/jobs", Route::Jobs),
        ("POST", "/jobs", Route::Method("GET")),
        ("GET", "/jobs/ab12", Route::Job("ab12")),
        ("DELETE", "/jobs/ab12", Route::Method("GET")),
        ("POST", "/jobs/ab12/cancel", Route::CancelJob("ab12")),
        ("GET", "/jobs/ab12/events", Route::JobEvents("ab12")),
        ("GET", "/jobs/", Route::Unknown),
        ("GET", "/jobs/ab12/", Route::Unknown),
        ("POST", "/jobs//cancel", Route::Unknown),
        ("GET", "/jobs/ab12/events/x", Route::Unknown),
        ("POST", "/v1/conversational", Route::Conversational),
        ("GET", "/v1/conversational", Route::Method("POST")),
        ("POST", "/v1/chat/completions", Route::OpenAi),
        ("GET", "/v1/models", Route::OpenAi),
        ("GET", "/v1", Route::OpenAi),
        ("GET", "/v1/nothing", Route::OpenAi),
        ("GET", "/v11", Route::Unknown),
        ("GET", "/health/", Route::Unknown),
        ("GET", "/docs", Route::Unknown),
        ("GET", "/openapi.json", Route::OpenApi),
        ("HEAD", "/openapi.json", Route::Method("GET")),
        ("GET", "/openapi.yaml", Route::Unknown),
        ("OPTIONS", "/health", Route::Method("GET, HEAD")),
    ];

    #[test]
    fn every_path_and_method_has_its_route() {
        for (method, path, expected) in TABLE {
            assert_eq!(Route::find(&method.parse().unwrap(), path), *expected, "{method} {path}");
        }
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap();
        for (path, item) in paths {
            for method in item.as_object().unwrap().keys().filter(|name| *name != "parameters") {
                let route = Route::find(&method.to_uppercase().parse().unwrap(), path);
                assert!(route == Route::OpenAi || route.name() == path, "{method} {path}: {route:?}");
            }
        }
        for (method, path, route) in TABLE {
            if route.name().starts_with('/') && *route != Route::OpenAi {
                let documented = &paths[route.name()][method.to_lowercase()];
                assert!(documented.is_object(), "{method} {path} is not in the document");
            }
        }
    }
}
