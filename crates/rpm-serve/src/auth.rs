//! [`Guard`]: basic authentication (RFC 7617), one name and one password for the whole site. It
//! keeps strangers out of a preview; without TLS before it anybody on the way can read both.

use crate::Credentials;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// PM2's words: clients remember a password by them.
pub(crate) const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"Authentication service\"");

/// Whom the site is for.
pub(crate) struct Guard {
    /// Base64 of `name:password`, as a client sends it.
    expected: String,
}

impl Guard {
    pub(crate) fn new(credentials: &Credentials) -> Self {
        let Credentials { username, password } = credentials;
        Self { expected: STANDARD.encode(format!("{username}:{password}")) }
    }

    /// Whether a request with these headers has name and password.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, given)) = given.and_then(|value| value.split_once(' ')) else {
            return false;
        };
        scheme.eq_ignore_ascii_case("basic") && is_same(given.trim().as_bytes(), &self.expected)
    }
}

/// Looks at every byte whatever the first difference is, so that time tells nothing but the length.
fn is_same(given: &[u8], expected: &str) -> bool {
    let differences = given.iter().zip(expected.bytes()).map(|(one, other)| one ^ other);
    given.len() == expected.len() && differences.fold(0, |all, one| all | one) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_with_its_password_enters() {
        let [username, password] = ["ann", "s:é"].map(str::to_owned);
        let guard = Guard::new(&Credentials { username, password });
        let table = [
            // `printf ann:s:é | base64`
            (Some("Basic YW5uOnM6w6k="), true),
            (Some("basic  YW5uOnM6w6k="), true),
            (Some("Basic YW5uOnM6w6g="), false),
            (Some("Basic YW5uOg=="), false),
            (Some("Bearer YW5uOnM6w6k="), false),
            (Some("Basic"), false),
            (Some(""), false),
            (None, false),
        ];
        for (value, want) in table {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(guard.admits(&headers), want, "{value:?}");
        }
    }
}
