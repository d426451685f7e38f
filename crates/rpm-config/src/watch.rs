//! What `watch`, `ignore_watch`, `watch_delay` and `watch_options` mean: which paths count. Nothing
//! is watched here.

use crate::{AppOptions, Watch, search::Search};
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use std::path::{Path, PathBuf};

/// What `watch` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchPaths {
    /// `false`.
    None,
    /// `true`: the app's directory.
    Directory,
    /// These; paths may be relative.
    Paths(Vec<String>),
}

/// Begins a pattern that was a regular expression in a JavaScript file; so are its letters meant.
pub(crate) const REGEX: &str = "regex:";

/// Begins an entry of `ignore_watch` that names extensions, parted by commas: files with any other
/// one never count. It is what `start --ext` asks for.
pub const ONLY_EXTENSIONS: &str = "ext:";

/// What never counts unless `ignore_watch` says otherwise, as names anywhere below what is watched:
/// PM2's `node_modules` and dot files, and what programs write while they run.
pub const IGNORED_BY_DEFAULT: [&str; 4] = ["node_modules", ".*", "*.log", "*.pid"];

/// What counts where nothing is watched yet, if anything is said of it.
pub(crate) fn unwatched(options: &AppOptions) -> Option<Watch> {
    let watches = !matches!(options.watch, None | Some(WatchPaths::None));
    let says = options.ignore_watch.is_some()
        || options.watch_delay.is_some()
        || options.watch_follow_links.is_some();
    (says && !watches).then(|| rules(options, Vec::new()))
}

fn rules(options: &AppOptions, paths: Vec<PathBuf>) -> Watch {
    Watch {
        paths,
        ignore: options.ignore_watch.clone(),
        delay: options.watch_delay.unwrap_or_default(),
        follow_links: options.watch_follow_links.unwrap_or(false),
    }
}

/// What the options ask for; `None`: nothing.
pub(crate) fn resolve(options: &AppOptions, search: &Search) -> Option<Watch> {
    let paths = match options.watch.as_ref()? {
        WatchPaths::None => return None,
        WatchPaths::Directory => vec![search.cwd.clone()],
        WatchPaths::Paths(paths) => paths.iter().map(|path| search.absolute(path)).collect(),
    };
    Some(rules(options, paths))
}

/// Decides which paths count.
#[derive(Clone, Debug)]
pub struct WatchFilter {
    ignored: GlobSet,
    names: bool,
    /// Only files with one of these extensions count.
    extensions: Option<Vec<String>>,
    logs: Vec<PathBuf>,
}

impl WatchFilter {
    /// For an app in `cwd` whose own files `logs` never count. A pattern that cannot be read is
    /// taken for a name.
    pub fn new(watch: &Watch, cwd: &Path, logs: Vec<PathBuf>) -> Self {
        let mut set = GlobSetBuilder::new();
        let all = watch.ignore.iter().flatten();
        let (only, patterns): (Vec<&String>, Vec<&String>) =
            all.partition(|entry| entry.starts_with(ONLY_EXTENSIONS));
        for pattern in &patterns {
            for glob in globs(pattern, cwd) {
                set.add(glob);
            }
        }
        let ignored = set.build().unwrap_or_else(|_| GlobSet::empty());
        let only = only.last().and_then(|entry| entry.strip_prefix(ONLY_EXTENSIONS));
        let extensions =
            only.map(|list| list.split(',').map(|one| extension(one).into()).collect());
        let names = watch.ignore.is_none() || (extensions.is_some() && patterns.is_empty());
        Self { ignored, names, extensions, logs }
    }

    /// Whether a change of `path`, found below the watched `base`, counts for nothing; so does all
    /// below it.
    pub fn ignores(&self, path: &Path, base: &Path) -> bool {
        let below = path.strip_prefix(base).unwrap_or(path);
        let named = || below.iter().any(|name| is_default(&name.to_string_lossy()));
        self.logs.iter().any(|log| path.starts_with(log))
            || self.ignored.is_match(path)
            || (self.names && named())
    }
}

impl WatchFilter {
    /// Whether a change of `path` itself can count, whatever is ignored; what is below it may count
    /// where it does not.
    pub fn wants(&self, path: &Path) -> bool {
        let found = || path.extension().map(|found| found.to_string_lossy());
        self.extensions.as_ref().is_none_or(|wanted| {
            found().is_some_and(|found| wanted.iter().any(|one| *one == found))
        })
    }
}

/// `js` for `.js` and ` js`.
fn extension(text: &str) -> &str {
    text.trim().trim_start_matches('.')
}

/// Whether `path` is one that `pattern`, an absolute path of `watch`, means.
pub fn matches(pattern: &Path, path: &Path) -> bool {
    let glob = GlobBuilder::new(&pattern.to_string_lossy()).literal_separator(true).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(path))
}

/// Whether one of [`IGNORED_BY_DEFAULT`] means this name.
fn is_default(name: &str) -> bool {
    let is_log = [".log", ".pid"].iter().any(|end| name.ends_with(end));
    name == "node_modules" || name.starts_with('.') || is_log
}

/// A pattern means what it matches and all below it; a relative one starts at `cwd`, and one that
/// is a mere name is meant at any depth.
fn globs(pattern: &str, cwd: &Path) -> Vec<Glob> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern).trim_end_matches('/');
    let written = match pattern.strip_prefix(REGEX) {
        // `/node_modules/` and `/[\/\\]\./` are what such files have: the plain letters of it.
        Some(regex) => format!("**/*{}*", plain_letters(regex)),
        None if pattern.starts_with('/') => pattern.to_owned(),
        None => format!("{}/{pattern}", globset::escape(&cwd.to_string_lossy())),
    };
    let any_depth = (!pattern.contains('/')).then(|| format!("**/{pattern}"));
    let all = [Some(written), any_depth];
    let all = all.into_iter().flatten().flat_map(|glob| [format!("{glob}/**"), glob]);
    let build = |glob: String| {
        let mut builder = GlobBuilder::new(&glob);
        builder.literal_separator(true).build().or_else(|_| Glob::new(&globset::escape(&glob))).ok()
    };
    all.filter_map(build).collect()
}

fn plain_letters(regex: &str) -> String {
    let last = regex.rsplit(['/', '\\', '|', ']', ')']).find(|part| !part.is_empty());
    globset::escape(last.unwrap_or(regex).trim_end_matches('$'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn filter(ignore: Option<&[&str]>) -> WatchFilter {
        let ignore = ignore.map(|list| list.iter().map(|text| (*text).to_owned()).collect());
        let (paths, delay) = (vec!["/srv/.apps/api".into()], Duration::ZERO);
        let watch = Watch { paths, ignore, delay, follow_links: false };
        WatchFilter::new(&watch, Path::new("/srv/.apps/api"), vec!["/srv/.apps/api/out".into()])
    }

    fn ignored(filter: &WatchFilter, below: &str) -> bool {
        let base = Path::new("/srv/.apps/api");
        filter.ignores(&base.join(below), base)
    }

    #[test]
    fn the_defaults_look_below_the_watched_directory_only() {
        let filter = filter(None);
        for path in ["node_modules", "node_modules/x/y.js", ".git/HEAD", "a/.env", "a.log", "out"] {
            assert!(ignored(&filter, path), "{path}");
        }
        for path in ["server.js", "lib/a.js", "logs.js", "outer"] {
            assert!(!ignored(&filter, path), "{path}");
        }
    }

    #[test]
    fn only_some_extensions_count_beside_the_defaults() {
        let filter = filter(Some(&["ext:js,.ts, json"]));
        let wanted = |below: &str| {
            !ignored(&filter, below) && filter.wants(&Path::new("/srv/.apps/api").join(below))
        };
        for path in ["a.js", "lib/b.ts", "c.json"] {
            assert!(wanted(path), "{path}");
        }
        for path in ["a.css", "Makefile", "lib", "node_modules/a.js", ".git/a.js", "a.jsx"] {
            assert!(!wanted(path), "{path}");
        }
        assert!(!ignored(&filter, "lib.d"), "what is below a directory may count");
    }

    #[test]
    fn patterns_replace_the_defaults_and_mean_all_below() {
        let filter =
            filter(Some(&["tmp", "public/*.css", "/srv/.apps/api/data/", "**/*.md", "./b"]));
        for path in [
            "tmp",
            "tmp/a",
            "lib/tmp/a",
            "public/a.css",
            "data",
            "data/x/y",
            "c/d.md",
            "d.md",
            "b/c",
            "out",
        ] {
            assert!(ignored(&filter, path), "{path}");
        }
        for path in ["tmpx", "public/a/b.css", "datax", "d.mdx", "node_modules/a.js", ".env"] {
            assert!(!ignored(&filter, path), "{path}");
        }
    }
}
