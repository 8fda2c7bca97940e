//! Which request is for what: pure.

use http::Method;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Chat,
    Responses,
    Response(&'a str),
    DeleteResponse(&'a str),
    CancelResponse(&'a str),
    InputItems(&'a str),
    Messages,
    CountTokens,
    Models,
    Model(&'a str),
    Usage,
    /// A known path with the wrong method; the methods it takes.
    Method(&'static str),
    Unknown,
}

impl<'a> Route<'a> {
    pub(super) fn find(method: &Method, path: &'a str) -> Self {
        let (get, post, delete) = (method == Method::GET, method == Method::POST, method == Method::DELETE);
        match path {
            "/v1/chat/completions" if post => Self::Chat,
            "/v1/responses" if post => Self::Responses,
            "/v1/messages" if post => Self::Messages,
            "/v1/messages/count_tokens" if post => Self::CountTokens,
            "/v1/models" if get => Self::Models,
            "/v1/usage" if get => Self::Usage,
            "/v1/chat/completions" | "/v1/responses" | "/v1/messages" | "/v1/messages/count_tokens" => {
                Self::Method("POST")
            }
            "/v1/models" | "/v1/usage" => Self::Method("GET"),
            _ => {
                if let Some(name) = path.strip_prefix("/v1/models/") {
                    return if get { Self::Model(name) } else { Self::Method("GET") };
                }
                let Some(rest) = path.strip_prefix("/v1/responses/") else { return Self::Unknown };
                match rest.split_once('/').unwrap_or((rest, "")) {
                    ("", _) => Self::Unknown,
                    (id, "cancel") => {
                        if post {
                            Self::CancelResponse(id)
                        } else {
                            Self::Method("POST")
                        }
                    }
                    (id, "input_items") => {
                        if get {
                            Self::InputItems(id)
                        } else {
                            Self::Method("GET")
                        }
                    }
                    (id, "") if !rest.ends_with('/') => match () {
                        () if get => Self::Response(id),
                        () if delete => Self::DeleteResponse(id),
                        () => Self::Method("GET, DELETE"),
                    },
                    _ => Self::Unknown,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_and_method_has_its_route() {
        for (method, path, expected) in [
            ("POST", "/v1/chat/completions", Route::Chat),
            ("GET", "/v1/chat/completions", Route::Method("POST")),
            ("POST", "/v1/responses", Route::Responses),
            ("GET", "/v1/responses", Route::Method("POST")),
            ("GET", "/v1/responses/resp_1", Route::Response("resp_1")),
            ("DELETE", "/v1/responses/resp_1", Route::DeleteResponse("resp_1")),
            ("POST", "/v1/responses/resp_1", Route::Method("GET, DELETE")),
            ("POST", "/v1/responses/resp_1/cancel", Route::CancelResponse("resp_1")),
            ("GET", "/v1/responses/resp_1/cancel", Route::Method("POST")),
            ("GET", "/v1/responses/resp_1/input_items", Route::InputItems("resp_1")),
            ("POST", "/v1/responses/resp_1/input_items", Route::Method("GET")),
            ("GET", "/v1/responses/resp_1/", Route::Unknown),
            ("GET", "/v1/responses/", Route::Unknown),
            ("GET", "/v1/responses/resp_1/other", Route::Unknown),
            ("POST", "/v1/messages", Route::Messages),
            ("PUT", "/v1/messages", Route::Method("POST")),
            ("POST", "/v1/messages/count_tokens", Route::CountTokens),
            ("POST", "/v1/messages/batches", Route::Unknown),
            ("GET", "/v1/models", Route::Models),
            ("POST", "/v1/models", Route::Method("GET")),
            ("GET", "/v1/models/a/b", Route::Model("a/b")),
            ("DELETE", "/v1/models/haiku", Route::Method("GET")),
            ("GET", "/v1/usage", Route::Usage),
            ("POST", "/v1/usage", Route::Method("GET")),
            ("GET", "/v1/usage/n8n", Route::Unknown),
            ("GET", "/v1", Route::Unknown),
            ("GET", "/", Route::Unknown),
        ] {
            assert_eq!(Route::find(&method.parse().unwrap(), path), expected, "{method} {path}");
        }
    }
}
