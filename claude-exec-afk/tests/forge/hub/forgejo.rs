//! Forgejo's and Gitea's face.

use http::Method;
use serde_json::{Value, json};

use super::{BOT, Face, Hub, HubEvent, HubIssue, REPO, TOKEN, below, decoded, page, time, with_link};
use crate::stub::{Asked, Reply};

/// What is given at most, whatever is asked for (T2).
const CAP: usize = 50;

pub(super) fn answer(hub: &mut Hub, asked: &Asked, face: Face) -> Reply {
    if asked.header("authorization") != format!("token {TOKEN}") {
        return Reply::json(401, &json!({ "message": "invalid username, password or token" }));
    }
    if asked.path == "/api/v1/user" {
        return Reply::json(200, &json!({ "login": BOT }));
    }
    let Some(parts) = below(asked, &format!("/api/v1/repos/{REPO}")) else { return not_found() };
    let get = asked.method == Method::GET;
    match parts.as_slice() {
        [] if get => Reply::json(200, &json!({ "full_name": REPO, "default_branch": "main" })),
        ["branches", "main"] if get => Reply::json(
            200,
            &json!({
                "name": "main", "commit": { "id": "1".repeat(40) },
                "enable_status_check": !hub.required.is_empty(), "status_check_contexts": hub.required,
            }),
        ),
        ["collaborators", login, "permission"] if get => {
            // T13.
            if hub.no_admin && decoded(login) != BOT {
                return Reply::json(403, &json!({ "message": "Only admins can query all permissions" }));
            }
            let role = match hub.role(&decoded(login)) {
                "triage" => "read",
                "admin" => "owner",
                role => role,
            };
            Reply::json(200, &json!({ "permission": role, "role_name": role, "user": { "login": login } }))
        }
        ["commits", _, "statuses"] if get => {
            let newest = hub.statuses.iter().rev();
            let shown = newest.map(|status| {
                json!({
                    "id": status.id, "context": status.context, "status": status.state,
                    "created_at": time(status.at), "updated_at": time(status.at),
                })
            });
            counted(asked, shown.collect())
        }
        ["labels"] if get => {
            counted(asked, hub.labels.iter().map(|(name, id)| json!({ "id": id, "name": name })).collect())
        }
        ["labels"] if asked.method == Method::POST => {
            if !asked.body["color"].as_str().is_some_and(|color| color.starts_with('#')) {
                return Reply::json(422, &json!({ "message": "[Color]: Required" }));
            }
            let (id, name) = (hub.id(), asked.body["name"].as_str().unwrap());
            hub.labels.insert(name.into(), id);
            Reply::json(201, &json!({ "id": id, "name": name }))
        }
        ["issues"] if get => list(hub, asked),
        ["issues", "comments", id] if asked.method == Method::PATCH => {
            let (id, body) = (id.parse().unwrap(), asked.body["body"].as_str().unwrap());
            match hub.edit_comment(id, body) {
                true => Reply::json(200, &json!({ "id": id, "body": body })),
                false => not_found(),
            }
        }
        ["issues", number, rest @ ..] => {
            let number = number.parse().unwrap();
            let there = hub.issues.get(&number).is_some_and(|issue| !issue.deleted);
            if there { issue(hub, asked, face, number, rest) } else { not_found() }
        }
        _ => not_found(),
    }
}

fn issue(hub: &mut Hub, asked: &Asked, face: Face, number: u64, rest: &[&str]) -> Reply {
    match (asked.method.as_str(), rest) {
        ("GET", []) => Reply::json(200, &shown(hub, number)),
        // There is no field for labels (T3).
        ("PATCH", []) => {
            assert_eq!(asked.body, json!({ "state": "closed" }));
            // T4.
            if hub.issues[&number].blocked_by.iter().any(|blocker| !hub.issues[blocker].closed) {
                return Reply::json(
                    412,
                    &json!({ "message": "cannot close this issue because it still has open dependencies" }),
                );
            }
            hub.close(BOT, number, None);
            Reply::json(201, &shown(hub, number))
        }
        ("GET", ["timeline"]) => {
            let entries = hub.issues[&number].events.iter().flat_map(|event| entries(hub, event));
            let (items, _, _) = page(asked, CAP, entries.collect());
            // The count of the page, and no `Link`.
            let count = items.len().to_string();
            Reply::json(200, &Value::Array(items)).header("x-total-count", count)
        }
        ("GET", ["dependencies"]) => {
            let blockers = hub.issues[&number].blocked_by.iter();
            counted(asked, blockers.map(|number| shown(hub, *number)).collect())
        }
        ("GET", ["labels"]) => Reply::json(200, &labels(hub, &hub.issues[&number])),
        ("POST", ["labels"]) => {
            for label in asked.body["labels"].as_array().unwrap() {
                let name = hub.labels.iter().find(|(name, id)| json!(id) == *label || json!(name) == *label);
                let Some((name, _)) = name else {
                    return Reply::json(422, &json!({ "message": "no such label" }));
                };
                let name = name.clone();
                if !hub.no_push {
                    hub.label(BOT, number, &name, true);
                }
            }
            Reply::json(200, &labels(hub, &hub.issues[&number]))
        }
        ("DELETE", ["labels", label]) => {
            let label = decoded(label);
            let by_id = hub.labels.iter().find(|(_, id)| id.to_string() == label);
            // Gitea takes an id and nothing else (T3).
            let by_name = (face == Face::Forgejo).then(|| hub.labels.get_key_value(&label)).flatten();
            match by_id.or(by_name).map(|(name, _)| name.clone()) {
                Some(name) => {
                    hub.label(BOT, number, &name, false);
                    Reply::empty(204)
                }
                None => Reply::json(422, &json!({ "message": "no such label" })),
            }
        }
        ("GET", ["comments"]) => {
            let comments = hub.issues[&number].comments.iter();
            let comments =
                comments.map(|(id, user, body)| json!({ "id": id, "user": { "login": user }, "body": body }));
            Reply::json(200, &comments.collect::<Value>())
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
    let asked_for = asked.query("labels").unwrap_or_default();
    // What does not exist is discarded, and any of the rest is enough (T1).
    let known: Vec<&str> = asked_for.split(',').filter(|label| hub.labels.contains_key(*label)).collect();
    let issues = asked.query("type").as_deref() == Some("issues");
    let found = hub.issues.iter().filter(|(_, issue)| {
        let labelled = known.is_empty() || issue.labels.iter().any(|label| known.contains(&label.as_str()));
        let hidden = issue.closed || issue.deleted || (issues && issue.pull);
        labelled && !hidden
    });
    counted(asked, found.map(|(number, _)| shown(hub, *number)).collect())
}

fn counted(asked: &Asked, items: Vec<Value>) -> Reply {
    let size = asked.query("limit").map_or(30, |size| size.parse().unwrap()).min(CAP);
    let total = items.len().to_string();
    let (items, number, pages) = page(asked, size, items);
    with_link(Reply::json(200, &Value::Array(items)).header("x-total-count", total), asked, number, pages)
}

fn entries(hub: &Hub, event: &HubEvent) -> Vec<Value> {
    let entry =
        |kind: &str| json!({ "type": kind, "user": { "login": event.actor }, "created_at": time(event.at) });
    if event.kind == "closed" {
        let by_commit = event.commit.as_ref().map(|_| entry("commit_ref"));
        return by_commit.into_iter().chain([entry("close")]).collect();
    }
    let mut labelled = entry("label");
    let name = event.label.as_deref().unwrap();
    labelled["label"] = json!({ "id": hub.labels[name], "name": name });
    labelled["body"] = json!(if event.kind == "labeled" { "1" } else { "" });
    vec![labelled]
}

fn labels(hub: &Hub, issue: &HubIssue) -> Value {
    issue.labels.iter().map(|name| json!({ "id": hub.labels[name], "name": name })).collect()
}

fn shown(hub: &Hub, number: u64) -> Value {
    let issue = &hub.issues[&number];
    let pull = if issue.pull { json!({ "merged": false }) } else { Value::Null };
    json!({
        "number": number, "title": issue.title, "body": issue.body, "user": { "login": issue.author },
        "state": if issue.closed { "closed" } else { "open" }, "labels": labels(hub, issue),
        "updated_at": time(issue.updated), "pull_request": pull, "repository": { "full_name": REPO },
    })
}

fn not_found() -> Reply {
    Reply::json(404, &json!({ "message": "The target couldn't be found." }))
}
