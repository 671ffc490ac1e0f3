//! Messages and calls per second of clawster beside its peers, in turns: `make bench-messages` and `make bench-stdio`.
//!
//! 1. All subjects carry the same bytes over the same servers in the same run; medians of the rounds are compared.
//! 2. Each end of a peer is a process of its own, as each node of clawster is, so that its processor time can be told apart.
//! 3. The measured program is the one that `CARGO_BIN_EXE_clawster` names, and the one that `BEFORE` names, if it is set.
//!
//! Not here: limits that must hold on every machine (`benches/limits.rs`, `benches/work.rs`).

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod cpu;
mod load;
mod messages;
mod node;
mod pair;
mod peers;
mod pipes;
mod stdio;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["messages"] => messages::main(),
        ["stdio"] => stdio::main(),
        ["peer", name, rest @ ..] => peers::run(name, rest),
        _ => {
            eprintln!("usage: bench-wire messages|stdio; see the Makefile");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// A number from the environment, or its default.
fn number(name: &str, default: usize) -> usize {
    let given = std::env::var(name).ok().filter(|text| !text.is_empty());
    given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
