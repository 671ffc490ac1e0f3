//! The problems of a configuration, all in one message.
//!
//! 1. A problem names the file or variable, the key, what is wrong and what is allowed.
//! 2. No text here contains the value of a key that may be secret.
//!
//! Not here: finding the problems (`check.rs`, `validate.rs`).

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

/// One problem to fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or variable.
    pub place: String,
    /// The key; empty if the problem concerns the whole file or variable.
    pub key: String,
    /// What is wrong and what is allowed.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Paths, variable names and keys are foreign text: none of them may forge a line.
        let line = if self.key.is_empty() {
            format!("{}: {}", self.place, self.text)
        } else {
            format!("{}: {}: {}", self.place, self.key, self.text)
        };
        f.write_str(&one_line(&line))
    }
}

/// All problems of a configuration, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "invalid configuration: {one}"),
            all => {
                write!(f, "invalid configuration, {} problems:", all.len())?;
                all.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

/// The problems and warnings found while loading.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Keys that already have a problem: rules between keys skip them.
    pub(super) bad_keys: BTreeSet<String>,
}

impl Findings {
    pub(super) fn problem(&mut self, place: impl Into<String>, key: impl Into<String>, text: impl Into<String>) {
        let (place, key, text) = (place.into(), key.into(), text.into());
        self.bad_keys.insert(key.clone());
        self.problems.push(Problem { place, key, text });
    }

    pub(super) fn warn(&mut self, text: impl AsRef<str>) {
        self.warnings.push(one_line(text.as_ref()));
    }
}

/// Whether a character can hide or change how a text is displayed: it ends a line, controls a terminal, changes the text direction,
/// or is invisible. All such characters are below U+10000.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// The text with unsafe characters escaped as in a Rust string.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Escapes every unsafe character except line feeds as `\uXXXX`. In JSON such characters occur only inside strings, so the value
/// stays the same.
pub(crate) fn escape_json_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // All unsafe characters lie below U+10000, so four digits suffice. Writing to a text cannot fail.
        let _ = if is_unsafe(c) && c != '\n' { write!(out, "\\u{:04x}", u32::from(c)) } else { out.write_char(c) };
    }
    out
}

/// The text with unsafe characters escaped, cut to 2,000 characters.
fn one_line(text: &str) -> String {
    escape(&text.chars().take(2000).collect::<String>())
}
