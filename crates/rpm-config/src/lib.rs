//! Turns an ecosystem file, or the options of `rpm start`, into [`AppSpec`]s: complete, validated
//! descriptions of apps that no later stage has to interpret again.
//!
//! This crate evaluates nothing and starts nothing. It reads files only when asked to.
#![forbid(unsafe_code)]

mod spec;

pub use spec::{
    AppName, AppSpec, ExecMode, InvalidName, Launch, LogFile, LogSpec, Ready, RestartPolicy, Runtime,
    StopPolicy,
};
