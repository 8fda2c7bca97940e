//! The next page, as the `Link` header names it (RFC 8288).

use http::HeaderMap;
use http::header::LINK;
use reqwest::Url;

/// The address of the page after `page`.
///
/// One of the same origin is followed as it stands. A service behind a proxy often names itself by another address
/// than the one it was asked at; then its query is taken, and nothing else: the token never goes anywhere else.
pub(super) fn next(headers: &HeaderMap, page: &Url) -> Option<Url> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let named = values.flat_map(entries).find(|(_, parameters)| is_next(parameters))?.0;
    let url = page.join(named).ok()?;
    if url.origin() == page.origin() {
        return Some(url);
    }
    let mut same = page.clone();
    same.set_query(url.query());
    (same != *page).then_some(same)
}

/// The targets of one header, each with its parameters.
fn entries(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split('<').skip(1).filter_map(|entry| entry.split_once('>'))
}

fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("rel")
            && value.split_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, value.parse().unwrap());
        let page = "https://api.example/repos/a/b/issues?page=1".parse().unwrap();
        next(&headers, &page).map(String::from)
    }

    #[test]
    fn t02_the_next_page_is_the_one_that_the_service_names() {
        for (value, next) in [
            (
                "<https://api.example/repositories/1/issues?page=2>; rel=\"next\", <https://api.example/x?page=9>; rel=\"last\"",
                Some("https://api.example/repositories/1/issues?page=2"),
            ),
            (
                "<https://api.example/x?page=1>; rel=\"prev first\",<https://api.example/x?page=3>;rel=next",
                Some("https://api.example/x?page=3"),
            ),
            (
                "<https://api.example/x?q=a,b;c&page=2>; rel=next",
                Some("https://api.example/x?q=a,b;c&page=2"),
            ),
            ("</x?page=2>; rel=next", Some("https://api.example/x?page=2")),
            ("<https://api.example/x?page=9>; rel=\"last\"", None),
            ("nonsense", None),
            // Another origin gets no token: only its query counts.
            (
                "<https://public.example/api/v1/repos/a/b/issues?page=2>; rel=\"next\"",
                Some("https://api.example/repos/a/b/issues?page=2"),
            ),
            ("<https://public.example/x?page=1>; rel=\"next\"", None),
        ] {
            assert_eq!(link(value).as_deref(), next, "{value}");
        }
    }
}
