//! The documentation, checked by reading it.
//!
//! 1. Every link within the repository leads to a file, and to a heading where it names one.
//! 2. README and ARCHITECTURE can be read in one go, and the README's first two commands are the demo and all tests.
//! 3. Every page of `docs/` is in the book; every file that the map names and every test that holds an invariant exists.
//!
//! Not here: the tables that are generated from the code (`src/cli/documents/tables.rs`), building the book (`scripts/docs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// No page of the top folder that everybody reads is longer than this.
const MOST_LINES: usize = 150;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages whose links are checked, relative to the repository.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for folder in ["", "docs/", "monitoring/", "openclaw-plugin/", "clients/python/", "clients/typescript/"] {
        let files = fs::read_dir(root().join(folder)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        pages.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}{name}")));
    }
    pages.sort();
    pages
}

/// The lines outside fenced code, each without its code spans.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join("`"));
        }
    }
    lines
}

/// Where the links and pictures of a page point.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(targets.map(|(target, _)| target.trim().to_owned()));
    }
    found
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug = kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>();
        let count = seen.entry(slug.clone()).or_insert(0);
        anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

/// What is wrong with a link of a page; `None` when it leads somewhere, or out of the repository.
fn fault(page: &str, text: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let file = match path {
        "" => root().join(page),
        path => root().join(page).parent().unwrap().join(path),
    };
    if !file.exists() {
        return Some(format!("{page}: {link}: there is no such file"));
    }
    let anchor = anchor?;
    let target = if path.is_empty() { text.to_owned() } else { fs::read_to_string(&file).unwrap_or_default() };
    (!anchors(&target).contains(anchor)).then(|| format!("{page}: {link}: there is no such heading"))
}

#[track_caller]
fn verdict(rule: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{rule}:\n{}", problems.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let mut problems = Vec::new();
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            count += 1;
            problems.extend(fault(&page, &text, &link));
        }
    }
    assert!(count > 100, "only {count} links were found");
    verdict("a link is dead", &problems);
}

#[test]
fn a_dead_link_is_seen() {
    let text = "# A `b` c\n\nsee [this](#a-b-c), `[no](link)`\n\n```\n# no heading\n[no](link)\n```\n## A `b` c\n";
    assert_eq!(links(text), ["#a-b-c"]);
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["a-b-c", "a-b-c-1"]);
    assert_eq!(fault("README.md", text, "#a-b-c"), None);
    assert_eq!(fault("README.md", text, "docs/data.md"), None);
    assert!(fault("README.md", text, "#no-heading").is_some());
    assert!(fault("README.md", text, "docs/no-page.md").is_some());
    assert!(fault("docs/data.md", text, "../README.md#no-heading").is_some());
}

#[test]
fn the_first_pages_are_short() {
    for page in ["README.md", "ARCHITECTURE.md"] {
        let lines = read(page).lines().count();
        assert!(lines <= MOST_LINES, "{page} has {lines} lines, at most {MOST_LINES}: move something into docs/");
    }
}

#[test]
fn the_first_two_commands_are_the_demo_and_all_tests() {
    let readme = read("README.md");
    let mut first = readme.lines().skip_while(|line| !line.starts_with("```")).skip(1);
    assert!(first.next().unwrap().starts_with("scripts/demo "));
    assert!(first.next().unwrap().starts_with("scripts/test "));
    assert!(read(".ci/run").lines().any(|line| line == "scripts/test"), "CI runs what the README says");
}

#[test]
fn every_page_is_in_the_book() {
    let listed: BTreeSet<String> = links(&read("docs/SUMMARY.md")).into_iter().collect();
    let there = pages().into_iter().filter_map(|page| page.strip_prefix("docs/").map(str::to_owned));
    let missing: Vec<String> = there.filter(|page| page != "SUMMARY.md" && !listed.contains(page)).collect();
    verdict("docs/SUMMARY.md lacks a page", &missing);
}

/// Where the map's paths may begin.
const BEGINNINGS: [&str; 10] = [
    "",
    "src",
    "src/cli",
    "src/cluster",
    "src/cluster/lease",
    "src/engine",
    "src/engine/messages",
    "src/rpc",
    "src/store",
    "src/store/redis/scripts",
];

#[test]
fn what_the_map_names_exists() {
    let map = read("ARCHITECTURE.md");
    let spans = map.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |span: &&str| span.contains('/') && !span.contains([' ', '*', '<', ':', '…']);
    let paths: BTreeSet<&str> = spans.filter(is_path).collect();
    assert!(paths.len() > 20, "only {paths:?}");
    let exists = |path: &str| {
        let files = [path.to_owned(), format!("{path}.rs"), format!("{path}/mod.rs")];
        files.iter().any(|file| BEGINNINGS.iter().any(|top| root().join(top).join(file).exists()))
    };
    let missing: Vec<String> = paths.into_iter().filter(|path| !exists(path)).map(str::to_owned).collect();
    verdict("ARCHITECTURE.md names what is not there", &missing);
}

/// Whether a source file has a function of this name.
fn has_function(text: &str, name: &str) -> bool {
    text.match_indices(&format!("fn {name}")).any(|(at, found)| {
        let next = text[at + found.len()..].chars().next();
        next.is_some_and(|c| c == '(' || c == '<')
    })
}

#[test]
fn every_test_that_holds_an_invariant_exists() {
    let page = read("docs/invariants.md");
    let mut problems = Vec::new();
    let mut section = String::new();
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
            held.insert(section.clone(), 0);
        }
        let Some(row) = line.strip_prefix("- ") else { continue };
        let words: Vec<&str> = row.split('`').collect();
        let ["", file, " ", name, ""] = words.as_slice() else {
            problems.push(format!("{line}: not a file and a name"));
            continue;
        };
        *held.entry(section.clone()).or_default() += 1;
        let text = fs::read_to_string(root().join(Path::new(file))).unwrap_or_default();
        if !has_function(&text, name) {
            problems.push(format!("{section}: {file} has no {name}"));
        }
    }
    problems
        .extend(held.iter().filter(|(_, count)| **count == 0).map(|(title, _)| format!("{title}: held by no test")));
    verdict("docs/invariants.md is out of step", &problems);
    assert!(held.len() >= 15, "only {} invariants were found", held.len());
    assert!(has_function("async fn a<W: World>() {}", "a") && !has_function("fn ab() {}", "a"));
}
