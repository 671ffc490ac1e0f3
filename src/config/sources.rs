//! Finds the configuration: the folder, its two files, the user's directories.
//!
//! 1. The process's environment and working directory are read in one place, [`Sources::from_process`].
//! 2. A folder or file that was named explicitly must exist; a default one may be missing.
//!
//! Not here: the content of the files (`check.rs`).

use super::environment;
use super::problem::Findings;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The maximum size of a configuration file.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The inputs of a configuration.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--config`: a folder, or the path of a config.json (with any file name). Overrides CLAWSTER_CONFIG_DIR.
    pub flag_dir: Option<PathBuf>,
    /// The environment variables. Bytes that are not UTF-8 become U+FFFD; such a value is refused if it is used.
    pub env: BTreeMap<String, String>,
    /// The working directory, which relative paths start from.
    pub cwd: PathBuf,
}

impl std::fmt::Debug for Sources {
    /// Shows the variables' names only: values such as `REDIS_PASSWORD` are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.env.keys().collect();
        f.debug_struct("Sources")
            .field("flag_dir", &self.flag_dir)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .finish()
    }
}

impl Sources {
    /// This process's environment and working directory.
    #[must_use]
    pub fn from_process(flag_dir: Option<PathBuf>) -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        // If the working directory was removed, relative paths do not exist, and reading them reports that.
        Self { flag_dir, env, cwd: std::env::current_dir().unwrap_or_default() }
    }

    /// An absolute directory of the user: `$variable/clawster`, else `$HOME/fallback/clawster`.
    fn user_dir(&self, variable: &str, fallback: &str) -> Option<PathBuf> {
        let absolute = |name: &str| self.env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute(variable).or_else(|| Some(absolute("HOME")?.join(fallback))).map(|dir| dir.join("clawster"))
    }
}

/// The folder and the files of a configuration.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: Option<PathBuf>,
    pub(super) config: Option<PathBuf>,
    pub(super) secrets: Option<PathBuf>,
}

/// Finds the folder. Without a named one, the first default folder with one of the two files is used.
pub(super) fn find(sources: &Sources, findings: &mut Findings) -> Place {
    let nowhere = Place { dir: None, config: None, secrets: None };
    let variable = environment::get(&sources.env, "CLAWSTER_CONFIG_DIR", findings);
    let named = match (&sources.flag_dir, variable) {
        (Some(path), _) => Some(("--config", sources.cwd.join(path))),
        (None, Some(path)) => Some(("environment CLAWSTER_CONFIG_DIR", sources.cwd.join(path))),
        (None, None) => None,
    };
    if let Some((place, path)) = named {
        if path.is_dir() {
            if !holds_a_file(&path) {
                findings.warn(format!(
                    "{place}: {} contains neither config.json nor secrets.json; using defaults and variables",
                    path.display()
                ));
            }
            return in_folder(path);
        }
        if path.is_file() {
            let dir = path.parent().map(Path::to_path_buf);
            let secrets = dir.as_ref().map(|dir| dir.join("secrets.json"));
            return Place { dir, config: Some(path), secrets };
        }
        let text = match path.metadata() {
            Err(error) if !is_absent(&error) => {
                format!("cannot access {}: {error}; grant this user access", path.display())
            }
            Ok(_) => {
                format!("{} is neither a folder nor a regular file; name a folder or a config.json", path.display())
            }
            Err(_) => format!("{} does not exist; name an existing folder or config.json", path.display()),
        };
        findings.problem(place, "", text);
        return nowhere;
    }
    let defaults = [Some(sources.cwd.join("config")), sources.user_dir("XDG_CONFIG_HOME", ".config")];
    let mut found = defaults.into_iter().flatten().filter(|dir| holds_a_file(dir));
    let Some(dir) = found.next() else { return nowhere };
    // One that this user cannot enter, such as another user's home, is no second configuration.
    let is_readable = |dir: &Path| ["config.json", "secrets.json"].iter().any(|name| dir.join(name).exists());
    if let Some(ignored) = found.find(|other| *other != dir && is_readable(other)) {
        findings.warn(format!(
            "the configuration comes from {}, so the one in {} is ignored; name the wanted folder with --config or \
             CLAWSTER_CONFIG_DIR",
            dir.display(),
            ignored.display()
        ));
    }
    in_folder(dir)
}

/// Whether a folder contains one of the two files. An inaccessible file counts as present, so that reading it reports the error: a
/// folder that this user cannot enter must not be skipped silently.
fn holds_a_file(dir: &Path) -> bool {
    let is_there = |name: &str| dir.join(name).symlink_metadata().err().is_none_or(|error| !is_absent(&error));
    is_there("config.json") || is_there("secrets.json")
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn in_folder(dir: PathBuf) -> Place {
    Place { config: Some(dir.join("config.json")), secrets: Some(dir.join("secrets.json")), dir: Some(dir) }
}

/// Reads a file; `None` if it is missing, or if a problem was reported.
pub(super) fn read(path: &Path, findings: &mut Findings) -> Option<Value> {
    let place = path.display().to_string();
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        // A dangling link is a mistake, a missing file is not.
        Err(error) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => return None,
        Err(error) => {
            findings.problem(place, "", format!("cannot be read: {error}"));
            return None;
        }
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        findings.problem(place, "", "is not valid UTF-8");
        return None;
    };
    match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(value) => Some(value),
        Err(error) => {
            // serde_json's message contains what it expected and where, but no content of the file.
            findings.problem(place, "", format!("is not valid JSON: {error}"));
            None
        }
    }
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    // Checked before opening: opening a pipe would wait for its writer.
    if !path.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Warns if other users may read a file with secrets.
pub(super) fn warn_if_open(path: &Path, findings: &mut Findings) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(metadata) = path.metadata()
        && metadata.permissions().mode() & 0o077 != 0
    {
        findings.warn(format!("{}: other users may read this file; run chmod 600 on it", path.display()));
    }
}

/// The state directory: CLAWSTER_STATE_DIR, else `$XDG_STATE_HOME/clawster`, else `~/.local/state/clawster`.
pub(super) fn state_dir(sources: &Sources, findings: &mut Findings) -> (PathBuf, &'static str) {
    if let Some(path) = environment::get(&sources.env, "CLAWSTER_STATE_DIR", findings) {
        return (sources.cwd.join(path), "environment CLAWSTER_STATE_DIR");
    }
    match sources.user_dir("XDG_STATE_HOME", ".local/state") {
        Some(dir) => (dir, "default"),
        None => {
            let text = "there is no home directory for the state directory; set CLAWSTER_STATE_DIR (or HOME) to an absolute path";
            findings.problem("environment", "", text);
            (PathBuf::new(), "default")
        }
    }
}
