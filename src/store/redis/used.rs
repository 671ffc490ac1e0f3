//! Leaves out of the scripts' common text what a script does not use: the server makes each function of a script anew with each call.
//!
//! 1. Only whole functions at the left margin are left out, from `local function name(` to `end`, and only if no other text that is kept has
//!    their name; and lines that are comments.
//!
//! Not here: the scripts (`scripts.rs`).

use std::collections::HashSet;

/// The common text as far as the script uses it, followed by the script.
pub(super) fn only(common: &[String], own: &[String]) -> String {
    let (common, own) = (code(common), code(own));
    let pieces = pieces(&common);
    let mut kept = vec![false; pieces.len()];
    let mut wanted: HashSet<&str> = own.iter().flat_map(|line| words(line)).collect();
    loop {
        let mut more = false;
        for (kept, piece) in kept.iter_mut().zip(&pieces) {
            if !*kept && piece.name.is_none_or(|name| wanted.contains(name)) {
                wanted.extend(piece.lines.iter().flat_map(|line| words(line)));
                (*kept, more) = (true, true);
            }
        }
        if !more {
            break;
        }
    }
    let used = pieces.iter().zip(kept).filter(|(_, kept)| *kept).flat_map(|(piece, _)| piece.lines);
    used.chain(&own).flat_map(|line| [line, "\n"]).collect()
}

/// The lines that are no comments.
fn code(parts: &[String]) -> Vec<&str> {
    parts.iter().flat_map(|part| part.lines()).filter(|line| !is_comment(line)).collect()
}

/// A function with its name, or what stands between two.
struct Piece<'p, 't> {
    name: Option<&'t str>,
    lines: &'p [&'t str],
}

/// Splits a text before each function at the left margin, and behind its end. What does not end so is no function.
fn pieces<'p, 't>(lines: &'p [&'t str]) -> Vec<Piece<'p, 't>> {
    let (mut pieces, mut began, mut function) = (Vec::new(), 0, None);
    for (at, line) in lines.iter().enumerate() {
        if let Some(head) = line.strip_prefix("local function ") {
            pieces.push(Piece { name: None, lines: &lines[began..at] });
            (began, function) = (at, words(head).next());
        } else if function.is_some() && *line == "end" {
            pieces.push(Piece { name: function.take(), lines: &lines[began..=at] });
            began = at + 1;
        }
    }
    pieces.push(Piece { name: None, lines: &lines[began..] });
    pieces
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("--")
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(common: &str, own: &str) -> String {
        only(&[common.to_owned()], &[own.to_owned()])
    }

    #[test]
    fn what_a_script_uses_directly_or_not_is_kept_in_its_order() {
        let common = "-- b is not used\nlocal x = 1\nlocal function a()\n  return x\nend\nlocal function b()\n  a()\nend\n\
            local later\nlocal function c()\n  if x then\n    a()\n  end\nend\nlater = function()\n  return 2\nend\n";
        let kept = "local x = 1\nlocal function a()\n  return x\nend\nlocal later\n";
        let rest = "later = function()\n  return 2\nend\n";
        assert_eq!(used(common, "return a()"), format!("{kept}{rest}return a()\n"));
        let c = "local function c()\n  if x then\n    a()\n  end\nend\n";
        assert_eq!(used(common, "-- b\nreturn c()"), format!("{kept}{c}{rest}return c()\n"));
        assert!(!used(common, "return 1").contains("function a"));
    }

    #[test]
    fn what_does_not_end_at_the_left_margin_is_kept() {
        let common = "local function a() return 1 end\nlocal function b()\n  return 2\nend\n";
        assert_eq!(used(common, "return 1"), "local function a() return 1 end\nreturn 1\n");
    }
}
