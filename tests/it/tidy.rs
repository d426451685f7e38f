//! The rules that would otherwise only be remembered: who may depend on whom, and the shape of the
//! source.

use crate::harness::repository;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates each of our crates may use; DESIGN.md's arrows.
const ARROWS: [(&str, &[&str]); 13] = [
    ("rpm-unix", &[]),
    // For tests; nobody's program has it.
    ("rpm-corpus", &[]),
    ("rpm-config", &["rpm-unix"]),
    ("rpm-serve", &[]),
    ("rpm-front", &["rpm-unix"]),
    ("rpm-keeper", &["rpm-unix"]),
    ("rpm-logs", &["rpm-unix"]),
    ("rpm-cluster", &["rpm-unix"]),
    ("rpm-supervisor", &["rpm-config"]),
    ("rpm-protocol", &["rpm-config"]),
    ("rpm-pm2-socket", &["rpm-config", "rpm-logs", "rpm-protocol", "rpm-unix"]),
    (
        "rpm-daemon",
        &[
            "rpm-cluster",
            "rpm-config",
            "rpm-front",
            "rpm-keeper",
            "rpm-logs",
            "rpm-pm2-socket",
            "rpm-protocol",
            "rpm-supervisor",
            "rpm-unix",
        ],
    ),
    (
        "rpm",
        &[
            "rpm-config",
            "rpm-daemon",
            "rpm-front",
            "rpm-keeper",
            "rpm-logs",
            "rpm-pm2-socket",
            "rpm-protocol",
            "rpm-serve",
            "rpm-unix",
        ],
    ),
];

/// Crates of others that only some of ours may use.
const RESERVED: [(&str, &[&str]); 7] = [
    ("clap", &["rpm"]),
    ("interprocess", &["rpm", "rpm-daemon", "rpm-protocol"]),
    ("libc", &["rpm-unix"]),
    ("nix", &["rpm-cluster", "rpm-daemon", "rpm-front", "rpm-keeper", "rpm-logs", "rpm-unix"]),
    ("toml", &["rpm-config"]),
    ("hyper", &["rpm-daemon", "rpm-serve"]),
    ("tracing-subscriber", &["rpm", "rpm-daemon"]),
];

/// All that the keeper and the supervisor may use of others.
const FRUGAL: [(&str, &[&str]); 2] =
    [("rpm-keeper", &["nix", "rpm-unix"]), ("rpm-supervisor", &["rpm-config", "serde"])];

/// The longest a file may be, its tests not counted.
const FILE_LINES: usize = 600;
const COLUMNS: usize = 100;

/// The normal dependencies of each of our packages.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(|package| (text(&package["name"]), normal(package))).collect()
}

fn normal(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().expect("dependencies").iter();
    all.filter(|found| found["kind"].is_null()).map(|found| text(&found["name"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Fails with every finding at once.
fn nothing(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn crates_depend_downwards_only() {
    let arrows: BTreeMap<_, _> = ARROWS.into_iter().collect();
    let mut findings = Vec::new();
    for (package, uses) in dependencies() {
        let Some(allowed) = arrows.get(package.as_str()) else {
            findings.push(format!("{package} has no place in ARROWS"));
            continue;
        };
        for used in uses.iter().filter(|used| arrows.contains_key(used.as_str())) {
            if !allowed.contains(&used.as_str()) {
                findings.push(format!("{package} must not know {used}"));
            }
        }
    }
    nothing(findings);
}

#[test]
fn some_crates_of_others_are_for_some_of_ours() {
    let mut findings = Vec::new();
    for (package, uses) in dependencies() {
        for (reserved, users) in RESERVED {
            if uses.contains(reserved) && !users.contains(&package.as_str()) {
                findings.push(format!("{package} must not use {reserved}"));
            }
        }
        for (_, frugal) in FRUGAL.iter().filter(|(frugal, _)| *frugal == package) {
            let more = uses.iter().filter(|used| !frugal.contains(&used.as_str()));
            findings.extend(more.map(|used| format!("{package} must not use {used}")));
        }
    }
    nothing(findings);
}

#[test]
fn every_dependency_has_its_reason_above_it() {
    nothing(manifests().iter().flat_map(|manifest| unexplained(manifest)).collect());
}

/// Lines of a manifest that add a dependency without a comment above.
fn unexplained(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).expect("Cargo.toml");
    let (mut inside, mut before, mut found) = (false, "", Vec::new());
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("workspace");
        }
        let adds = inside && line.starts_with(|c: char| c.is_ascii_alphabetic());
        // Several in a row may share a reason.
        if adds && (before.is_empty() || before.starts_with('[')) {
            found.push(format!("{}: no reason above {line}", manifest.display()));
        }
        before = line;
    }
    found
}

fn manifests() -> Vec<PathBuf> {
    let crates = fs::read_dir(repository().join("crates")).expect("crates").flatten();
    let ours = crates.map(|entry| entry.path().join("Cargo.toml"));
    ours.chain([repository().join("Cargo.toml")]).filter(|path| path.exists()).collect()
}

/// Every Rust file of ours, relative to the repository, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in ["src", "crates", "tests", "examples", "bench"] {
        collect(&repository().join(folder), &mut found);
    }
    assert!(found.len() > 50, "only {} files found", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !matches!(name, ".cache" | "node_modules" | "target") {
            collect(&path, found);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let path = path.strip_prefix(repository()).expect("below the repository");
            found.push((path.to_owned(), text));
        }
    }
}

/// The text before the unit tests at its end.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

#[test]
fn every_file_opens_with_its_purpose() {
    let all = sources().into_iter();
    let bare = all.filter(|(_, text)| !text.starts_with("//! "));
    nothing(bare.map(|(path, _)| format!("{} does not open with //!", path.display())).collect());
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut findings = Vec::new();
    for (path, text) in sources() {
        let lines = without_tests(&text).lines().count();
        if lines > FILE_LINES {
            findings.push(format!("{}: {lines} lines", path.display()));
        }
        for (number, line) in (1..).zip(text.lines()) {
            let columns = line.chars().count();
            // Recorded lines of a protocol are data: they cannot be broken.
            if columns > COLUMNS && !line.trim_start().starts_with("r#\"") {
                findings.push(format!("{}:{number}: {columns} columns", path.display()));
            }
        }
    }
    nothing(findings);
}

#[test]
fn unsafe_code_is_in_one_crate_only_and_explained() {
    let all = sources();
    nothing(all.iter().flat_map(|(path, text)| unexplained_unsafe(path, text)).collect());
}

fn unexplained_unsafe(path: &Path, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if ["{", "impl"].iter().all(|next| !code.contains(&format!("uns{} {next}", "afe"))) {
            continue;
        }
        let above = lines[at.saturating_sub(8)..=at].join("\n");
        if !path.starts_with("crates/rpm-unix") || !above.contains("SAFETY") {
            found.push(format!("{}:{}", path.display(), at + 1));
        }
    }
    found
}

#[test]
fn every_crate_but_one_forbids_unsafe_code() {
    let mut findings = Vec::new();
    let others = manifests().into_iter().filter(|path| !path.ends_with("rpm-unix/Cargo.toml"));
    for manifest in others {
        for root in ["src/lib.rs", "src/main.rs"].map(|name| manifest.with_file_name("").join(name))
        {
            let text = fs::read_to_string(&root).unwrap_or_default();
            if root.exists() && !text.contains("#![forbid(unsafe_code)]") {
                findings.push(root.display().to_string());
            }
        }
    }
    nothing(findings);
}

#[test]
fn nothing_waits_a_fixed_time_in_tests() {
    let mut findings = Vec::new();
    for (path, text) in sources() {
        let tests = if is_test(&path) { &text[..] } else { &text[without_tests(&text).len()..] };
        let waits = tests.lines().filter(|line| waits(line));
        findings.extend(waits.map(|line| format!("{}: {}", path.display(), line.trim())));
    }
    nothing(findings);
}

/// Whether a line calls a function of just this name: `usleep` in C source is another.
fn waits(line: &str) -> bool {
    let (before, found) = match line.split_once(concat!("sle", "ep(")) {
        Some((before, _)) => (before, true),
        None => ("", false),
    };
    found && !before.contains("//") && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}
