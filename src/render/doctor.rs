//! The checks of `rpm doctor`, for a person and as JSON.

use super::style::{Colors, Paint};
use crate::doctor::{Check, State, worst};
use serde_json::{Value, json};

/// Columns of a check's name, the longest is `port balancing`.
const NAME: usize = 14;

/// One line a check under its area, what to do below it, and a last line that counts.
pub(crate) fn text(checks: &[Check], colors: Colors) -> String {
    let mut lines = Vec::new();
    let mut area = "";
    for check in checks {
        if check.area != area {
            area = check.area;
            lines.push(colors.paint(Paint::Label, area));
        }
        let (word, paint) = word(check.state);
        let state = colors.paint(paint, &format!("{word:<7}"));
        lines.push(format!("  {state}  {:<NAME$}  {}", check.name, check.found));
        let indent = 2 + 7 + 2 + NAME + 2;
        lines.extend(check.todo.iter().map(|todo| format!("{:indent$}to do: {todo}", "")));
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (broken, warnings) = (count(State::Broken), count(State::Warning));
    lines.push(format!("{} checks: {broken} broken, {warnings} warnings", checks.len()));
    lines.join("\n")
}

/// `{"state", "checks": [{"area", "name", "state", "found", "todo"}]}`; `state` is the worst.
pub(crate) fn json(checks: &[Check]) -> Value {
    json!({ "state": worst(checks), "checks": checks })
}

fn word(state: State) -> (&'static str, Paint) {
    match state {
        State::Ok => ("ok", Paint::Good),
        State::Warning => ("warning", Paint::Busy),
        State::Broken => ("broken", Paint::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Check> {
        vec![
            Check::ok("kernel", "pidfd", "there"),
            Check::ok("home", "directory", "/h, mode 0755").warning("chmod 700 /h"),
            Check::ok("home", "disk", "0 MiB free").broken("make room"),
        ]
    }

    #[test]
    fn each_check_has_a_line_and_what_to_do_below_it() {
        let expected = "\
kernel
  ok       pidfd           there
home
  warning  directory       /h, mode 0755
                           to do: chmod 700 /h
  broken   disk            0 MiB free
                           to do: make room
3 checks: 1 broken, 1 warnings";
        assert_eq!(text(&sample(), Colors::Off), expected);
    }

    #[test]
    fn the_json_has_the_worst_state_and_all_checks() {
        let check = |area: &str, name: &str, state: &str, found: &str, todo: Value| {
            json!({
                "area": area, "name": name, "state": state, "found": found, "todo": todo,
            })
        };
        let expected = json!({ "state": "broken", "checks": [
            check("kernel", "pidfd", "ok", "there", Value::Null),
            check("home", "directory", "warning", "/h, mode 0755", "chmod 700 /h".into()),
            check("home", "disk", "broken", "0 MiB free", "make room".into()),
        ]});
        assert_eq!(json(&sample()), expected);
        assert_eq!(json(&[]), json!({ "state": "ok", "checks": [] }));
    }
}
