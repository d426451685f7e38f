//! Turns an ecosystem file, or the options of `rpm start`, into [`AppSpec`]s: complete, validated
//! descriptions of apps that no later stage has to interpret again.
//!
//! The road: a file's text becomes a tree ([`Format`]), the tree [`AppOptions`] ([`Ecosystem`]),
//! the options an [`AppSpec`] ([`resolve()`], [`Ecosystem::resolve`]); the command line enters at
//! [`AppOptions`]. At each spawn [`instance_environment`] and its neighbours say what one instance
//! of a spec gets.
//!
//! This crate evaluates nothing and starts nothing. It reads files only when asked to: ecosystem
//! files, the first bytes of scripts, and for [`cpus`] a few of `/proc` and `/sys`.
#![forbid(unsafe_code)]

mod amend;
mod app_table;
mod balance;
mod command_line;
mod context;
pub mod cpus;
mod cron;
mod depends;
mod ecosystem;
mod env_file;
mod environment;
mod error;
mod fault;
mod format;
mod hooks;
mod instance;
mod instances;
mod interpreter;
mod invalid;
mod json_file;
mod keys;
mod kind;
mod launch;
mod limits;
mod lines;
mod listen;
mod log_options;
mod log_path;
mod log_rules;
mod log_value;
mod node_line;
mod node_version;
mod options;
mod pid_path;
mod probe;
mod proxy;
mod resolve;
mod root;
mod schema;
mod script;
mod script_fault;
mod search;
mod secret;
mod signal;
mod spec;
mod static_site;
mod suggest;
#[cfg(test)]
mod test_machine;
mod toml_file;
mod tree;
mod units;
mod value;
mod warning;
mod watch;
mod yaml_file;

pub use amend::{amend, with_environment_of};
pub use balance::Balance;
pub use context::Context;
pub use cron::next_occurrence;
pub use depends::{Dependencies, Requirement, cycle, cycle_in_words, in_order, rename_in};
pub use ecosystem::{App, Ecosystem, ResolvedFile};
pub use env_file::read_env_files;
pub use error::{ConfigError, MAX_FILE_BYTES, MAX_LISTED, Place, Problem};
pub use fault::Fault;
pub use format::Format;
pub use hooks::{Hooks, Trouble, is_webhook};
pub use instance::{instance_args, instance_environment, instance_interpreter_args};
pub use instances::{Instances, MAX_INSTANCES};
pub use invalid::InvalidValue;
pub use limits::Limits;
pub use listen::{Listen, ListenAddress, MAX_LISTEN};
pub use log_path::{combined_log_path, log_paths};
pub use log_rules::{LogRules, MIN_ROTATE_SIZE, Rotate, WhenFull};
pub use options::AppOptions;
pub use pid_path::pid_path;
pub use probe::{Health, Probe};
pub use proxy::{Proxy, ProxyHeader, check_proxy, instance_port};
pub use resolve::{Resolved, resolve};
pub use schema::schema;
pub use script_fault::ScriptFault;
pub use secret::{HIDDEN, hide_secrets, is_secret};
pub use signal::signal;
pub use spec::{
    AppName, AppSpec, ExecMode, FilterEnv, InvalidName, Launch, LogFile, LogSpec, Ready,
    RestartPolicy, RunAs, Runtime, StopPolicy, Watch,
};
pub use suggest::nearest;
pub use units::{MAX_DURATION, MIN_BARE_SIZE, duration, size};
pub use warning::Warning;
pub use watch::{IGNORED_BY_DEFAULT, ONLY_EXTENSIONS, WatchFilter, WatchPaths, matches};
