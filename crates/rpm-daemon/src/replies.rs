//! Clients that wait for the supervisor: from ticket to the one answer.

use crate::inbox::{Responder, Response};
use rpm_config::{AppName, AppSpec};
use rpm_protocol::RpcError;
use rpm_supervisor::{InstanceId, Ticket};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{collections::BTreeMap, sync::Arc};

/// What a client that waits has asked for: decides the shape of its answer.
pub(crate) enum Question {
    /// `start` of an app; `strict` wants every instance online, not just settled.
    Start {
        /// Which.
        app: AppName,
        /// It existed before.
        restarted: bool,
        /// `--wait`.
        strict: bool,
        /// Of a reload, what comes back if it fails.
        fallback: Option<Fallback>,
    },
    /// Anything that touches instances: their names, which the answer tells even of deleted ones.
    Act(BTreeMap<InstanceId, AppName>),
}

/// Two descriptions of one app: a reload goes from one to the other, or not.
pub(crate) struct Fallback {
    /// That of the workers that are to be replaced.
    pub(crate) former: Arc<AppSpec>,
    /// The new one.
    pub(crate) tried: Arc<AppSpec>,
}

/// A client that waits.
pub(crate) struct Waiting {
    /// What it asked.
    pub(crate) question: Question,
    /// Where the answer goes.
    pub(crate) respond: Responder,
}

/// All clients that wait.
pub(crate) struct Replies {
    next: u64,
    waiting: BTreeMap<Ticket, Waiting>,
    /// Releases of ports that the keeper has not answered.
    releases: usize,
    /// Answers that come after them: who is told that an app is stopped finds its port free.
    held_back: Vec<(Responder, Result<Box<RawValue>, RpcError>)>,
}

impl Replies {
    /// Nobody waits; tickets of former daemons are never used again.
    pub(crate) fn starting_at(next: u64) -> Self {
        Self { next, waiting: BTreeMap::new(), releases: 0, held_back: Vec::new() }
    }

    /// The next ticket's number.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.next
    }

    /// A ticket nobody waits for.
    pub(crate) fn unattended(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next - 1)
    }

    /// A ticket for a client.
    pub(crate) fn add(&mut self, question: Question, respond: Responder) -> Ticket {
        let ticket = self.unattended();
        self.waiting.insert(ticket, Waiting { question, respond });
        ticket
    }

    /// The keeper was asked to release ports: answers wait until it has.
    pub(crate) fn hold_back(&mut self) {
        self.releases += 1;
    }

    /// Whether answers wait for the keeper.
    pub(crate) fn is_holding_back(&self) -> bool {
        !self.held_back.is_empty()
    }

    /// The keeper has released ports.
    pub(crate) fn let_go(&mut self) {
        self.releases = self.releases.saturating_sub(1);
        if self.releases == 0 {
            for (to, answer) in self.held_back.drain(..) {
                send(to, answer);
            }
        }
    }

    /// Answers a client, after all ports are released that were to be.
    pub(crate) fn respond<T: Serialize>(&mut self, to: Responder, value: T) {
        let answer = in_json(Ok(value));
        if self.releases == 0 {
            send(to, answer);
        } else {
            self.held_back.push((to, answer));
        }
    }

    /// Who holds a ticket; each can be taken once.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<Waiting> {
        self.waiting.remove(&ticket)
    }
}

/// Answers a client at once.
pub(crate) fn respond<T: Serialize>(to: Responder, result: Result<T, RpcError>) {
    send(to, in_json(result));
}

fn in_json<T: Serialize>(result: Result<T, RpcError>) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(&result?).map_err(|error| RpcError::internal(error.to_string()))
}

/// That a client is gone meanwhile is its own affair.
fn send(to: Responder, answer: Result<Box<RawValue>, RpcError>) {
    let _ = to.send(answer.map(Response::Json));
}
