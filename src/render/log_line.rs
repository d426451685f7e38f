//! A line of a log as text: with a prefix that says whose it is, as JSON, as `key=value`.

use super::style::{Colors, Paint};
use crate::log_files::{LogFile, Whose};
use rpm_logs::date_format::{DateFormat, iso};
use rpm_protocol::EventView;
use serde_json::Value;
use std::borrow::Cow;

/// The narrowest prefix, as under PM2.
const MIN_WIDTH: usize = 3;
/// PM2's format of times in `--format`.
const PAIR_TIME: &str = "YYYY-MM-DD-HH:mm:ssZZ";
/// Bright black ground, and the default one (ECMA-48, 8.3.117, and aixterm's bright colours).
const GROUND: [&str; 2] = ["\u{1b}[100m", "\u{1b}[49m"];

/// Which of its two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Whose {
    /// `0|api`; `api` where several instances write one file; `rpm`.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Instance { id, app } => format!("{id}|{app}"),
            Self::Shared { app, .. } => app.clone(),
            Self::Rpm => "rpm".to_owned(),
        }
    }
}

/// Writes prefixes, all of one width: that of the longest label there was, and a blank.
#[derive(Debug)]
pub(crate) struct Prefixes {
    colors: Colors,
    width: usize,
}

impl Prefixes {
    pub(crate) fn new(colors: Colors) -> Self {
        Self { colors, width: MIN_WIDTH }
    }

    /// Leaves room for a label.
    pub(crate) fn widen(&mut self, file: &LogFile) {
        self.width = self.width.max(file.whose.label().chars().count().saturating_add(1));
    }

    /// What stands before a line of `file`.
    pub(crate) fn of(&self, file: &LogFile) -> String {
        let paint = match (&file.whose, file.stream) {
            (Whose::Rpm, _) => Paint::Starting,
            (_, Stream::Out) => Paint::Good,
            (_, Stream::Err) => Paint::Bad,
        };
        let (label, width) = (file.whose.label(), self.width);
        format!("{} ", self.colors.paint(paint, &format!("{label:width$} |")))
    }
}

/// A line as PM2's `--json` has it. One that is such an object already, because the app's
/// `log_type` is `json`, stays as it is.
pub(crate) fn json(file: &LogFile, at: u64, line: &[u8]) -> Vec<u8> {
    if is_object(line) {
        return line.to_vec();
    }
    let (id, app) = match &file.whose {
        Whose::Instance { id, app } | Whose::Shared { first: id, app } => (*id, app.as_str()),
        // PM2 has no lines of its own in here; asked for by name they are shown.
        Whose::Rpm => return object(line, at, "rpm", &Value::Null, "rpm"),
    };
    object(line, at, word(file.stream, "err"), &Value::from(id), app)
}

fn object(line: &[u8], at: u64, kind: &str, id: &Value, app: &str) -> Vec<u8> {
    let text = |text: &str| Value::from(text).to_string();
    let message = text(&String::from_utf8_lossy(line));
    let (at, app) = (iso(at), text(app));
    format!(
        r#"{{"message":{message},"timestamp":"{at}","type":"{kind}","process_id":{id},"app_name":{app}}}"#
    )
    .into_bytes()
}

/// Whether it is an object as json mode writes it.
fn is_object(line: &[u8]) -> bool {
    const KEYS: [&str; 5] = ["message", "timestamp", "type", "process_id", "app_name"];
    line.starts_with(br#"{"message":"#)
        && serde_json::from_slice(line)
            .is_ok_and(|found: Value| KEYS.iter().all(|key| found.get(key).is_some()))
}

/// What happened to an instance, among the lines of `--json`.
pub(crate) fn event_json(event: &EventView) -> String {
    let status = match &event.event {
        Value::String(word) => word.as_str(),
        Value::Object(object) => object.keys().next().map_or("", String::as_str),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => "",
    };
    // PM2's word.
    let status = if status == "exited" { "exit" } else { status };
    let (at, app) = (iso(event.at), Value::from(event.app.to_string()));
    let id = event.instance;
    format!(
        r#"{{"timestamp":"{at}","type":"process_event","status":"{status}","process_id":{id},"app_name":{app}}}"#
    )
}

/// A line as PM2's `--format` has it.
pub(crate) fn pairs(file: &LogFile, at: u64, line: &[u8]) -> Vec<u8> {
    let time = DateFormat::new(PAIR_TIME).local(at);
    let whose = match &file.whose {
        Whose::Instance { id, app } | Whose::Shared { first: id, app } => {
            format!("app={app} id={id} type={}", word(file.stream, "error"))
        }
        Whose::Rpm => "app=rpm".to_owned(),
    };
    [format!("timestamp={time} {whose} message=").as_bytes(), line].concat()
}

fn word(stream: Stream, error: &'static str) -> &'static str {
    match stream {
        Stream::Out => "out",
        Stream::Err => error,
    }
}

/// The line with the first `word` in it on another ground.
pub(crate) fn highlighted<'a>(line: &'a [u8], word: &str) -> Cow<'a, [u8]> {
    let found = line.windows(word.len().max(1)).position(|window| window == word.as_bytes());
    let Some(at) = found else { return Cow::Borrowed(line) };
    let (before, rest) = line.split_at(at);
    let after = rest.get(word.len()..).unwrap_or_default();
    let [on, off] = GROUND;
    Cow::Owned([before, on.as_bytes(), word.as_bytes(), off.as_bytes(), after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::AppName;
    use serde_json::json;

    fn file(id: u32, app: &str, stream: Stream) -> LogFile {
        LogFile { whose: Whose::Instance { id, app: app.into() }, stream, path: "/l".into() }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn prefixes_are_as_wide_as_the_longest() {
        let mut prefixes = Prefixes::new(Colors::Off);
        let (a, worker) = (file(0, "a", Stream::Out), file(1, "worker", Stream::Out));
        prefixes.widen(&a);
        assert_eq!(prefixes.of(&a), "0|a  | ");
        prefixes.widen(&worker);
        assert_eq!(prefixes.of(&a), "0|a       | ");
        assert_eq!(prefixes.of(&worker), "1|worker  | ");
        assert_eq!(prefixes.of(&LogFile::daemon("/l".as_ref())), "rpm       | ");
    }

    #[test]
    fn streams_have_colours() {
        let prefixes = Prefixes::new(Colors::On);
        let of = |file: &LogFile| prefixes.of(file);
        assert_eq!(of(&file(0, "a", Stream::Out)), "\u{1b}[32m0|a |\u{1b}[0m ");
        assert_eq!(of(&file(0, "a", Stream::Err)), "\u{1b}[31m0|a |\u{1b}[0m ");
        assert_eq!(of(&LogFile::daemon("/l".as_ref())), "\u{1b}[34mrpm |\u{1b}[0m ");
    }

    #[test]
    fn objects_are_pm2s_and_never_wrapped_twice() {
        let err = file(3, "api", Stream::Err);
        let want = "{\"message\":\"a \\\"b\\\" \u{fffd}\",\
                    \"timestamp\":\"1970-01-01T00:00:01.000Z\",\
                    \"type\":\"err\",\"process_id\":3,\"app_name\":\"api\"}";
        assert_eq!(text(json(&err, 1000, b"a \"b\" \xff")), want);
        assert_eq!(text(json(&err, 5000, want.as_bytes())), want);
        let own = r#"{"message":"only"}"#;
        assert!(text(json(&err, 0, own.as_bytes())).starts_with(r#"{"message":"{\"message"#));
        let event = |event| {
            let app = AppName::new("api").unwrap();
            event_json(&EventView { cursor: 1, at: 0, app, instance: 3, event })
        };
        let want = |status: &str| {
            format!(
                "{{\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"type\":\"process_event\",\
                 \"status\":\"{status}\",\"process_id\":3,\"app_name\":\"api\"}}"
            )
        };
        assert_eq!(event(json!("online")), want("online"));
        assert_eq!(event(json!({ "exited": { "asked": true } })), want("exit"));
    }

    #[test]
    fn pairs_have_pm2s_keys() {
        let found = text(pairs(&file(3, "api", Stream::Err), 0, b"hello"));
        let time = DateFormat::new(PAIR_TIME).local(0);
        assert_eq!(found, format!("timestamp={time} app=api id=3 type=error message=hello"));
        let own = text(pairs(&LogFile::daemon("/l".as_ref()), 0, b"hello"));
        assert_eq!(own, format!("timestamp={time} app=rpm message=hello"));
    }

    #[test]
    fn the_first_word_is_highlighted() {
        let found = highlighted(b"a word, a word", "word").into_owned();
        assert_eq!(text(found), "a \u{1b}[100mword\u{1b}[49m, a word");
        assert_eq!(highlighted(b"a word", "none").as_ref(), b"a word");
        assert_eq!(highlighted(b"", "none").as_ref(), b"");
    }
}
