//! The one writer of a log, and what its readers wait on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use claude_exec::store::Written;
use claude_exec::{Error, Result};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::entry::Entry;
use super::id::EventId;
use super::store::LogStore;
use super::window::{Bounds, Window};

/// How long text may wait for more text, so that a disk takes 20 writes a second and not one per token. The
/// first piece after a silence does not wait.
const BATCH: Duration = Duration::from_millis(50);

/// Text that waits at most; a talker who is faster waits for the disk.
const BATCH_BYTES: usize = 64 * 1024;

/// Appends that may wait for the disk; whoever is next waits to be taken.
const QUEUE: usize = 64;

/// An event that has no id yet.
#[derive(Clone, PartialEq)]
pub struct Draft {
    name: &'static str,
    body: Body,
}

#[derive(Clone, PartialEq)]
enum Body {
    Json(String),
    Text { at: u64, turn: u64, block: u64, text: String },
}

impl Draft {
    /// An event whose data is this JSON.
    pub fn new(name: &'static str, data: String) -> Self {
        Self { name, body: Body::Json(data) }
    }

    /// A piece of text of one block of one turn. What follows on it before it is written becomes one event with
    /// it: `{"at":…,"turn":…,"block":…,"text":"…"}`.
    pub fn text(name: &'static str, at: u64, turn: u64, block: u64, text: impl Into<String>) -> Self {
        Self { name, body: Body::Text { at, turn, block, text: text.into() } }
    }

    fn bytes(&self) -> usize {
        match &self.body {
            Body::Json(data) => data.len(),
            Body::Text { text, .. } => text.len(),
        }
    }

    /// Takes `next` in, when it goes on where this ends.
    fn absorb(&mut self, next: &Self) -> bool {
        match (&mut self.body, &next.body) {
            (Body::Text { turn, block, text, .. }, Body::Text { turn: t, block: b, text: more, .. })
                if self.name == next.name && *turn == *t && *block == *b =>
            {
                text.push_str(more);
                true
            }
            _ => false,
        }
    }

    fn to_entry(&self, id: EventId) -> Entry {
        match &self.body {
            Body::Json(data) => Entry::new(id, self.name, data),
            Body::Text { at, turn, block, text } => {
                let text = serde_json::Value::from(text.as_str());
                let data = format!(r#"{{"at":{at},"turn":{turn},"block":{block},"text":{text}}}"#);
                Entry::new(id, self.name, &data)
            }
        }
    }
}

/// Shows no data.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.bytes())
    }
}

/// A log that is open: appends to it, and readers of it. Clones share it.
#[derive(Clone)]
pub struct Journal {
    appends: mpsc::Sender<Append>,
    shared: Arc<Shared>,
}

struct Shared {
    window: Mutex<Window>,
    head: watch::Sender<EventId>,
    /// The epoch of the writer; before its first append, that of the writer before it.
    epoch: Mutex<u64>,
    /// Why text that nobody waited for was not written, until its writer asks.
    lost: Mutex<Option<Error>>,
}

struct Append {
    drafts: Vec<Draft>,
    done: Option<oneshot::Sender<Result<EventId>>>,
}

impl Journal {
    /// Opens a log. It is claimed with the first append, so reading needs no disk that can be written.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn open(store: Arc<dyn LogStore>, log: String, bounds: Bounds) -> Result<Self> {
        let loaded = store.load(&log).await?;
        let window = Window::of(loaded.entries, bounds);
        let head = watch::Sender::new(window.head());
        let shared = Arc::new(Shared {
            window: Mutex::new(window),
            head,
            epoch: Mutex::new(loaded.epoch),
            lost: Mutex::default(),
        });
        let (appends, queue) = mpsc::channel(QUEUE);
        let writer = Writer { store, log, shared: Arc::clone(&shared), claimed: false };
        tokio::spawn(writer.run(queue));
        Ok(Self { appends, shared })
    }

    /// Adds events, and returns the last one's id when all of them are on the disk, and before it what was
    /// appended earlier.
    ///
    /// # Errors
    ///
    /// When the store cannot be written, or another process has claimed the log; then none of them is shown.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave them to be written.
    pub async fn append(&self, drafts: Vec<Draft>) -> Result<EventId> {
        let (done, written) = oneshot::channel();
        self.send(Append { drafts, done: Some(done) }).await?;
        written.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Adds text that may wait for more of it, up to 50 ms. Returns when it is taken.
    ///
    /// # Errors
    ///
    /// When text that was taken before could not be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave it to be written.
    pub async fn append_soon(&self, draft: Draft) -> Result<()> {
        if let Some(error) = lock(&self.shared.lost).take() {
            return Err(error);
        }
        self.send(Append { drafts: vec![draft], done: None }).await
    }

    /// The head, for whoever waits for events: it changes when they are on the disk.
    pub fn head(&self) -> watch::Receiver<EventId> {
        self.shared.head.subscribe()
    }

    /// Wakes whoever waits for events, without one: something else has changed.
    pub fn wake(&self) {
        self.shared.head.send_modify(|_| {});
    }

    /// The epoch of the last claim.
    pub fn epoch(&self) -> u64 {
        *lock(&self.shared.epoch)
    }

    /// Looks at what is kept. Not for long: the writer waits.
    pub fn read<T>(&self, look: impl FnOnce(&Window) -> T) -> T {
        look(&lock(&self.shared.window))
    }

    /// How many readers wait for the head.
    pub fn readers(&self) -> usize {
        self.shared.head.receiver_count()
    }

    async fn send(&self, append: Append) -> Result<()> {
        self.appends.send(append).await.map_err(|_| gone())
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = *self.shared.head.borrow();
        f.debug_struct("Journal").field("head", &head).finish_non_exhaustive()
    }
}

struct Writer {
    store: Arc<dyn LogStore>,
    log: String,
    shared: Arc<Shared>,
    claimed: bool,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Append>) {
        let mut due = Instant::now();
        while let Some(append) = queue.recv().await {
            let mut batch = Batch::default();
            batch.add(append);
            while batch.may_wait() {
                match timeout_at(due, queue.recv()).await {
                    Ok(Some(append)) => batch.add(append),
                    Ok(None) | Err(_) => break,
                }
            }
            while let Some(append) = queue.try_recv().ok().filter(|_| batch.bytes < BATCH_BYTES) {
                batch.add(append);
            }
            due = Instant::now() + BATCH;
            let written = self.write(&batch.drafts).await;
            if let (Err(error), true) = (&written, batch.unwatched) {
                *lock(&self.shared.lost) = Some(error.clone());
            }
            for done in batch.done {
                // Whoever no longer waits does not want to know.
                let _ = done.send(written.clone());
            }
        }
    }

    async fn write(&mut self, drafts: &[Draft]) -> Result<EventId> {
        let (head, first) = {
            let window = lock(&self.shared.window);
            (window.head(), window.first())
        };
        if drafts.is_empty() {
            return Ok(head);
        }
        if !self.claimed {
            *lock(&self.shared.epoch) = self.store.claim(&self.log).await?;
            self.claimed = true;
        }
        let epoch = *lock(&self.shared.epoch);
        let ids = (head.seq + 1..).map(|seq| EventId { epoch, seq });
        let entries: Vec<Entry> = drafts.iter().zip(ids).map(|(draft, id)| draft.to_entry(id)).collect();
        if self.store.append(&self.log, &entries, first.seq).await? == Written::Refused {
            return Err(Error::conflict("another server has taken over this session's log"));
        }
        let head = {
            let mut window = lock(&self.shared.window);
            entries.into_iter().for_each(|entry| window.push(entry));
            window.head()
        };
        self.shared.head.send_replace(head);
        Ok(head)
    }
}

/// What goes to the disk at once.
#[derive(Default)]
struct Batch {
    drafts: Vec<Draft>,
    done: Vec<oneshot::Sender<Result<EventId>>>,
    bytes: usize,
    /// Some of it has nobody who waits for it.
    unwatched: bool,
}

impl Batch {
    fn add(&mut self, append: Append) {
        self.unwatched |= append.done.is_none();
        self.done.extend(append.done);
        for draft in append.drafts {
            self.bytes += draft.bytes();
            if !self.drafts.last_mut().is_some_and(|last| last.absorb(&draft)) {
                self.drafts.push(draft);
            }
        }
    }

    fn may_wait(&self) -> bool {
        self.done.is_empty() && self.bytes < BATCH_BYTES
    }
}

fn gone() -> Error {
    Error::store("writing a session's log", "its writer has ended")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is done under these locks cannot panic halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use claude_exec::store::Memory;
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::super::embedded::EmbeddedLog;
    use super::super::store::Loaded;
    use super::super::window::Read;
    use super::*;

    /// A log store whose disk is full while it is told to be.
    struct Disk {
        log: EmbeddedLog,
        full: AtomicBool,
        writes: AtomicUsize,
    }

    impl LogStore for Disk {
        fn load<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<Loaded>> {
            self.log.load(log)
        }
        fn claim<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<u64>> {
            self.log.claim(log)
        }
        fn append<'a>(
            &'a self,
            log: &'a str,
            entries: &'a [Entry],
            first: u64,
        ) -> BoxFuture<'a, Result<Written>> {
            self.writes.fetch_add(1, Ordering::SeqCst);
            if self.full.load(Ordering::SeqCst) {
                return async { Err(Error::store("writing", "no space left on device")) }.boxed();
            }
            self.log.append(log, entries, first)
        }
        fn delete<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<()>> {
            self.log.delete(log)
        }
        fn owner(&self, epoch: u64) -> BoxFuture<'_, Result<Option<String>>> {
            self.log.owner(epoch)
        }
    }

    fn disk() -> Arc<Disk> {
        let log = EmbeddedLog::new(Arc::new(Memory::new()));
        Arc::new(Disk { log, full: AtomicBool::new(false), writes: AtomicUsize::new(0) })
    }

    async fn open(disk: &Arc<Disk>) -> Journal {
        Journal::open(Arc::clone(disk) as Arc<dyn LogStore>, "a".to_owned(), Bounds::default()).await.unwrap()
    }

    fn draft(n: u64) -> Draft {
        Draft::new("user", format!("{{\"n\":{n}}}"))
    }

    fn rows(journal: &Journal) -> Vec<String> {
        let mut rows = String::new();
        journal.read(|window| window.entries().for_each(|entry| entry.write_row(&mut rows)));
        rows.lines().map(str::to_owned).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn text_is_joined_and_what_must_be_kept_pushes_it_out() {
        let disk = disk();
        let journal = open(&disk).await;
        assert_eq!(journal.append(vec![draft(1)]).await.unwrap(), EventId::new(1, 1));
        for piece in ["a", "b", "c"] {
            journal.append_soon(Draft::text("delta", 5, 1, 0, piece)).await.unwrap();
        }
        journal.append_soon(Draft::text("delta", 6, 1, 1, "d")).await.unwrap();
        assert_eq!(journal.append(vec![draft(2)]).await.unwrap(), EventId::new(1, 4));
        assert_eq!(
            rows(&journal),
            [
                r#"1-1 user {"n":1}"#,
                r#"1-2 delta {"at":5,"turn":1,"block":0,"text":"abc"}"#,
                r#"1-3 delta {"at":6,"turn":1,"block":1,"text":"d"}"#,
                r#"1-4 user {"n":2}"#,
            ]
        );
        assert_eq!(disk.writes.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn text_waits_50_ms_at_most() {
        let journal = open(&disk()).await;
        let mut head = journal.head();
        journal.append(vec![draft(1)]).await.unwrap();
        let start = Instant::now();
        journal.append_soon(Draft::text("delta", 5, 1, 0, "x")).await.unwrap();
        head.wait_for(|head| head.seq == 2).await.unwrap();
        assert!(start.elapsed() <= BATCH, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn what_is_not_on_the_disk_is_not_shown_and_its_number_is_used_again() {
        let disk = disk();
        let journal = open(&disk).await;
        journal.append(vec![draft(1)]).await.unwrap();
        disk.full.store(true, Ordering::SeqCst);
        assert!(journal.append(vec![draft(2)]).await.unwrap_err().to_string().contains("no space left"));
        assert_eq!(*journal.head().borrow(), EventId::new(1, 1));
        journal.append_soon(Draft::text("delta", 5, 1, 0, "x")).await.unwrap();
        journal.append(vec![]).await.ok();
        assert!(journal.append_soon(Draft::text("delta", 5, 1, 0, "y")).await.is_err(), "told once");
        disk.full.store(false, Ordering::SeqCst);
        assert_eq!(journal.append(vec![draft(3)]).await.unwrap(), EventId::new(1, 2));
        assert_eq!(rows(&journal), [r#"1-1 user {"n":1}"#, r#"1-2 user {"n":3}"#]);
    }

    #[tokio::test]
    async fn a_second_process_takes_over_and_the_first_can_write_no_more() {
        let disk = disk();
        let first = open(&disk).await;
        first.append(vec![draft(1), draft(2)]).await.unwrap();
        let second = open(&disk).await;
        assert_eq!(second.epoch(), 1, "not claimed before it writes");
        assert_eq!(second.append(vec![draft(3)]).await.unwrap(), EventId::new(2, 3));
        assert!(first.append(vec![draft(4)]).await.unwrap_err().is_conflict());
        let cursor = EventId::new(1, 2);
        let block = Entry::new(EventId::new(2, 3), "user", r#"{"n":3}"#).block().clone();
        assert_eq!(second.read(|window| window.read(cursor, 9)), Read::Blocks(block, EventId::new(2, 3)));
    }
}
