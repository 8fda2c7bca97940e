//! Webhooks of GitHub, Forgejo and Gitea: signed, and never believed beyond "look again".

use claude_exec::http::Body;
use hmac::{Hmac, Mac};
use http::{HeaderMap, Response, StatusCode};
use sha2::Sha256;

/// GitHub's header: `sha256=<hex>`.
const GITHUB: &str = "x-hub-signature-256";
/// Forgejo's and Gitea's: `<hex>`.
const OTHERS: [&str; 2] = ["x-forgejo-signature", "x-gitea-signature"];

/// True when the body was signed with `secret`: HMAC-SHA256 over its bytes as they came.
pub(super) fn is_signed(headers: &HeaderMap, body: &[u8], secret: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let github = text(GITHUB).map(|value| value.strip_prefix("sha256=").unwrap_or(""));
    let signature = github.or_else(|| OTHERS.iter().find_map(|name| text(name))).unwrap_or("");
    let Ok(signature) = data_encoding::HEXLOWER_PERMISSIVE.decode(signature.as_bytes()) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

pub(super) fn woken() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    /// The example of GitHub's documentation ("Validating webhook deliveries").
    #[test]
    fn github_s_own_example_is_signed() {
        let (secret, body) = (b"It's a Secret to Everybody".as_slice(), b"Hello, World!".as_slice());
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(is_signed(&headers(GITHUB, &format!("sha256={hex}")), body, secret));
        assert!(is_signed(&headers("x-forgejo-signature", hex), body, secret));
        assert!(is_signed(&headers("x-gitea-signature", hex), body, secret));
        assert!(!is_signed(&headers(GITHUB, hex), body, secret), "GitHub always says which hash");
        assert!(!is_signed(&headers(GITHUB, &format!("sha256={hex}")), b"Hello, World?", secret));
        assert!(!is_signed(&headers(GITHUB, &format!("sha256={hex}")), body, b"another"));
        for nothing in ["", "sha256=", "sha256=zz", "sha1=00"] {
            assert!(!is_signed(&headers(GITHUB, nothing), body, secret), "{nothing}");
        }
        assert!(!is_signed(&HeaderMap::new(), body, secret));
    }
}
