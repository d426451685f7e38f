//! [`Pm2`]: a client of a PM2 that runs, for taking over what it has.

use crate::amp::{AmpError, Argument, Decoder, encode};
use serde_json::{Value, json};
use std::{fmt, io, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// The longest answer in bytes: thousands of processes, each with its environment three times.
pub const MAX_ANSWER: usize = 256 << 20;
/// How long PM2 may take for an answer: a process may take its whole `kill_timeout` to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection to PM2's `rpc.sock`.
#[derive(Debug)]
pub struct Pm2 {
    stream: UnixStream,
    decoder: Decoder,
    next: u64,
}

/// Why PM2 could not be asked, or what it answered.
#[derive(Debug)]
pub enum Pm2Error {
    /// Nobody listens there.
    NotRunning(io::Error),
    /// The connection failed or ended.
    Io(io::Error),
    /// What came is none of its protocol.
    Malformed(AmpError),
    /// It did not answer for this long.
    Silent(Duration),
    /// It refused, in its words.
    Refused(String),
}

impl Pm2 {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// [`Pm2Error::NotRunning`].
    pub async fn connect(path: &Path) -> Result<Self, Pm2Error> {
        let stream = UnixStream::connect(path).await.map_err(Pm2Error::NotRunning)?;
        Ok(Self { stream, decoder: Decoder::new(MAX_ANSWER), next: 0 })
    }

    /// Calls a method with one argument; its first result.
    ///
    /// # Errors
    /// See [`Pm2Error`]; after anything but `Refused` the connection is of no further use.
    pub async fn call(&mut self, method: &str, argument: Value) -> Result<Value, Pm2Error> {
        let id = format!("rpm:{}", self.next);
        self.next = self.next.saturating_add(1);
        let call = json!({ "type": "call", "method": method, "args": [argument] });
        let bytes = encode(&[Argument::Json(call), Argument::Text(id.clone())]);
        let answered = timeout(PATIENCE, async {
            self.stream.write_all(&bytes).await.map_err(Pm2Error::Io)?;
            self.answer_to(&id).await
        });
        let mut answer = answered.await.map_err(|_| Pm2Error::Silent(PATIENCE))??;
        if let Some(error) = answer.get("error") {
            return Err(Pm2Error::Refused(error.as_str().unwrap_or("without a reason").to_owned()));
        }
        Ok(answer.pointer_mut("/args/0").map(Value::take).unwrap_or_default())
    }

    async fn answer_to(&mut self, wanted: &str) -> Result<Value, Pm2Error> {
        loop {
            while let Some(mut message) = self.decoder.next().map_err(Pm2Error::Malformed)? {
                if let (Some(Argument::Text(id)), Some(Argument::Json(answer))) =
                    (message.pop(), message.pop())
                    && id == wanted
                {
                    return Ok(answer);
                }
            }
            let read = self.stream.read_buf(self.decoder.buffer()).await.map_err(Pm2Error::Io)?;
            if read == 0 {
                return Err(Pm2Error::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

impl fmt::Display for Pm2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(error) => write!(f, "no PM2 answers: {error}"),
            Self::Io(error) => write!(f, "the connection to PM2 failed: {error}"),
            Self::Malformed(error) => write!(f, "PM2's answer is not understood: {error}"),
            Self::Silent(limit) => write!(f, "PM2 did not answer for {} s", limit.as_secs()),
            Self::Refused(reason) => write!(f, "PM2 refused: {reason}"),
        }
    }
}

impl std::error::Error for Pm2Error {}
