//! The verbs through their routes, over a host that is played: what a request gets, and what the audit then says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use claude_exec::executor::{Command, Executor, Scripted, ScriptedHandle, executor_fn};
use claude_exec::http::Body;
use claude_exec_breakglass::access::{Method as By, Principal, Scopes};
use claude_exec_breakglass::audit::{Audit, AuditConfig, Event, Record, verify};
use claude_exec_breakglass::power::{Power, Route, Ssh, respond, simulated};
use claude_exec_breakglass::redact::Redactor;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

struct Site {
    dir: tempfile::TempDir,
    power: Power,
}

impl Site {
    fn over(executor: impl Executor + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let power = power(dir.path(), executor);
        Self { dir, power }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
        self.ask_as(&person(), method, path, headers, body).await
    }

    async fn ask_as(
        &self,
        caller: &Principal,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method.clone()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::full(body.to_string())).unwrap();
        let route = Route::find(&method, path).unwrap();
        read(respond(&self.power, route, caller, request).await).await
    }

    async fn prepare(&self, verb: &str) -> (u16, Value) {
        let body = json!({"verb": verb, "reason": "it hangs, password=hunter2"});
        self.ask(Method::POST, "/api/pve/prepare", &[], &body).await
    }

    async fn commit(&self, prepared: &Value, key: &str) -> (u16, Value) {
        let body = json!({"nonce": prepared["nonce"], "phrase": prepared["phrase"]});
        self.ask(Method::POST, "/api/pve/commit", &[("idempotency-key", key)], &body).await
    }

    fn records(&self) -> Vec<Record> {
        assert!(verify(self.dir.path()).unwrap().is_intact());
        let text = std::fs::read_to_string(self.dir.path().join("audit-000000000001.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The kinds of the records, with the verb's outcome where there is one.
    fn story(&self) -> Vec<String> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tell = |record: Record| {
            let event = serde_json::to_value(&record.event).unwrap();
            format!("{} {} {}", word(&event["kind"]), word(&event["verb"]), word(&event["outcome"]))
                .trim()
                .to_owned()
        };
        self.records().into_iter().map(tell).collect()
    }
}

fn power(dir: &Path, executor: impl Executor + 'static) -> Power {
    let config = AuditConfig::new(dir).redactor(Redactor::new());
    let mut ssh = Ssh::new("pve.example", 102, "/nowhere/key", "/nowhere/known_hosts");
    ssh.limit = Duration::from_secs(5);
    Power::unchecked(ssh, executor, Audit::open(config).unwrap())
}

fn person() -> Principal {
    Principal::new("viktor", By::ProxySecret, Scopes::ALL, IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn program() -> Principal {
    Principal::new("n8n", By::Bearer, Scopes::ALL, IpAddr::V4(Ipv4Addr::LOCALHOST))
}

async fn read(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// A host that answers `status` as `states` say, one after another (the last one for ever), and everything else by
/// `verb`. Counts what it was asked.
#[derive(Clone)]
struct Host {
    states: Arc<Mutex<VecDeque<&'static str>>>,
    asked: Arc<Mutex<Vec<String>>>,
    handles: Arc<Mutex<Vec<ScriptedHandle>>>,
}

impl Host {
    fn new(states: &[&'static str]) -> Self {
        Self {
            states: Arc::new(Mutex::new(states.iter().copied().collect())),
            asked: Arc::default(),
            handles: Arc::default(),
        }
    }

    fn executor(&self, verb: impl Fn(&str) -> Scripted + Send + Sync + 'static) -> impl Executor + 'static {
        let host = self.clone();
        executor_fn(move |command: Command| {
            let request = command.args.last().and_then(|word| word.to_str()).unwrap();
            let words: Vec<&str> = request.split(' ').collect();
            host.asked.lock().unwrap().push(words[1].to_owned());
            if words[1] != "status" {
                let (process, handle) = verb(words[3]).into_process_with_handle();
                host.handles.lock().unwrap().push(handle);
                return Ok(process);
            }
            let mut states = host.states.lock().unwrap();
            let facts = if states.len() > 1 { states.pop_front() } else { states.front().copied() };
            let nonce = words[3];
            let facts = facts.unwrap_or_default();
            let text =
                format!("BG1 begin {nonce} status 102\n{facts}\nBG1 end {nonce} rc=0 status=x proof=read\n");
            Ok(Scripted::new().stdout(Bytes::from(text)).into_process())
        })
    }

    /// How often a verb that changes something was sent.
    fn sent(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|verb| *verb != "status").count()
    }
}

const RUNNING: &str = "BG1 fact status=running\nBG1 fact process=7:1";

#[tokio::test(start_paused = true)]
async fn a_person_prepares_sees_and_commits_and_the_audit_tells_it() {
    let site = Site::over(simulated(Duration::from_millis(1)));
    let (status, verbs) = site.ask(Method::GET, "/api/pve/verbs", &[], &Value::Null).await;
    let expected = json!({"verbs": ["cycle", "forensics", "reset", "start", "status", "stop"],
        "mutating": ["cycle", "reset", "start", "stop"], "vmid": 102});
    assert_eq!((status, verbs), (200, expected));
    let (_, overview) = site.ask(Method::GET, "/api/pve/status", &[], &Value::Null).await;
    assert_eq!((&overview["observed"]["qmp"], &overview["advised"]), (&json!("dead"), &json!("cycle")));

    let (status, prepared) = site.prepare("cycle").await;
    assert_eq!((status, &prepared["phrase"], &prepared["expires_s"]), (200, &json!("102"), &json!(30)));
    assert_eq!(prepared["observed"]["status"], "running");
    let (status, operation) = site.commit(&prepared, "press-1").await;
    assert_eq!(
        (status, &operation["outcome"], &operation["recorded"]),
        (200, &json!("verified"), &json!(true))
    );
    // The phone lost the answer and asks again: the same answer, and nothing done twice.
    assert_eq!(site.commit(&prepared, "press-1").await, (200, operation.clone()));
    let path = format!("/api/pve/operations/{}", operation["id"].as_str().unwrap());
    assert_eq!(site.ask(Method::GET, &path, &[], &Value::Null).await, (200, operation.clone()));
    assert_eq!(site.commit(&prepared, "press-2").await.1["code"], "expired");

    let expected = ["opened", "verb_requested cycle", "verb_ended cycle verified", "verb_refused"];
    assert_eq!(site.story(), expected);
    let records = site.records();
    assert_eq!(records[1].actor, person().actor());
    let Event::VerbRequested { reason, key, .. } = &records[1].event else { panic!() };
    assert_eq!((reason.as_str(), key.as_deref()), ("it hangs, password=[redacted]", Some("press-1")));
}

/// The original's contract of 1.7, for programs; and X3, that a browser's own identity is not enough for one step.
#[tokio::test(start_paused = true)]
async fn the_originals_routes_answer_as_they_did() {
    let site = Site::over(simulated(Duration::from_millis(1)));
    let program = program();
    let ask = async |verb: &str| {
        let path = format!("/api/pve/{verb}");
        let (status, body) = site.ask_as(&program, Method::POST, &path, &[], &json!({"anything": 1})).await;
        (status, body["exit_code"].clone(), body["rejected"].clone(), body["verb"].clone())
    };
    let row = |status: u16, code: i32, verb: &str| (status, json!(code), json!(false), json!(verb));
    assert_eq!(ask("status").await, row(200, 0, "status"));
    assert_eq!(ask("forensics").await, row(200, 0, "forensics"));
    assert_eq!(ask("reset").await, row(502, 255, "reset"));
    assert_eq!(ask("cycle").await, row(200, 0, "cycle"));
    assert_eq!(ask("start").await, row(502, 255, "start"));
    let (status, body) = site.ask_as(&program, Method::POST, "/api/pve/destroy", &[], &Value::Null).await;
    assert_eq!((status, body), (400, json!({"detail": "unknown verb 'destroy'"})));
    let (status, _) = site.ask(Method::POST, "/api/pve/stop", &[], &json!({"reason": "x"})).await;
    assert_eq!(status, 403);
}

/// U3 and X11 at their root: no end heard is no end, neither good nor bad, and nothing is sent again.
#[tokio::test(start_paused = true)]
async fn u3_a_verb_that_times_out_is_unknown_and_never_sent_again() {
    let host = Host::new(&[RUNNING]);
    let silent = |nonce: &str| {
        Scripted::new().stdout(format!("BG1 begin {nonce} stop 102\nBG1 step stop\n")).until_stopped()
    };
    let site = Site::over(host.executor(silent));
    let (_, prepared) = site.prepare("stop").await;
    let (status, operation) = site.commit(&prepared, "k").await;
    assert_eq!(
        (status, &operation["state"], &operation["outcome"]),
        (200, &json!("ended"), &json!("unknown"))
    );
    assert_eq!(operation["observed_after"]["status"], "running", "it was looked at afterwards");
    let (status, body) = site.ask_as(&program(), Method::POST, "/api/pve/stop", &[], &Value::Null).await;
    assert_eq!((status, &body["exit_code"], &body["outcome"]), (502, &Value::Null, &json!("unknown")));
    assert_eq!(host.sent(), 2, "once each");
    assert!(host.handles.lock().unwrap().iter().all(ScriptedHandle::is_stopped), "the local ssh is ended");
    assert_eq!(site.story()[1..3], ["verb_requested stop", "verb_ended stop unknown"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_settled_when_the_host_is_heard_again() {
    let host = Host::new(&[RUNNING]);
    let site = Site::over(host.executor(|_| Scripted::new().exit(255)));
    let (_, prepared) = site.prepare("stop").await;
    let (_, operation) = site.commit(&prepared, "k").await;
    assert_eq!(operation["outcome"], "unknown", "ssh has ended without a word of why");
    let id = operation["id"].as_str().unwrap();
    let last = format!("BG1 fact status=stopped\nBG1 last {id} stop rc=0 status=stopped proof=verified at=1");
    *host.states.lock().unwrap() = VecDeque::from([&*last.leak()]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    std::thread::sleep(Duration::from_millis(2100)); // a reading is told again for two seconds of the real clock
    site.ask(Method::GET, "/api/pve/status", &[], &Value::Null).await;
    let settled = site.power.operation(id).unwrap();
    assert_eq!(serde_json::to_value(settled.outcome).unwrap(), json!("verified"));
    assert_eq!(
        site.story()[1..],
        ["verb_requested stop", "verb_ended stop unknown", "verb_ended stop verified"]
    );
    // What was settled is what a retry is told.
    assert_eq!(site.commit(&prepared, "k").await.1["outcome"], "verified");
    assert_eq!(host.sent(), 1);
}

/// What the host says is told without its secrets, when it is looked at and when a verb has run.
#[tokio::test(start_paused = true)]
async fn what_the_host_says_is_told_without_its_secrets() {
    let host = Host::new(&["BG1 fact status=running\n> args: -vnc password=hunter2"]);
    let done = |nonce: &str| {
        let begin = format!("BG1 begin {nonce} reset 102\n> passwd=hunter2\n");
        Scripted::new().stdout(format!("{begin}BG1 end {nonce} rc=0 status=running proof=sent\n"))
    };
    let site = Site::over(host.executor(done));
    let (status, looked) = site.ask(Method::POST, "/api/pve/status", &[], &Value::Null).await;
    let told = |value: &Value| value["stdout"].as_str().unwrap().trim().to_owned();
    assert_eq!((status, told(&looked)), (200, "args: -vnc password=[redacted]".to_owned()));
    let (_, prepared) = site.prepare("reset").await;
    let (_, operation) = site.commit(&prepared, "k").await;
    assert_eq!(told(&operation), "passwd=[redacted]");
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_changed_since_it_was_seen_is_looked_at_again() {
    let host = Host::new(&[RUNNING, "BG1 fact status=running\nBG1 fact process=8:2"]);
    let site = Site::over(host.executor(|_| Scripted::new()));
    let (_, prepared) = site.prepare("reset").await;
    let (status, body) = site.commit(&prepared, "k").await;
    assert_eq!((status, &body["code"], &body["observed"]["pid"]), (409, &json!("changed"), &json!(8)));
    assert_eq!(host.sent(), 0);
    assert_eq!(site.story(), ["opened", "verb_refused reset"]);
    assert_eq!(site.commit(&prepared, "k").await.1["code"], "expired", "the nonce is spent");
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_cannot_be_seen_is_not_touched() {
    let refused = "ssh: connect to host pve.example port 22: Connection refused\n";
    let site = Site::over(executor_fn(move |_| Ok(Scripted::new().stderr(refused).exit(255).into_process())));
    let (status, body) = site.prepare("reset").await;
    assert_eq!((status, &body["code"]), (502, &json!("not_seen")));
    assert!(body["detail"].as_str().unwrap().contains("Connection refused"), "{body}");
    let (_, overview) = site.ask(Method::GET, "/api/pve/status", &[], &Value::Null).await;
    assert!(overview["observed"].is_null() && overview["error"].as_str().unwrap().contains("not reached"));
    let (status, body) = site.ask(Method::POST, "/api/pve/status", &[], &Value::Null).await;
    assert_eq!((status, &body["exit_code"]), (502, &json!(255)));
}

/// X11: two verbs at once. The second is told which one is in the way, and is not sent.
#[tokio::test(start_paused = true)]
async fn x11_one_verb_at_a_time() {
    let host = Host::new(&[RUNNING]);
    let slow = |nonce: &str| Scripted::new().stdout(format!("BG1 begin {nonce} stop 102\n")).until_stopped();
    let site = Arc::new(Site::over(host.executor(slow)));
    let (_, first) = site.prepare("stop").await;
    let (_, second) = site.prepare("start").await;
    let body = json!({"nonce": first["nonce"], "phrase": "102"});
    let no_wait = [("idempotency-key", "one"), ("prefer", "wait=0")];
    let (status, running) = site.ask(Method::POST, "/api/pve/commit", &no_wait, &body).await;
    assert_eq!((status, &running["outcome"]), (202, &Value::Null));
    let (status, busy) = site.commit(&second, "two").await;
    assert_eq!((status, &busy["code"], &busy["operation"]["id"]), (409, &json!("busy"), &running["id"]));
    let (status, again) = site.ask(Method::POST, "/api/pve/commit", &no_wait, &body).await;
    assert_eq!(
        (status, &again["code"], &again["operation"]["id"]),
        (409, &json!("in_flight"), &running["id"])
    );
    let (status, at_once) = site.ask_as(&program(), Method::POST, "/api/pve/start", &[], &Value::Null).await;
    assert_eq!((status, &at_once["code"]), (409, &json!("busy")));
    let ended = site.power.wait(running["id"].as_str().unwrap(), PATIENCE).await.unwrap();
    assert!(ended.ended.is_some());
    assert_eq!(host.sent(), 1);
}

/// Two presses at the same moment, of one prepared verb: one operation.
#[tokio::test(start_paused = true)]
async fn a_double_tap_is_one_press() {
    let host = Host::new(&[RUNNING]);
    let done = |nonce: &str| {
        Scripted::new()
            .pause(50)
            .stdout(format!("BG1 begin {nonce} reset 102\nBG1 end {nonce} rc=0 status=running proof=sent\n"))
    };
    let site = Site::over(host.executor(done));
    let (_, prepared) = site.prepare("reset").await;
    let (one, two, three) =
        tokio::join!(site.commit(&prepared, "a"), site.commit(&prepared, "a"), site.commit(&prepared, "b"));
    let mut statuses = [one.0, two.0, three.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409], "{one:?} {two:?} {three:?}");
    assert_eq!(host.sent(), 1);
}

/// The caller hangs up in the middle: the verb goes on, and its end is in the audit.
#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_stops_nothing() {
    let host = Host::new(&[RUNNING]);
    let slow = |nonce: &str| {
        let begin = format!("BG1 begin {nonce} stop 102\n");
        let end = format!("BG1 end {nonce} rc=0 status=stopped proof=verified\n");
        Scripted::new().stdout(begin).pause(200).stdout(end)
    };
    let site = Site::over(host.executor(slow));
    let (_, prepared) = site.prepare("stop").await;
    let gone = tokio::time::timeout(Duration::ZERO, site.commit(&prepared, "k")).await;
    assert!(gone.is_err(), "it left before there was an answer");
    let id = prepared["nonce"].as_str().unwrap();
    let ended = site.power.wait(id, PATIENCE).await.unwrap();
    assert_eq!(serde_json::to_value(ended.outcome).unwrap(), json!("verified"));
    assert_eq!(host.sent(), 1);
    assert_eq!(site.story()[1..], ["verb_requested stop", "verb_ended stop verified"]);
}

/// The server is killed in the middle: the next one knows what it does not know, and the key still stands for it.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_killed_leaves_an_unknown_and_no_second_press() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(&[RUNNING]);
    let hangs = |nonce: &str| Scripted::new().stdout(format!("BG1 begin {nonce} stop 102\n")).until_stopped();
    let (prepared, id) = {
        let site = Site { power: power(dir.path(), host.executor(hangs)), dir: tempfile::tempdir().unwrap() };
        let (_, prepared) = site.prepare("stop").await;
        let body = json!({"nonce": prepared["nonce"], "phrase": "102"});
        let headers = [("idempotency-key", "k"), ("prefer", "wait=0")];
        site.ask(Method::POST, "/api/pve/commit", &headers, &body).await;
        while host.sent() == 0 {
            tokio::task::yield_now().await;
        }
        (prepared.clone(), prepared["nonce"].as_str().unwrap().to_owned())
    };
    // What `kill -9` leaves: the files, and a lock that is free. The old server's task still holds it here.
    let after = tempfile::tempdir().unwrap();
    let text = std::fs::read(dir.path().join("audit-000000000001.jsonl")).unwrap();
    std::fs::write(after.path().join("audit-000000000001.jsonl"), &text[..]).unwrap();
    let site = Site { power: power(after.path(), host.executor(hangs)), dir: after };
    assert_eq!(serde_json::to_value(site.power.operation(&id).unwrap().outcome).unwrap(), json!("unknown"));
    let (status, again) = site.commit(&prepared, "k").await;
    assert_eq!((status, &again["outcome"]), (200, &json!("unknown")), "told, not done again");
    assert_eq!(host.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn bad_requests_cost_nothing() {
    let host = Host::new(&[RUNNING]);
    let site = Site::over(host.executor(|_| Scripted::new()));
    let prepare = |body: Value| {
        let site = &site;
        async move { site.ask(Method::POST, "/api/pve/prepare", &[], &body).await.0 }
    };
    assert_eq!(prepare(Value::Null).await, 422);
    assert_eq!(prepare(json!({"verb": "stop"})).await, 422);
    assert_eq!(prepare(json!({"verb": "stop", "reason": " "})).await, 422);
    assert_eq!(prepare(json!({"verb": "status", "reason": "x"})).await, 422);
    assert_eq!(prepare(json!({"verb": "Stop", "reason": "x"})).await, 422);
    assert_eq!(
        prepare(json!({"verb": "stop", "reason": "x", "vmid": 100})).await,
        422,
        "the VM is not the request's"
    );
    assert_eq!(prepare(json!({"verb": "stop", "reason": "x".repeat(20_000)})).await, 413);
    let commit = |headers: &'static [(&'static str, &'static str)], body: Value| {
        let site = &site;
        async move { site.ask(Method::POST, "/api/pve/commit", headers, &body).await.0 }
    };
    assert_eq!(commit(&[], json!({"nonce": "x"})).await, 400, "no key");
    assert_eq!(commit(&[("idempotency-key", "k")], json!({})).await, 422);
    assert_eq!(commit(&[("idempotency-key", "k")], json!({"nonce": "x"})).await, 409);
    let (status, body) = site.ask(Method::GET, "/api/pve/operations/none", &[], &Value::Null).await;
    assert_eq!((status, body), (404, json!({"detail": "no such operation"})));
    assert_eq!(host.sent(), 0);
}
