//! The static file server behind `rpm serve [path] [port]`.
//!
//! It answers GET and HEAD from one directory and says with each answer which instance gave it. It
//! knows nothing of daemons, apps or terminals: who starts it, prints about it and restarts it is
//! up to others.
//!
//! The way of a request: `server` accepts a connection, `auth` asks for the password where there is
//! one, `path` judges the path, `site` finds the file, or `listing` makes a page of a directory,
//! `answer` adds the headers.

#![forbid(unsafe_code)]

mod answer;
mod auth;
mod bind;
mod listing;
mod options;
mod path;
mod run;
mod server;
mod site;

pub use bind::bind;
pub use options::{Credentials, Options};
pub use run::{run, run_on};
pub use server::{KEEP_ALIVE_GRACE, MAX_CONNECTIONS, serve};
