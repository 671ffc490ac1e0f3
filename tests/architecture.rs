//! The shape of the source tree, checked by reading it.
//!
//! 1. Dependencies point one way: cluster, store, engine, rpc, cli, main; config, embedded, guard, logging and clock stand beside them.
//! 2. The pure core knows no runtime, no clock, no randomness and no Redis.
//! 3. The keys and commands of Redis are spelled in `store/redis` only, and in the doctor, which looks at Redis itself.
//! 4. The driver of MongoDB is named in `store/mongodb` only.
//! 5. No file uses another that uses it in turn, directly or through others; only a module and its own children may.
//! 6. Every file says what it is for and is short enough to be read in one go; this goes for testkit, tests and benches, too.
//!
//! Not here: lints, which live in `Cargo.toml` and `clippy.toml`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// No file is longer than this.
const MOST_LINES: usize = 400;

/// What each module may use besides itself.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("cluster", &[]),
    ("clock", &["cluster"]),
    ("signals", &[]),
    ("private_folder", &[]),
    ("logging", &["clock", "cluster", "config"]),
    ("embedded", &["clock", "private_folder"]),
    ("config", &["cluster"]),
    ("store", &["cluster", "clock", "config"]),
    ("guard", &["cluster", "clock", "signals"]),
    ("engine", &["cluster", "clock", "signals", "private_folder", "store", "config", "guard"]),
    ("rpc", &["cluster", "clock", "store", "engine", "config"]),
    ("fuzz", &["store", "engine", "rpc", "config"]),
    ("cli", &["cluster", "clock", "signals", "store", "engine", "rpc", "config", "embedded", "logging", "guard"]),
];

/// What the pure core must not name.
const IMPURE: [&str; 13] = [
    "tokio",
    "redis::",
    "getrandom",
    "rustix",
    "std::fs",
    "std::net",
    "std::io",
    "std::process",
    "std::env",
    "std::thread",
    "Instant",
    "SystemTime",
    "async fn",
];

/// The circles of files that are left. This list only shrinks: a circle that is gone must be removed from it.
const KNOWN_CIRCLES: [&str; 0] = [];

struct Source {
    /// Relative to the tree that was asked for.
    path: String,
    text: String,
}

impl Source {
    /// The module that the file belongs to.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// The lines with code in them, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }
}

fn sources() -> Vec<Source> {
    tree("src")
}

fn tree(top: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(top);
    let mut files = Vec::new();
    walk(&root, &mut files);
    let read = |file: &PathBuf| Source {
        path: file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"),
        text: fs::read_to_string(file).unwrap(),
    };
    files.iter().map(read).collect()
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "lua") {
            files.push(path);
        }
    }
}

/// The modules that a line of code names: those behind `crate::`, also within braces on the same line.
fn named_modules(line: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let preceded = line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let rest = &line[at + "crate::".len()..];
        if preceded {
            continue;
        }
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level_items(group).iter().map(|item| word(item))),
            None => found.push(word(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// The comma-separated items of a brace group, nested groups left whole.
fn top_level_items(group: &str) -> Vec<String> {
    let (mut depth, mut items) = (0_i32, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ => {}
        }
        items.last_mut().unwrap().push(c);
    }
    items.iter().map(|item| item.trim_start_matches([',', ' ']).to_owned()).collect()
}

/// The other modules that each module uses, by path without `crate::`.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Who uses whom; unit tests do not count.
fn uses<'s>(sources: impl IntoIterator<Item = (&'s str, &'s str)>) -> Uses {
    let module = |path: &str| path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let counts =
        |path: &str| path.ends_with(".rs") && !path.contains("/tests") && !["main.rs", "lib.rs"].contains(&path);
    let of: BTreeMap<String, &str> =
        sources.into_iter().filter(|(path, _)| counts(path)).map(|(path, text)| (module(path), text)).collect();
    let known = |path: &[&str]| (1..=path.len()).rev().map(|end| path[..end].join("::")).find(|it| of.contains_key(it));
    let used = |(here, text): (&String, &&str)| {
        let found = paths(text).into_iter().filter_map(|path| {
            let mut base: Vec<&str> = here.split("::").collect();
            let mut rest = path.split("::").peekable();
            match *rest.peek()? {
                "crate" => base.clear(),
                "self" | "super" => {}
                child if of.contains_key(&format!("{here}::{child}")) => {}
                _ => return None,
            }
            while let Some(word) = rest.next_if(|word| ["crate", "self", "super"].contains(word)) {
                base.truncate(base.len().saturating_sub(usize::from(word == "super")));
            }
            known(&base.into_iter().chain(rest).collect::<Vec<_>>()).filter(|module| module != here)
        });
        (here.clone(), found.collect())
    };
    of.iter().map(used).collect()
}

/// The paths that a file names, in `use` and elsewhere; groups in braces are spelled out.
fn paths(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let (mut found, mut tree) = (Vec::new(), None::<String>);
    for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let begins = line.split_once("use ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        match (&mut tree, begins) {
            (Some(tree), _) => tree.push_str(line),
            (None, Some((_, rest))) => tree = Some(rest.to_owned()),
            (None, None) => {
                let path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                found.extend(line.split(|c| !path(c)).filter(|word| word.contains("::")).map(str::to_owned));
            }
        }
        if let Some(whole) = tree.take_if(|tree| tree.contains(';')) {
            spell_out(whole.trim_end_matches(';'), "", &mut found);
        }
    }
    found
}

fn spell_out(tree: &str, before: &str, found: &mut Vec<String>) {
    match tree.split_once('{') {
        Some((prefix, group)) => {
            let items = top_level_items(group).into_iter().filter(|item| !item.is_empty());
            items.for_each(|item| spell_out(&item, &format!("{before}{prefix}"), found));
        }
        None => found.push(format!("{before}{}", tree.split(" as ").next().unwrap())),
    }
}

/// The circles among these modules; a module and its own children are none, but they may have some among them.
fn circles(uses: &Uses, among: &BTreeSet<String>) -> Vec<Vec<String>> {
    let reached = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            next.extend(uses[module].intersection(among).filter(|used| seen.insert((*used).clone())));
        }
        seen
    };
    let reach: BTreeMap<&String, BTreeSet<String>> = among.iter().map(|module| (module, reached(module))).collect();
    let (mut left, mut found) = (among.clone(), Vec::new());
    while let Some(top) = left.pop_first() {
        let mut circle: BTreeSet<String> = reach[&top].iter().filter(|it| reach[it].contains(&top)).cloned().collect();
        left.retain(|module| !circle.contains(module));
        circle.remove(&top);
        if circle.iter().all(|module| module.starts_with(&format!("{top}::"))) {
            found.extend(circles(uses, &circle));
        } else {
            found.push([top].into_iter().chain(circle).collect());
        }
    }
    found
}

fn circles_of<'s>(sources: impl IntoIterator<Item = (&'s str, &'s str)>) -> Vec<Vec<String>> {
    let uses = uses(sources);
    circles(&uses, &uses.keys().cloned().collect())
}

#[track_caller]
fn verdict(rule: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{rule}:\n{}", problems.join("\n"));
}

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.path.ends_with(".rs")) {
        let module = source.module();
        if matches!(module, "main" | "lib") {
            continue;
        }
        let Some(allowed) = allowed.get(module) else {
            problems.push(format!("src/{}: a new module; give it a place in MAY_USE", source.path));
            continue;
        };
        // A `use crate::{` that goes on over lines is joined to one.
        let code: String = source.code().map(|(_, line)| format!("{line} ")).collect();
        let joined = code.replace("{ ", "{");
        for name in named_modules(&joined) {
            let known = MAY_USE.iter().any(|(module, _)| *module == name);
            if known && name != module && !allowed.contains(&name.as_str()) {
                problems.push(format!("src/{}: {module} must not use crate::{name}", source.path));
            }
        }
    }
    problems.dedup();
    verdict("a dependency points the wrong way", &problems);
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let sources = sources();
    let found = circles_of(sources.iter().map(|source| (source.path.as_str(), source.text.as_str())));
    let found: Vec<String> = found.iter().map(|circle| circle.join(", ")).collect();
    let new = found.iter().filter(|circle| !KNOWN_CIRCLES.contains(&circle.as_str()));
    let gone = KNOWN_CIRCLES.iter().filter(|known| !found.iter().any(|circle| circle == *known));
    let problems = new.map(|circle| format!("{circle}: put what they share below all of them"));
    let problems = problems.chain(gone.map(|known| format!("{known}: no circle any more; remove it from the list")));
    verdict("files use each other in a circle", &problems.collect::<Vec<_>>());
}

#[test]
fn the_core_is_pure() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.module() == "cluster") {
        for (number, line) in source.code() {
            for word in IMPURE.into_iter().filter(|word| line.contains(word)) {
                problems.push(format!("src/{}:{number}: {word}", source.path));
            }
        }
    }
    verdict("the pure core names what is not pure", &problems);
}

#[test]
fn only_the_redis_store_speaks_redis() {
    let mut problems = Vec::new();
    let may = ["store/redis", "cli/doctor"];
    for source in sources().iter().filter(|source| !may.iter().any(|place| source.path.starts_with(place))) {
        // A module of this crate that is named like the library hides it.
        let hidden = source.code().any(|(_, line)| line.starts_with("use super::") && line.contains(" redis,"));
        for (number, line) in source.code() {
            for word in
                ["redis.call", "redis.pcall", "clawster:{", "redis::"].into_iter().filter(|word| line.contains(word))
            {
                // A path of this crate that ends in `redis::` is the store's own module, not the library.
                if word == "redis::" && (hidden || !names_the_library(line, word)) {
                    continue;
                }
                problems.push(format!("src/{}:{number}: {word}", source.path));
            }
        }
    }
    verdict("Redis is spelled outside store/redis", &problems);
}

/// Whether a line names a library: its name and two colons, with nothing in front that makes it a module of this crate.
fn names_the_library(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c == ':' || c == '_' || c.is_alphanumeric())
    })
}

#[test]
fn only_the_mongodb_store_names_its_driver() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| !source.path.starts_with("store/mongodb")) {
        for (number, line) in source.code() {
            if names_the_library(line, "mongodb::") || names_the_library(line, "bson::") {
                problems.push(format!("src/{}:{number}: {line}", source.path));
            }
        }
    }
    verdict("the driver of MongoDB is named outside store/mongodb", &problems);
}

/// All source files of the repository, each with its whole path.
fn everything() -> Vec<Source> {
    let mut files = Vec::new();
    for top in ["src", "testkit/src", "tests", "benches"] {
        let found = tree(top);
        assert!(!found.is_empty(), "{top}: no files found");
        files.extend(found.into_iter().map(|file| Source { path: format!("{top}/{}", file.path), ..file }));
    }
    files
}

#[test]
fn every_file_opens_with_its_purpose() {
    let opens = |source: &Source| match source.path.ends_with(".lua") {
        true => source.text.starts_with("--"),
        false => source.text.starts_with("//! "),
    };
    let bad = everything().into_iter().filter(|source| !opens(source));
    verdict("a file does not say what it is for", &bad.map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long() {
    let lines = |source: &Source| source.text.lines().count();
    let long = everything().into_iter().filter(|source| lines(source) > MOST_LINES);
    let problems: Vec<String> =
        long.map(|source| format!("{}: {} lines, at most {MOST_LINES}", source.path, lines(&source))).collect();
    verdict("a file is too long: split it by what it is about", &problems);
}

#[test]
fn no_file_is_a_drawer() {
    let drawers = ["utils.rs", "util.rs", "types.rs", "common.rs", "misc.rs", "helpers.rs"];
    let found =
        everything().into_iter().filter(|source| drawers.iter().any(|name| source.path.ends_with(&format!("/{name}"))));
    verdict("a file is named after nothing", &found.map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn the_scanner_sees_what_it_must() {
    assert_eq!(named_modules("use crate::rpc::wire;"), ["rpc"]);
    assert_eq!(named_modules("use crate::{cluster::{ids, time}, store};"), ["cluster", "store"]);
    assert_eq!(named_modules("let x = crate::cli::run(crate::engine::go());"), ["cli", "engine"]);
    assert_eq!(named_modules("use mycrate::rpc;"), [""; 0]);
    let code = "pub(crate) use super::{\n    a::{b, c as d},\n    e,\n};\nlet x = crate::f::g(h::i, 1);";
    assert_eq!(paths(code), ["super::a::b", "super::a::c", "super::e", "crate::f::g", "h::i"]);
    assert!(names_the_library("use redis::Client;", "redis::"));
    assert!(!names_the_library("use crate::store::redis::Keys;", "redis::"));
    assert!(names_the_library("let x = mongodb::Client::y();", "mongodb::"));
    assert!(!names_the_library("use super::mongodb::MongoHistory;", "mongodb::"));
}

#[test]
fn the_scanner_finds_circles() {
    assert_eq!(circles_of([("a.rs", "use crate::b::X;"), ("b.rs", "crate::a::f();")]), [["a", "b"]]);
    assert!(circles_of([("a.rs", "use crate::b::X;"), ("b.rs", "//! `crate::a`")]).is_empty());
    // A module and its children, but not two children among them.
    assert!(circles_of([("a/mod.rs", "b::f();\nc::f();"), ("a/b.rs", "use super::X;"), ("a/c.rs", "")]).is_empty());
    let siblings = [("a/mod.rs", "use b::f;"), ("a/b.rs", "use super::{X, c::Y};"), ("a/c.rs", "use super::b::f;")];
    assert_eq!(circles_of(siblings), [["a::b", "a::c"]]);
    let through_the_parent = [("a/mod.rs", "use super::d;"), ("a/b.rs", "use super::X;"), ("d.rs", "use crate::a::b;")];
    assert_eq!(circles_of(through_the_parent), [["a", "a::b", "d"]]);
    let unit_test = "use super::a::X;\n#[cfg(test)]\nmod tests {\n    use crate::b::Y;\n}";
    assert!(circles_of([("a.rs", unit_test), ("b.rs", "use crate::a::X;")]).is_empty());
}
