//! `lease`: leases that the running node holds.
//!
//! 1. A lease that another holder has is a refusal, not a failure: exit code 4.
//!
//! Not here: the decision who gets a lease (`crate::engine`).

pub(super) mod arguments;

use super::Session;
use super::drain::drains;
use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::terminal::clean;
use crate::cli::node_access::attach::{ANSWER, answer, require};
use crate::cluster::time::millis;
use crate::rpc::client::Client;
use crate::rpc::wire::lease::{
    AcquireParams, AcquireResult, CheckResult, HeldParams, ListLeasesParams, ListLeasesResult, ReleaseResult,
    RenewParams, RenewResult,
};
use arguments::LeaseAction;

/// The exit code of a refusal whose answer has been printed.
const REFUSED: Failure = Failure::Reported(4);

/// Runs `lease`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, action: LeaseAction) -> Outcome {
    let (client, _) = require(session.global, session.environment).await?;
    match action {
        LeaseAction::Acquire { name, ttl, wait, request_id, quiet, form } => {
            let params = AcquireParams { name, ttl_ms: millis(ttl), wait_ms: wait.map(millis), request_id };
            acquire(session, &client, params, quiet, form).await
        }
        LeaseAction::List { limit, form } => {
            let params = ListLeasesParams { limit: Some(limit) };
            let list: ListLeasesResult = answer(ANSWER, client.call("distributed.list_leases", params)).await?;
            print(session, &list, form)
        }
        LeaseAction::Renew { name, token, ttl, form } => {
            let params = RenewParams { name, token, ttl_ms: ttl.map(millis) };
            let renewed: RenewResult = answer(ANSWER, client.call("distributed.renew_lease", params)).await?;
            let text = format!("Renewed {} (token {}).", clean(&renewed.name, 128), renewed.token);
            Ok(session.output.result(form.json, &renewed, text)?)
        }
        LeaseAction::Release { name, token, form } => {
            let params = HeldParams { name, token };
            let released: ReleaseResult = answer(ANSWER, client.call("distributed.release_lease", params)).await?;
            Ok(session.output.result(form.json, &released, format!("Released {}.", clean(&released.name, 128)))?)
        }
        LeaseAction::Check { name, token, form } => {
            let params = HeldParams { name: name.clone(), token };
            let checked: CheckResult = answer(ANSWER, client.call("distributed.check_lease", params)).await?;
            if form.json {
                session.output.json(&checked)?;
            } else {
                let holds = if checked.valid { "holds" } else { "does not hold" };
                session.output.line(format!("Token {token} {holds} {}.", clean(&name, 128)))?;
            }
            if checked.valid { Ok(()) } else { Err(REFUSED) }
        }
    }
}

fn print(session: &mut Session<'_>, list: &ListLeasesResult, form: Form) -> Outcome {
    if form.json {
        return Ok(session.output.json(list)?);
    }
    for lease in &list.leases {
        let name = clean(&lease.name, 128);
        let holder = lease.holder.as_ref().map_or_else(|| "reserved for a waiter".to_owned(), |id| clean(id, 64));
        let waiting = if lease.waiting == 0 { String::new() } else { format!(", {} waiting", lease.waiting) };
        session.output.line(format!("{name}  {holder}  (token {}{waiting})", lease.token))?;
    }
    if list.leases.is_empty() {
        session.output.line("No lease is held.")?;
    } else if list.more {
        session.output.line("There are more; raise --limit.")?;
    }
    Ok(())
}

async fn acquire(
    session: &mut Session<'_>,
    client: &Client,
    params: AcquireParams,
    quiet: bool,
    form: Form,
) -> Outcome {
    let within = ANSWER.saturating_add(std::time::Duration::from_millis(params.wait_ms.unwrap_or(0)));
    let lease: AcquireResult = answer(within, client.call("distributed.acquire_lease", params)).await?;
    if form.json {
        session.output.json(&lease)?;
        return if lease.acquired { Ok(()) } else { Err(REFUSED) };
    }
    let name = clean(&lease.name, 128);
    match (lease.acquired, lease.token, lease.holder) {
        (true, Some(token), _) if quiet => Ok(session.output.line(token.to_string())?),
        (true, Some(token), _) => Ok(session.output.line(format!("Acquired {name} (token {token})."))?),
        (_, _, Some(holder)) => Err(Failure::Refused(format!("lease {name} is held by {}", clean(&holder, 64)))),
        (..) => {
            let why = if drains(client).await { "this node is draining" } else { "others wait for it" };
            Err(Failure::Refused(format!("lease {name} was not granted: {why}")))
        }
    }
}
