//! [`exchange`]: the beginning of a connection, while no upstream has answered it. All that the
//! client has said is kept, so that it can be said again to another upstream.

use crate::{
    session::Request,
    stream::{ReadSide, Stream, WriteSide},
};
use std::io;

/// What is kept of what a client said. More than nearly every request has before its body.
pub const MAX_REPLAY_BYTES: usize = 16 << 10;

/// How the beginning ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The upstream said this, and has `sent` bytes of the request.
    Answered { first: Vec<u8>, sent: usize },
    /// The client said more than is kept; the upstream has `sent` bytes of that.
    Outgrown { sent: usize },
    /// The upstream went away without a word.
    Silent,
    /// Both have nothing more to say.
    Over,
    /// The client was reset.
    Gone,
}

/// Passes the request on until there is an answer or the request is too long to be kept.
pub(crate) async fn exchange(
    request: &mut Request,
    client: &mut Stream,
    upstream: &mut Stream,
) -> Opening {
    let (mut from_client, to_client) = client.split();
    let (mut from_upstream, to_upstream) = upstream.split();
    let mut sending = Sending { to: to_upstream, sent: 0, stopped: false };
    loop {
        sending.send(request);
        if request.bytes.len() > MAX_REPLAY_BYTES {
            return Opening::Outgrown { sent: sending.sent };
        }
        let more = sending.has_more(request);
        // One byte beyond what is kept tells that there is more than that.
        let room = MAX_REPLAY_BYTES + 1 - request.bytes.len();
        tokio::select! {
            biased;
            answer = from_upstream.read(usize::MAX, <[u8]>::to_vec) => {
                return opening(answer, sending.sent, request);
            }
            read = append(&mut from_client, &mut request.bytes, room), if !request.ended => {
                match read {
                    Ok(count) => request.ended = count == 0,
                    Err(_) => return Opening::Gone,
                }
            }
            // Reading would tell it, but there is nothing left to read.
            () = to_client.failed(), if request.ended => return Opening::Gone,
            _writable = sending.to.writable(), if more => {}
        }
    }
}

fn opening(answer: io::Result<Vec<u8>>, sent: usize, request: &Request) -> Opening {
    match answer {
        Ok(first) if !first.is_empty() => Opening::Answered { first, sent },
        // A client that ends first and gets an end is served: not every protocol answers.
        Ok(_) if request.ended && sent == request.bytes.len() => Opening::Over,
        Err(_) if request.ended && request.bytes.is_empty() => Opening::Over,
        Ok(_) | Err(_) => Opening::Silent,
    }
}

async fn append(from: &mut ReadSide<'_>, bytes: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    let mut add = |read: &[u8]| {
        bytes.extend_from_slice(read);
        read.len()
    };
    from.read(room, &mut add).await
}

/// How far the request has got.
struct Sending<'a> {
    to: WriteSide<'a>,
    sent: usize,
    /// Nothing more is sent: the end was, or the upstream takes no more. What it said before may
    /// still come.
    stopped: bool,
}

impl Sending<'_> {
    fn has_more(&self, request: &Request) -> bool {
        !self.stopped && self.sent < request.bytes.len()
    }

    fn send(&mut self, request: &Request) {
        if self.has_more(request) {
            match self.to.try_write(request.bytes.get(self.sent..).unwrap_or_default()) {
                Ok(count) => self.sent += count,
                Err(error) => self.stopped = error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        if request.ended && !self.stopped && self.sent == request.bytes.len() {
            self.to.shutdown();
            self.stopped = true;
        }
    }
}
