//! How much of one client may be under way: [`Pipeline`] counts its requests in bytes, from when
//! one is read until its answer is written.
//!
//! A request holds a [`Place`] meanwhile. Without room for the largest the client is not read
//! further; what waits in its socket is the client's own memory.

use crate::{Request, StartOrigin, frame::MAX_REQUEST, outbox::MAX_QUEUED};
use rpm_config::{AppSpec, ExecMode, Ready};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many requests of any kind may be under way. Each counts as the longest one, whatever its
/// own length: what it does or tells may be of a whole fleet.
pub const MAX_PIPELINED: usize = 32;
/// How many starts may be under way whose apps only have to stay up: those wait for the clock, most
/// of them a second (`min_uptime`). They count as long as they are and 16 KiB more, so
/// there are never more of them.
pub const MAX_STARTS: usize = 2048;

/// What all requests of one client together may count for, in bytes.
const ROOM: usize = MAX_PIPELINED * MAX_REQUEST;
/// What a start counts for beside its own length: what the daemon remembers of it, then its answer.
const START: usize = ROOM / MAX_STARTS;

// Each of them may wait in the outbox with its answer and a mark behind that.
const _: () = assert!(2 * MAX_STARTS <= MAX_QUEUED);

/// The requests of one client that are under way.
#[derive(Debug)]
pub(crate) struct Pipeline(Arc<Semaphore>);

/// A request's part of it, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(OwnedSemaphorePermit);

impl Pipeline {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }

    /// Waits until there is room for whatever comes next. May be cancelled.
    pub(crate) async fn place(&self) -> Option<Place> {
        let permits = u32::try_from(MAX_REQUEST).ok()?;
        // An error would mean a closed semaphore; nobody closes it.
        Arc::clone(&self.0).acquire_many_owned(permits).await.ok().map(Place)
    }
}

impl Place {
    /// What `request`, whose line has `length` bytes, needs of it; the rest is free again.
    pub(crate) fn cut_to(mut self, request: &Request, length: usize) -> Self {
        let spare = MAX_REQUEST.saturating_sub(weight(request, length));
        drop(self.0.split(spare));
        self
    }

    /// How many bytes of an answer are counted here already, and by nobody else.
    pub(crate) fn covers(&self) -> usize {
        let permits = self.0.num_permits();
        // The other answers have no bound of their own; the outbox counts them.
        if permits < MAX_REQUEST { permits } else { 0 }
    }
}

fn weight(request: &Request, length: usize) -> usize {
    let Request::Start { app, origin, .. } = request else { return MAX_REQUEST };
    match origin {
        StartOrigin::File | StartOrigin::CommandLine if only_has_to_stay_up(app) => {
            length.saturating_add(START).min(MAX_REQUEST)
        }
        // A reload runs two of each instance.
        StartOrigin::File | StartOrigin::CommandLine | StartOrigin::Reload => MAX_REQUEST,
    }
}

/// Whether time alone makes it ready, however many start beside it. Another one has so much time
/// to prove itself (`listen_timeout`), and shares the processors meanwhile: a thousand Nodes at
/// once would all be late, and a few at a time are as fast.
fn only_has_to_stay_up(app: &AppSpec) -> bool {
    let holds_ports = app.share_ports || app.mode == ExecMode::Cluster || !app.listen.is_empty();
    app.ready == Ready::Listening && !holds_ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::{Listen, ListenAddress};

    /// One that only has to stay up.
    fn app() -> AppSpec {
        let specs = include_bytes!("../../../tests/corpus/specs/specs-1.json");
        serde_json::from_slice::<Vec<AppSpec>>(specs).unwrap().remove(0)
    }

    fn of_start(app: AppSpec, origin: StartOrigin, length: usize) -> usize {
        let request = Request::Start { app: Box::new(app), origin, wait_ms: None };
        weight(&request, length)
    }

    #[test]
    fn a_start_weighs_what_it_takes_and_never_more_than_all_else() {
        let length_and_weight = [
            (0, START),
            (5000, START + 5000),
            (MAX_REQUEST, MAX_REQUEST),
            (usize::MAX, MAX_REQUEST),
        ];
        for (length, want) in length_and_weight {
            assert_eq!(of_start(app(), StartOrigin::File, length), want);
            assert_eq!(of_start(app(), StartOrigin::CommandLine, length), want);
            assert_eq!(of_start(app(), StartOrigin::Reload, length), MAX_REQUEST);
            assert_eq!(weight(&Request::List, length), MAX_REQUEST);
        }
    }

    #[test]
    fn who_has_to_prove_itself_in_time_starts_beside_few() {
        let listen = vec![Listen { name: "x".into(), address: ListenAddress::Unix("/x".into()) }];
        let apps = [
            AppSpec { ready: Ready::Message, ..app() },
            AppSpec { ready: Ready::Notify, ..app() },
            AppSpec { mode: ExecMode::Cluster, ..app() },
            AppSpec { share_ports: true, ..app() },
            AppSpec { listen, ..app() },
        ];
        for app in apps {
            assert_eq!(of_start(app, StartOrigin::File, 1000), MAX_REQUEST);
        }
    }

    #[tokio::test]
    async fn what_is_cut_off_and_what_is_dropped_is_room_again() {
        let pipeline = Pipeline::new();
        let start =
            Request::Start { app: Box::new(app()), origin: StartOrigin::File, wait_ms: None };
        let small = pipeline.place().await.unwrap().cut_to(&start, 1000);
        assert_eq!(pipeline.0.available_permits(), ROOM - START - 1000);
        assert_eq!(small.covers(), START + 1000);
        let large = pipeline.place().await.unwrap().cut_to(&Request::List, 50);
        assert_eq!(pipeline.0.available_permits(), ROOM - START - 1000 - MAX_REQUEST);
        assert_eq!(large.covers(), 0);
        drop((small, large));
        assert_eq!(pipeline.0.available_permits(), ROOM);
    }
}
