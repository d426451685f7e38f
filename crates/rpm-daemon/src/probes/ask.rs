//! Asks one question once: over HTTP (`http.rs`), by a connection, or by a command.

use super::http;
use crate::{
    shell::{self, Extra, Tools},
    tree::{self, Leader},
};
use rpm_config::Probe;
use rpm_keeper::Owner;
use std::{collections::BTreeSet, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
};

/// A question to one worker.
pub(crate) struct Question {
    /// What is asked, with port and number in place.
    pub(crate) probe: Probe,
    /// Its port is that of so many instances.
    pub(crate) sharing: Option<Shared>,
    /// What a command needs.
    pub(crate) tools: Tools,
}

/// One of several instances on a port: an answer counts only if it came from this tree.
pub(crate) struct Shared {
    pub(crate) leader: Leader,
    pub(crate) instances: u32,
    pub(crate) slot: Owner,
    /// Slots to which no connections come, because their workers accept none.
    pub(crate) blocked: watch::Receiver<BTreeSet<Owner>>,
}

impl Shared {
    /// What it means that others answered all questions: nothing, unless they were kept from it.
    pub(super) fn missed(&self) -> Result<(), String> {
        match self.blocked.borrow().contains(&self.slot) {
            true => Err("it accepts no connection".to_owned()),
            false => Ok(()),
        }
    }
}

/// Asks, and waits at most `limit` for the answer.
///
/// # Errors
/// What is wrong, for a person.
pub(crate) async fn ask(
    question: &Question,
    limit: Duration,
    at_once: &Semaphore,
) -> Result<(), String> {
    // Never closed.
    let _turn = at_once.acquire().await;
    let probe = &question.probe;
    let answer = async {
        match probe {
            Probe::Http(url) => http::get(url, question.sharing.as_ref()).await,
            Probe::Tcp(address) => connect(address, question.sharing.as_ref()).await,
            Probe::Exec(command) => {
                let words = ["/bin/sh", "-c", command];
                shell::run(&words, &question.tools, &Extra::default()).await
            }
        }
    };
    let answer = rpm_protocol::within(limit, answer).await;
    let late = || format!("no answer in {}", humane(limit));
    answer.unwrap_or_else(|| Err(late())).map_err(|reason| format!("{probe}: {reason}"))
}

fn humane(limit: Duration) -> String {
    match u64::try_from(limit.as_millis()) {
        Ok(ms) if ms % 1000 == 0 => format!("{} s", ms / 1000),
        Ok(ms) => format!("{ms} ms"),
        Err(_) => "time".to_owned(),
    }
}

async fn connect(address: &str, sharing: Option<&Shared>) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let Some(Shared { leader, .. }) = sharing else { return Ok(()) };
    // Others may have answered: it must at least have the port open too.
    let port = stream.peer_addr().map_err(|error| error.to_string())?.port();
    let own = rpm_unix::procfd::listening(&tree::pids(&tree::members(leader, &[])));
    let listens = own.iter().any(|at| at.port() == port);
    if listens { Ok(()) } else { Err("this instance does not listen there".to_owned()) }
}
