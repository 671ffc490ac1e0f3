//! Prometheus' text format 0.0.4, read strictly, and the rules that its linter holds names to.
//!
//! 1. What a strict reader would not take fails the test, with the line.
//!
//! Not here: what the numbers should be (the tests).

use crate::wait::secs;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One scrape.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// The samples, by name with labels.
    pub samples: BTreeMap<String, f64>,
    /// The metrics' types.
    pub types: BTreeMap<String, String>,
    /// The whole page.
    pub text: String,
}

/// Asks for a page over a connection of its own: its status and its body.
#[track_caller]
pub fn page(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&address, secs(10.0)).expect("the node listens for watchers");
    stream.set_read_timeout(Some(secs(20.0))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// Scrapes a node.
#[track_caller]
pub fn scrape(address: SocketAddr) -> Scrape {
    let (status, text) = page(address, "/metrics");
    assert_eq!(status, 200, "{text}");
    Scrape::read(text)
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    first && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The labels between braces, in order.
fn labels(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut all = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let (mut value, mut chars) = (String::new(), rest.char_indices());
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    _ => return None,
                }),
                (_, c) => value.push(c),
            }
        };
        all.push((name.to_owned(), value));
        text = &rest[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
    Some(all)
}

impl Scrape {
    /// Reads a text, and fails on anything that is not as it should be.
    #[track_caller]
    pub fn read(text: String) -> Self {
        let (mut samples, mut types, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut current = String::new();
        assert!(text.ends_with('\n'), "the last line has no end");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect("a help text");
                assert!(helped.insert(name.to_owned()) && !words.is_empty(), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type");
                assert!(is_name(name) && name.starts_with("clawster_"), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "{line}: no help before it");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}: it comes twice");
                current = name.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                let (name, inner) = match series.split_once('{') {
                    Some((name, rest)) => (name, rest.strip_suffix('}').expect("a closing brace")),
                    None => (series, ""),
                };
                let labels = labels(inner).unwrap_or_else(|| panic!("no labels: {line}"));
                assert!(labels.iter().all(|(name, _)| is_name(name)), "{line}");
                let histogram = types.get(&current).is_some_and(|kind| kind == "histogram");
                let of = match histogram {
                    true => ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)),
                    false => Some(name),
                };
                assert_eq!(of, Some(current.as_str()), "{line}: it does not follow its type");
                assert!(value.is_finite() && value >= 0.0, "{line}");
                assert!(samples.insert(series.to_owned(), value).is_none(), "{line}: it comes twice");
            }
        }
        let scrape = Self { samples, types, text };
        scrape.lint();
        scrape
    }

    /// What `promtool check metrics` asks of names, and of histograms.
    #[track_caller]
    fn lint(&self) {
        for (name, kind) in &self.types {
            assert_eq!(
                name.ends_with("_total"),
                kind == "counter",
                "{name}: counters end in _total, nothing else does"
            );
            for unit in
                ["_ms", "_millis", "_milliseconds", "_minutes", "_hours", "_kb", "_mb", "_kilobytes", "_percent"]
            {
                assert!(!name.contains(unit), "{name}: no base unit");
            }
            for word in ["_counter", "_gauge", "_histogram", "_bucket", "_sum", "_count"] {
                assert!(!name.ends_with(word), "{name}: its type does not belong into its name");
            }
        }
        let mut below: BTreeMap<String, f64> = BTreeMap::new();
        for line in self.text.lines().filter(|line| line.contains("_bucket{")) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let at = series.find("le=\"").expect("a bound");
            let (key, count) = (series[..at].to_owned(), value.parse::<f64>().unwrap());
            let last = below.insert(key.clone(), count).unwrap_or(0.0);
            assert!(count >= last, "{line}: the buckets do not rise");
            if series.contains("le=\"+Inf\"") {
                let whole = key.replacen("_bucket{", "_count{", 1);
                let whole = whole.trim_end_matches(',').trim_end_matches('{');
                let whole = if whole.contains('{') { format!("{whole}}}") } else { whole.to_owned() };
                assert_eq!(self.samples.get(&whole), Some(&count), "{line}: not the count of {whole}");
                below.remove(&key);
            }
        }
        assert!(below.is_empty(), "histograms without +Inf: {below:?}");
    }

    /// A sample; 0 where there is none.
    pub fn of(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or(0.0)
    }

    /// The sum of all samples of a metric whose labels hold this text.
    pub fn sum(&self, name: &str, with: &str) -> f64 {
        let is = |series: &&String| series.starts_with(&format!("{name}{{")) && series.contains(with);
        self.samples.keys().filter(is).map(|series| self.samples[series]).sum()
    }
}
