//! Which variables are secrets, by their names: what is shown to a person, or given to a client
//! that did not ask for them, has no values of these. Who may ask is left to others.

use std::collections::BTreeMap;

/// What stands in place of a secret's value.
pub const HIDDEN: &str = "***";

/// Words in the names of variables whose values nobody shall read over a shoulder.
const WORDS: [&str; 7] = ["SECRET", "TOKEN", "PASS", "KEY", "CREDENTIAL", "AUTH", "DSN"];

/// Whether a variable is a secret, as far as its name or value tells: `API_KEY`, or an address with
/// a password in it, as `postgres://me:word@host/`.
pub fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.contains(word)) || has_password(value)
}

/// `scheme://user:password@…` (RFC 3986, 3.2.1), anywhere in a text.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// Puts [`HIDDEN`] in place of the values of secrets.
pub fn hide_secrets(variables: &mut BTreeMap<String, String>) {
    for (name, value) in variables.iter_mut() {
        if !value.is_empty() && is_secret(name, value) {
            HIDDEN.clone_into(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_or_by_a_password_in_an_address() {
        for (name, value) in [
            ("API_KEY", "x"),
            ("db_password", "x"),
            ("Github_Token", "x"),
            ("DATABASE_URL", "postgres://me:word@db.example/x"),
            ("PROXIES", "http://plain http://a:b@c"),
        ] {
            assert!(is_secret(name, value), "{name}");
        }
        for (name, value) in [
            ("PORT", "8080"),
            ("HOME", "/home/me"),
            ("URL", "https://example.org/a:b@c"),
            ("MAIL", "me@example.org"),
            ("REPOSITORY", "ssh://git@example.org/x"),
        ] {
            assert!(!is_secret(name, value), "{name}");
        }
    }

    #[test]
    fn only_what_is_there_is_hidden() {
        let of = |all: [(&str, &str); 3]| all.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let mut all: BTreeMap<_, _> = of([("PORT", "1"), ("TOKEN", "x"), ("EMPTY_TOKEN", "")]);
        hide_secrets(&mut all);
        assert_eq!(all, of([("PORT", "1"), ("TOKEN", HIDDEN), ("EMPTY_TOKEN", "")]));
    }
}
