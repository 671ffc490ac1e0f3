//! Text for terminals whose locale has no UTF-8, such as `LC_ALL=C`.
//!
//! 1. Only what people see on a terminal is changed. JSON and what goes into a pipe or a file stays as it is.
//!
//! Not here: characters that could control a terminal (`crate::config`).

use super::Environment;

/// Whether the locale of this environment shows UTF-8. Without any locale it is assumed, since terminals do so even where the variables
/// are not passed on, as in a container.
#[must_use]
pub(super) fn is_utf8(environment: &Environment) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| environment.get(name));
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The nearest ASCII character; `?` where there is none.
#[must_use]
pub(super) fn ascii(shown: char) -> char {
    match shown {
        c if c.is_ascii() => c,
        '█' | '▓' => '#',
        '░' | '▒' | '·' | '…' => '.',
        '─' | '━' | '–' | '—' | '−' => '-',
        '│' | '┃' | '▏' => '|',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╭' | '╮' | '╰' | '╯' => '+',
        '→' | '▶' | '≥' => '>',
        '←' | '≤' => '<',
        '▲' | '↑' => '^',
        '▼' | '↓' => 'v',
        '×' => 'x',
        'µ' => 'u',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let of = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            is_utf8(&Environment { variables, folder: "/".into() })
        };
        assert!(of(&[]) && of(&[("LANG", "de_DE.UTF-8")]) && of(&[("LC_ALL", "C.utf8"), ("LANG", "C")]));
        assert!(!of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]) && !of(&[("LANG", "de_DE.ISO-8859-1")]));
        assert!(of(&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8")]), "an empty one is unset");
    }
}
