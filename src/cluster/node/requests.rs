//! Clients' requests to the node: joining, leaving, heartbeats, changing the leader.
//!
//! 1. A request is answered exactly once, with its result or a refusal; a request that waits has a deadline.
//!
//! Not here: the steps of a membership (`joining.rs`), messages (`crate::engine`).

use super::{Effect, Node, Standing, Ticket};
use crate::cluster::ids::{MessageSeq, NodeId, Term};
use crate::cluster::protocol::{Call, Fault, HandOver, HandedOver, Instance, LeaderRecord, Numbers};
use crate::cluster::time::{Moment, ServerTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The parameters of a join; `None` keeps the node's value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JoinRequest {
    /// The node id to join under; a member that joins under another id is renamed.
    pub node_id: Option<NodeId>,
    /// The display name.
    pub name: Option<String>,
    /// Where the gateway can be reached; free text.
    pub endpoint: Option<String>,
    /// What the node can do; tasks can require it.
    pub capabilities: Option<Vec<String>>,
    /// Labels of the node; tasks can require them.
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether to take the id from a live process.
    pub force: bool,
    /// Where receiving under that id stopped, and its data set, according to a store of this host. Filled in by the engine.
    pub stood: Option<(MessageSeq, String)>,
    /// The highest sequence numbers that store knows. Filled in by the engine.
    pub known: Numbers,
}

/// A client's request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Join, update, or rename.
    Join(JoinRequest),
    /// Leave.
    Leave,
    /// Return the leader, or change it.
    Elect {
        /// The member to become leader; `None`: this node.
        candidate: Option<NodeId>,
        /// Whether to hand over even from a live leader.
        force: bool,
    },
    /// Send a heartbeat now.
    Beat,
    /// Start or stop draining.
    Drain(bool),
    /// Resign from this term.
    Resign(Term),
}

/// The result of `distributed.leave_cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LeaveResult")]
pub struct Left {
    /// The id of the node that left.
    pub node_id: NodeId,
    /// When the node left, in milliseconds of the Redis server's clock.
    #[serde(rename = "left_at_ms")]
    pub left_at: ServerTime,
    /// Whether the node was leader and resigned.
    pub resigned: bool,
}

/// The result of `distributed.elect_leader`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ElectResult")]
pub struct Elected {
    /// The node id of the leader.
    pub leader_id: NodeId,
    /// The term of the leader.
    pub term: Term,
    /// Whether this call led to the term.
    pub changed: bool,
    /// When the leader's lease expires, in milliseconds of the Redis server's clock.
    #[serde(rename = "lease_expires_at_ms")]
    pub lease_expires_at: ServerTime,
}

/// The result of `distributed.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DrainResult")]
pub struct Drained {
    /// The id of this node.
    pub node_id: NodeId,
    /// Whether the node is draining now.
    pub draining: bool,
    /// How many tasks are running on this node.
    pub running_tasks: u64,
    /// How many leases are held under this node's id.
    pub leases: u64,
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// The node is a member, and its view is complete.
    Joined {
        /// The incarnation.
        instance: Instance,
        /// When it joined.
        joined_at: ServerTime,
    },
    /// The node left.
    Left(Left),
    /// There is a leader.
    Elected(Elected),
    /// A heartbeat was accepted.
    Beat {
        /// The node and its incarnation.
        instance: Instance,
        /// When Redis accepted it.
        at: ServerTime,
        /// The duration of the round trip.
        round_trip: Duration,
        /// The number of attempts.
        attempts: u32,
    },
    /// Draining started or stopped.
    Drained(Drained),
    /// This term has ended; 0: the node did not hold the given term.
    Resigned(Term),
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The node is not a member.
    NotJoined,
    /// Redis did not answer.
    Unavailable(String),
    /// Another process holds the id.
    InUse {
        /// The id.
        node_id: NodeId,
        /// The holder.
        holder: String,
    },
    /// No live member has this id.
    Unknown(NodeId),
    /// The request is invalid.
    Invalid(String),
}

/// How often one request asks the leader to make room.
const MAX_ASKS: u32 = 3;

#[derive(Debug)]
struct Election {
    client: Ticket,
    candidate: Option<NodeId>,
    force: bool,
    from: Term,
    deadline: Moment,
    call: Option<Ticket>,
    asks: u32,
    again: Moment,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    elections: Vec<Election>,
    beats: Vec<Ticket>,
}

impl Requests {
    pub(super) fn due(&self) -> Option<Moment> {
        let asks = |e: &Election| e.force && e.call.is_none();
        self.elections.iter().map(|e| if asks(e) { e.deadline.min(e.again) } else { e.deadline }).min()
    }
}

impl Node {
    pub(super) fn reply(&mut self, client: Ticket, outcome: Result<Response, Refusal>) {
        self.effects.push(Effect::Reply(client, Box::new(outcome)));
    }

    pub(super) fn asked(&mut self, now: Moment, client: Ticket, request: Request) {
        match request {
            Request::Join(ask) => self.asked_to_join(client, ask),
            Request::Leave => self.asked_to_leave(client),
            Request::Beat => {
                if matches!(self.standing, Standing::Member(_)) {
                    self.requests.beats.push(client);
                    self.beat_now(now);
                } else {
                    let refusal = self.unfit();
                    self.reply(client, Err(refusal));
                }
            }
            Request::Drain(enabled) => self.asked_to_drain(client, enabled),
            Request::Resign(term) => self.asked_to_resign(now, client, term),
            Request::Elect { candidate, force } => self.asked_to_elect(now, client, candidate, force),
        }
    }

    /// The refusal for a node that is not a member.
    pub(super) fn unfit(&self) -> Refusal {
        match (&self.standing, self.link.trouble()) {
            (Standing::Joining, Some(trouble)) => Refusal::Unavailable(trouble.to_string()),
            _ => self.not_a_member(),
        }
    }

    fn asked_to_elect(&mut self, now: Moment, client: Ticket, candidate: Option<NodeId>, force: bool) {
        let member = self.instance().map(|instance| instance.node_id.clone());
        let target = candidate.clone().or(member);
        if target.is_none() {
            let refusal = self.unfit();
            self.reply(client, Err(refusal));
            return;
        };
        if let Some(id) = candidate.as_ref().filter(|id| !force && !self.view.is_live(id)) {
            self.reply(client, Err(Refusal::Unknown(id.clone())));
            return;
        }
        let election = Election {
            client,
            candidate: target,
            force,
            from: self.view.term,
            deadline: now + self.timing.lease_ttl,
            call: None,
            asks: 0,
            again: now,
        };
        if force {
            self.requests.elections.push(election);
            return;
        }
        match self.live_leader(self.view.as_of) {
            Some((leader_id, term, lease_expires_at)) => {
                let elected = Elected { leader_id, term, changed: false, lease_expires_at };
                self.reply(client, Ok(Response::Elected(elected)));
            }
            None => {
                self.requests.elections.push(election);
                self.look_now(now);
            }
        }
    }

    pub(super) fn act_requests(&mut self, now: Moment) {
        let mut waiting = std::mem::take(&mut self.requests.elections);
        waiting.retain_mut(|election| !self.advance(now, election));
        waiting.append(&mut self.requests.elections);
        self.requests.elections = waiting;
    }

    /// Continues an election; true when it has been answered.
    fn advance(&mut self, now: Moment, election: &mut Election) -> bool {
        // Without force, a leader that was only briefly out of sight is an answer, too.
        let fits = |term: &Term| *term > election.from || !election.force;
        let leader = self.live_leader(self.view.as_of).filter(|(_, term, _)| fits(term));
        let wanted = leader.filter(|(id, ..)| !election.force || election.candidate.as_ref() == Some(id));
        // A node that becomes leader itself waits until it really leads.
        let led = |id: &NodeId| self.node_id() != id || self.leads(now);
        if let Some((leader_id, term, lease_expires_at)) = wanted.filter(|(id, ..)| led(id)) {
            let changed = term > election.from;
            let elected = Elected { leader_id, term, changed, lease_expires_at };
            self.reply(election.client, Ok(Response::Elected(elected)));
            return true;
        }
        if now >= election.deadline {
            let why = "leadership did not change in time".to_owned();
            self.reply(election.client, Err(Refusal::Unavailable(why)));
            return true;
        }
        if election.force && election.call.is_none() && election.again <= now {
            // Asked again if another node was faster, or an answer was lost; but not for ever, because a candidate that
            // does not take leadership would cost the cluster its leader each time.
            election.again = now + Duration::from_millis(500);
            let marked = self.view.leader.as_ref().is_some_and(|record| record.handing_to == election.candidate);
            if election.asks < MAX_ASKS
                && (election.asks == 0 || (self.view.holder().is_some() && !marked))
                && let Some(candidate) = election.candidate.clone()
            {
                election.asks += 1;
                election.call = Some(self.call(Call::HandOver(HandOver { candidate })));
            }
        }
        false
    }

    pub(super) fn hand_over_answered(
        &mut self,
        now: Moment,
        ticket: Ticket,
        outcome: HandedOver,
        leader: Option<LeaderRecord>,
    ) {
        self.look_now(now);
        let Some(at) = self.requests.elections.iter().position(|e| e.call == Some(ticket)) else { return };
        let election = &mut self.requests.elections[at];
        election.call = None;
        let candidate = election.candidate.clone();
        let answer = match (outcome, candidate, leader) {
            (HandedOver::Same, Some(leader_id), Some(record)) => {
                let changed = record.term > election.from;
                let (term, lease_expires_at) = (record.term, record.expires_at);
                Ok(Response::Elected(Elected { leader_id, term, changed, lease_expires_at }))
            }
            (HandedOver::Unknown, Some(id), _) => Err(Refusal::Unknown(id)),
            (HandedOver::Barred, Some(id), _) => Err(Refusal::Invalid(format!(
                "node {id} cannot become leader (it is draining, its leader.candidate is false, or it runs only one-shot heartbeats); choose another candidate"
            ))),
            _ => return,
        };
        // It is the leader by the record, but its presence is not registered yet: keep waiting.
        let client = election.client;
        self.requests.elections.remove(at);
        self.reply(client, answer);
    }

    pub(super) fn request_failed(&mut self, now: Moment, ticket: Ticket, fault: &Fault) {
        if let Some(at) = self.requests.elections.iter().position(|e| e.call == Some(ticket)) {
            let election = &mut self.requests.elections[at];
            election.call = None;
            election.again = now + Duration::from_millis(500);
            if self.link.is_down() {
                let client = election.client;
                self.requests.elections.remove(at);
                self.reply(client, Err(Refusal::Unavailable(fault.to_string())));
            }
        }
    }

    pub(super) fn beat_done(&mut self, now: Moment, sent: Moment, at: ServerTime, attempts: u32) {
        let clients = std::mem::take(&mut self.requests.beats);
        let Some(instance) = self.instance().cloned() else { return };
        for client in clients {
            let round_trip = now.since(sent);
            self.reply(client, Ok(Response::Beat { instance: instance.clone(), at, round_trip, attempts }));
        }
    }

    pub(super) fn beats_exhausted(&mut self, error: &str) {
        for client in std::mem::take(&mut self.requests.beats) {
            self.reply(client, Err(Refusal::Unavailable(error.to_owned())));
        }
    }

    /// The node is not a member any more: waiting requests are refused.
    pub(super) fn refuse_waiting(&mut self, refusal: &Refusal) {
        let elections = std::mem::take(&mut self.requests.elections);
        let beats = std::mem::take(&mut self.requests.beats);
        for client in elections.into_iter().map(|e| e.client).chain(beats) {
            self.reply(client, Err(refusal.clone()));
        }
    }
}
