//! The registry over a runner that does what its prompt says.
#![cfg(feature = "jobs")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use claude_exec::jobs::{
    Ending, Followed, Gate, Job, JobId, JobReport, JobRequest, JobStatus, Registry, RegistryConfig, Runner,
    Submitted, Timestamp,
};
use claude_exec::store::{Batch, Embedded, Entry, Memory, Store, Written};
use claude_exec::{Error, Result};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};

/// Does what the prompt says, and counts the runs that have ended or were dropped.
#[derive(Clone, Default)]
struct Actor {
    ended: Arc<AtomicUsize>,
}

struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Runner for Actor {
    fn check(&self, request: &JobRequest) -> Result<()> {
        if request.agent == "unknown" { Err(Error::invalid("agent", "no such agent")) } else { Ok(()) }
    }

    fn run(&self, job: Job) -> BoxFuture<'static, Ending> {
        let count = Count(Arc::clone(&self.ended));
        async move {
            let _count = count;
            match job.request.prompt.as_str() {
                "work" => Ending::completed(JobReport::default()),
                "hang" => {
                    job.cancelled.wait().await;
                    Ending::cancelled()
                }
                "hang for ever" => std::future::pending().await,
                "panic" => panic!("on purpose"),
                other => Ending::failed(JobReport::default(), other),
            }
        }
        .boxed()
    }
}

/// A store that fails while it is told to, after doing what it was asked when it is `late`.
#[derive(Default)]
struct Flaky {
    inner: Memory,
    broken: AtomicBool,
    late: bool,
}

impl Flaky {
    fn set(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }
}

impl Store for Flaky {
    fn get<'a>(&'a self, space: &'static str, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        self.inner.get(space, key)
    }
    fn scan<'a>(&'a self, space: &'static str, after: &'a str) -> BoxFuture<'a, Result<Vec<Entry>>> {
        self.inner.scan(space, after)
    }
    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written>> {
        if self.broken.load(Ordering::SeqCst) {
            if self.late {
                let _ = self.inner.write(batch).now_or_never();
            }
            return async { Err(Error::store("writing the store", "no space left on device")) }.boxed();
        }
        self.inner.write(batch)
    }
}

fn job(prompt: &str) -> JobRequest {
    JobRequest::new("agent", prompt)
}

fn config() -> RegistryConfig {
    RegistryConfig::new()
}

async fn registry(slots: usize, depth: usize) -> Registry {
    let gate = Gate::new(slots, depth).unwrap();
    Registry::open(Arc::new(Memory::new()), gate, Actor::default(), config()).await.unwrap()
}

async fn reopened(store: &Arc<dyn Store>) -> Registry {
    let gate = Gate::new(1, 5).unwrap();
    Registry::open(Arc::clone(store), gate, Actor::default(), config()).await.unwrap()
}

async fn submit(registry: &Registry, prompt: &str) -> JobId {
    let submitted = registry.submit(job(prompt), None).await.unwrap();
    assert_eq!((submitted.created, submitted.record.status), (true, JobStatus::Queued));
    submitted.record.job_id
}

async fn until_running(registry: &Registry, id: &JobId) {
    while registry.get(id).await.unwrap().status != JobStatus::Running {
        tokio::task::yield_now().await;
    }
}

fn counts(registry: &Registry) -> (usize, usize) {
    let status = registry.gate().status();
    (status.active, status.queued)
}

async fn statuses(registry: &Registry) -> HashSet<JobStatus> {
    registry.list().await.unwrap().into_iter().map(|summary| summary.status).collect()
}

fn told(followed: &Followed) -> Value {
    match followed {
        Followed::Event(event) => {
            let mut json: Value = serde_json::from_str(&event.json).unwrap();
            json["seq"] = event.seq.into();
            json
        }
        Followed::Missed(count) => json!({"missed": count}),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_job_is_queued_run_and_remembered() {
    let registry = registry(1, 5).await;
    let id = submit(&registry, "work").await;
    let events: Vec<_> = registry.follow(&id, 0).await.unwrap().map(|event| told(&event)).collect().await;
    let running = json!({"kind": "status", "status": "running", "seq": 1});
    let completed = json!({"kind": "status", "status": "completed", "seq": 2});
    assert_eq!(events, [running, completed]);
    let record = registry.wait(&id).await.unwrap();
    assert_eq!((record.status, record.last_event, record.error.as_deref()), (JobStatus::Completed, 2, None));
    assert!(record.created_at <= record.started_at.unwrap() && record.started_at <= record.finished_at);
    assert_eq!(registry.get(&id).await.unwrap(), record);

    assert_eq!(counts(&registry), (0, 0));
}

#[tokio::test]
async fn bad_runs_say_so_and_give_their_slot_back() {
    let registry = registry(1, 5).await;
    let table = [("because", JobStatus::Failed, "because"), ("panic", JobStatus::Error, "the run panicked")];
    for (prompt, status, error) in table {
        let id = submit(&registry, prompt).await;
        let record = registry.wait(&id).await.unwrap();
        assert_eq!((record.status, record.error.as_deref()), (status, Some(error)));
    }
    assert_eq!(counts(&registry), (0, 0));
}

#[tokio::test]
async fn what_cannot_run_is_refused_before_it_is_queued() {
    let registry = registry(1, 5).await;
    let field = async |request, key| registry.submit(request, key).await.unwrap_err().field();
    assert_eq!(field(JobRequest::new("unknown", "work"), None).await, Some("agent"));
    assert_eq!(field(job(""), None).await, Some("prompt"));
    assert_eq!(field(job("work"), Some("")).await, Some("idempotency_key"));
    assert_eq!(field(job("work"), Some(&"k".repeat(256))).await, Some("idempotency_key"));
    assert!(registry.list().await.unwrap().is_empty());
    assert!(registry.get(&JobId::random()).await.unwrap_err().is_not_found());
    assert!(registry.cancel(&JobId::random()).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_cancelled_place_is_free_again() {
    let registry = registry(1, 2).await;
    let running = submit(&registry, "hang").await;
    until_running(&registry, &running).await;
    let first = submit(&registry, "work").await;
    let second = submit(&registry, "work").await;
    assert!(registry.submit(job("work"), None).await.unwrap_err().is_queue_full());
    assert_eq!(registry.list().await.unwrap().len(), 3);
    assert_eq!(registry.get(&second).await.unwrap().queue_position, Some(2));
    let mut events = registry.follow(&second, 0).await.unwrap();

    let record = registry.cancel(&first).await.unwrap();
    assert_eq!((record.status, record.started_at, record.queue_position), (JobStatus::Cancelled, None, None));
    assert_eq!(counts(&registry), (1, 1));
    for position in [2, 1] {
        let event = told(&events.next().await.unwrap());
        assert_eq!((&event["status"], &event["queue_position"]), (&json!("queued"), &json!(position)));
    }
    assert_eq!(registry.get(&second).await.unwrap().queue_position, Some(1));

    assert_eq!(registry.cancel(&running).await.unwrap().status, JobStatus::Cancelled);
    assert_eq!(registry.wait(&second).await.unwrap().status, JobStatus::Completed);
    assert_eq!(registry.cancel(&second).await.unwrap().status, JobStatus::Completed, "an end is final");
    assert_eq!(counts(&registry), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ignores_its_cancellation_is_dropped() {
    let actor = Actor::default();
    let gate = Gate::new(1, 0).unwrap();
    let registry = Registry::open(Arc::new(Memory::new()), gate, actor.clone(), config()).await.unwrap();
    let id = submit(&registry, "hang for ever").await;
    until_running(&registry, &id).await;
    assert_eq!(registry.cancel(&id).await.unwrap().status, JobStatus::Cancelled);
    assert_eq!((actor.ended.load(Ordering::SeqCst), counts(&registry)), (1, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn waiting_too_long_is_an_error_of_the_job() {
    let gate = Gate::with_wait_limit(1, 5, Some(Duration::from_secs(60))).unwrap();
    let registry = Registry::open(Arc::new(Memory::new()), gate, Actor::default(), config()).await.unwrap();
    let running = submit(&registry, "hang").await;
    let queued = submit(&registry, "work").await;
    let record = registry.wait(&queued).await.unwrap();
    let error = record.error.unwrap();
    assert_eq!((record.status, &*error), (JobStatus::Error, "waiting for a free slot took longer than 60s"));
    assert_eq!(counts(&registry), (1, 0));
    registry.cancel(&running).await.unwrap();
}

#[tokio::test]
async fn one_key_is_one_job() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let registry = reopened(&store).await;
    let all = (0..8).map(|_| registry.submit(job("hang"), Some("k")));
    // Those that lose the race to the queue's last places may be told that it is full; none makes a second job.
    let won: Vec<Submitted> = join_all(all).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.iter().filter(|submitted| submitted.created).count(), 1);
    assert_eq!(won.iter().map(|submitted| &submitted.record.job_id).collect::<HashSet<_>>().len(), 1);
    assert_eq!((registry.list().await.unwrap().len(), registry.gate().status().queued), (1, 0));
    let id = won[0].record.job_id.clone();

    let again = registry.submit(job("hang"), Some("k")).await.unwrap();
    assert_eq!((again.created, &again.record.job_id), (false, &id));
    assert!(registry.submit(job("work"), Some("k")).await.unwrap_err().is_conflict());
    registry.shutdown(Duration::from_secs(5)).await;

    let registry = reopened(&store).await;
    let again = registry.submit(job("hang"), Some("k")).await.unwrap();
    assert_eq!((again.created, again.record.job_id), (false, id));
    assert_eq!(again.record.status, JobStatus::Interrupted);
}

#[tokio::test]
async fn a_submitter_that_leaves_before_it_has_the_id_leaves_no_job_running() {
    let registry = registry(1, 0).await;
    assert!(registry.submit(job("hang"), None).now_or_never().is_none());
    while statuses(&registry).await != HashSet::from([JobStatus::Cancelled]) {
        tokio::task::yield_now().await;
    }
    let list = registry.list().await.unwrap();
    let record = registry.wait(&list[0].job_id).await.unwrap();
    assert_eq!(record.error.as_deref(), Some("its submitter left before it was told the id"));
    assert_eq!(counts(&registry), (0, 0));
    // With a key it can be found again, and goes on.
    assert!(registry.submit(job("work"), Some("k")).now_or_never().is_none());
    while counts(&registry) != (0, 0) {
        tokio::task::yield_now().await;
    }
    let found = registry.submit(job("work"), Some("k")).await.unwrap();
    assert!(!found.created);
    assert_eq!(registry.wait(&found.record.job_id).await.unwrap().status, JobStatus::Completed);
}

#[tokio::test]
async fn a_crash_keeps_what_ended_and_marks_what_was_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let gate = Gate::new(1, 5).unwrap();
    let open = async || -> Result<Registry> {
        let store = Arc::new(Embedded::open(&path).await?);
        Registry::open(store, gate.clone(), Actor::default(), config()).await
    };
    let registry = open().await.unwrap();
    let done = submit(&registry, "work").await;
    let before = registry.wait(&done).await.unwrap();
    let running = submit(&registry, "hang").await;
    until_running(&registry, &running).await;
    let queued = submit(&registry, "hang").await;
    drop(registry);
    while gate.status().active > 0 {
        tokio::task::yield_now().await;
    }
    // The file is free when the last write under way is done.
    let registry = loop {
        match open().await {
            Ok(registry) => break registry,
            Err(error) => assert!(error.to_string().contains("held by another process"), "{error}"),
        }
    };
    assert_eq!(registry.get(&done).await.unwrap(), before);
    for id in [running, queued] {
        let record = registry.wait(&id).await.unwrap();
        assert_eq!(record.status, JobStatus::Interrupted);
        assert!(record.finished_at.is_some() && record.finished_epoch.is_some() && record.error.is_some());
    }
}

#[tokio::test]
async fn a_shutdown_ends_all_jobs_and_refuses_new_ones() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let actor = Actor::default();
    let gate = Gate::new(1, 5).unwrap();
    let registry = Registry::open(Arc::clone(&store), gate, actor.clone(), config()).await.unwrap();
    let running = submit(&registry, "hang").await;
    until_running(&registry, &running).await;
    let queued = submit(&registry, "hang").await;
    let follower = registry.follow(&running, 0).await.unwrap();
    registry.shutdown(Duration::from_secs(5)).await;
    assert_eq!((actor.ended.load(Ordering::SeqCst), counts(&registry)), (1, (0, 0)));
    assert!(registry.submit(job("work"), None).await.unwrap_err().is_stopped());
    let last = told(&follower.collect::<Vec<_>>().await.pop().unwrap());
    assert_eq!(last["error"], "the server shut down");
    drop(registry);
    let registry = reopened(&store).await;
    for id in [&running, &queued] {
        assert_eq!(registry.get(id).await.unwrap().status, JobStatus::Interrupted);
    }
    // Of a job of the past only its last event is left.
    let follow = async |after| -> Vec<_> {
        registry.follow(&running, after).await.unwrap().map(|event| told(&event)).collect().await
    };
    assert_eq!(follow(0).await, [json!({"missed": 1}), last.clone()]);
    assert_eq!(follow(1).await, [last]);
    assert_eq!(follow(2).await, [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drops_what_outlasts_its_grace() {
    let actor = Actor::default();
    let gate = Gate::new(1, 5).unwrap();
    let registry = Registry::open(Arc::new(Memory::new()), gate, actor.clone(), config()).await.unwrap();
    let id = submit(&registry, "hang for ever").await;
    until_running(&registry, &id).await;
    registry.shutdown(Duration::from_secs(1)).await;
    assert_eq!((actor.ended.load(Ordering::SeqCst), counts(&registry)), (1, (0, 0)));
    assert_eq!(registry.wait(&id).await.unwrap().status, JobStatus::Interrupted);
}

#[tokio::test]
async fn dropping_the_registry_stops_its_jobs() {
    let actor = Actor::default();
    let gate = Gate::new(1, 0).unwrap();
    let registry =
        Registry::open(Arc::new(Memory::new()), gate.clone(), actor.clone(), config()).await.unwrap();
    let id = submit(&registry, "hang for ever").await;
    until_running(&registry, &id).await;
    drop(registry);
    while actor.ended.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.status().active, 0);
}

#[tokio::test(start_paused = true)]
async fn ended_jobs_go_after_their_time_without_any_other_job() {
    let now = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&now);
    let config = config()
        .ttl(Duration::from_secs(100))
        .clock(move || Timestamp::from_micros(clock.load(Ordering::SeqCst) * 1_000_000));
    let gate = Gate::new(2, 5).unwrap();
    let registry = Registry::open(Arc::new(Memory::new()), gate, Actor::default(), config).await.unwrap();
    let done = submit(&registry, "work").await;
    let hanging = submit(&registry, "hang").await;
    registry.wait(&done).await.unwrap();
    now.store(99, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(registry.list().await.unwrap().len(), 2);
    now.store(100, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(registry.get(&done).await.unwrap_err().is_not_found());
    assert_eq!(registry.get(&hanging).await.unwrap().status, JobStatus::Running);
}

#[tokio::test]
async fn the_oldest_ended_jobs_make_room() {
    let gate = Gate::new(1, 5).unwrap();
    let config = config().max_jobs(3);
    let registry = Registry::open(Arc::new(Memory::new()), gate, Actor::default(), config).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..5 {
        let id = submit(&registry, "work").await;
        registry.wait(&id).await.unwrap();
        ids.push(id);
    }
    let left: Vec<_> = registry.list().await.unwrap().into_iter().map(|summary| summary.job_id).collect();
    ids.reverse();
    assert_eq!(left, ids[..3], "the newest, the newest first");
    let hanging =
        [submit(&registry, "hang").await, submit(&registry, "hang").await, submit(&registry, "hang").await];
    assert!(registry.submit(job("work"), None).await.unwrap_err().is_queue_full(), "none of them has ended");
    assert_eq!(registry.list().await.unwrap().len(), hanging.len());
}

#[tokio::test]
async fn a_store_that_refuses_begins_nothing_and_leaks_nothing() {
    let store = Arc::new(Flaky::default());
    let gate = Gate::new(1, 0).unwrap();
    let registry = Registry::open(store.clone(), gate, Actor::default(), config()).await.unwrap();
    store.set(true);
    let message = registry.submit(job("work"), None).await.unwrap_err().to_string();
    assert_eq!(message, "writing the store: no space left on device");
    assert_eq!(counts(&registry), (0, 0));
    store.set(false);
    assert!(registry.list().await.unwrap().is_empty());
    let id = submit(&registry, "work").await;
    assert_eq!(registry.wait(&id).await.unwrap().status, JobStatus::Completed);
}

#[tokio::test]
async fn a_submission_that_failed_but_was_saved_is_no_job() {
    let store = Arc::new(Flaky { late: true, ..Flaky::default() });
    let gate = Gate::new(1, 0).unwrap();
    let registry = Registry::open(store.clone(), gate, Actor::default(), config()).await.unwrap();
    store.set(true);
    assert!(registry.submit(job("work"), Some("k")).await.is_err());
    assert!(registry.submit(job("work"), Some("k")).await.is_err());
    store.set(false);
    let submitted = registry.submit(job("work"), Some("k")).await.unwrap();
    assert!(submitted.created);
    let record = registry.wait(&submitted.record.job_id).await.unwrap();
    assert_eq!((record.status, registry.list().await.unwrap().len()), (JobStatus::Completed, 1));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_saved_is_told_and_saved_later() {
    let store = Arc::new(Flaky::default());
    let gate = Gate::new(1, 0).unwrap();
    let registry = Registry::open(store.clone(), gate, Actor::default(), config()).await.unwrap();
    let id = submit(&registry, "hang").await;
    until_running(&registry, &id).await;
    store.set(true);
    assert_eq!(registry.cancel(&id).await.unwrap().status, JobStatus::Cancelled);
    assert_eq!(registry.get(&id).await.unwrap().status, JobStatus::Cancelled);
    assert_eq!(counts(&registry), (0, 0));
    store.set(false);
    tokio::time::sleep(Duration::from_secs(120)).await;
    registry.shutdown(Duration::from_secs(1)).await;
    let store: Arc<dyn Store> = store;
    assert_eq!(reopened(&store).await.get(&id).await.unwrap().status, JobStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_crowd_every_job_ends_and_every_place_comes_back() {
    let registry = registry(3, 200).await;
    let crowd = (0..120).map(|number: usize| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let prompt = ["work", "hang", "panic", "because"][number % 4];
            let id = submit(&registry, prompt).await;
            let events = registry.follow(&id, 0).await.unwrap();
            let cancel = prompt == "hang" || number.is_multiple_of(3);
            let record = if cancel { registry.cancel(&id).await } else { registry.wait(&id).await };
            let last = told(&events.collect::<Vec<_>>().await.pop().unwrap());
            assert!(record.as_ref().unwrap().status.is_final());
            assert_eq!(last["status"], json!(record.unwrap().status));
        })
    });
    for one in crowd.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    assert_eq!((counts(&registry), registry.list().await.unwrap().len()), ((0, 0), 120));
}

#[tokio::test]
async fn a_list_shows_no_prompt() {
    let registry = registry(1, 5).await;
    let mut request = job("my secret");
    request.metadata = Some(json!({"note": "my secret"}));
    let id = registry.submit(request, None).await.unwrap().record.job_id;
    registry.wait(&id).await.unwrap();
    let list = serde_json::to_value(registry.list().await.unwrap()).unwrap();
    assert!(!list.to_string().contains("secret"), "{list}");
    assert_eq!((&list[0]["job_id"], &list[0]["status"]), (&json!(id.as_str()), &json!("failed")));
}
