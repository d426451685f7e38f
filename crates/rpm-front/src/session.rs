//! [`Session`]: a client, what it has said, and whom it has been given to already.

use crate::{hash, listener::Accepted, policy::Client, stream::Stream, upstream::Key};
use std::{net::SocketAddr, time::Instant};

/// What a client has said and no upstream has answered.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// At most one byte more than [`crate::MAX_REPLAY_BYTES`].
    pub(crate) bytes: Vec<u8>,
    /// The client says no more.
    pub(crate) ended: bool,
}

/// Methods whose repetition may do a thing twice: those that nginx's `proxy_next_upstream` leaves
/// out too (RFC 9110, 9.2.2; RFC 5789; RFC 4918).
const NOT_REPEATED: [&[u8]; 3] = [b"POST ", b"PATCH ", b"LOCK "];

impl Request {
    /// It looks like a request of HTTP that an upstream may have begun to carry out.
    pub(crate) fn must_not_be_repeated(&self) -> bool {
        NOT_REPEATED.iter().any(|method| self.bytes.starts_with(method))
    }
}

/// A client without an answer yet.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) stream: Stream,
    /// `None`: it came over a unix socket.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) client: Client,
    pub(crate) request: Request,
    /// Upstreams that took it and gave no answer.
    pub(crate) tried: Vec<Key>,
    /// How often its bytes were sent again.
    pub(crate) resends: u32,
    /// When it has waited long enough; set when it first has to wait.
    pub(crate) deadline: Option<Instant>,
}

impl Session {
    /// A new client, the `number`th: that is all that tells those of a unix socket apart.
    pub(crate) fn new(accepted: Accepted, number: u64) -> Self {
        let Accepted { stream, peer, listener } = accepted;
        let (ip, socket) = match peer {
            Some(peer) => (hash::of_ip(peer.ip()), hash::of_socket(peer)),
            None => (hash::mix(number), hash::mix(number)),
        };
        let client = Client { ip, socket, listener };
        let request = Request::default();
        Self { stream, peer, client, request, tried: Vec::new(), resends: 0, deadline: None }
    }

    /// Both ends of its connection, for the PROXY protocol.
    pub(crate) fn ends(&self) -> crate::header::Ends {
        Some((self.peer?, self.stream.local_address()?))
    }
}
