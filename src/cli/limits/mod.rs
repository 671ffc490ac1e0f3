//! `permits` and `slots`: limits that all nodes share.
//!
//! 1. A limit that is reached is a refusal, not a failure: exit code 4.
//!
//! Not here: the decision who gets what (`crate::engine`).

pub(super) mod arguments;

use super::Session;
use super::drain::drains;
use super::outcome::{Failure, Outcome};
use super::terminal::clean;
use crate::cli::node_access::attach::{ANSWER, answer, require};
use crate::cluster::time::millis;
use crate::rpc::wire::limits::{
    HeldSlotParams, PermitsParams, PermitsResult, ReleasedSlot, RenewSlotParams, RenewedSlot, SlotParams, SlotResult,
};
use arguments::{PermitsAction, SlotsAction};
use std::time::Duration;

/// The exit code of a refusal whose answer has been printed.
const REFUSED: Failure = Failure::Reported(4);

/// How long the answer to a call that waits may take.
fn within(wait: Option<Duration>) -> Duration {
    ANSWER.saturating_add(wait.unwrap_or_default())
}

/// Runs `permits`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn permits(session: &mut Session<'_>, action: PermitsAction) -> Outcome {
    let (client, _) = require(session.global, session.environment).await?;
    let PermitsAction::Take { name, rate, per, burst, permits, wait, request_id, form } = action;
    let (burst, wait_ms) = (burst.unwrap_or(rate), wait.map(millis));
    let params = PermitsParams {
        name: name.clone(),
        permits: Some(permits),
        rate,
        per_ms: millis(per),
        burst,
        wait_ms,
        request_id,
    };
    let taken: PermitsResult = answer(within(wait), client.call("distributed.take_permits", params)).await?;
    if form.json {
        session.output.json(&taken)?;
        return if taken.granted { Ok(()) } else { Err(REFUSED) };
    }
    let name = clean(&name, 128);
    if taken.granted {
        return Ok(session.output.line(format!("Took {permits} of {name} ({} left).", taken.remaining))?);
    }
    let retry = taken.retry_after_ms.unwrap_or(0);
    Err(Failure::Refused(format!("not enough permits of {name}; there may be in {retry} ms")))
}

/// Runs `slots`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn slots(session: &mut Session<'_>, action: SlotsAction) -> Outcome {
    let (client, _) = require(session.global, session.environment).await?;
    match action {
        SlotsAction::Acquire { name, slots, ttl, wait, request_id, quiet, form } => {
            let shown = clean(&name, 128);
            let params = SlotParams { name, slots, ttl_ms: millis(ttl), wait_ms: wait.map(millis), request_id };
            let slot: SlotResult = answer(within(wait), client.call("distributed.acquire_slot", params)).await?;
            if form.json {
                session.output.json(&slot)?;
                return if slot.acquired { Ok(()) } else { Err(REFUSED) };
            }
            match slot.token {
                Some(token) if quiet => Ok(session.output.line(token.to_string())?),
                Some(token) => {
                    let text =
                        format!("Acquired a slot of {shown} (token {token}; {} of {slots} in use).", slot.in_use);
                    Ok(session.output.line(text)?)
                }
                None => {
                    let why = match slot.in_use {
                        in_use if in_use >= slots => format!("all {slots} are in use"),
                        _ if drains(&client).await => "this node is draining".to_owned(),
                        in_use => format!("{in_use} of {slots} are in use, and others wait for one"),
                    };
                    Err(Failure::Refused(format!("no slot of {shown} was granted: {why}")))
                }
            }
        }
        SlotsAction::Renew { name, token, ttl, form } => {
            let params = RenewSlotParams { name, token, ttl_ms: ttl.map(millis) };
            let renewed: RenewedSlot = answer(ANSWER, client.call("distributed.renew_slot", params)).await?;
            let text = format!("Renewed the slot of {} (token {}).", clean(&renewed.name, 128), renewed.token);
            Ok(session.output.result(form.json, &renewed, text)?)
        }
        SlotsAction::Release { name, token, form } => {
            let params = HeldSlotParams { name, token };
            let released: ReleasedSlot = answer(ANSWER, client.call("distributed.release_slot", params)).await?;
            let text = format!("Released the slot of {}.", clean(&released.name, 128));
            Ok(session.output.result(form.json, &released, text)?)
        }
    }
}
