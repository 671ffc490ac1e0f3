//! Loads the configuration: find, read, check, merge, validate.
//!
//! 1. Every step continues after a problem, so that one start reports all problems.
//!
//! Not here: the steps themselves.

use super::layer::{Layer, Source};
use super::problem::{Findings, Problems};
use super::schema::{Index, is_secret};
use super::settings::Config;
use super::sources::{self, Sources};
use super::validate::UriCheck;
use super::{check, environment, frugal, legacy, redis, validate};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings for the operator, one line each, without secrets.
    pub warnings: Vec<String>,
    effective: Vec<EffectiveValue>,
}

impl Loaded {
    /// All keys with value and source, sorted by name; secrets are masked.
    #[must_use]
    pub fn effective(&self) -> Vec<EffectiveValue> {
        self.effective.clone()
    }
}

/// The effective value of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveValue {
    /// The dotted key; a name without a dot is a directory or program, not a key of a file.
    pub key: String,
    /// The value; a secret is shown as `***`.
    pub value: Value,
    /// `default`, a file's path, or `environment NAME`.
    pub source: String,
}

/// Loads the configuration; of `mongodb.uri` only the scheme is checked.
///
/// # Errors
/// As [`load_with`].
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    load_with(sources, |_| Ok(()))
}

/// Loads the configuration. `mongodb_uri`: the driver's check of a connection string, which this module does not know.
///
/// # Errors
/// [`Problems`]: all invalid values, unknown keys and unreadable files.
pub fn load_with(sources: &Sources, mongodb_uri: UriCheck) -> Result<Loaded, Problems> {
    let mut findings = Findings::default();
    let place = sources::find(sources, &mut findings);
    let (mut config, legacy) = match &place.config {
        Some(path) => config_layer(path, &mut findings),
        None => Default::default(),
    };
    let (secrets, named_in_secrets) = match &place.secrets {
        Some(path) => secrets_layer(path, sources, &mut findings),
        None => Default::default(),
    };
    warn_about_passwords(&config, &mut findings);
    if let Some(legacy) = &legacy {
        for (key, given) in legacy.iter() {
            config.insert(key, given.clone());
        }
    }
    let [known, named] = environment::layers(&sources.env, &Index::all(), &mut findings);
    let mut values = Layer::default();
    for layer in [config, secrets, known, named] {
        redis::lay_over(&mut values, layer, &mut findings);
    }
    frugal::fill_in(&mut values, &Index::config(), &mut findings);
    if let Some(legacy) = &legacy {
        validate::fit_legacy(&mut values, legacy, &mut findings);
    }
    let (state_dir, state_source) = sources::state_dir(sources, &mut findings);
    let redis_server = environment::get(&sources.env, "CLAWSTER_REDIS_SERVER", &mut findings);
    let around = validate::Surroundings {
        state_dir,
        config_dir: place.dir,
        cwd: sources.cwd.clone(),
        // A bare name is searched in PATH, like any command.
        redis_server: redis_server.map(|text| if text.contains('/') { sources.cwd.join(text) } else { text.into() }),
        mongodb_uri,
        secret_variables: environment::secret_names(&sources.env, named_in_secrets, &Index::all()),
    };
    match validate::config(&values, around, &mut findings) {
        Some(config) if findings.problems.is_empty() => {
            let effective = effective(&values, &config, state_source, sources);
            Ok(Loaded { config, warnings: findings.warnings, effective })
        }
        _ => Err(Problems(findings.problems)),
    }
}

/// The keys of config.json, and separately those of the old format.
fn config_layer(path: &Path, findings: &mut Findings) -> (Layer, Option<Layer>) {
    let Some(mut content) = sources::read(path, findings) else { return Default::default() };
    let (place, source) = (path.display().to_string(), Source::File(path.to_path_buf()));
    let legacy = legacy::take(&mut content, &place, &source, findings);
    (check::file(&content, &place, &source, &Index::config(), findings), legacy)
}

/// The keys of secrets.json, and the variables that it refers to.
fn secrets_layer(path: &Path, sources: &Sources, findings: &mut Findings) -> (Layer, BTreeSet<String>) {
    let Some(mut content) = sources::read(path, findings) else { return Default::default() };
    let (place, source) = (path.display().to_string(), Source::Secrets(path.to_path_buf()));
    let keys = Index::secrets();
    sources::warn_if_open(path, findings);
    let named = environment::fill_in(&mut content, &sources.env, &place, &keys, findings);
    let mut layer = check::file(&content, &place, &source, &keys, findings);
    layer.drop_empty_texts();
    (layer, named)
}

fn warn_about_passwords(config: &Layer, findings: &mut Findings) {
    let Some(given) = config.get("redis.url") else { return };
    if redis::parse(given.value.as_str().unwrap_or_default()).is_ok_and(|parsed| parsed.password.is_some()) {
        findings.warn(format!("{}: redis.url contains a password; move it to secrets.json", given.source));
    }
}

fn effective(values: &Layer, config: &Config, state_source: &str, sources: &Sources) -> Vec<EffectiveValue> {
    let mut list: Vec<EffectiveValue> = Vec::new();
    let mut add =
        |key: &str, value: Value, source: String| list.push(EffectiveValue { key: key.into(), value, source });
    for (key, schema) in Index::all().iter() {
        let value = match values.get(key) {
            Some(given) => given.value.clone(),
            None => schema.get("default").cloned().unwrap_or(Value::Null),
        };
        let value = match (key, value) {
            ("redis.url", Value::String(url)) => redis::masked(&url).into(),
            (_, Value::String(_)) if is_secret(schema) => "***".into(),
            // A unix socket has neither.
            ("redis.host" | "redis.port", _) if values.get(redis::SOCKET).is_some() => Value::Null,
            (_, value) => value,
        };
        add(key, value, values.source(key).to_string());
    }
    let path = |path: &Option<PathBuf>| path.as_ref().map_or(Value::Null, |path| path.display().to_string().into());
    let dir_source = match (&sources.flag_dir, sources.env.get("CLAWSTER_CONFIG_DIR").filter(|text| !text.is_empty())) {
        (Some(_), _) => "--config",
        (None, Some(_)) => "environment CLAWSTER_CONFIG_DIR",
        (None, None) => "default",
    };
    let server_source = if config.redis_server.is_some() { "environment CLAWSTER_REDIS_SERVER" } else { "default" };
    add("config_dir", path(&config.config_dir), dir_source.to_owned());
    add("redis_server", path(&config.redis_server), server_source.to_owned());
    add("state_dir", config.state_dir.display().to_string().into(), state_source.to_owned());
    list
}
