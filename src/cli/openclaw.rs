//! What OpenClaw and its plugin run: `openclaw secret` gives the tokens of those channel accounts whose leases this host's gateway holds,
//! `openclaw page` prints the page that the plugin serves as a tab of the Control UI.
//!
//! 1. The protocol is that of OpenClaw's exec providers for secrets, version 1: one JSON request on standard input, one answer.
//! 2. A secret is given only while the node confirms the lease; in any doubt there is none, and the account stays off.
//!
//! Not here: who holds a lease (the node), when the gateway asks again, and who may see the page (its plugin).

use super::Session;
use super::outcome::{Failure, Outcome};
use crate::cli::node_access::attach::{answer, require};
use crate::rpc::client::Client;
use crate::rpc::http::PAGE;
use crate::rpc::wire::lease::{CheckResult, HeldParams};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// The longest request, and the longest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// How long the node may take; OpenClaw waits 5 s for everything.
const WITHIN: Duration = Duration::from_secs(3);
/// Where the plugin keeps the leases that it holds, in OpenClaw's state folder.
const HELD: &str = "clawster/held-leases.json";

/// What OpenClaw runs.
#[derive(Debug, Subcommand)]
pub enum OpenclawAction {
    /// Answer a request for secrets: an id is the name of a lease, such as channel:telegram:default.
    #[command(after_help = "\
Examples:
  echo '{\"protocolVersion\":1,\"provider\":\"clawster\",\"ids\":[\"channel:telegram:default\"]}' | clawster openclaw secret --secrets tokens.json")]
    Secret(SecretArguments),
    /// Print the page's file, with {{nonce}} and {{reads}} where the plugin writes its own.
    #[command(after_help = "Example:\n  clawster openclaw page > page.html")]
    Page,
}

/// The options of `openclaw secret`.
#[derive(Debug, Args)]
pub struct SecretArguments {
    /// JSON file of the secrets by lease: {"channel:telegram:default": "123:abc"}; readable by its owner only.
    #[arg(long, value_name = "FILE")]
    pub secrets: PathBuf,
    /// The file in which the plugin keeps the leases that it holds [default: clawster/held-leases.json in OpenClaw's state folder].
    #[arg(long, value_name = "FILE")]
    pub held: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Request {
    ids: Vec<String>,
}

#[derive(Deserialize)]
struct Held {
    token: u64,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Answer {
    protocol_version: u32,
    values: BTreeMap<String, String>,
    errors: BTreeMap<String, Value>,
}

/// Runs `openclaw`.
///
/// # Errors
/// See [`Failure`]; a secret that may not be given is no failure.
pub(super) async fn run(session: &mut Session<'_>, action: OpenclawAction) -> Outcome {
    let SecretArguments { secrets, held } = match action {
        OpenclawAction::Secret(arguments) => arguments,
        OpenclawAction::Page => return Ok(session.output.raw(PAGE.as_bytes())?),
    };
    let mut text = String::new();
    let read = tokio::io::stdin().take(MAX_BYTES).read_to_string(&mut text).await;
    read.map_err(|error| Failure::Failed(format!("cannot read the request from standard input: {error}")))?;
    let request: Request = serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("standard input holds no request of OpenClaw for secrets: {error}")))?;
    let secrets: BTreeMap<String, String> = read_json(&secrets)?;
    let held = held.or_else(|| {
        let state = session.environment.get("OPENCLAW_STATE_DIR").map(PathBuf::from);
        let home = || session.environment.get("HOME").map(|home| Path::new(home).join(".openclaw"));
        state.or_else(home).map(|folder| folder.join(HELD))
    });
    // The file is absent until the plugin holds something.
    let held: BTreeMap<String, Held> = held.and_then(|file| read_json(&file).ok()).unwrap_or_default();
    let client = match held.is_empty() {
        true => None,
        false => require(session.global, session.environment).await.ok().map(|(client, _)| client),
    };
    let mut out = Answer { protocol_version: 1, ..Answer::default() };
    for id in request.ids {
        match (secrets.get(&id), held.get(&id), &client) {
            (Some(secret), Some(held), Some(client)) if holds(client, &id, held.token).await => {
                out.values.insert(id, secret.clone());
            }
            _ => drop(out.errors.insert(id, json!({ "code": "NOT_FOUND" }))),
        }
    }
    Ok(session.output.json(&out)?)
}

async fn holds(client: &Client, name: &str, token: u64) -> bool {
    let params = HeldParams { name: name.to_owned(), token };
    let checked: Result<CheckResult, Failure> = answer(WITHIN, client.call("distributed.check_lease", params)).await;
    checked.is_ok_and(|checked| checked.valid)
}

fn read_json<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let failed = |why: String| Failure::Failed(format!("{}: {why}", file.display()));
    let bytes = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if bytes > MAX_BYTES {
        return Err(failed(format!("it has {bytes} bytes, at most {MAX_BYTES} are read")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    // The reader's own message may quote a secret.
    serde_json::from_str(&text).map_err(|error| failed(format!("line {} is not as expected", error.line())))
}
