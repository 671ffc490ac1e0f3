//! Configuration files, for the fuzz target.
//!
//! Not here: the targets' names (`crate::fuzz`).

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use super::Sources;
use super::load::load;
use std::path::Path;

/// No input has it unless it asks for it by the name of the variable.
const PASSWORD: &str = "a-password-that-no-input-guesses";

/// The first bytes go into config.json, what is behind a zero into secrets.json; each text loads, or says what is wrong with
/// it in lines without the password.
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
    // What the input says itself may stand there as the name of a key.
    assert!(!shown.contains(PASSWORD), "{shown}");
}
