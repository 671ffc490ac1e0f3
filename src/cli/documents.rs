//! `schema`, `completions` and `man`: documents generated from the code.
//!
//! 1. No document is written by hand; each is generated from the wire types or from the command-line definitions.
//!
//! Not here: the schemas' content (`crate::rpc::wire`, `crate::config::schema`).

#[cfg(test)]
mod tables;

use super::Session;
use super::arguments::Arguments;
use super::outcome::{Failure, Outcome};
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::Value;
use std::path::Path;

/// All schema documents, by their path below `schemas/`.
fn all() -> Vec<(String, Value)> {
    let mut documents = crate::rpc::documents::documents();
    documents.push(("config.schema.json".to_owned(), crate::config::schema::config_schema()));
    documents.push(("secrets.schema.json".to_owned(), crate::config::schema::secrets_schema()));
    documents.sort_by(|a, b| a.0.cmp(&b.0));
    documents
}

/// Runs `schema`.
///
/// # Errors
/// See [`Failure`].
pub(super) fn schema(session: &mut Session<'_>, name: Option<&str>, write: Option<&Path>) -> Outcome {
    let documents = all();
    if let Some(folder) = write {
        let folder = session.environment.folder.join(folder);
        let failed = |path: &Path, error: std::io::Error| {
            Failure::Failed(format!("cannot write {}: {error}; choose a folder that can be written", path.display()))
        };
        for (name, document) in &documents {
            let path = folder.join(name);
            let text = text(document)?;
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
            }
            std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
        }
        return Ok(session.output.line(format!("Wrote {} documents to {}.", documents.len(), folder.display()))?);
    }
    let Some(wanted) = name else {
        return Ok(documents.iter().try_for_each(|(name, _)| session.output.line(name))?);
    };
    let short = |name: &str| name.strip_suffix(".schema.json").or(name.strip_suffix(".json")) == Some(wanted);
    match documents.iter().find(|(name, _)| name == wanted || short(name)) {
        Some((_, document)) => Ok(session.output.raw(text(document)?.as_bytes())?),
        None => Err(Failure::Usage(format!("there is no document {wanted:?}; `clawster schema` lists their names"))),
    }
}

fn text(document: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(text + "\n")
}

/// Runs `completions`.
///
/// # Errors
/// When the output cannot be written.
pub(super) fn completions(session: &mut Session<'_>, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "clawster", &mut script);
    Ok(session.output.raw(&script)?)
}

/// Runs `man`. `write`: the folder for a page for each command.
///
/// # Errors
/// When the output cannot be written.
pub(super) fn manual(session: &mut Session<'_>, write: Option<&Path>) -> Outcome {
    if let Some(folder) = write {
        let folder = session.environment.folder.join(folder);
        let written =
            std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(Arguments::command(), &folder));
        written
            .map_err(|error| Failure::Failed(format!("cannot write the manual into {}: {error}", folder.display())))?;
        return Ok(session.output.line(format!("Wrote the manual into {}.", folder.display()))?);
    }
    let mut page = Vec::new();
    let mut command = Arguments::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    // One page for all: each command's part follows, without a heading of a page of its own.
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let part = clap_mangen::Man::new(sub.clone());
        page.extend_from_slice(format!(".SH \"clawster {}\"\n", sub.get_name()).as_bytes());
        part.render_description_section(&mut page)?;
        part.render_options_section(&mut page)?;
        part.render_extra_section(&mut page)?;
    }
    Ok(session.output.raw(&page)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Environment, Global, Output};

    fn printed(run: impl FnOnce(&mut Session<'_>) -> Outcome) -> String {
        let mut text = Vec::new();
        let (global, environment) = (Global::default(), Environment::default());
        let mut session = Session { global: &global, environment: &environment, output: Output::plain(&mut text) };
        run(&mut session).expect("prints");
        drop(session);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn schemas_are_listed_and_printed() {
        assert!(printed(|session| schema(session, None, None)).contains("config.schema.json\n"));
        let document = printed(|session| schema(session, Some("config"), None));
        assert!(serde_json::from_str::<Value>(&document).expect("JSON").is_object());
    }

    /// The files below a folder, by their path in it.
    fn files(root: &Path, below: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(root.join(below)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("text");
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if entry.path().is_dir() { files(root, &path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        const REGENERATE: &str = "regenerate with: UPDATE_SCHEMAS=1 cargo test --lib committed_schemas";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            printed(|session| schema(session, None, Some(&root)));
        }
        let documents = all();
        for (path, document) in &documents {
            let found = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            assert!(found == text(document).expect("JSON"), "schemas/{path} is not what the types say; {REGENERATE}");
        }
        let mut committed = Vec::new();
        files(&root, "", &mut committed);
        committed.sort();
        let known: Vec<String> = documents.into_iter().map(|(path, _)| path).collect();
        assert_eq!(committed, known, "schemas/ holds a file that no document belongs to; remove it");
        follow(root.parent().expect("a folder"));
    }

    /// The generated parts of the clients, which a script in Python writes from the OpenRPC document.
    fn follow(repository: &Path) {
        let mut generate = std::process::Command::new("python3");
        generate.arg(repository.join("clients/generate"));
        if std::env::var_os("UPDATE_SCHEMAS").is_none() {
            generate.arg("--check");
        }
        match generate.output() {
            Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("cannot run clients/generate: {error}"),
        }
    }

    #[test]
    fn the_shipped_configuration_names_its_schemas() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for (file, schema) in [("config.json", "config.schema.json"), ("secrets.template.json", "secrets.schema.json")]
        {
            let text = std::fs::read_to_string(root.join(file)).expect("shipped");
            let content: Value = serde_json::from_str(&text).expect("JSON");
            let named = content["$schema"].as_str().expect("a schema");
            assert_eq!(named, format!("../schemas/{schema}"), "{file}");
            assert!(root.join(named).is_file(), "{file} names {named}, which is not there");
        }
    }

    #[test]
    fn completions_and_the_manual_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            assert!(printed(|session| completions(session, shell)).contains("heartbeat"), "{shell}");
        }
        let page = printed(|session| manual(session, None));
        assert!(page.contains(".TH clawster") && page.contains("clawster recv \\-\\-wait 30s"), "{page}");
        let folder = tempfile::tempdir().expect("a folder");
        printed(|session| manual(session, Some(folder.path())));
        for page in ["clawster.1", "clawster-serve.1", "clawster-tasks-submit.1"] {
            let text = std::fs::read_to_string(folder.path().join(page)).expect(page);
            assert!(text.contains(".TH"), "{page}: {text}");
        }
        let hidden = folder.path().join("clawster-guard-command.1");
        assert!(!hidden.exists(), "an internal command has no page");
    }
}
