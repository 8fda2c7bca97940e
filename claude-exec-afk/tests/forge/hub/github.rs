//! GitHub's face.

use http::Method;
use serde_json::{Value, json};

use super::{BOT, Hub, HubIssue, REPO, TOKEN, below, decoded, page, time, with_link};
use crate::stub::{Asked, Reply};

pub(super) fn answer(hub: &mut Hub, asked: &Asked) -> Reply {
    if asked.header("authorization") != format!("Bearer {TOKEN}") {
        return Reply::json(401, &json!({ "message": "Bad credentials" }));
    }
    let reply = route(hub, asked);
    if asked.method != Method::GET || reply.status != 200 {
        return reply;
    }
    let etag = format!("\"{}\"", claude_exec_afk::Digest::of("", &String::from_utf8_lossy(&reply.body)));
    if asked.header("if-none-match") == etag {
        return Reply::empty(304).header("etag", etag);
    }
    reply.header("etag", etag)
}

fn route(hub: &mut Hub, asked: &Asked) -> Reply {
    if asked.path == "/user" {
        return Reply::json(200, &json!({ "login": BOT }));
    }
    let Some(parts) = below(asked, &format!("/repos/{REPO}")) else { return not_found() };
    let get = asked.method == Method::GET;
    match parts.as_slice() {
        [] if get => Reply::json(200, &json!({ "default_branch": "main" })),
        ["branches", "main"] if get => Reply::json(
            200,
            &json!({
                "commit": { "sha": "1".repeat(40) },
                "protection": { "required_status_checks": { "contexts": hub.required } },
            }),
        ),
        ["rules", "branches", "main"] if get => Reply::json(200, &json!([])),
        ["collaborators", login, "permission"] if get => {
            if hub.no_admin {
                return Reply::json(
                    403,
                    &json!({ "message": "Must have push access to view collaborator permission." }),
                );
            }
            // Roles that GitHub has and the permission does not tell apart (T5).
            let permission = match hub.role(&decoded(login)) {
                "triage" => "read",
                "maintain" => "write",
                role => role,
            };
            Reply::json(200, &json!({ "permission": permission, "role_name": hub.role(login) }))
        }
        ["commits", _, "check-runs"] if get => {
            Reply::json(200, &json!({ "total_count": hub.checks.len(), "check_runs": hub.checks }))
        }
        ["commits", _, "status"] if get => {
            let statuses = hub.statuses.iter().map(|status| {
                json!({ "context": status.context, "state": status.state, "updated_at": time(status.at) })
            });
            // T7: pending, without any.
            Reply::json(200, &json!({ "state": "pending", "statuses": statuses.collect::<Vec<_>>() }))
        }
        ["actions", "runs"] if get => {
            Reply::json(200, &json!({ "total_count": hub.runs.len(), "workflow_runs": hub.runs }))
        }
        ["actions", "runs", _, "rerun-failed-jobs"] if asked.method == Method::POST => {
            for run in &mut hub.runs {
                let attempt = run["run_attempt"].as_u64().unwrap();
                run["run_attempt"] = json!(attempt + 1);
                run["status"] = json!("queued");
                run["conclusion"] = Value::Null;
            }
            Reply::json(201, &json!({}))
        }
        ["check-runs", id, "annotations"] if get => {
            Reply::json(200, hub.annotations.get(&id.parse().unwrap()).unwrap_or(&json!([])))
        }
        ["issues"] if get => list(hub, asked),
        ["issues", "comments", id] if asked.method == Method::PATCH => {
            let body = asked.body["body"].as_str().unwrap();
            match hub.edit_comment(id.parse().unwrap(), body) {
                true => Reply::json(200, &json!({ "id": 1, "user": { "login": BOT }, "body": body })),
                false => not_found(),
            }
        }
        ["issues", number, rest @ ..] => {
            let number = number.parse().unwrap();
            match hub.issues.get(&number) {
                None => not_found(),
                Some(issue) if issue.deleted => {
                    Reply::json(410, &json!({ "message": "This issue was deleted" }))
                }
                Some(_) => issue(hub, asked, number, rest),
            }
        }
        _ => not_found(),
    }
}

fn issue(hub: &mut Hub, asked: &Asked, number: u64, rest: &[&str]) -> Reply {
    match (asked.method.as_str(), rest) {
        ("GET", []) => Reply::json(200, &shown(number, &hub.issues[&number])),
        ("PATCH", []) => {
            if asked.body["state"] != "closed" {
                return Reply::json(422, &json!({ "message": "Validation Failed" }));
            }
            hub.close(BOT, number, None);
            Reply::json(200, &shown(number, &hub.issues[&number]))
        }
        ("GET", ["events"]) => {
            let events = hub.issues[&number].events.iter().map(|event| {
                let label = event.label.as_ref().map(|name| json!({ "name": name, "color": "ededed" }));
                // No `author_association` (T6).
                let mut event = json!({
                    "event": event.kind, "actor": { "login": event.actor }, "commit_id": event.commit,
                    "created_at": time(event.at), "performed_via_github_app": null,
                });
                if let Some(label) = label {
                    event["label"] = label;
                }
                event
            });
            paged(asked, events.collect())
        }
        ("GET", ["dependencies", "blocked_by"]) => {
            let blockers = hub.issues[&number].blocked_by.iter();
            paged(asked, blockers.map(|number| shown(*number, &hub.issues[number])).collect())
        }
        ("POST", ["labels"]) => {
            for label in asked.body["labels"].as_array().unwrap() {
                if !hub.no_push {
                    hub.label(BOT, number, label.as_str().unwrap(), true);
                }
            }
            Reply::json(200, &labels(&hub.issues[&number]))
        }
        ("DELETE", ["labels", label]) => {
            let label = decoded(label);
            if !hub.issues[&number].labels.contains(&label) {
                return Reply::json(404, &json!({ "message": "Label does not exist" }));
            }
            hub.label(BOT, number, &label, false);
            Reply::json(200, &labels(&hub.issues[&number]))
        }
        ("GET", ["comments"]) => {
            let comments = hub.issues[&number].comments.iter();
            let comments =
                comments.map(|(id, user, body)| json!({ "id": id, "user": { "login": user }, "body": body }));
            paged(asked, comments.collect())
        }
        ("POST", ["comments"]) => {
            let body = asked.body["body"].as_str().unwrap().to_owned();
            let id = hub.comment(number, BOT, &body);
            Reply::json(201, &json!({ "id": id, "user": { "login": BOT }, "body": body }))
        }
        _ => not_found(),
    }
}

fn list(hub: &Hub, asked: &Asked) -> Reply {
    let wanted = asked.query("labels").unwrap();
    let open = hub.issues.iter().filter(|(_, issue)| !issue.closed && !issue.deleted);
    // It ignores case.
    let found =
        open.filter(|(_, issue)| issue.labels.iter().any(|label| label.eq_ignore_ascii_case(&wanted)));
    paged(asked, found.map(|(number, issue)| shown(*number, issue)).collect())
}

fn paged(asked: &Asked, items: Vec<Value>) -> Reply {
    let size = asked.query("per_page").map_or(30, |size| size.parse().unwrap());
    let (items, number, pages) = page(asked, size, items);
    with_link(Reply::json(200, &Value::Array(items)), asked, number, pages)
}

fn labels(issue: &HubIssue) -> Value {
    issue.labels.iter().map(|name| json!({ "id": 1, "name": name })).collect()
}

fn shown(number: u64, issue: &HubIssue) -> Value {
    let mut shown = json!({
        "number": number, "title": issue.title, "body": issue.body, "user": { "login": issue.author },
        "state": if issue.closed { "closed" } else { "open" }, "labels": labels(issue),
        "updated_at": time(issue.updated), "repository_url": format!("https://api.github.com/repos/{REPO}"),
    });
    let closed = issue.events.iter().rfind(|event| event.kind == "closed" && issue.closed);
    shown["closed_by"] = closed.map_or(Value::Null, |event| json!({ "login": event.actor }));
    if issue.pull {
        shown["pull_request"] = json!({ "url": "https://api.github.com/repos/octo/site/pulls/1" });
    }
    shown
}

fn not_found() -> Reply {
    Reply::json(404, &json!({ "message": "Not Found", "documentation_url": "https://docs.github.com/rest" }))
}
