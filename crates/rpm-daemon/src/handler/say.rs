//! `send`: a message over an app's channel, or a line to its standard input.

use crate::{engine::Engine, worker::Process};
use rpm_cluster::channel::MAX_SENT_BYTES;
use rpm_protocol::{RpcError, Targets, Told, Way};
use rpm_supervisor::InstanceId;
use rpm_unix::pipe;
use serde_json::Value;
use std::{fs::File, io::Write};

/// Where a program's standard input is.
const STDIN: i32 = 0;

impl Engine {
    /// Says `text` to each target that runs, and tells what became of it.
    pub(super) fn say(
        &self,
        targets: &Targets,
        text: &str,
        way: Way,
    ) -> Result<Vec<Told>, RpcError> {
        let message = message(text, way)?;
        let say = |id: &InstanceId| {
            let (app, _, instance) = self.fleet.instance(*id)?;
            let process = instance.current().and_then(|worker| self.workers.process(worker));
            let (way, said) = match process.filter(|process| !process.exited) {
                Some(process) => say_to(process, message.as_ref(), text, way),
                None => (way, Err("it does not run".to_owned())),
            };
            Some(Told { id: id.0, name: app.clone(), way, failure: said.err() })
        };
        Ok(self.resolve(targets)?.iter().filter_map(say).collect())
    }
}

const NO_INPUT: &str = "it has no standard input to write to, as in cluster mode; JSON reaches a \
                        Node app as a message, quoted as in '{\"a\": 1}'";

/// The text as a message, where it shall or may be one.
fn message(text: &str, way: Way) -> Result<Option<Value>, RpcError> {
    let read = serde_json::from_str::<Value>(text);
    match (way, read) {
        (Way::Line, _) | (Way::Either, Err(_)) => Ok(None),
        // A number or a bare word is what people type into programs.
        (Way::Either, Ok(value)) => {
            Ok(Some(value)
                .filter(|value| value.is_object() || value.is_array() || value.is_string()))
        }
        (Way::Message, Ok(value)) => Ok(Some(value)),
        (Way::Message, Err(error)) => {
            let hint = r#"quote it for the shell: rpm send api '{"now": true}'"#.to_owned();
            Err(RpcError::failed(format!("the message is no JSON: {error}"), Some(hint)))
        }
    }
}

fn say_to(
    process: &Process,
    message: Option<&Value>,
    text: &str,
    way: Way,
) -> (Way, Result<(), String>) {
    match (message, &process.channel) {
        (Some(message), Some(channel)) => {
            let bytes = message.to_string().len();
            let said = if bytes >= MAX_SENT_BYTES {
                Err(format!("a message has at most {MAX_SENT_BYTES} bytes, this one has {bytes}"))
            } else if channel.tell(message) {
                Ok(())
            } else {
                Err("it reads no messages, too many wait".to_owned())
            };
            (Way::Message, said)
        }
        (_, None) if way == Way::Message => {
            (way, Err("it has no channel: only Node has".to_owned()))
        }
        _ if way == Way::Line => (way, input(process.leader.pid, text)),
        _ => (Way::Line, input(process.leader.pid, &format!("{text}\n"))),
    }
}

/// Writes to the pipe that the process has as its standard input.
fn input(pid: i32, text: &str) -> Result<(), String> {
    let input = pipe::writer_of(pid, STDIN);
    let mut input = File::from(input.map_err(|_| NO_INPUT.to_owned())?);
    match input.write(text.as_bytes()) {
        Ok(written) if written == text.len() => Ok(()),
        Ok(written) => Err(format!("it took only {written} of {} bytes", text.len())),
        Err(_) => Err("it does not read its standard input: that is full".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_a_message_by_itself() {
        let either = |text| message(text, Way::Either).unwrap();
        assert_eq!(either(r#"{"json": 1}"#), Some(json!({ "json": 1 })));
        assert_eq!(either("[1]"), Some(json!([1])));
        assert_eq!(either("\"shutdown\""), Some(json!("shutdown")));
        for line in ["quit", "1", "true", "null", "{", ""] {
            assert_eq!(either(line), None, "{line}");
        }
        assert_eq!(message("1", Way::Message), Ok(Some(json!(1))));
        assert_eq!(message("[1]", Way::Line), Ok(None));
        assert!(message("quit", Way::Message).is_err());
    }
}
