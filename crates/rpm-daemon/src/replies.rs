//! Clients that wait for the supervisor: from ticket to the one answer.

use crate::inbox::{Responder, Response};
use rpm_config::AppName;
use rpm_protocol::RpcError;
use rpm_supervisor::{InstanceId, Ticket};
use serde::Serialize;
use std::collections::BTreeMap;

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
    },
    /// Anything that touches instances: their names, which the answer tells even of deleted ones.
    Act(BTreeMap<InstanceId, AppName>),
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
}

impl Replies {
    /// Nobody waits; tickets of former daemons are never used again.
    pub(crate) fn starting_at(next: u64) -> Self {
        Self { next, waiting: BTreeMap::new() }
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

    /// Who holds a ticket; each can be taken once.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<Waiting> {
        self.waiting.remove(&ticket)
    }
}

/// Answers a client; that it is gone meanwhile is its own affair.
pub(crate) fn respond<T: Serialize>(to: Responder, result: Result<T, RpcError>) {
    let value = result.and_then(|value| {
        serde_json::to_value(value).map_err(|error| RpcError::internal(error.to_string()))
    });
    let _ = to.send(value.map(Response::Value));
}
