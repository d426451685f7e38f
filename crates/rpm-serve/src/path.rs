//! Which request paths may be looked up at all. Finding the file is `site`'s work.

/// Whether `path`, as it stands in the request line, can only mean a file under the root.
///
/// Refused are `..` as a segment in any spelling, NUL, backslashes, percent signs that encode
/// nothing, and a second slash at the start, which a redirect would turn into another host.
pub(crate) fn stays_inside(path: &str) -> bool {
    let Some(decoded) = decode(path.as_bytes()) else { return false };
    let segments = || decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    path.starts_with('/')
        && !decoded.starts_with(b"//")
        && !decoded.iter().any(|byte| matches!(byte, 0 | b'\\'))
        && !segments().any(|segment| segment == b"..")
}

/// `path` with each `%41` replaced by its byte; `None` where a percent sign encodes nothing.
pub(crate) fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        decoded.push(hex(*high)? << 4 | hex(*low)?);
        rest = after;
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_pass() {
        for path in ["/", "/a", "/a/", "/a/b.html", "/a%20b", "/..a", "/a..", "/a//b", "/%C3%A9"] {
            assert!(stays_inside(path), "{path}");
        }
    }

    #[test]
    fn every_spelling_of_the_parent_is_refused() {
        for path in ["/..", "/../a", "/a/../b", "/a/..", "/%2e%2e/a", "/.%2E/a", "/a%2f..%2fb"] {
            assert!(!stays_inside(path), "{path}");
        }
        for path in ["/..\\a", "/a\\b", "/%5c..", "/a%5Cb"] {
            assert!(!stays_inside(path), "{path}");
        }
    }

    #[test]
    fn nul_broken_encodings_and_other_hosts_are_refused() {
        for path in ["/a%00", "/%", "/%4", "/%zz", "/a%", "//host", "/%2Fhost", "", "*", "a"] {
            assert!(!stays_inside(path), "{path}");
        }
    }
}
