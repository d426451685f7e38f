//! [`Fault`]: everything that can be wrong with what was asked for an app, in words. What is wrong
//! with its script and interpreter is in [`ScriptFault`].

use crate::{AppName, InvalidName, InvalidValue, ScriptFault};
use std::{fmt, path::PathBuf};

/// What is wrong with one app, or one key of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A key nobody knows.
    UnknownKey {
        /// As written.
        key: String,
        /// The key it resembles.
        meant: Option<String>,
    },
    /// A key of PM2 that means nothing here; never more than a warning.
    IgnoredKey {
        /// As written.
        key: String,
        /// Why it means nothing.
        why: &'static str,
    },
    /// `uid` or `gid` without the right to change to another user.
    UserNotRoot,
    /// A file of variables that cannot be read.
    EnvFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A key of an app beside `apps`.
    KeyOutsideApp {
        /// As written.
        key: String,
    },
    /// Two names of the same key.
    KeyTwice {
        /// The second one.
        key: String,
        /// The first one.
        first: String,
    },
    /// A value of the wrong type or range.
    Value {
        /// As written.
        key: String,
        /// What is wrong.
        error: InvalidValue,
    },
    /// Something else where apps, or an app, must be.
    Shape {
        /// What it stands for.
        what: String,
        /// What is wrong.
        error: InvalidValue,
    },
    /// The file holds no apps.
    NoApps,
    /// Two apps of a file have one name.
    NameTwice {
        /// The line of the first.
        first: Option<u32>,
    },
    /// The name cannot be used.
    Name(InvalidName),
    /// The namespace cannot be used.
    Namespace {
        /// As written.
        namespace: String,
    },
    /// The script or its interpreter.
    Script(ScriptFault),
    /// The working directory cannot be used.
    Cwd {
        /// Which.
        cwd: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Apps that wait for each other.
    Cycle {
        /// Who waits for whom.
        words: String,
    },
    /// `increment_var` with cluster mode.
    IncrementInCluster,
    /// `balance` where every instance has ports of its own.
    BalanceInFork,
    /// `increment_var` of a variable that is no number.
    IncrementNoNumber {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
    },
    /// A variable that no process can be given.
    Variable {
        /// Its name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// `listen` in fork mode with several instances, which cannot have the same sockets.
    ListenInFork {
        /// How many.
        instances: u32,
    },
    /// An address of `listen` that is there already.
    ListenTwice {
        /// Which.
        address: String,
    },
    /// A path of `listen` that no socket can have.
    ListenPathTooLong {
        /// Which.
        address: String,
    },
    /// More addresses than can be handed over.
    ListenTooMany,
    /// `proxy` with cluster mode.
    ProxyInCluster,
    /// `proxy` in front of several instances that all get one port.
    ProxyNeedsIncrement {
        /// How many.
        instances: u32,
    },
    /// `proxy` and no port for each instance.
    ProxyNoPort {
        /// The variable it should be in.
        variable: String,
    },
    /// `proxy` where one of the instances listens.
    ProxyOnInstance {
        /// Where.
        port: u16,
        /// Which instance.
        slot: u32,
    },
    /// An address of `proxy` that is there already.
    ProxyTwice {
        /// Which.
        address: String,
    },
    /// A probe that speaks of `{port}` in an app without one.
    ProbeNoPort {
        /// `ready` or `health`.
        key: &'static str,
    },
    /// An argument that no process can be given.
    Argument {
        /// Which.
        argument: String,
    },
}

impl Fault {
    /// What to do about it, as a sentence fragment.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { meant: None, .. } => {
                Some("ecosystem.example.toml shows every key".into())
            }
            Self::UnknownKey { .. } | Self::Value { .. } | Self::Shape { .. } => None,
            Self::Variable { .. }
            | Self::Argument { .. }
            | Self::Name(_)
            | Self::Namespace { .. } => None,
            Self::ListenInFork { .. } => {
                Some("set exec_mode to \"cluster\", or instances to 1".into())
            }
            Self::ListenTwice { .. } | Self::ProxyTwice { .. } => Some("name it once".into()),
            Self::ProxyInCluster => {
                Some("remove `proxy`, or set exec_mode to \"fork\" and `increment_var`".into())
            }
            Self::ProxyNeedsIncrement { .. } => {
                Some("set increment_var to \"PORT\", and PORT in `env` to the first port".into())
            }
            Self::ProbeNoPort { .. } => {
                Some("set `port`, or PORT in `env`, or write the number itself".into())
            }
            Self::ProxyNoPort { variable } => Some(format!("set {variable} in `env`")),
            Self::ProxyOnInstance { .. } => {
                Some("let `proxy` listen elsewhere, clients need its port only".into())
            }
            Self::ListenPathTooLong { .. } | Self::ListenTooMany => None,
            Self::IgnoredKey { .. } => None,
            Self::UserNotRoot => Some("run rpm as root, or remove `uid` and `gid`".into()),
            Self::EnvFile { .. } => Some("create it, or correct `env_file`".into()),
            Self::KeyOutsideApp { .. } => Some("move it below [[apps]]".into()),
            Self::KeyTwice { .. } => Some("keep one of them".into()),
            Self::NoApps => Some("add one: [[apps]] in TOML, {\"apps\": [...]} in JSON".into()),
            Self::NameTwice { .. } => Some("give each app its own `name`".into()),
            Self::Script(fault) => fault.hint(),
            Self::Cwd { .. } => Some("create it, or correct `cwd`".into()),
            Self::Cycle { .. } => Some("take one of them out of `depends_on`".into()),
            Self::IncrementInCluster => {
                Some("set exec_mode to \"fork\", or remove `increment_var`".into())
            }
            Self::BalanceInFork => {
                Some("set exec_mode to \"cluster\", or share_ports to true".into())
            }
            Self::IncrementNoNumber { variable, .. } => {
                Some(format!("set {variable} in `env` to the number of the first instance"))
            }
        }
    }

    /// Whether a file of a PM2 format may have it: what it is about counts for nothing there.
    pub(crate) fn is_ignorable(&self) -> bool {
        match self {
            Self::UnknownKey { .. } | Self::KeyOutsideApp { .. } | Self::KeyTwice { .. } => true,
            other => other.is_mere_warning(),
        }
    }

    /// Whether it is no reason to refuse a file of any format.
    pub(crate) fn is_mere_warning(&self) -> bool {
        matches!(self, Self::IgnoredKey { .. })
    }

    /// The key the fault is about, by its first name, where the key itself is written correctly.
    pub(crate) fn key(&self) -> Option<&'static str> {
        match self {
            Self::Name(_) | Self::NameTwice { .. } => Some("name"),
            Self::Namespace { .. } => Some("namespace"),
            Self::Script(fault) => Some(fault.key()),
            Self::Cwd { .. } => Some("cwd"),
            Self::UserNotRoot => Some("uid"),
            Self::EnvFile { .. } => Some("env_file"),
            Self::IncrementInCluster | Self::IncrementNoNumber { .. } => Some("increment_var"),
            Self::ListenInFork { .. }
            | Self::ListenTwice { .. }
            | Self::ListenPathTooLong { .. }
            | Self::ListenTooMany => Some("listen"),
            Self::Cycle { .. } => Some("depends_on"),
            Self::BalanceInFork => Some("balance"),
            Self::ProxyInCluster
            | Self::ProxyNeedsIncrement { .. }
            | Self::ProxyNoPort { .. }
            | Self::ProxyOnInstance { .. }
            | Self::ProxyTwice { .. } => Some("proxy"),
            Self::ProbeNoPort { key } => Some(key),
            Self::Argument { .. } => Some("args"),
            Self::Variable { .. } => Some("env"),
            Self::UnknownKey { .. } | Self::KeyTwice { .. } => None,
            Self::IgnoredKey { .. } => None,
            Self::KeyOutsideApp { .. } | Self::Value { .. } | Self::Shape { .. } | Self::NoApps => {
                None
            }
        }
    }
}

impl From<ScriptFault> for Fault {
    fn from(fault: ScriptFault) -> Self {
        Self::Script(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, meant } => unknown_key(f, key, meant.as_deref()),
            Self::IgnoredKey { key, why } => write!(f, "key `{key}` means nothing here: {why}"),
            Self::UserNotRoot => f.write_str("only root may run an app as another user"),
            Self::EnvFile { path, why } => {
                write!(f, "env_file {} cannot be read: {why}", path.display())
            }
            Self::KeyOutsideApp { key } => write!(f, "key `{key}` must stand in an app"),
            Self::KeyTwice { key, first } => write!(f, "`{key}` is the same key as `{first}`"),
            Self::Value { key, error } => write!(f, "`{key}` {error}"),
            Self::Shape { what, error } => write!(f, "{what} {error}"),
            Self::NoApps => f.write_str("there are no apps"),
            Self::NameTwice { first: Some(line) } => {
                write!(f, "the app at line {line} has the same name")
            }
            Self::NameTwice { first: None } => f.write_str("another app has the same name"),
            Self::Name(error) => write!(f, "{error}"),
            Self::Namespace { namespace } => write!(
                f,
                "namespace {namespace:?} must be 1 to {} bytes without control characters",
                AppName::MAX_BYTES
            ),
            Self::Script(fault) => write!(f, "{fault}"),
            Self::Cwd { cwd, why } => write!(f, "cwd {} {why}", cwd.display()),
            Self::Cycle { words } => write!(f, "apps wait for each other: {words}"),
            Self::IncrementInCluster => f.write_str(
                "`increment_var` is for instances with ports of their own, in cluster mode they \
                 share",
            ),
            Self::BalanceInFork => f.write_str(
                "`balance` is for instances that share ports, in fork mode each has its own",
            ),
            Self::IncrementNoNumber { variable, value } => {
                write!(f, "`increment_var` needs a number in {variable}, which is {value:?}")
            }
            Self::Variable { name, why } => write!(f, "environment variable {name:?} {why}"),
            Self::ListenInFork { instances } => {
                write!(f, "`listen` in fork mode is for one instance, not for {instances}")
            }
            Self::ListenTwice { address } => write!(f, "`listen` has {address} twice"),
            Self::ListenPathTooLong { address } => {
                write!(f, "`listen` has {address}, a path of more than 107 bytes")
            }
            Self::ListenTooMany => {
                write!(f, "`listen` has more than {} addresses", crate::MAX_LISTEN)
            }
            Self::ProxyInCluster => f.write_str(
                "`proxy` is for instances with ports of their own, in cluster mode they share",
            ),
            Self::ProxyNeedsIncrement { instances } => write!(
                f,
                "`proxy` in front of {instances} instances needs `increment_var`, or all have one \
                 port"
            ),
            Self::ProxyNoPort { variable } => write!(
                f,
                "`proxy` needs the port of the first instance in {variable}, from 1 to 65535"
            ),
            Self::ProbeNoPort { key } => {
                write!(f, "`{key}` speaks of {{port}}, but the app is given none")
            }
            Self::ProxyOnInstance { port, slot } => {
                write!(f, "`proxy` listens on {port}, the port of instance {slot}")
            }
            Self::ProxyTwice { address } => write!(f, "`proxy` has {address} twice"),
            Self::Argument { argument } => write!(f, "argument {argument:?} holds a NUL byte"),
        }
    }
}

fn unknown_key(f: &mut fmt::Formatter<'_>, key: &str, meant: Option<&str>) -> fmt::Result {
    match meant {
        Some(meant) => write!(f, "unknown key `{key}`, did you mean `{meant}`?"),
        None => write!(f, "unknown key `{key}`"),
    }
}
