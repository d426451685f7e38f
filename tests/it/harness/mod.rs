//! What the tests stand on: a home of their own with the real binary, apps, ports, load, and waits
//! for events. Nothing here sleeps; every wait has a deadline that fails the test.

mod app;
mod command;
mod door;
mod events;
mod files;
mod fixture;
mod home;
mod http;
mod load;
mod port;
mod process;
mod web;
mod websocket;

pub(crate) use app::App;
pub(crate) use command::{Output, Rpm, Running};
pub(crate) use door::Door;
pub(crate) use events::{Events, Next};
pub(crate) use files::wait_for;
pub(crate) use fixture::{
    cache, compiled, compiled_i386, copy, fixture, made, node_modules, repository, venv,
};
pub(crate) use home::{AT_EASE, Home};
pub(crate) use http::{Connection, get};
pub(crate) use load::{Load, Report};
pub(crate) use port::{port, ports};
pub(crate) use process::Process;
pub(crate) use web::{Who, ask, pids_answering, who_answers};
pub(crate) use websocket::WebSocket;

use std::time::Duration;

/// The longest any single wait may take: far above what is needed on a busy machine of two cores.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
