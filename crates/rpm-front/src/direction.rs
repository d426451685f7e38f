//! [`Direction`]: bytes from one connection to another until the end, which is passed on too.
//!
//! Small messages are copied through a buffer that all connections share; a read that fills it
//! begins a bulk transfer, which goes through a pipe without entering this process. Nothing is read
//! before all that was read is written, so a slow reader holds up its writer and costs no memory
//! beyond [`COPY_BYTES`] here or a pipe in the kernel.

use crate::{
    pipes::{PIPE_BYTES, Pipe, Pipes},
    stream::{COPY_BYTES, ReadSide, WriteSide},
};
use rpm_unix::pipe::splice;
use std::io::{self, ErrorKind::WouldBlock};
use tokio::task::coop::consume_budget;

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Direction {
    /// Read, not written yet.
    carried: Vec<u8>,
    /// The reader has come to the end.
    ended: bool,
    /// The last read was large.
    bulk: bool,
}

/// How a direction ended.
#[derive(Debug)]
pub(crate) enum Finish<'a> {
    /// All bytes were passed on, and the end.
    Passed(ReadSide<'a>, WriteSide<'a>),
    /// Whom they come from was reset.
    ReadFailed,
    /// Whom they go to takes no more.
    WriteFailed,
}

/// A connection that one can no longer read from, or write to.
enum Broken {
    Read,
    Write,
}

impl Direction {
    /// Begins with bytes that were read already; `ended`: there are no others.
    pub(crate) fn new(carried: Vec<u8>, ended: bool) -> Self {
        Self { carried, ended, bulk: false }
    }

    /// Moves bytes until the end or a failure.
    pub(crate) async fn run<'a>(
        mut self,
        mut from: ReadSide<'a>,
        to: WriteSide<'a>,
        pipes: &Pipes,
    ) -> Finish<'a> {
        loop {
            match self.step(&mut from, &to, pipes).await {
                Ok(()) if self.ended && self.carried.is_empty() => break,
                Ok(()) => {}
                Err(Broken::Read) => return Finish::ReadFailed,
                Err(Broken::Write) => return Finish::WriteFailed,
            }
        }
        to.shutdown();
        Finish::Passed(from, to)
    }

    async fn step(
        &mut self,
        from: &mut ReadSide<'_>,
        to: &WriteSide<'_>,
        pipes: &Pipes,
    ) -> Result<(), Broken> {
        if !self.carried.is_empty() {
            let carried = std::mem::take(&mut self.carried);
            to.write_all(&carried).await.map_err(|_| Broken::Write)?;
        }
        if self.ended {
            return Ok(());
        }
        let count = if self.bulk { move_pages(from, to, pipes).await? } else { None };
        let count = match count {
            Some(count) => count,
            None => self.copy(from, to).await.map_err(|_| Broken::Read)?,
        };
        self.ended = count == 0;
        self.bulk = count >= COPY_BYTES;
        Ok(())
    }

    /// Reads once and writes what fits; the rest is carried. A write that fails is met again there.
    async fn copy(&mut self, from: &mut ReadSide<'_>, to: &WriteSide<'_>) -> io::Result<usize> {
        let (count, rest) = from
            .read(COPY_BYTES, |bytes| {
                let written = if bytes.is_empty() { 0 } else { to.try_write(bytes).unwrap_or(0) };
                (bytes.len(), bytes.get(written..).unwrap_or_default().to_vec())
            })
            .await?;
        self.carried = rest;
        Ok(count)
    }
}

/// Moves a pipe full. `None`: there is no pipe to be had.
async fn move_pages(
    from: &ReadSide<'_>,
    to: &WriteSide<'_>,
    pipes: &Pipes,
) -> Result<Option<usize>, Broken> {
    loop {
        // Splicing is not tokio's own reading, so it has to say itself that it used its turn.
        consume_budget().await;
        from.readable().await.map_err(|_| Broken::Read)?;
        // Not before there is something to move.
        let Some(loan) = pipes.take() else { return Ok(None) };
        let Some(pipe) = loan.get() else { return Ok(None) };
        match from.try_io(|| splice(from, &pipe.write, PIPE_BYTES)) {
            Ok(count) => {
                empty(pipe, count, to).await.map_err(|_| Broken::Write)?;
                loan.give_back();
                return Ok(Some(count));
            }
            Err(error) if error.kind() == WouldBlock => loan.give_back(),
            Err(_) => return Err(Broken::Read),
        }
    }
}

async fn empty(pipe: &Pipe, mut count: usize, to: &WriteSide<'_>) -> io::Result<()> {
    while count > 0 {
        match to.try_io(|| splice(&pipe.read, to, count)) {
            Ok(moved) => count = count.saturating_sub(moved),
            Err(error) if error.kind() == WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
