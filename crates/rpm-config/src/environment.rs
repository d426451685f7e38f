//! The two halves of an app's environment: what is declared, and what is inherited.

use crate::{AppOptions, Context, Fault, FilterEnv};
use std::{collections::BTreeMap, path::Path};

type Variables = BTreeMap<String, String>;

/// Variables that belong to the one process that has them: descriptors, ids, slots. An app started
/// from within another app must not inherit them.
const OF_ONE_PROCESS: [&str; 12] = [
    "INVOCATION_ID",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NODE_APP_INSTANCE",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_UNIQUE_ID",
    "NOTIFY_SOCKET",
    "OLDPWD",
    "_",
    "pm_id",
];

/// The root's `deploy.NAME.env`, overlaid with `env`, then with the chosen `env_NAME`, then with
/// `port`. `false` beside it: there is no such set.
pub(crate) fn declared(options: &AppOptions, name: Option<&str>) -> (Variables, bool) {
    let deployed = name.and_then(|name| options.deploy_env.get(name));
    let mut env = deployed.cloned().unwrap_or_default();
    env.extend(options.env.clone());
    let set = name.and_then(|name| options.env_sets.get(name));
    env.extend(set.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    env.extend(options.port.map(|port| ("PORT".to_owned(), port.to_string())));
    (env, name.is_none() || set.is_some() || deployed.is_some())
}

/// Where programs are looked for by a caller without PATH: what a shell would assume.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The caller's variables as an app in `cwd` gets them: `PWD` is the app's own, for a shell's `cd`
/// is what the start amounts to.
pub(crate) fn inherited(context: &Context, cwd: &Path) -> Variables {
    let mut env = context.environment.clone();
    env.retain(|name, _| !OF_ONE_PROCESS.contains(&name.as_str()));
    env.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
    if let (Some(pwd), Some(cwd)) = (env.get_mut("PWD"), cwd.to_str()) {
        cwd.clone_into(pwd);
    }
    env
}

/// What `filter` leaves of the inherited variables.
pub(crate) fn filtered(inherited: &Variables, filter: &FilterEnv) -> Variables {
    let stays = |name: &str| match filter {
        FilterEnv::Nothing => true,
        FilterEnv::All => name == "PATH",
        FilterEnv::Name(out) => name != out,
        FilterEnv::Containing(parts) => !parts.iter().any(|part| name.contains(part.as_str())),
    };
    let kept = inherited.iter().filter(|(name, _)| stays(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Checks that a process can be given these variables, and the ones named by `names`.
pub(crate) fn check(env: &Variables, names: [Option<&str>; 2]) -> Result<(), Fault> {
    let bad = |name: &str, why| Err(Fault::Variable { name: name.to_owned(), why });
    for name in env.keys().map(String::as_str).chain(names.into_iter().flatten()) {
        match name {
            "" => return bad(name, "has no name"),
            _ if name.contains('=') => return bad(name, "has = in its name"),
            _ if name.contains('\0') => return bad(name, "has a NUL byte in its name"),
            _ => {}
        }
    }
    match env.iter().find(|(_, value)| value.contains('\0')) {
        Some((name, _)) => bad(name, "has a NUL byte in its value"),
        None => Ok(()),
    }
}

/// The number that `increment_var` counts up from: its value, or 0 where it is not set.
pub(crate) fn increment_base(
    name: &str,
    env: &Variables,
    inherited: &Variables,
) -> Result<i64, Fault> {
    let Some(value) = env.get(name).or_else(|| inherited.get(name)) else { return Ok(0) };
    let no_number = |_| Fault::IncrementNoNumber { variable: name.into(), value: value.clone() };
    value.trim().parse().map_err(no_number)
}
