//! The routes of sessions.

use http::Method;

use crate::access::Scope;

/// A route of sessions; the original service's are among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route<'p> {
    /// `GET /api/sessions`
    List,
    /// `POST /api/sessions`
    Create,
    /// `GET /api/sessions/{id}`
    Get(&'p str),
    /// `PATCH /api/sessions/{id}`
    Patch(&'p str),
    /// `DELETE /api/sessions/{id}`
    Delete(&'p str),
    /// `POST /api/sessions/{id}/close`
    Close(&'p str),
    /// `GET /api/sessions/{id}/events`
    Events(&'p str),
    /// `GET /api/sessions/{id}/log`
    Log(&'p str),
    /// `POST /api/sessions/{id}/turns`
    Prompt(&'p str),
    /// `POST /api/sessions/{id}/turns/{turn}/cancel`
    Cancel(&'p str, &'p str),
    /// `POST /api/sessions/{id}/approvals/{card}`
    Decide(&'p str, &'p str),
    /// `POST /api/session`
    LegacyCreate,
    /// `POST /api/session/{id}/prompt`
    LegacyPrompt(&'p str),
    /// `POST /api/session/{id}/cancel`
    LegacyCancel(&'p str),
    /// `GET /api/session/{id}/stream`
    LegacyStream(&'p str),
    /// A path of these with another method, and the methods it has.
    Method(&'static str),
}

impl<'p> Route<'p> {
    /// The route of a request, when it is one of these.
    pub fn find(method: &Method, path: &'p str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("/api/")?.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        let routes: &[(&str, Self)] = &match parts[..] {
            ["sessions"] => vec![("GET", Self::List), ("POST", Self::Create)],
            ["sessions", id] => {
                vec![("GET", Self::Get(id)), ("PATCH", Self::Patch(id)), ("DELETE", Self::Delete(id))]
            }
            ["sessions", id, "close"] => vec![("POST", Self::Close(id))],
            ["sessions", id, "events"] => vec![("GET", Self::Events(id))],
            ["sessions", id, "log"] => vec![("GET", Self::Log(id))],
            ["sessions", id, "turns"] => vec![("POST", Self::Prompt(id))],
            ["sessions", id, "turns", turn, "cancel"] => vec![("POST", Self::Cancel(id, turn))],
            ["sessions", id, "approvals", card] => vec![("POST", Self::Decide(id, card))],
            ["session"] => vec![("POST", Self::LegacyCreate)],
            ["session", id, "prompt"] => vec![("POST", Self::LegacyPrompt(id))],
            ["session", id, "cancel"] => vec![("POST", Self::LegacyCancel(id))],
            ["session", id, "stream"] => vec![("GET", Self::LegacyStream(id))],
            _ => return None,
        };
        let found = routes.iter().find(|(name, _)| *name == method.as_str());
        Some(match (found, routes) {
            (Some((_, route)), _) => *route,
            (None, [("GET", _), ("POST", _)]) => Self::Method("GET, POST"),
            (None, [("GET", _), ("PATCH", _), ..]) => Self::Method("GET, PATCH, DELETE"),
            (None, [("GET", _)]) => Self::Method("GET"),
            (None, _) => Self::Method("POST"),
        })
    }

    /// What its caller has to be allowed. A power card needs more, which its handler asks for.
    pub fn scope(self) -> Scope {
        match self {
            Self::List
            | Self::Get(_)
            | Self::Events(_)
            | Self::Log(_)
            | Self::LegacyStream(_)
            | Self::Method(_) => Scope::Read,
            _ => Scope::Chat,
        }
    }

    /// A name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::List | Self::Create => "/api/sessions",
            Self::Get(_) | Self::Patch(_) | Self::Delete(_) => "/api/sessions/{id}",
            Self::Close(_) => "/api/sessions/{id}/close",
            Self::Events(_) => "/api/sessions/{id}/events",
            Self::Log(_) => "/api/sessions/{id}/log",
            Self::Prompt(_) => "/api/sessions/{id}/turns",
            Self::Cancel(..) => "/api/sessions/{id}/turns/{turn}/cancel",
            Self::Decide(..) => "/api/sessions/{id}/approvals/{card}",
            Self::LegacyCreate => "/api/session",
            Self::LegacyPrompt(_) => "/api/session/{id}/prompt",
            Self::LegacyCancel(_) => "/api/session/{id}/cancel",
            Self::LegacyStream(_) => "/api/session/{id}/stream",
            Self::Method(_) => "method",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_found_with_their_scope() {
        let table = [
            ("GET", "/api/sessions", Some(Route::List), Scope::Read),
            ("POST", "/api/sessions", Some(Route::Create), Scope::Chat),
            ("PUT", "/api/sessions", Some(Route::Method("GET, POST")), Scope::Read),
            ("GET", "/api/sessions/x", Some(Route::Get("x")), Scope::Read),
            ("PATCH", "/api/sessions/x", Some(Route::Patch("x")), Scope::Chat),
            ("DELETE", "/api/sessions/x", Some(Route::Delete("x")), Scope::Chat),
            ("POST", "/api/sessions/x", Some(Route::Method("GET, PATCH, DELETE")), Scope::Read),
            ("POST", "/api/sessions/x/close", Some(Route::Close("x")), Scope::Chat),
            ("GET", "/api/sessions/x/events", Some(Route::Events("x")), Scope::Read),
            ("POST", "/api/sessions/x/events", Some(Route::Method("GET")), Scope::Read),
            ("GET", "/api/sessions/x/log", Some(Route::Log("x")), Scope::Read),
            ("POST", "/api/sessions/x/turns", Some(Route::Prompt("x")), Scope::Chat),
            ("POST", "/api/sessions/x/turns/3/cancel", Some(Route::Cancel("x", "3")), Scope::Chat),
            ("POST", "/api/sessions/x/approvals/a1", Some(Route::Decide("x", "a1")), Scope::Chat),
            ("POST", "/api/session", Some(Route::LegacyCreate), Scope::Chat),
            ("GET", "/api/session", Some(Route::Method("POST")), Scope::Read),
            ("POST", "/api/session/x/prompt", Some(Route::LegacyPrompt("x")), Scope::Chat),
            ("POST", "/api/session/x/cancel", Some(Route::LegacyCancel("x")), Scope::Chat),
            ("GET", "/api/session/x/stream", Some(Route::LegacyStream("x")), Scope::Read),
            ("GET", "/api/sessions/", None, Scope::Read),
            ("GET", "/api/sessions//events", None, Scope::Read),
            ("GET", "/api/pve/status", None, Scope::Read),
            ("GET", "/sessions", None, Scope::Read),
        ];
        for (method, path, route, scope) in table {
            let found = Route::find(&method.parse().unwrap(), path);
            assert_eq!(found, route, "{method} {path}");
            assert!(found.is_none_or(|found| found.scope() == scope), "{method} {path}");
        }
    }
}
