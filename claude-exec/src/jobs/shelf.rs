//! The jobs in the store: records, summaries and idempotency keys that come and go together.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::record::{JobId, JobRecord, JobStatus, JobSummary};
use super::report::Ending;
use crate::error::{Error, Result};
use crate::store::{Batch, Store, Written};
use crate::timestamp::Timestamp;

const RECORDS: &str = "job";
const SUMMARIES: &str = "job-summary";
const KEYS: &str = "job-key";

/// A summary with what only the shelf needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) summary: JobSummary,
    /// The server that runs the job, by the name that it keeps over restarts.
    pub(super) owner: String,
    /// The idempotency key that leads to the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) kept: usize,
    pub(super) removed: Vec<JobId>,
}

#[derive(Clone)]
pub(super) struct Shelf {
    pub(super) store: Arc<dyn Store>,
    pub(super) owner: Arc<str>,
}

impl Shelf {
    /// Adds a job that is new under its id and under its key.
    pub(super) async fn add(&self, record: &JobRecord, key: Option<&str>) -> Result<Written> {
        let id = record.job_id.as_str();
        let mut batch = self.change(record, key)?.expect_absent(RECORDS, id);
        if let Some(key) = key {
            batch = batch.expect_absent(KEYS, key).put(KEYS, key, id.to_owned());
        }
        self.store.write(batch).await
    }

    /// Replaces a job that exists.
    pub(super) async fn update(&self, record: &JobRecord, key: Option<&str>) -> Result<()> {
        self.store.write(self.change(record, key)?).await.map(|_| ())
    }

    fn change(&self, record: &JobRecord, key: Option<&str>) -> Result<Batch> {
        let id = record.job_id.as_str();
        let owner = self.owner.as_ref().to_owned();
        let entry = Entry { summary: record.summary(), owner, key: key.map(str::to_owned) };
        Ok(Batch::new().put(RECORDS, id, encode(record)?).put(SUMMARIES, id, encode(&entry)?))
    }

    pub(super) async fn get(&self, id: &JobId) -> Result<Option<JobRecord>> {
        match self.store.get(RECORDS, id.as_str()).await? {
            Some(bytes) => decode(&bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The job that a key leads to.
    pub(super) async fn id_of(&self, key: &str) -> Result<Option<JobId>> {
        let Some(id) = self.store.get(KEYS, key).await? else { return Ok(None) };
        match JobId::parse(&String::from_utf8_lossy(&id)) {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(Error::store("reading the jobs", "an idempotency key leads to no job id")),
        }
    }

    /// Everything on the shelf; what cannot be read is of no use to anyone, and is removed.
    pub(super) async fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.store.scan(SUMMARIES, &after).await?;
            let Some((last, _)) = page.last() else { return Ok(entries) };
            after.clone_from(last);
            for (id, bytes) in page {
                match decode(&bytes) {
                    Ok(entry) => entries.push(entry),
                    Err(error) => {
                        tracing::warn!(job = %id, %error, "removing a job that cannot be read");
                        let batch = Batch::new().remove(SUMMARIES, &*id).remove(RECORDS, &*id);
                        self.store.write(batch).await.map(|_| ())?;
                    }
                }
            }
        }
    }

    /// Removes the jobs that ended `ttl` ago, and, when more than `room` are left, the oldest of those that ended.
    pub(super) async fn sweep(&self, now: Timestamp, ttl: Duration, room: usize) -> Result<Swept> {
        let entries = self.entries().await?;
        let kept = entries.len();
        let old = expired(entries, now, ttl, room);
        for entry in &old {
            self.remove(&entry.summary.job_id, entry.key.as_deref()).await?;
        }
        let removed: Vec<_> = old.into_iter().map(|entry| entry.summary.job_id).collect();
        Ok(Swept { kept: kept - removed.len(), removed })
    }

    /// Removes a job, with its key unless that leads elsewhere by now.
    pub(super) async fn remove(&self, id: &JobId, key: Option<&str>) -> Result<()> {
        let id = id.as_str();
        let job = Batch::new().remove(RECORDS, id).remove(SUMMARIES, id);
        if let Some(key) = key {
            let both = job.clone().expect(KEYS, key, id.to_owned()).remove(KEYS, key);
            if self.store.write(both).await? == Written::Applied {
                return Ok(());
            }
        }
        self.store.write(job).await.map(|_| ())
    }

    /// Marks the jobs that this server had under way when it ended; how many those were.
    pub(super) async fn interrupt(&self, now: Timestamp) -> Result<usize> {
        let entries = self.entries().await?;
        let ours = |entry: &&Entry| entry.owner == *self.owner && !entry.summary.status.is_final();
        let mut count = 0;
        for entry in entries.iter().filter(ours) {
            let Some(mut record) = self.get(&entry.summary.job_id).await? else {
                self.remove(&entry.summary.job_id, entry.key.as_deref()).await?;
                continue;
            };
            record.finish(Ending::without_report(JobStatus::Interrupted, CRASHED), now);
            // One more event than was told before the crash, as far as that is known.
            record.last_event += 1;
            self.update(&record, entry.key.as_deref()).await?;
            count += 1;
        }
        Ok(count)
    }
}

const CRASHED: &str = "the server ended while the job was under way";

/// The entries to remove, decided without the store.
fn expired(entries: Vec<Entry>, now: Timestamp, ttl: Duration, room: usize) -> Vec<Entry> {
    let mut excess = entries.len().saturating_sub(room);
    let mut ended: Vec<_> = entries.into_iter().filter(|entry| entry.summary.status.is_final()).collect();
    ended.sort_by_key(|entry| entry.summary.finished_at);
    ended.retain(|entry| {
        let age = entry.summary.finished_at.map_or(Duration::MAX, |at| now.since(at));
        let remove = age >= ttl || excess > 0;
        if remove {
            excess = excess.saturating_sub(1);
        }
        remove
    });
    ended
}

fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| Error::store("writing a job", error))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::store("reading a job", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::request::JobRequest;
    use crate::store::Memory;

    const SECOND: i64 = 1_000_000;

    fn job(finished: Option<i64>) -> JobRecord {
        let mut record =
            JobRecord::new(JobId::random(), JobRequest::new("a", "p"), Timestamp::from_micros(0));
        if let Some(second) = finished {
            record.finish(Ending::cancelled(), Timestamp::from_micros(second * SECOND));
        }
        record
    }

    fn shelf() -> Shelf {
        Shelf { store: Arc::new(Memory::new()), owner: "me".into() }
    }

    #[test]
    fn the_old_go_first_and_those_under_way_never() {
        // (finished at, room) -> finish times of what goes, at second 100 with 50 s to live.
        type Row = (&'static [Option<i64>], usize, &'static [i64]);
        let table: [Row; 6] = [
            (&[], 0, &[]),
            (&[Some(50), Some(51), None], 9, &[50]),
            (&[Some(90), Some(80), Some(70)], 2, &[70]),
            (&[Some(90), Some(10), Some(70)], 1, &[10, 70]),
            (&[None, None, Some(99)], 1, &[99]),
            (&[Some(200)], 1, &[]),
        ];
        for (finished, room, gone) in table {
            let entry =
                |at: &Option<i64>| Entry { summary: job(*at).summary(), owner: String::new(), key: None };
            let now = Timestamp::from_micros(100 * SECOND);
            let entries = finished.iter().map(entry).collect();
            let found = expired(entries, now, Duration::from_secs(50), room);
            let found: Vec<_> =
                found.iter().map(|entry| entry.summary.finished_at.unwrap().micros() / SECOND).collect();
            assert_eq!(found, gone, "{finished:?} in {room}");
        }
    }

    #[tokio::test]
    async fn a_key_lives_as_long_as_its_job() {
        let shelf = shelf();
        let (first, second) = (job(Some(1)), job(None));
        assert_eq!(shelf.add(&first, Some("k")).await.unwrap(), Written::Applied);
        assert_eq!(shelf.add(&second, Some("k")).await.unwrap(), Written::Refused);
        assert_eq!(shelf.id_of("k").await.unwrap(), Some(first.job_id.clone()));
        let now = Timestamp::from_micros(9 * SECOND);
        let swept = shelf.sweep(now, Duration::from_secs(5), 9).await.unwrap();
        assert_eq!(swept, Swept { kept: 0, removed: vec![first.job_id] });
        assert_eq!(shelf.id_of("k").await.unwrap(), None);
        // A second sweep that found the same old job must not take the key from the new one.
        assert_eq!(shelf.add(&second, Some("k")).await.unwrap(), Written::Applied);
        shelf.remove(&swept.removed[0], Some("k")).await.unwrap();
        assert_eq!(shelf.id_of("k").await.unwrap(), Some(second.job_id));
    }

    #[tokio::test]
    async fn only_this_servers_jobs_are_interrupted() {
        let shelf = shelf();
        let other = Shelf { owner: "other".into(), ..shelf.clone() };
        let (ours, theirs, done) = (job(None), job(None), job(Some(1)));
        for (shelf, record) in [(&shelf, &ours), (&other, &theirs), (&shelf, &done)] {
            assert_eq!(shelf.add(record, None).await.unwrap(), Written::Applied);
        }
        assert_eq!(shelf.interrupt(Timestamp::from_micros(7 * SECOND)).await.unwrap(), 1);
        let found = shelf.get(&ours.job_id).await.unwrap().unwrap();
        assert_eq!((found.status, found.finished_epoch), (JobStatus::Interrupted, Some(7.0)));
        assert_eq!(shelf.get(&theirs.job_id).await.unwrap(), Some(theirs));
        assert_eq!(shelf.get(&done.job_id).await.unwrap(), Some(done));
        assert_eq!(shelf.interrupt(Timestamp::from_micros(8 * SECOND)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_removed_and_hides_nothing_else() {
        let shelf = shelf();
        let record = job(Some(1));
        assert_eq!(shelf.add(&record, None).await.unwrap(), Written::Applied);
        shelf.store.put(SUMMARIES, "zz", Bytes::from_static(b"{")).await.unwrap();
        assert_eq!(shelf.entries().await.unwrap().len(), 1);
        assert_eq!(shelf.store.get(SUMMARIES, "zz").await.unwrap(), None);
    }
}
