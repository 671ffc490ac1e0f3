//! What the command line takes and refuses.
//!
//! Not here: what the commands do.

use super::*;
use clap::CommandFactory;

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once("clawster").chain(line.split_whitespace()))
}

#[test]
fn the_definitions_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_shows_an_example() {
    fn check(command: &clap::Command, path: &str) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
            let path = format!("{path} {}", sub.get_name());
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&path), "{path} shows no example of itself");
            check(sub, &path);
        }
    }
    check(&Arguments::command(), "clawster");
}

#[test]
fn global_options_stand_before_and_behind_the_command() {
    for line in ["--node a --config /c status", "status --node a --config /c"] {
        let global = parse(line).expect("parses").global;
        assert_eq!((global.node.as_deref(), global.config), (Some("a"), Some("/c".into())));
    }
}

#[test]
fn wrong_usage_is_refused() {
    for bad in ["elect --canidate a", "demo --nodes 1", "join --label x", "config", "completions tcsh", "frob"] {
        let error = parse(bad).expect_err(bad);
        assert_eq!(error.exit_code(), 2, "{bad}");
    }
}
