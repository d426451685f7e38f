//! The client's end: [`Client`] asks the daemon, one request or many at once.
//!
//! It starts no daemon and prints nothing. Each method waits as long as the daemon takes.

use crate::{
    EventView, Request, RpcError, Targets, VERSION, Welcome,
    frame::{FrameError, LineReader, MAX_REQUEST, MAX_RESPONSE},
    rpc::{self, Id, Incoming},
    stream::Shared,
};
use interprocess::{
    local_socket::{ConnectOptions, GenericFilePath, ToFsName as _},
    os::unix::uds_local_socket::tokio::Stream,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::AsyncWriteExt;

/// How many successors of a daemon are asked what it did not live to answer: more deaths in a row
/// are no accident, and the person is told.
const ASKED_AGAIN: usize = 5;

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    lines: LineReader<Shared>,
    out: Shared,
    next_id: u64,
    path: PathBuf,
}

/// The event stream of a daemon.
#[derive(Debug)]
pub struct Events {
    client: Client,
}

/// Why a daemon could not be asked, or what it answered.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens there: no daemon runs.
    NobodyListens,
    /// The socket is there and cannot be connected to.
    Connect(io::Error),
    /// The daemon went away before it answered.
    Closed,
    /// The connection failed.
    Frame(FrameError),
    /// What came is none of this protocol.
    Malformed(serde_json::Error),
    /// The request cannot be written as JSON.
    Unspeakable(serde_json::Error),
    /// The request is longer than a daemon takes.
    TooLong(usize),
    /// The daemon refused, or it failed.
    Rpc(RpcError),
}

impl Client {
    /// Connects to the socket at `path`; nothing is said yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::NobodyListens`] or [`ClientError::Connect`].
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let name = path.to_fs_name::<GenericFilePath>().map_err(ClientError::Connect)?;
        let stream = ConnectOptions::new().name(name).connect_tokio_as::<Stream>().await;
        let stream = Shared(Arc::new(stream.map_err(ClientError::of_connect)?));
        let lines = LineReader::new(stream.clone(), MAX_RESPONSE);
        Ok(Self { lines, out: stream, next_id: 1, path: path.to_owned() })
    }

    /// The version handshake. Waits until the daemon takes the connection: while it is being
    /// replaced, that is a while.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; the daemon's version is too far from ours.
    pub async fn hello(&mut self) -> Result<Welcome, ClientError> {
        self.call(Request::Hello { version: VERSION }).await
    }

    /// Asks and waits for the answer. If the daemon dies meanwhile its successor is asked, where
    /// the request [only looks](Request::only_looks).
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; after anything but `Rpc` the connection is of no further use.
    pub async fn call<T: DeserializeOwned>(&mut self, request: Request) -> Result<T, ClientError> {
        for _ in 0..ASKED_AGAIN {
            if !request.only_looks() {
                break;
            }
            match self.ask(request.clone()).await {
                Err(ClientError::Closed) => match Self::connect(&self.path).await {
                    Ok(next) => *self = next,
                    Err(ClientError::NobodyListens) => return Err(ClientError::Closed),
                    Err(error) => return Err(error),
                },
                result => return result,
            }
        }
        self.ask(request).await
    }

    async fn ask<T: DeserializeOwned>(&mut self, request: Request) -> Result<T, ClientError> {
        let mut answers = self.call_many(vec![request]).await?;
        let answer = answers.pop().ok_or(ClientError::Closed)?;
        answer.map_err(ClientError::Rpc)
    }

    /// Asks all at once; the answers are in the order of the requests.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; what the daemon answered to each request is inside.
    pub async fn call_many<T: DeserializeOwned>(
        &mut self,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<T, RpcError>>, ClientError> {
        let (bytes, first) = self.lines_of(&requests)?;
        let mut out = self.out.clone();
        let write = async { out.write_all(&bytes).await };
        let read = read_answers(&mut self.lines, first, requests.len());
        // Reading goes on while writing does: neither side's buffer can fill up for good. What the
        // daemon said before it hung up tells more than the failed write.
        let (_, answers) = tokio::join!(write, read);
        answers
    }

    /// Asks for the event stream, from `since` on, or from now on.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn events(
        mut self,
        since: Option<u64>,
        targets: Targets,
    ) -> Result<Events, ClientError> {
        let () = self.call(Request::Events { since, targets }).await?;
        Ok(Events { client: self })
    }

    fn lines_of(&mut self, requests: &[Request]) -> Result<(Vec<u8>, u64), ClientError> {
        let first = self.next_id;
        let mut bytes = Vec::new();
        for request in requests {
            let line =
                rpc::request_line(self.next_id, request).map_err(ClientError::Unspeakable)?;
            if line.len() > MAX_REQUEST {
                return Err(ClientError::TooLong(line.len()));
            }
            bytes.extend(line);
            self.next_id = self.next_id.saturating_add(1);
        }
        Ok((bytes, first))
    }
}

impl Events {
    /// The next event; `None` when the daemon went away. May be cancelled.
    ///
    /// # Errors
    ///
    /// The connection failed, or what came is none of this protocol.
    pub async fn next(&mut self) -> Result<Option<EventView>, ClientError> {
        while let Some(line) = self.client.lines.next().await.map_err(ClientError::of_frame)? {
            match rpc::parse_answer::<IgnoredAny>(&line).map_err(ClientError::Malformed)? {
                Incoming::Event(event) => return Ok(Some(*event)),
                Incoming::Answer(..) | Incoming::Unknown => {}
            }
        }
        Ok(None)
    }
}

type Answer<T> = Result<T, RpcError>;

/// The answers to the requests `first..first + count`, which come in any order.
async fn read_answers<T: DeserializeOwned>(
    lines: &mut LineReader<Shared>,
    first: u64,
    count: usize,
) -> Result<Vec<Answer<T>>, ClientError> {
    let mut answers: Vec<Option<Answer<T>>> = (0..count).map(|_| None).collect();
    let mut missing = count;
    while missing > 0 {
        let line = lines.next().await.map_err(ClientError::of_frame)?.ok_or(ClientError::Closed)?;
        let Incoming::Answer(id, answer) =
            rpc::parse_answer(&line).map_err(ClientError::Malformed)?
        else {
            continue;
        };
        match slot(&id, first, &mut answers) {
            Some(slot) => {
                *slot = Some(answer);
                missing = missing.saturating_sub(1);
            }
            // Told to no request in particular: the daemon refuses this client.
            None => answer.map(|_| ()).map_err(ClientError::Rpc)?,
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Where the answer to `id` belongs, if it is asked for and not there yet.
fn slot<'a, T>(
    id: &Id,
    first: u64,
    answers: &'a mut [Option<Answer<T>>],
) -> Option<&'a mut Option<Answer<T>>> {
    let Id::Number(number) = id else { return None };
    let index = usize::try_from(number.as_u64()?.checked_sub(first)?).ok()?;
    answers.get_mut(index).filter(|slot| slot.is_none())
}

impl ClientError {
    fn of_connect(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::NobodyListens,
            _ => Self::Connect(error),
        }
    }

    /// A reset is how a daemon that died is seen: it had not read all that was sent.
    fn of_frame(error: FrameError) -> Self {
        match error {
            FrameError::Cut => Self::Closed,
            FrameError::Io(error) if error.kind() == io::ErrorKind::ConnectionReset => Self::Closed,
            FrameError::Io(_) | FrameError::TooLong(_) => Self::Frame(error),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyListens => f.write_str("no daemon runs"),
            Self::Connect(error) => {
                write!(f, "the daemon's socket cannot be connected to: {error}")
            }
            Self::Closed => f.write_str("the daemon went away before it answered"),
            Self::Frame(error) => error.fmt(f),
            Self::Malformed(error) => write!(f, "the daemon's answer is not understood: {error}"),
            Self::Unspeakable(error) => write!(f, "the request cannot be sent: {error}"),
            Self::TooLong(bytes) => {
                write!(f, "the request has {bytes} bytes, a daemon takes {MAX_REQUEST}")
            }
            Self::Rpc(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}
