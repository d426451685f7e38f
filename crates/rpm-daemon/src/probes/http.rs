//! Asks over HTTP/1.1. Where instances share a port, an answer may be another's: then it asks on
//! new connections until the one it means has accepted one, which the process table tells.

use super::ask::Shared;
use crate::tree::{self, Leader};
use http_body_util::Empty;
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1::handshake,
    header::{HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    task::JoinSet,
};

/// So many connections for each instance that shares the port, and so many at most: with eight
/// each, one that serves is missed once in 3,000 times.
const TRIES_EACH: u32 = 8;
const MAX_TRIES: u32 = 128;
/// A connection that waits longer than this may be in the queue of an instance that hangs: the next
/// is begun beside it.
const STALL: Duration = Duration::from_millis(100);

/// Who answered, and what.
enum Answer {
    Own(Result<(), String>),
    /// Another instance, or somebody who cannot be told.
    Other,
    /// Nobody.
    None(String),
}

/// Asks `url` for a status from 200 to 399; of the worker with this leader, where so many share the
/// port.
pub(super) async fn get(url: &str, sharing: Option<&Shared>) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|error| format!("no URL: {error}"))?;
    let Some(shared) = sharing else {
        let (_, stream) = open(&uri, false).await?;
        let (status, _open) = request(&uri, stream).await?;
        return judge(status);
    };
    let mut left = shared.instances.saturating_mul(TRIES_EACH).clamp(1, MAX_TRIES);
    let mut running = JoinSet::new();
    let mut missed = None;
    loop {
        if left > 0 {
            left -= 1;
            running.spawn_local(attempt(uri.clone(), shared.leader.clone()));
        }
        tokio::select! {
            done = running.join_next() => match done {
                Some(Ok(Answer::Own(answer))) => return answer,
                Some(Ok(Answer::None(reason))) => missed = Some(reason),
                Some(Ok(Answer::Other) | Err(_)) => {}
                None => return missed.map_or_else(|| shared.missed(), Err),
            },
            () = tokio::time::sleep(STALL), if left > 0 => {}
        }
    }
}

async fn attempt(uri: Uri, leader: Leader) -> Answer {
    let (from, stream) = match open(&uri, true).await {
        Ok(opened) => opened,
        Err(reason) => return Answer::None(reason),
    };
    let answer = request(&uri, stream).await;
    let is_own = rpm_unix::procfd::has_accepted(&tree::pids(&tree::members(&leader, &[])), from);
    match answer {
        Ok((status, _open)) if is_own => Answer::Own(judge(status)),
        Ok(_) => Answer::Other,
        Err(reason) => Answer::None(reason),
    }
}

/// Varied: from another address of the loopback network each time, so that even `ip_hash` has a
/// choice.
async fn open(uri: &Uri, varied: bool) -> Result<(SocketAddr, TcpStream), String> {
    let host = uri.host().ok_or("no host")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let words = |error: std::io::Error| error.to_string();
    let found = lookup_host((host, uri.port_u16().unwrap_or(80))).await.map_err(words)?;
    let mut last = "no such host".to_owned();
    for address in found {
        match connect(address, varied).await {
            Ok(stream) => return Ok((stream.local_addr().map_err(words)?, stream)),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

async fn connect(address: SocketAddr, varied: bool) -> std::io::Result<TcpStream> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    match address.ip() {
        IpAddr::V4(to) if varied && to.is_loopback() => {}
        IpAddr::V4(_) | IpAddr::V6(_) => return TcpStream::connect(address).await,
    }
    let [_, _, c, d] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 1, c, d.max(1)), 0).into())?;
    socket.connect(address).await
}

/// The status, and what keeps the connection open, so that one can still see whose it is.
async fn request(uri: &Uri, stream: TcpStream) -> Result<(StatusCode, impl Sized + use<>), String> {
    let words = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(words)?;
    tokio::task::spawn_local(connection);
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, "rpm-probe")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(words)?;
    Ok((response.status(), (sender, response)))
}

/// A redirection is an answer of a server that works.
fn judge(status: StatusCode) -> Result<(), String> {
    let is_good = status.is_success() || status.is_redirection();
    if is_good { Ok(()) } else { Err(format!("answered {status}")) }
}
