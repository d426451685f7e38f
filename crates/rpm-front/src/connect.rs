//! A connection's life as a task: [`connect`] to the upstream chosen for it, and [`serve`] it.
//! Whatever needs another choice is handed back to the engine.

use crate::{
    config::ProxyProtocol,
    direction::Direction,
    exchange::{Opening, exchange},
    header::header,
    pipes::Pipes,
    relay::relay,
    session::Session,
    stream::{Stream, WriteSide},
    upstream::Lease,
};
use nix::libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{task::yield_now, time::timeout};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) connect_timeout: Duration,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    pub(crate) pipes: Pipes,
}

/// What a task came to.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The upstream was down and took the connection; nothing of the request was sent.
    Connected(Box<Session>, Lease, Stream),
    /// It did not take it.
    Refused(Box<Session>, Lease, Fault),
    /// It took it, and went away without an answer.
    Silent(Box<Session>, Lease),
    /// The connection has ended.
    Over,
}

/// Why a connection could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The upstream refuses, or does not accept in time.
    Upstream(io::ErrorKind),
    /// We have no descriptors, ports or memory left, which says nothing about the upstream.
    Own,
}

/// Connects to the upstream and serves the client.
pub(crate) async fn connect(session: Box<Session>, lease: Lease, common: Arc<Common>) -> Stage {
    let connected = {
        let mut opening = pin!(open(&session, &lease, &common));
        tokio::select! {
            biased;
            connected = opening.as_mut() => connected,
            // An upstream on this machine has taken the connection by the next turn. A timer for
            // each of those would be a fifth of all the work.
            () = yield_now() => in_time(opening, common.connect_timeout).await,
        }
    };
    match connected {
        // The engine waits to hear that an upstream is back; of others it expects no less.
        Ok(stream) if lease.trial => Stage::Connected(session, lease, stream),
        Ok(stream) => serve(session, lease, stream, common).await,
        Err(error) => Stage::Refused(session, lease, fault(&error)),
    }
}

async fn in_time<T>(
    opening: impl Future<Output = io::Result<T>>,
    limit: Duration,
) -> io::Result<T> {
    timeout(limit, opening).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn open(session: &Session, lease: &Lease, common: &Common) -> io::Result<Stream> {
    let mut stream = Stream::connect(&lease.address).await?;
    if let Some(version) = common.proxy_protocol {
        let (_, to): (_, WriteSide<'_>) = stream.split();
        to.write_all(&header(version, session.ends())).await?;
    }
    Ok(stream)
}

fn fault(error: &io::Error) -> Fault {
    match error.raw_os_error() {
        Some(EADDRNOTAVAIL | EMFILE | ENFILE | ENOBUFS | ENOMEM) => Fault::Own,
        Some(_) | None => Fault::Upstream(error.kind()),
    }
}

/// Serves a client over a connection to an upstream, to its end or until it needs another upstream.
pub(crate) async fn serve(
    mut session: Box<Session>,
    lease: Lease,
    mut upstream: Stream,
    common: Arc<Common>,
) -> Stage {
    let opening = exchange(&mut session.request, &mut session.stream, &mut upstream).await;
    let (first, sent) = match opening {
        Opening::Answered { first, sent } => (first, sent),
        Opening::Outgrown { sent } => (Vec::new(), sent),
        Opening::Silent => return Stage::Silent(session, lease),
        Opening::Over => return Stage::Over,
        Opening::Gone => {
            upstream.reset();
            return Stage::Over;
        }
    };
    let Session { stream, mut request, .. } = *session;
    let unsent = request.bytes.split_off(sent.min(request.bytes.len()));
    let forward = Direction::new(unsent, request.ended);
    drop(request);
    relay(stream, upstream, forward, Direction::new(first, false), &common.pipes).await;
    drop(lease);
    Stage::Over
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_shortages_are_not_the_upstreams_fault() {
        for number in [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL] {
            assert_eq!(fault(&io::Error::from_raw_os_error(number)), Fault::Own);
        }
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut] {
            assert_eq!(fault(&kind.into()), Fault::Upstream(kind));
        }
    }
}
