//! The accept loop: connections within their limits, until the server drains.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use claude_exec::http::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

use crate::phase::{Phase, Phases};

/// How long a request's head may take, which is also how long an idle connection is kept.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// The pause after a failed `accept`: out of file descriptors, and trying at once fails again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// File descriptors of a connection: its own, and the one that sees a hang-up.
const FILES_PER_CONNECTION: u64 = 2;

/// File descriptors for everything else: four for each process that runs, the store, the log.
const FILES_BESIDES: u64 = 512;

/// Raises this process's limit of open files to what `connections` need, where the system allows it: many start
/// programs with 1024, and `accept` fails beyond.
pub fn allow_files(connections: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let needed = connections as u64 * FILES_PER_CONNECTION + FILES_BESIDES;
    let mut limit = getrlimit(Resource::Nofile);
    let (Some(current), most) = (limit.current, limit.maximum.unwrap_or(u64::MAX)) else { return };
    if current < needed {
        limit.current = Some(needed.min(most));
        let raised = setrlimit(Resource::Nofile, limit);
        if raised.is_err() || most < needed {
            tracing::warn!(needed, most, "few files may be open: connections can fail; raise `ulimit -n`");
        }
    }
}

/// What a role's connections may hold.
#[derive(Debug, Clone, Copy)]
pub struct Buffers {
    /// The most bytes buffered per connection and direction; a head that does not fit is a 431.
    pub ours: usize,
    /// What the kernel holds of an answer whose reader takes nothing, which it doubles. By itself it goes to 4 MiB
    /// per connection, all of it filled before the CLI is held back.
    pub kernel: u32,
}

impl Buffers {
    /// For long prompts and whole answers.
    pub const ROOMY: Self = Self { ours: 64 * 1024, kernel: 256 * 1024 };

    /// For many readers of small events, one of which may be stalled.
    pub const SMALL: Self = Self { ours: 16 * 1024, kernel: 32 * 1024 };
}

/// Listens on `address`; what is set here holds for every connection.
pub fn listen(address: SocketAddr, buffers: Buffers) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart finds the last connections of the server before still in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(buffers.kernel)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The connections of a server.
pub struct Connections {
    places: Arc<Semaphore>,
    most: u32,
    write_stall: Duration,
    buffers: Buffers,
}

impl Connections {
    pub fn new(most: usize, write_stall: Duration, buffers: Buffers) -> Self {
        Self {
            places: Arc::new(Semaphore::new(most)),
            most: u32::try_from(most).unwrap_or(u32::MAX),
            write_stall,
            buffers,
        }
    }

    /// Serves `listener` until the server drains, then closes it. Connections go on, each to the end of what
    /// it was asked.
    pub async fn serve<H, F>(&self, listener: TcpListener, mut phases: Phases, handle: H)
    where
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        loop {
            let accepted = tokio::select! {
                () = phases.reached(Phase::Draining) => return,
                accepted = self.accept(&listener) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let (phases, handle) = (phases.clone(), handle.clone());
                    let (stall, buffers) = (self.write_stall, self.buffers);
                    tokio::spawn(async move {
                        let handle = move |request| handle(request, peer);
                        converse(stream, stall, buffers, phases, handle).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A place first, then the connection: with none free, new connections wait in the kernel.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer, place))
    }

    /// Waits until no connection is left.
    pub async fn idle(&self) {
        let _ = self.places.acquire_many(self.most).await;
    }
}

async fn converse<H, F>(
    stream: TcpStream,
    write_stall: Duration,
    buffers: Buffers,
    mut phases: Phases,
    handle: H,
) where
    H: Fn(Request<Incoming>) -> F + Send,
    F: Future<Output = Response<Body>> + Send,
{
    // Deltas are small: without this, each waits for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let hung_up = hung_up(&stream);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_stall));
    let service = service_fn(move |request| {
        let response = handle(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(buffers.ours)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let served = async {
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = phases.reached(Phase::Draining) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    tokio::select! {
        biased; // what is answered at once is answered to one who has said all and closed its side, too
        ended = served => if let Err(error) = ended {
            tracing::debug!(%error, "connection ended early");
        },
        () = hung_up => tracing::debug!("the peer hung up"),
    }
}

/// Resolves when the peer has closed its side, which ends the connection with all that it asked for.
///
/// hyper sees that too, but only until a byte comes that belongs to no request yet: a stray line end, or the next
/// request sent ahead, would keep a run alive that nobody waits for.
fn hung_up(stream: &TcpStream) -> impl Future<Output = ()> + use<> {
    // A descriptor of its own: the events of the stream's are hyper's.
    let watched = stream.as_fd().try_clone_to_owned().and_then(|socket| TcpStream::from_std(socket.into()));
    async move {
        match watched {
            Ok(watched) => read_closed(&watched).await,
            Err(error) => {
                tracing::warn!(%error, "cannot watch a connection");
                std::future::pending().await
            }
        }
    }
}

async fn read_closed(stream: &TcpStream) {
    while stream.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
        // Bytes, which are hyper's to read: what would block makes tokio wait for the next event.
        let _ = stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
}
