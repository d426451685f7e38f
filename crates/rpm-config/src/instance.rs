//! What one instance of an app gets: its environment and its arguments, with `{instance}` replaced
//! by its slot. Called at each spawn.

use crate::{AppSpec, environment};
use std::collections::BTreeMap;

/// Stands for the slot in values of `env`, arguments and log paths.
pub(crate) const INSTANCE: &str = "{instance}";

/// The environment of the instance in `slot`: what is inherited and not filtered, then `env`, then
/// `increment_var` counted up by the slot, then `instance_var`.
pub fn instance_environment(spec: &AppSpec, slot: u32) -> BTreeMap<String, String> {
    let mut env = environment::filtered(&spec.inherited_env, &spec.filter_env);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppOptions, ExecMode, test_machine::Machine};

    fn spec(options: AppOptions) -> AppSpec {
        let machine = Machine::new().program("server");
        let script = Some("server".into());
        machine.spec(&AppOptions { script, ..options })
    }

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    /// What `slot` has beyond the caller's environment.
    fn own(spec: &AppSpec, slot: u32) -> BTreeMap<String, String> {
        let mut env = instance_environment(spec, slot);
        env.retain(|name, value| spec.inherited_env.get(name) != Some(value));
        env
    }

    #[test]
    fn each_slot_has_its_own_variables() {
        let spec = spec(AppOptions {
            env: variables(&[("PORT", "3000"), ("NAME", "w{instance}-{instance}"), ("A", "1")]),
            increment_var: Some("PORT".into()),
            instance_var: Some("SLOT".into()),
            instances: "4".parse().ok(),
            ..AppOptions::default()
        });
        assert_eq!(spec.mode, ExecMode::Fork);
        for (slot, port) in [(0, "3000"), (3, "3003")] {
            let name = format!("w{slot}-{slot}");
            let slot_text = slot.to_string();
            let want = [("PORT", port), ("NAME", &name), ("A", "1"), ("SLOT", &slot_text)];
            assert_eq!(own(&spec, slot), variables(&want));
        }
    }

    #[test]
    fn counting_starts_at_zero_or_at_what_is_inherited() {
        let mut spec =
            spec(AppOptions { increment_var: Some("N".into()), ..AppOptions::default() });
        let want = variables(&[("N", "2"), ("NODE_APP_INSTANCE", "2")]);
        assert_eq!(own(&spec, 2), want);
        spec.inherited_env.insert("N".into(), " 7 ".into());
        assert_eq!(own(&spec, 2), variables(&[("N", "9"), ("NODE_APP_INSTANCE", "2")]));
        spec.inherited_env.insert("N".into(), i64::MAX.to_string());
        assert_eq!(instance_environment(&spec, 1).get("N"), Some(&i64::MAX.to_string()));
    }

    #[test]
    fn arguments_know_their_slot() {
        let mut spec = spec(AppOptions::default());
        spec.launch.args = vec!["--id={instance}".into(), "{instances}".into()];
        spec.launch.interpreter_args = vec!["--inspect=922{instance}".into()];
        assert_eq!(instance_args(&spec, 3), ["--id=3", "{instances}"]);
        assert_eq!(instance_interpreter_args(&spec, 3), ["--inspect=9223"]);
    }
}
