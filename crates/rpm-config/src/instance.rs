//! What one instance of an app gets: its environment and its arguments, with `{instance}` replaced
//! by its slot. Called at each spawn.

use crate::{AppSpec, environment};
use std::collections::BTreeMap;

/// Stands for the slot in values of `env`, arguments and log paths.
pub(crate) const INSTANCE: &str = "{instance}";

/// The environment of the instance in `slot`: what is inherited, then `env`, then `increment_var`
/// counted up by the slot, then `instance_var`.
pub fn instance_environment(spec: &AppSpec, slot: u32) -> BTreeMap<String, String> {
    let mut env = spec.inherited_env.clone();
    env.extend(spec.env.iter().map(|(key, value)| (key.clone(), with_slot(value, slot))));
    if let Some(variable) = &spec.increment_var {
        // `resolve` has checked that it is a number.
        let base = environment::increment_base(variable, &spec.env, &spec.inherited_env);
        let number = base.unwrap_or(0).saturating_add(slot.into());
        env.insert(variable.clone(), number.to_string());
    }
    env.insert(spec.instance_var.clone(), slot.to_string());
    env
}

/// The arguments after the script of the instance in `slot`.
pub fn instance_args(spec: &AppSpec, slot: u32) -> Vec<String> {
    spec.launch.args.iter().map(|arg| with_slot(arg, slot)).collect()
}

/// The arguments between the interpreter and the script of the instance in `slot`.
pub fn instance_interpreter_args(spec: &AppSpec, slot: u32) -> Vec<String> {
    spec.launch.interpreter_args.iter().map(|arg| with_slot(arg, slot)).collect()
}

/// `text` with every `{instance}` replaced.
pub(crate) fn with_slot(text: &str, slot: u32) -> String {
    text.replace(INSTANCE, &slot.to_string())
}
