//! Which git checkout a directory is in, and at which commit: read from git's own files
//! (gitrepository-layout(5)), without running git. What has changed in it is not looked at.

use serde_json::{Value, json};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The largest file of git's that is read, in bytes; `packed-refs` of a large repository.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A checkout.
#[derive(Debug, Default, PartialEq)]
pub struct Repository {
    /// Its top directory.
    pub root: PathBuf,
    /// The branch; `None`: a commit that was chosen by itself.
    pub branch: Option<String>,
    /// The commit's number; `None`: there is none yet.
    pub revision: Option<String>,
    /// The names of its remotes.
    pub remotes: Vec<String>,
    /// Where the first of them is, without a password.
    pub url: Option<String>,
}

/// The checkout that `directory` is in.
pub fn find(directory: &Path) -> Option<Repository> {
    let root = directory.ancestors().find(|path| path.join(".git").exists())?;
    let git = git_directory(root)?;
    // A worktree of another checkout has its branches and settings there.
    let common = match read(&git.join("commondir")) {
        Some(text) => git.join(text.trim()),
        None => git.clone(),
    };
    let head = read(&git.join("HEAD"))?;
    let reference = head.trim().strip_prefix("ref: ");
    let (remotes, url) = remotes(&read(&common.join("config")).unwrap_or_default());
    Some(Repository {
        root: root.to_owned(),
        branch: reference.map(|name| name.trim_start_matches("refs/heads/").to_owned()),
        revision: match reference {
            Some(name) => commit_of(name, &git, &common),
            None => Some(head.trim().to_owned()),
        },
        remotes,
        url,
    })
}

impl Repository {
    /// PM2's fields of `versioning`.
    pub fn json(&self) -> Value {
        json!({
            "type": "git",
            "url": self.url,
            "revision": self.revision,
            "branch": self.branch,
            "remotes": self.remotes,
            "remote": self.remotes.first(),
            "repo_path": self.root,
        })
    }
}

/// `.git`, or where a file of that name says.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let path = root.join(".git");
    if path.is_dir() {
        return Some(path);
    }
    let text = read(&path)?;
    Some(root.join(text.trim().strip_prefix("gitdir: ")?))
}

fn commit_of(name: &str, git: &Path, common: &Path) -> Option<String> {
    // A name comes from a file that anybody may have written.
    if name.split('/').any(|part| part == "..") {
        return None;
    }
    let own = [git, common].iter().find_map(|place| read(&place.join(name)));
    let packed = || {
        let text = read(&common.join("packed-refs"))?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(_, found)| *found == name).map(|(commit, _)| commit.to_owned())
    };
    own.map(|text| text.trim().to_owned()).or_else(packed)
}

/// The names of all remotes, and the first one's address.
fn remotes(config: &str) -> (Vec<String>, Option<String>) {
    let (mut names, mut url, mut within) = (Vec::new(), None, false);
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            let name = line.strip_prefix("[remote \"").and_then(|rest| rest.split('"').next());
            within = name.is_some();
            names.extend(name.map(str::to_owned));
        } else if let Some((key, value)) = line.split_once('=')
            && within
            && key.trim() == "url"
            && names.len() == 1
        {
            url = Some(without_password(value.trim()));
        }
    }
    (names, url)
}

/// `https://name:secret@host/` without what stands before the `@`.
fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or(host);
            format!("{scheme}://{host}/{path}")
        }
        None => url.to_owned(),
    }
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    const CONFIG: &str = "[core]\n\tbare = false\n[remote \"origin\"]\n\
        \turl = https://me:secret@example.org/a/b.git\n[remote \"other\"]\n\turl = c:d.git\n";

    #[test]
    fn a_branch_with_remotes() {
        let place = checkout(&[
            (".git/HEAD", "ref: refs/heads/main\n"),
            (".git/refs/heads/main", "0123abc\n"),
            (".git/config", CONFIG),
            ("src/a.js", ""),
        ]);
        let want = Repository {
            root: place.path().to_owned(),
            branch: Some("main".into()),
            revision: Some("0123abc".into()),
            remotes: vec!["origin".into(), "other".into()],
            url: Some("https://example.org/a/b.git".into()),
        };
        assert_eq!(find(&place.path().join("src")), Some(want));
    }

    #[test]
    fn packed_detached_and_empty() {
        let packed = [
            (".git/HEAD", "ref: refs/heads/a/b\n"),
            (".git/packed-refs", "# pack-refs with: peeled\n11 refs/heads/a\n22 refs/heads/a/b\n"),
        ];
        let found = |files: &[(&str, &str)]| find(checkout(files).path()).unwrap();
        assert_eq!(found(&packed).revision.as_deref(), Some("22"));
        let detached = found(&[(".git/HEAD", "4567\n")]);
        assert_eq!((detached.branch, detached.revision.as_deref()), (None, Some("4567")));
        assert_eq!(found(&[(".git/HEAD", "ref: refs/heads/new\n")]).revision, None);
        let outside = found(&[(".git/HEAD", "ref: ../../secret\n"), ("secret", "x")]);
        assert_eq!(outside.revision, None);
    }

    #[test]
    fn a_worktree_has_its_branches_elsewhere() {
        let place = checkout(&[
            ("main/.git/refs/heads/work", "99\n"),
            ("main/.git/worktrees/w/HEAD", "ref: refs/heads/work\n"),
            ("main/.git/worktrees/w/commondir", "../..\n"),
            ("w/.git", "gitdir: ../main/.git/worktrees/w\n"),
        ]);
        let found = find(&place.path().join("w")).unwrap();
        assert_eq!(
            (found.branch.as_deref(), found.revision.as_deref()),
            (Some("work"), Some("99"))
        );
    }
}
