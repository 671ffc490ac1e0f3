//! Configuration files, for the fuzz target.
//!
//! Not here: the targets' names (`crate::fuzz`).

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use super::Sources;
use super::load::load;
use std::path::Path;

/// An input contains this only if it refers to the variable by name.
const PASSWORD: &str = "a-password-that-no-input-guesses";

/// Writes the bytes before the first zero to config.json and the rest to secrets.json; loading succeeds, or reports problems that do
/// not contain the password.
pub(crate) fn files(data: &[u8], folder: &Path) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (config, secrets) = data.split_at(at);
    std::fs::write(folder.join("config.json"), config).expect("a folder to write into");
    std::fs::write(folder.join("secrets.json"), secrets.get(1..).unwrap_or_default()).expect("a folder to write into");
    let env = [("HOME", "/nonexistent"), ("REDIS_PASSWORD", PASSWORD)];
    let sources = Sources {
        flag_dir: Some(folder.to_owned()),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        cwd: "/nonexistent".into(),
    };
    let shown = match load(&sources) {
        Ok(loaded) => format!("{:?} {:?}", loaded.warnings, loaded.effective()),
        Err(problems) => problems.to_string(),
    };
    // Text of the input may appear as the name of a key.
    assert!(!shown.contains(PASSWORD), "{shown}");
}
