//! The page of a directory that has no page of its own: PM2's `--ftp`. Hidden files are not on it.

use jiff::{Timestamp, tz::TimeZone};
use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The most entries of a page; a browser has no joy of more, and each costs memory here.
const MAX_ENTRIES: usize = 10_000;

/// The directory below `root` that the decoded `path` of a request means, if it is one.
pub(crate) fn directory(root: &Path, path: &[u8]) -> Option<PathBuf> {
    let below: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|s| !s.is_empty()).collect();
    let mut directory = root.to_owned();
    directory.extend(below.into_iter().map(OsStr::from_bytes));
    directory.is_dir().then_some(directory)
}

/// The page of `directory`, which clients know as `path`: directories first, then files, by name.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn page(directory: &Path, path: &[u8]) -> io::Result<String> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        if entries.len() == MAX_ENTRIES {
            break;
        }
        // Of what a link points to; a dangling one is not there for clients.
        if let Ok(meta) = fs::metadata(entry.path()) {
            let (is_directory, size, changed) = (meta.is_dir(), meta.len(), meta.modified().ok());
            entries.push(Entry { is_directory, name: name.as_bytes().to_vec(), size, changed });
        }
    }
    entries.sort_by(|one, other| {
        (!one.is_directory, &one.name).cmp(&(!other.is_directory, &other.name))
    });
    let title = escaped(&String::from_utf8_lossy(path));
    let mut page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Index of {title}</title>\n\
         <h1>Index of {title}</h1>\n<table>\n"
    );
    if path.iter().any(|byte| *byte != b'/') {
        page.push_str("<tr><td><a href=\"../\">../</a></td></tr>\n");
    }
    page.extend(entries.iter().map(Entry::row));
    page.push_str("</table>\n");
    Ok(page)
}

struct Entry {
    is_directory: bool,
    name: Vec<u8>,
    size: u64,
    changed: Option<SystemTime>,
}

impl Entry {
    fn row(&self) -> String {
        let slash = if self.is_directory { "/" } else { "" };
        let (href, name) = (encoded(&self.name), escaped(&String::from_utf8_lossy(&self.name)));
        let size = if self.is_directory { String::new() } else { self.size.to_string() };
        // A leading `./`: a name with a colon would be taken for another scheme.
        format!(
            "<tr><td><a href=\"./{href}{slash}\">{name}{slash}</a></td><td>{}</td>\
             <td align=\"right\">{size}</td></tr>\n",
            self.time()
        )
    }

    /// To the minute, UTC.
    fn time(&self) -> String {
        let changed = self.changed.and_then(|time| Timestamp::try_from(time).ok());
        let text = |time: Timestamp| time.to_zoned(TimeZone::UTC).strftime("%F %R").to_string();
        changed.map(text).unwrap_or_default()
    }
}

/// As a segment of a path (RFC 3986): all but the unreserved characters as `%41`.
fn encoded(name: &[u8]) -> String {
    let mut text = String::new();
    for byte in name {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            byte => {
                // A String takes all that is written.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

/// As text of HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn names_of_all_kinds_can_be_followed_and_say_nothing_to_a_browser() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a:b", "x<y>&\".js", ".hidden", "é %"] {
            let file = fs::File::create(root.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(61)).unwrap();
        }
        std::os::unix::fs::symlink("nowhere", root.path().join("dangling")).unwrap();
        let row = |href: &str, name: &str| {
            format!(
                "<tr><td><a href=\"./{href}\">{name}</a></td><td>1970-01-01 00:01</td>\
                 <td align=\"right\">0</td></tr>\n"
            )
        };
        let want = "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Index of /a&lt;b/</title>\n\
                    <h1>Index of /a&lt;b/</h1>\n<table>\n\
                    <tr><td><a href=\"../\">../</a></td></tr>\n"
            .to_owned()
            + &row("a%3Ab", "a:b")
            + &row("b.txt", "b.txt")
            + &row("x%3Cy%3E%26%22.js", "x&lt;y&gt;&amp;&quot;.js")
            + &row("%C3%A9%20%25", "é %")
            + "</table>\n";
        assert_eq!(page(root.path(), b"/a<b/").unwrap(), want);
    }

    #[test]
    fn directories_stand_first_and_are_found_by_their_path() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "12").unwrap();
        fs::create_dir_all(root.path().join("z/é")).unwrap();
        let page = page(root.path(), b"/").unwrap();
        assert!(!page.contains("../") && page.find("z/").unwrap() < page.find(">a<").unwrap());
        let found = |path: &str| directory(root.path(), path.as_bytes());
        assert_eq!(found("/"), Some(root.path().to_owned()));
        assert_eq!(found("/z//é/"), Some(root.path().join("z/é")));
        assert_eq!((found("/a"), found("/none")), (None, None));
    }
}
