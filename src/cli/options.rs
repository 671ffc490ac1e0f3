//! The options that several commands share, and the reading of values that are more than text.
//!
//! Not here: the commands (`arguments.rs`) and their own options (`arguments.rs` beside each command).

use clap::{Args, ValueHint};
use std::path::PathBuf;
use std::time::Duration;

/// Options that every command accepts.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Folder with config.json and secrets.json, or the path of a config.json
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub config: Option<PathBuf>,
    /// Node to use if several run on this host; for `serve`: the node id to join with
    #[arg(long, global = true, value_name = "ID")]
    pub node: Option<String>,
}

/// The output format of a command.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Form {
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Parses `KEY=VALUE`.
pub(in crate::cli) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Parses `500ms`, `30s`, `2m`, `1h`, or `0`; at most 24 hours. Another number without a unit is refused: `--ttl 24` is more often
/// meant as hours than as seconds.
// Not jiff's parser: that one accepts forms that no help text names.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" if number.parse() == Ok(0.0) => 1.0,
        "" if number.parse::<f64>().is_ok() => {
            return Err(format!("write a unit: {number}s, {number}m or {number}h"));
        }
        _ => return Err("use a unit of ms, s, m or h, as in 30s".to_owned()),
    };
    let seconds: f64 = number.parse().map_err(|_| "write it as in 500ms, 30s or 2m".to_owned())?;
    let seconds = seconds * scale;
    if seconds > 86_400.0 {
        return Err("the maximum is 24h".to_owned());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Parses what [`duration`] parses, and whole days up to `most`.
pub(in crate::cli) fn days(text: &str, most: u64) -> Result<Duration, String> {
    let Some(number) = text.strip_suffix('d') else { return duration(text) };
    match number.parse::<u64>() {
        Ok(days) if days <= most => Ok(Duration::from_hours(24 * days)),
        _ => Err(format!("write whole days, such as 7d; the maximum is {most}d")),
    }
}

/// Parses a refresh interval: a duration of 200 ms or more.
pub(in crate::cli) fn pace(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    if every < Duration::from_millis(200) { Err("the minimum is 200ms".to_owned()) } else { Ok(every) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_has_a_limit() {
        assert_eq!(pace("200ms"), Ok(Duration::from_millis(200)));
        assert!(pace("199ms").is_err());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["", "s", "30", "0.2", "5d", "1e99s", "-1s", "25h", "..s"] {
            assert!(duration(bad).is_err(), "{bad:?} was taken");
        }
        assert_eq!(duration("24"), Err("write a unit: 24s, 24m or 24h".to_owned()));
    }
}
