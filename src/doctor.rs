//! What `rpm doctor` looks at: one file per area, each a pure function from what was found on the
//! machine to [`Check`]s. Finding it out is in `rpm_unix::machine`, showing it in `render::doctor`.

pub(crate) mod boot;
pub(crate) mod daemon;
pub(crate) mod home;
pub(crate) mod kernel;
pub(crate) mod limits;

use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Check {
    /// `kernel`, `limits`, `home`, `daemon`, `boot`.
    pub(crate) area: &'static str,
    /// What it is about, unique in its area.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it, where there is something.
    pub(crate) todo: Option<String>,
}

/// How something is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// rpm works, with less than it could do.
    Warning,
    /// rpm cannot work like this.
    Broken,
}

impl Check {
    pub(crate) fn ok(area: &'static str, name: &'static str, found: impl Into<String>) -> Self {
        Self { area, name, state: State::Ok, found: found.into(), todo: None }
    }

    /// The same as a warning.
    pub(crate) fn warning(self, todo: impl Into<String>) -> Self {
        Self { state: State::Warning, todo: Some(todo.into()), ..self }
    }

    /// The same as what stops rpm.
    pub(crate) fn broken(self, todo: impl Into<String>) -> Self {
        Self { state: State::Broken, todo: Some(todo.into()), ..self }
    }
}

/// The worst of them all.
pub(crate) fn worst(checks: &[Check]) -> State {
    checks.iter().map(|check| check.state).max().unwrap_or(State::Ok)
}
