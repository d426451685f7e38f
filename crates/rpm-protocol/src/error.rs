//! [`RpcError`]: a refusal or failure as it travels, with what a person needs to go on.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The error of a JSON-RPC answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct RpcError {
    /// One of the constants below; unknown ones are failures.
    pub code: i64,
    /// What failed, on what, why: a lower-case fragment.
    pub message: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
    /// The last lines of the failed worker's standard error, oldest first.
    pub stderr: Vec<String>,
}

impl RpcError {
    /// The line was no JSON, or too long.
    pub const PARSE: i64 = -32700;
    /// It was JSON, but no request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The method exists and its parameters are wrong.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The daemon is at fault.
    pub const INTERNAL: i64 = -32603;
    /// Client and daemon are too far apart in version.
    pub const VERSION: i64 = -32001;
    /// The client's user may not use this daemon.
    pub const PERMISSION: i64 = -32002;
    /// The request was understood and accepted, and failed.
    pub const FAILED: i64 = 1;

    /// An error of `code` without hint and lines.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, stderr: Vec::new() }
    }

    /// The request was understood and failed; the hint says what to do about it.
    pub fn failed(message: impl Into<String>, hint: Option<String>) -> Self {
        Self { hint, ..Self::new(Self::FAILED, message) }
    }

    /// The daemon is at fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Self::INTERNAL, message)
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the last lines of a worker's standard error.
    #[must_use]
    pub fn stderr(mut self, lines: Vec<String>) -> Self {
        self.stderr = lines;
        self
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RpcError {}

/// JSON-RPC's layout: everything beyond code and message is in `data`.
#[derive(Serialize, Deserialize)]
struct Wire {
    code: i64,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Serialize, Deserialize)]
struct Data {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stderr: Vec<String>,
}

impl From<Wire> for RpcError {
    fn from(Wire { code, message, data }: Wire) -> Self {
        let Data { hint, stderr } = data.unwrap_or(Data { hint: None, stderr: Vec::new() });
        Self { code, message, hint, stderr }
    }
}

impl From<RpcError> for Wire {
    fn from(RpcError { code, message, hint, stderr }: RpcError) -> Self {
        let bare = hint.is_none() && stderr.is_empty();
        Self { code, message, data: (!bare).then_some(Data { hint, stderr }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_travels_as_json_rpc_wants() {
        let table = [
            (RpcError::failed("it broke", None), r#"{"code":1,"message":"it broke"}"#),
            (
                RpcError::failed("no app x", Some("did you mean y?".into())),
                r#"{"code":1,"message":"no app x","data":{"hint":"did you mean y?"}}"#,
            ),
            (
                RpcError::internal("a").stderr(vec!["Error: b".into()]),
                r#"{"code":-32603,"message":"a","data":{"stderr":["Error: b"]}}"#,
            ),
        ];
        for (error, text) in table {
            assert_eq!(serde_json::to_string(&error).unwrap(), text);
            assert_eq!(serde_json::from_str::<RpcError>(text).unwrap(), error);
        }
    }
}
