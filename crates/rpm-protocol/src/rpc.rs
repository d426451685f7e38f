//! JSON-RPC 2.0 envelopes: lines to requests on the daemon's side, requests to lines and lines to
//! answers on the client's. No bytes from outside make anything here panic.

use crate::{EventView, Request, RpcError, version};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
use std::fmt;

/// What pairs an answer with its request: the client's choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number.
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// Only in answers to what had no id that could be read.
    Null,
}

/// A line that is no request: whom to tell, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The request's id, as far as it could be read.
    pub id: Id,
    /// Why.
    pub error: RpcError,
}

/// What a client reads; `T` is what it asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming<T = Value> {
    /// The answer to a request.
    Answer(Id, Result<T, RpcError>),
    /// Something happened.
    Event(Box<EventView>),
    /// A notification of a newer daemon.
    Unknown,
}

/// Reads one line a client sent.
///
/// # Errors
///
/// It is no request of this protocol.
pub fn parse_request(line: &[u8]) -> Result<(Id, Request), Refused> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        refuse(Id::Null, RpcError::PARSE, format!("the line is no JSON: {error}"))
    })?;
    let Value::Object(mut object) = value else {
        return Err(refuse(Id::Null, RpcError::INVALID_REQUEST, not_an_object(&value)));
    };
    let id = read_id(object.remove("id"))?;
    if object.remove("jsonrpc").as_ref().and_then(Value::as_str) != Some("2.0") {
        let message = "a request must say \"jsonrpc\": \"2.0\"".into();
        return Err(refuse(id, RpcError::INVALID_REQUEST, message));
    }
    let Some(Value::String(method)) = object.remove("method") else {
        let message = "a request must have a \"method\" that is a string".into();
        return Err(refuse(id, RpcError::INVALID_REQUEST, message));
    };
    let params = object.remove("params");
    if let Some(key) = object.keys().next() {
        let message = format!("a request has no member {key:?}");
        return Err(refuse(id, RpcError::INVALID_REQUEST, message));
    }
    match read_call(method, params) {
        Ok(request) => Ok((id, request)),
        Err(error) => Err(Refused { id, error }),
    }
}

fn refuse(id: Id, code: i64, message: String) -> Refused {
    Refused { id, error: RpcError::new(code, message) }
}

fn not_an_object(value: &Value) -> String {
    if value.is_array() {
        "batches are not supported: send one request a line, several may be under way".into()
    } else {
        "a request must be a JSON object".into()
    }
}

fn read_id(id: Option<Value>) -> Result<Id, Refused> {
    match id {
        Some(Value::Number(number)) => Ok(Id::Number(number)),
        Some(Value::String(text)) => Ok(Id::Text(text)),
        Some(_) | None => {
            let message = "a request must have an \"id\" that is a number or a string".into();
            Err(refuse(Id::Null, RpcError::INVALID_REQUEST, message))
        }
    }
}

fn read_call(method: String, params: Option<Value>) -> Result<Request, RpcError> {
    if !Request::METHODS.contains(&method.as_str()) {
        let error = RpcError::new(RpcError::METHOD_NOT_FOUND, format!("no method {method:?}"));
        return Err(error.hint(format!("methods are {}", Request::METHODS.join(", "))));
    }
    let wrong = |error| {
        RpcError::new(RpcError::INVALID_PARAMS, format!("wrong parameters of {method}: {error}"))
    };
    let call = match params.filter(|params| !is_empty(params)) {
        Some(params) => json!({ "method": method, "params": params }),
        None => json!({ "method": method }),
    };
    let request: Request = serde_json::from_value(call).map_err(wrong)?;
    if let Request::Hello { version } = &request {
        version::check(*version)?;
    }
    Ok(request)
}

/// Parameters that say nothing are as good as none.
fn is_empty(params: &Value) -> bool {
    match params {
        Value::Null => true,
        Value::Object(object) => object.is_empty(),
        Value::Array(array) => array.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The line that asks for `request`, with its end.
///
/// # Errors
///
/// The request cannot be written as JSON: a path in it is no UTF-8.
pub fn request_line(id: u64, request: &Request) -> Result<Vec<u8>, serde_json::Error> {
    let mut value = serde_json::to_value(request)?;
    if let Value::Object(object) = &mut value {
        object.insert("jsonrpc".into(), "2.0".into());
        object.insert("id".into(), id.into());
    }
    line(&value)
}

#[derive(Serialize)]
struct AnswerEnvelope<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
    id: &'a Id,
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a T>,
}

/// The line that answers request `id`, with its end. The result is written once and never copied:
/// that of a large fleet has megabytes.
pub(crate) fn answer_line<T: Serialize>(id: &Id, answer: &Result<T, RpcError>) -> Vec<u8> {
    let (result, error) = match answer {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    line(&AnswerEnvelope { error, id, jsonrpc: "2.0", result }).unwrap_or_default()
}

/// The line that tells of `event`, with its end.
pub(crate) fn event_line(event: &EventView) -> Vec<u8> {
    line(&json!({ "jsonrpc": "2.0", "method": "event", "params": event })).unwrap_or_default()
}

fn line(message: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// All that a daemon may send; what it is, is told by what is there.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<Id>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
}

/// Reads one line a daemon sent; of an answer, what a `T` needs.
///
/// # Errors
///
/// It is none of this protocol, or the answer is no `T`.
pub fn parse_answer<T: DeserializeOwned>(line: &[u8]) -> Result<Incoming<T>, serde_json::Error> {
    let envelope: Envelope = serde_json::from_slice(line)?;
    let id = envelope.id.unwrap_or(Id::Null);
    match (envelope.method, envelope.error) {
        (Some(method), _) if method == "event" => {
            Ok(Incoming::Event(Box::new(serde_json::from_value(envelope.params)?)))
        }
        (Some(_), _) => Ok(Incoming::Unknown),
        (None, Some(error)) => Ok(Incoming::Answer(id, Err(error))),
        (None, None) => {
            // `null` is a result, too.
            let result = envelope.result.map_or("null", RawValue::get);
            Ok(Incoming::Answer(id, Ok(serde_json::from_str(result)?)))
        }
    }
}

impl From<u64> for Id {
    fn from(id: u64) -> Self {
        Self::Number(id.into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Null => f.write_str("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Targets;
    use proptest::prelude::*;

    fn refused(line: &str) -> (Id, i64, String) {
        let Refused { id, error } = parse_request(line.as_bytes()).unwrap_err();
        (id, error.code, error.message)
    }

    #[test]
    fn requests_are_read() {
        let describe = Request::Describe {
            targets: Targets { words: vec!["api".into()], cwd: "/srv".into() },
            secrets: false,
        };
        let text = |text: &str| Id::Text(text.into());
        let table = [
            (r#""id":1,"method":"list""#, Id::from(1), Request::List),
            (r#""id":"a","method":"list","params":{}"#, text("a"), Request::List),
            (r#""method":"list","params":[],"id":-1.5"#, number(-1.5), Request::List),
            (r#""id":1,"method":"ping","params":null"#, Id::from(1), Request::Ping),
            (
                r#""id":7,"method":"describe","params":{"targets":{"words":["api"],"cwd":"/srv"}}"#,
                Id::from(7),
                describe,
            ),
        ];
        for (members, id, request) in table {
            let line = format!(r#"{{"jsonrpc":"2.0",{members}}}"#);
            assert_eq!(parse_request(line.as_bytes()), Ok((id, request)), "{line}");
        }
    }

    fn number(number: f64) -> Id {
        Id::Number(serde_json::Number::from_f64(number).unwrap())
    }

    #[test]
    fn what_is_no_request_is_refused_without_an_id() {
        let table = [
            ("", RpcError::PARSE),
            ("\u{1b}[A", RpcError::PARSE),
            ("GET / HTTP/1.1\r", RpcError::PARSE),
            ("7", RpcError::INVALID_REQUEST),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"list"}]"#, RpcError::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","method":"list"}"#, RpcError::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":null,"method":"list"}"#, RpcError::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":{},"method":"list"}"#, RpcError::INVALID_REQUEST),
        ];
        for (line, code) in table {
            let (id, got, message) = refused(line);
            assert_eq!((id, got), (Id::Null, code), "{line}: {message}");
        }
    }

    #[test]
    fn a_wrong_request_is_refused_by_its_id() {
        let table = [
            (r#""method":"list""#, RpcError::INVALID_REQUEST),
            (r#""jsonrpc":"2.0""#, RpcError::INVALID_REQUEST),
            (r#""jsonrpc":"2.0","method":3"#, RpcError::INVALID_REQUEST),
            (r#""jsonrpc":"2.0","method":"list","x":1"#, RpcError::INVALID_REQUEST),
            (r#""jsonrpc":"2.0","method":"lst""#, RpcError::METHOD_NOT_FOUND),
            (r#""jsonrpc":"2.0","method":"scale""#, RpcError::INVALID_PARAMS),
            (r#""jsonrpc":"2.0","method":"list","params":[1]"#, RpcError::INVALID_PARAMS),
            (r#""jsonrpc":"2.0","method":"hello","params":{"version":9}"#, RpcError::VERSION),
        ];
        for (members, code) in table {
            let (id, got, message) = refused(&format!(r#"{{"id":"x",{members}}}"#));
            assert_eq!((id, got), (Id::Text("x".into()), code), "{members}: {message}");
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = "[".repeat(MAX_DEPTH_TRIED);
        assert_eq!(refused(&deep).1, RpcError::PARSE);
    }

    /// Far more than serde_json's 128 levels, and enough to overflow a stack.
    const MAX_DEPTH_TRIED: usize = 1 << 20;

    #[test]
    fn each_method_is_listed_and_goes_both_ways() {
        let targets = || Targets { words: vec![], cwd: "/".into() };
        let requests = [
            Request::Hello { version: crate::VERSION },
            Request::Ping,
            Request::List,
            Request::Logs { targets: targets() },
            Request::Flush { targets: targets() },
            Request::Save { force: true },
            Request::Resurrect,
            Request::Events { since: Some(3), targets: targets() },
            Request::Kill,
        ];
        for request in requests {
            let mut line = request_line(5, &request).unwrap();
            assert_eq!(line.pop(), Some(b'\n'));
            assert_eq!(parse_request(&line), Ok((Id::from(5), request)));
        }
    }

    #[test]
    fn answers_and_events_are_read() {
        let error = RpcError::failed("no", None);
        let event = EventView {
            cursor: 1,
            at: 2,
            app: rpm_config::AppName::new("api").unwrap(),
            instance: 0,
            event: json!("online"),
        };
        let table = [
            (
                answer_line(&Id::from(1), &Ok(json!([1]))),
                Incoming::Answer(Id::from(1), Ok(json!([1]))),
            ),
            (
                answer_line(&Id::Null, &Err::<(), _>(error.clone())),
                Incoming::Answer(Id::Null, Err(error)),
            ),
            (event_line(&event), Incoming::Event(Box::new(event))),
            (br#"{"jsonrpc":"2.0","method":"new","params":{}}"#.to_vec(), Incoming::Unknown),
        ];
        for (line, want) in table {
            assert_eq!(parse_answer(&line).unwrap(), want);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_can_panic_the_parser(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_request(&line);
            let _ = parse_answer::<Value>(&line);
        }

        #[test]
        fn no_json_can_panic_the_parser(
            method in proptest::sample::select(vec!["act", "start", "hello", "events", "?"]),
            id in proptest::sample::select(vec!["1", "\"x\"", "null", "1e999", "-0.0"]),
            params in "[\\[\\]{}:,\"a-z0-9]{0,30}",
        ) {
            let line = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
            );
            let _ = parse_request(line.as_bytes());
        }

        #[test]
        fn no_changed_request_can_panic_the_parser(
            line in rpm_corpus::changed(rpm_corpus::lines("rpc")),
        ) {
            if let Ok((_, request)) = parse_request(&line) {
                // What was understood can be said again, and is understood as the same.
                let again = request_line(1, &request).unwrap();
                prop_assert_eq!(parse_request(&again).map(|(_, one)| one), Ok(request));
            }
        }

        #[test]
        fn no_changed_answer_can_panic_the_parser(
            line in rpm_corpus::changed(rpm_corpus::lines("answer")),
        ) {
            let _ = parse_answer::<Value>(&line);
        }
    }
}
