//! Medians, spread and ratios, as Markdown, and where they are kept.
//!
//! Not here: what is measured.

use std::fmt::Write as _;

/// The middle one of some values.
pub fn median(values: &[f64]) -> f64 {
    at(values, 0.5)
}

/// The value below which this share of all values lies.
pub fn at(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[place]
}

/// A number with separators between thousands.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The least and the greatest value.
pub fn spread(values: &[f64]) -> String {
    format!("{} – {}", grouped(at(values, 0.0)), grouped(at(values, 1.0)))
}

/// A value with few digits, or a dash.
pub fn short(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

/// A table that grows by rows.
pub struct Table {
    text: String,
}

impl Table {
    pub fn new(columns: &[&str]) -> Self {
        let mut table = Self { text: String::new() };
        table.row(columns);
        let rules: Vec<&str> = columns.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "--:" }).collect();
        table.row(&rules);
        table
    }

    pub fn row(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        writeln!(self.text, "| {} |", cells.join(" | ")).unwrap();
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// When, with what command and beside what a run was made.
pub fn circumstances(command: &str) -> String {
    let day = std::process::Command::new("date").arg("+%Y-%m-%d").output().expect("date runs");
    let day = String::from_utf8_lossy(&day.stdout).trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!("{day}, `{command}`, {cores} cores, load average before the run {load}.\n")
}

/// Prints a section, and puts it into the page that `PAGE` names, between its marks.
pub fn publish(mark: &str, section: &str) {
    println!("{section}");
    let Some(page) = std::env::var_os("PAGE").filter(|page| !page.is_empty()) else { return };
    let text = std::fs::read_to_string(&page).expect("the page can be read");
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the page has the mark where the section begins");
    let (_, after) = rest.split_once(&end).expect("the page has the mark where the section ends");
    std::fs::write(&page, format!("{before}{begin}{section}{end}{after}")).expect("the page can be written");
}
