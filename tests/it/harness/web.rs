//! Who answers on a port: every fixture that serves says so in its body.

use super::http::{Response, get};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// So many requests at least find every one of a few workers, wherever the kernel sends each.
const TRIES: usize = 500;
/// A worker may still be coming up beside others that answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who gave an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) pid: u32,
    /// `NODE_APP_INSTANCE` as the worker sees it.
    pub(crate) instance: Option<String>,
}

impl Who {
    /// Reads an answer's body.
    pub(crate) fn of(response: &Response) -> io::Result<Self> {
        let problem = || io::Error::other(format!("{}: {}", response.status, response.body));
        let body: Value = serde_json::from_str(&response.body).map_err(|_| problem())?;
        let pid = body["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.filter(|_| response.status == 200).ok_or_else(problem)?;
        Ok(Self { pid, instance: body["instance"].as_str().map(str::to_owned) })
    }
}

/// One request, which must be answered.
pub(crate) fn ask(port: u16) -> Who {
    let response = get(port, "/").unwrap_or_else(|error| panic!("port {port}: {error}"));
    Who::of(&response).expect("an answer of a fixture")
}

/// The workers that answer on a port, asked until `count` different ones did.
pub(crate) fn who_answers(port: u16, count: usize) -> Vec<Who> {
    let mut found: Vec<Who> = Vec::new();
    let (mut asked, deadline) = (0, Instant::now() + PATIENCE);
    while asked < TRIES || Instant::now() < deadline {
        asked += 1;
        let who = ask(port);
        if !found.contains(&who) {
            found.push(who);
        }
        if found.len() == count {
            found.sort_by_key(|who| who.pid);
            return found;
        }
    }
    panic!("{asked} requests on {port} reached {found:?} only, not {count} workers");
}

/// Their pids.
pub(crate) fn pids_answering(port: u16, count: usize) -> BTreeSet<u32> {
    who_answers(port, count).iter().map(|who| who.pid).collect()
}
