//! What every response says about itself, so that a browser helps.

use http::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

/// Nothing from anywhere else, no inline script, no HTML sink, no frame around it. As tried in Chromium: the page's
/// own scripts, styles, images, worker and manifest load, and `innerHTML` throws. The one Trusted Types policy that
/// may be made is the page's own, for the address of its service worker.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types breakglass-worker";

/// An answer that is no page: when it is opened as one, it can do nothing at all.
const DATA: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

/// What a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The page, or a file of it.
    Page,
    /// Anything else.
    Data,
}

/// Sets the headers that keep a browser from doing what this server has not asked it to.
///
/// What is no page is not cached, unless it says otherwise itself.
pub fn protect<B>(response: &mut Response<B>, served: Served) {
    let headers = response.headers_mut();
    let policy = match served {
        Served::Page => PAGE,
        Served::Data => DATA,
    };
    let fixed = [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if served == Served::Data {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_run_its_own_files_and_nothing_else() {
        let mut page = Response::new(());
        protect(&mut page, Served::Page);
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        for must in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types breakglass-worker",
        ] {
            assert!(policy.contains(must), "{must}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"));
        assert_eq!(page.headers().get(CACHE_CONTROL), None, "the page says itself how long it keeps");
    }

    #[test]
    fn data_is_not_kept_and_can_do_nothing_as_a_page() {
        let mut data = Response::new(());
        protect(&mut data, Served::Data);
        let header = |name: &str| data.headers()[name].to_str().unwrap();
        assert!(header("content-security-policy").ends_with("sandbox"));
        assert_eq!((header("cache-control"), header("x-content-type-options")), ("no-store", "nosniff"));
        let mut stream =
            Response::builder().header(CACHE_CONTROL, "no-store, no-transform").body(()).unwrap();
        protect(&mut stream, Served::Data);
        assert_eq!(stream.headers()[CACHE_CONTROL], "no-store, no-transform");
    }
}
