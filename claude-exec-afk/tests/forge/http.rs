//! What every adapter gets from the client below it, seen through one of them.

use claude_exec_afk::adapter::{GitHub, Token};
use claude_exec_afk::port::{Listing, Tracker};
use claude_exec_afk::{IssueKey, Repo};
use serde_json::{Value, json};

use crate::stub::{Asked, Reply, Stub};

const SECRET: &str = "ghp_a-secret-of-the-test";

fn github(url: &str) -> GitHub {
    GitHub::new(url, Token::Fixed(SECRET.parse().unwrap())).unwrap().login("afk-bot")
}

fn repo() -> Repo {
    "octo/site".parse().unwrap()
}

fn key() -> IssueKey {
    IssueKey::new(repo(), 7)
}

fn issue(number: u64) -> Value {
    json!({
        "number": number, "state": "open", "title": "t", "body": null, "labels": [{ "name": "ready-for-agent" }],
        "user": { "login": "octocat" }, "updated_at": "2026-11-24T12:00:00Z",
    })
}

/// The error of reading the ready list from a service that answers like this, and how often it was asked.
async fn failing(
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (claude_exec_afk::Error, usize) {
    let stub = Stub::start(answer).await;
    let error = github(&stub.url).ready(&repo()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
    (error, stub.log().len())
}

#[tokio::test]
async fn a_request_says_who_asks_and_what_for() {
    let stub = Stub::start(|_| Reply::json(200, &json!([]))).await;
    let github = github(&stub.url);
    github.ready(&repo()).await.unwrap();
    let asked = &stub.log()[0];
    assert_eq!(asked.line(), "GET /repos/octo/site/issues");
    assert_eq!(asked.query, "labels=ready-for-agent&state=open&sort=created&direction=asc&per_page=100");
    assert_eq!(asked.header("authorization"), format!("Bearer {SECRET}"));
    assert_eq!(asked.header("accept"), "application/vnd.github+json");
    assert_eq!(asked.header("x-github-api-version"), "2022-11-28");
    assert!(asked.header("user-agent").starts_with("claude-exec-afk/"));
    assert!(!format!("{github:?}").contains(SECRET));
}

/// F27: a redirect would take the token along.
#[tokio::test]
async fn f27_a_redirect_is_told_and_not_followed() {
    let other = Stub::start(|_| Reply::json(200, &json!([]))).await;
    let url = other.url.clone();
    let (error, _) = failing(move |_| Reply::empty(301).header("location", url.clone())).await;
    assert!(error.is_refused() && error.to_string().contains("moved"), "{error}");
    assert_eq!(other.log().len(), 0);
}

#[tokio::test]
async fn f05_what_is_no_answer_is_unknown() {
    let page = |kind: &'static str, body: &'static str| {
        move |_: &Asked| Reply {
            status: 200,
            headers: vec![("content-type".into(), kind.into())],
            body: body.into(),
        }
    };
    let (error, _) = failing(page("text/html", "<h1>Sign in</h1>")).await;
    assert!(error.is_transient() && error.to_string().contains("text/html instead of JSON"), "{error}");
    let (error, _) = failing(page("application/json", "[{\"number\":")).await;
    assert!(error.is_transient() && error.to_string().contains("cannot be read"), "{error}");
    let (error, _) = failing(page("application/json", "[{\"number\": 7}]")).await;
    assert!(error.is_transient() && error.to_string().contains("missing field"), "{error}");
    let (error, asked) = failing(|_| Reply::json(502, &json!({ "message": "Server Error" }))).await;
    assert!(error.is_transient() && error.to_string().contains("Server Error"), "{error}");
    assert_eq!(asked, 1, "the loop tries again, the client does not");
    let nobody = github("http://127.0.0.1:9").ready(&repo()).await.unwrap_err();
    assert!(nobody.is_transient(), "{nobody}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let (error, _) = failing(|_| {
        let body = vec![b' '; 17 * 1024 * 1024];
        Reply {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.into(),
        }
    })
    .await;
    assert!(error.is_transient() && error.to_string().contains("larger than"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_a_fault_that_may_be_mended() {
    let (error, _) =
        failing(|_| Reply::json(401, &json!({ "message": format!("Bad credentials: {SECRET}") }))).await;
    assert!(error.is_transient() && error.to_string().contains("token is not accepted"), "{error}");
}

/// F7, T11: after a limit nothing is asked until it is over, by any call.
#[tokio::test]
async fn f07_a_limit_pauses_the_whole_account() {
    let stub = Stub::start(|_| {
        Reply::json(403, &json!({ "message": "You have exceeded a secondary rate limit." }))
            .header("retry-after", "120")
    })
    .await;
    let github = github(&stub.url);
    let first = github.ready(&repo()).await.unwrap_err();
    assert_eq!(first.retry_after().map(|wait| wait.as_secs()), Some(120));
    let second = github.close(&key()).await.unwrap_err();
    assert!(
        second.is_transient() && second.retry_after().is_some_and(|wait| wait.as_secs() >= 110),
        "{second}"
    );
    assert!(github.issue(&key()).await.is_unknown());
    assert_eq!(stub.log().len(), 1);
}

/// T2: a list is what all its pages say; a page that fails fails the list.
#[tokio::test]
async fn t02_pages_are_followed_to_the_end_or_nothing_is_read() {
    let pages = |broken: bool| {
        Stub::start(move |asked| match asked.query("page").as_deref() {
            None => Reply::json(200, &json!([issue(1)])).header(
                "link",
                format!("<http://{}{}?page=2>; rel=\"next\"", asked.header("host"), asked.path),
            ),
            Some(_) if broken => Reply::json(500, &json!({})),
            // Shorter than the first: not what ends it.
            Some("2") => Reply::json(200, &json!([issue(2), issue(3)]))
                .header("link", "<https://elsewhere.example/x?page=3>; rel=\"next\""),
            Some(_) => Reply::json(200, &json!([issue(4)])),
        })
    };
    let stub = pages(false).await;
    let Listing::Issues(issues) = github(&stub.url).ready(&repo()).await.unwrap() else { panic!() };
    assert_eq!(issues.iter().map(|issue| issue.key.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(stub.log().iter().all(|asked| !asked.header("authorization").is_empty()));
    let stub = pages(true).await;
    assert!(github(&stub.url).ready(&repo()).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_list_without_end_is_not_read() {
    let stub = Stub::start(|asked| {
        let page: u32 = asked.query("page").map_or(1, |page| page.parse().unwrap());
        Reply::json(200, &json!([])).header("link", format!("<{}?page={}>; rel=next", asked.path, page + 1))
    })
    .await;
    let error = github(&stub.url).ready(&repo()).await.unwrap_err();
    assert!(error.is_transient() && stub.log().len() == 100, "{error}");
}

/// C22: a list that is the same is not read again. T11: not even for another token.
#[tokio::test]
async fn t11_an_etag_is_asked_with_and_belongs_to_its_token() {
    let stub = Stub::start(|asked| match asked.header("if-none-match") {
        "\"one\"" => Reply::empty(304),
        _ => Reply::json(200, &json!([issue(1)])).header("etag", "\"one\""),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "first").unwrap();
    let github = GitHub::new(&stub.url, Token::File(file.clone())).unwrap();
    assert!(matches!(github.ready(&repo()).await.unwrap(), Listing::Issues(issues) if issues.len() == 1));
    assert_eq!(github.ready(&repo()).await.unwrap(), Listing::Unchanged);
    std::fs::write(&file, "second").unwrap();
    // The etag is the same, so it is still the list that was given.
    assert_eq!(github.ready(&repo()).await.unwrap(), Listing::Unchanged);
    let asked: Vec<_> = stub.log().iter().map(|asked| asked.header("if-none-match").to_owned()).collect();
    assert_eq!(asked, ["", "\"one\"", ""]);
}

/// A list of which a part failed was not given, so the next one is not "unchanged".
#[tokio::test]
async fn a_list_that_failed_half_way_is_given_whole_the_next_time() {
    let stub = Stub::start(|asked| {
        static TURN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        match (asked.query("page"), asked.header("if-none-match")) {
            (None, "\"a\"") => Reply::empty(304),
            (None, _) => Reply::json(200, &json!([issue(1)]))
                .header("etag", "\"a\"")
                .header("link", format!("<{}?page=2>; rel=next", asked.path)),
            _ if TURN.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => Reply::empty(500),
            (Some(_), "\"b\"") => Reply::empty(304),
            (Some(_), _) => Reply::json(200, &json!([issue(2)])).header("etag", "\"b\""),
        }
    })
    .await;
    let github = github(&stub.url);
    assert!(github.ready(&repo()).await.is_err());
    assert!(matches!(github.ready(&repo()).await.unwrap(), Listing::Issues(issues) if issues.len() == 2));
    assert_eq!(github.ready(&repo()).await.unwrap(), Listing::Unchanged);
}

#[test]
fn an_address_with_a_password_is_refused() {
    for url in [
        "https://me:secret@example.org",
        "https://me@example.org",
        "ftp://example.org",
        "example.org",
        "https://a/?t=1",
    ] {
        let token = Token::Fixed(SECRET.parse().unwrap());
        let error = GitHub::new(url, token).unwrap_err();
        assert_eq!(error.field(), Some("AFK_TRACKER_URL"), "{url}");
        assert!(!error.to_string().contains("secret@"), "{error}");
    }
}
