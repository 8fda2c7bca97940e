//! What a browser sends on behalf of another site. Pure.
//!
//! `SameSite` is no defence here: a sibling domain is the same site, and forward-auth cookies live on the parent
//! domain. So a request that changes something has to show what another origin cannot send without being asked
//! first, and this server never answers such a question (CORS).

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::Hosts;

/// The header that a page of ours sends with every unsafe request. Its value does not matter.
pub const CUSTOM_HEADER: HeaderName = HeaderName::from_static("x-breakglass");

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins that pages of ours come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    /// The origins of `hosts`: https, and http too where the host is this machine.
    pub fn of(hosts: &Hosts) -> Self {
        let local = |host: &str| {
            ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
                host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            })
        };
        let https = hosts.iter().map(|host| format!("https://{host}"));
        let http = hosts.iter().filter(|host| local(host)).map(|host| format!("http://{host}"));
        Self(https.chain(http).collect())
    }

    /// These, each as a browser writes it: scheme, host and port, nothing after. `None` for what is no origin.
    pub fn new<I>(origins: I) -> Option<Self>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let origins: Vec<String> =
            origins.into_iter().map(|origin| origin.into().trim().to_owned()).collect();
        let fit = |origin: &String| {
            let host = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
            host.is_some_and(|host| Hosts::new([host]).is_some_and(|hosts| hosts.iter().eq([host])))
        };
        (!origins.is_empty() && origins.iter().all(fit)).then_some(Self(origins))
    }

    fn has(&self, origin: &[u8]) -> bool {
        self.0.iter().any(|ours| ours.as_bytes() == origin)
    }
}

/// Why a request looks like another site's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// The browser says that another site made it.
    Site,
    /// Its `Origin` is not ours, there are two of them, or there is none where there should be.
    Origin,
    /// The header is missing that no other site can send unasked.
    Custom,
    /// Its body is not declared as JSON: a form can send the other types.
    ContentType,
}

impl Foreign {
    /// 415 for the type of a body, 403 for everything else.
    pub fn status(self) -> StatusCode {
        match self {
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::FORBIDDEN,
        }
    }

    /// What to do about it.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Site => "this request was made by another site",
            Self::Origin => "this origin is not one of this server's",
            Self::Custom => "the header X-Breakglass is missing",
            Self::ContentType => "the body must be application/json",
        }
    }
}

/// Checks a request to a route that somebody has to be known for.
///
/// `ambient` says that a browser sends the proof by itself. A bearer key in an `Authorization` header is as good
/// as the custom header, and better than an origin: no other site can send it, let alone unasked.
///
/// # Errors
///
/// What makes it look like another site's.
pub fn check(method: &Method, headers: &HeaderMap, origins: &Origins, ambient: bool) -> Result<(), Foreign> {
    let reads = [Method::GET, Method::HEAD].contains(method);
    let mut sites = headers.get_all(FETCH_SITE).iter();
    match (sites.next().map(|site| site.as_bytes()), sites.next()) {
        (None, None) | (Some(b"same-origin"), None) => {}
        // Typed into the address bar.
        (Some(b"none"), None) if reads => {}
        _ => return Err(Foreign::Site),
    }
    let mut values = headers.get_all(ORIGIN).iter();
    match (values.next().map(|origin| origin.as_bytes()), values.next()) {
        (Some(origin), None) if origins.has(origin) => {}
        (None, None) if reads || !ambient => {}
        _ => return Err(Foreign::Origin),
    }
    if reads {
        return Ok(());
    }
    let asked_first = headers.contains_key(CUSTOM_HEADER) || !ambient && headers.contains_key(AUTHORIZATION);
    if !asked_first {
        return Err(Foreign::Custom);
    }
    let length = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    let has_body = length || headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_TYPE);
    if (ambient || has_body) && !is_json(headers) {
        return Err(Foreign::ContentType);
    }
    Ok(())
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in text.split('|').map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            headers.append(HeaderName::try_from(name).unwrap(), value.trim().parse().unwrap());
        }
        headers
    }

    /// The CSRF matrix: what arrives, by which proof, and what becomes of it.
    #[test]
    fn x3_what_another_site_can_send_is_turned_away() {
        const OURS: &str = "origin: https://bg.example | x-breakglass: 1 | content-type: application/json";
        let (ambient, bearer) = (true, false);
        let with = |more: &str| format!("{OURS} | {more}");
        let key = "authorization: Bearer k";
        let table: [(&str, String, bool, Result<(), Foreign>); 34] = [
            // A page of ours.
            ("POST", OURS.into(), ambient, Ok(())),
            ("POST", with("sec-fetch-site: same-origin"), ambient, Ok(())),
            ("POST", OURS.replace("json", "json; charset=utf-8"), ambient, Ok(())),
            ("DELETE", OURS.into(), ambient, Ok(())),
            ("GET", String::new(), ambient, Ok(())),
            ("GET", "sec-fetch-site: same-origin".into(), ambient, Ok(())),
            ("GET", "sec-fetch-site: none".into(), ambient, Ok(())),
            ("HEAD", String::new(), ambient, Ok(())),
            // A sibling domain: the same site, another origin.
            ("POST", OURS.replace("bg.", "sib."), ambient, Err(Foreign::Origin)),
            ("POST", with("sec-fetch-site: same-site"), ambient, Err(Foreign::Site)),
            ("GET", "sec-fetch-site: same-site".into(), ambient, Err(Foreign::Site)),
            ("GET", "origin: https://sib.example".into(), ambient, Err(Foreign::Origin)),
            // A site elsewhere, in a browser with and without fetch metadata.
            ("POST", with("sec-fetch-site: cross-site"), ambient, Err(Foreign::Site)),
            ("POST", OURS.replace("bg.example", "evil.test"), ambient, Err(Foreign::Origin)),
            ("POST", OURS.replace("https://bg.example", "null"), ambient, Err(Foreign::Origin)),
            ("POST", OURS.replace("https:", "http:"), ambient, Err(Foreign::Origin)),
            ("POST", OURS.replace("bg.example", "bg.example:444"), ambient, Err(Foreign::Origin)),
            ("POST", OURS.replace("bg.example", "bg.example.evil.test"), ambient, Err(Foreign::Origin)),
            ("POST", with("origin: https://bg.example"), ambient, Err(Foreign::Origin)),
            ("POST", with("sec-fetch-site: none"), ambient, Err(Foreign::Site)),
            (
                "POST",
                with("sec-fetch-site: same-origin | sec-fetch-site: same-origin"),
                ambient,
                Err(Foreign::Site),
            ),
            ("POST", with("sec-fetch-site: "), ambient, Err(Foreign::Site)),
            // Neither metadata nor origin: a client that is no browser, or an old one.
            (
                "POST",
                "x-breakglass: 1 | content-type: application/json".into(),
                ambient,
                Err(Foreign::Origin),
            ),
            // A form, which needs no question asked first.
            (
                "POST",
                "origin: https://bg.example | content-type: text/plain".into(),
                ambient,
                Err(Foreign::Custom),
            ),
            ("POST", OURS.replace("application/json", "text/plain"), ambient, Err(Foreign::ContentType)),
            (
                "POST",
                OURS.replace("application/json", "application/x-www-form-urlencoded"),
                ambient,
                Err(Foreign::ContentType),
            ),
            (
                "POST",
                OURS.replace("application/json", "text/plain; application/json"),
                ambient,
                Err(Foreign::ContentType),
            ),
            (
                "POST",
                "origin: https://bg.example | x-breakglass: 1".into(),
                ambient,
                Err(Foreign::ContentType),
            ),
            ("POST", with("content-type: text/plain"), ambient, Err(Foreign::ContentType)),
            // A key in a header, from a program.
            ("POST", key.into(), bearer, Ok(())),
            ("POST", format!("{key} | content-length: 9 | content-type: application/json"), bearer, Ok(())),
            ("POST", format!("{key} | content-length: 9"), bearer, Err(Foreign::ContentType)),
            ("POST", format!("{key} | origin: https://evil.test"), bearer, Err(Foreign::Origin)),
            ("POST", format!("{key} | sec-fetch-site: cross-site"), bearer, Err(Foreign::Site)),
        ];
        let origins = Origins::of(&Hosts::new(["bg.example"]).unwrap());
        for (method, text, ambient, expected) in table {
            let got = check(&method.parse().unwrap(), &headers(&text), &origins, ambient);
            assert_eq!(got, expected, "{method} {text} ambient: {ambient}");
        }
    }

    #[test]
    fn an_authorization_header_is_no_proof_of_a_browsers_own_identity() {
        let origins = Origins::of(&Hosts::new(["bg.example"]).unwrap());
        let text = "origin: https://bg.example | authorization: Basic x | content-type: application/json";
        assert_eq!(check(&Method::POST, &headers(text), &origins, true), Err(Foreign::Custom));
    }

    #[test]
    fn origins_are_whole_and_exact() {
        for origin in
            ["", "bg.example", "https://bg.example/", "https://BG.example", "ftp://bg.example", "*", "null"]
        {
            assert_eq!(Origins::new([origin]), None, "{origin}");
        }
        assert!(Origins::new(["https://bg.example", "http://10.0.0.5:8080"]).is_some());
        let local = Origins::of(&Hosts::loopback(8080));
        assert!(local.has(b"http://localhost:8080") && local.has(b"https://127.0.0.1:8080"));
        assert!(
            !Origins::of(&Hosts::new(["localhost.evil.test"]).unwrap()).has(b"http://localhost.evil.test")
        );
    }
}
