//! What clients ask of the node: to join, to leave, to beat, to change the leader.
//!
//! 1. A request is answered once, with what happened or why not; one that waits has a deadline.
//!
//! Not here: membership's own steps (`joining.rs`), messages (`crate::engine`).

use super::{Effect, Node, Standing, Ticket};
use crate::cluster::ids::{MessageSeq, NodeId, Term};
use crate::cluster::protocol::{Call, Fault, HandOver, Instance, LeaderRecord, Numbers};
use crate::cluster::time::{Moment, ServerTime};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a join asks for; `None` keeps what the node has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JoinAsk {
    /// The id to join under; another one than a member's is a rename.
    pub node_id: Option<NodeId>,
    /// A name for people.
    pub name: Option<String>,
    /// Where the gateway can be reached.
    pub endpoint: Option<String>,
    /// What the node can do.
    pub capabilities: Option<Vec<String>>,
    /// Free labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Take the id from a live process.
    pub force: bool,
    /// Where receiving under that id stopped, and in which data set, as a store of this host says.
    pub stood: Option<(MessageSeq, String)>,
    /// The highest numbers that store knows.
    pub known: Numbers,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Join, update, or rename.
    Join(JoinAsk),
    /// Leave.
    Leave,
    /// Name the leader, or change it.
    Elect {
        /// Who shall lead.
        candidate: Option<NodeId>,
        /// Even from a live leader.
        force: bool,
    },
    /// Beat now.
    Beat,
    /// Take no new work, or take part again.
    Drain(bool),
    /// Give this term back.
    Resign(Term),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// The node is a member, and its view holds every other one.
    Joined {
        /// Which life.
        instance: Instance,
        /// Since when.
        joined_at: ServerTime,
    },
    /// It left.
    Left {
        /// Who.
        node_id: NodeId,
        /// When.
        left_at: ServerTime,
        /// Whether it gave up a leadership.
        resigned: bool,
    },
    /// There is a leader.
    Elected {
        /// Who.
        leader_id: NodeId,
        /// Its term.
        term: Term,
        /// Whether the request brought it about.
        changed: bool,
        /// When the lease ends.
        expires_at: ServerTime,
    },
    /// A heartbeat was taken.
    Beat {
        /// Whose.
        instance: Instance,
        /// When.
        at: ServerTime,
        /// How long the round trip took.
        round_trip: Duration,
        /// How many attempts it took.
        attempts: u32,
    },
    /// The node takes no new work, or takes part again.
    Drained {
        /// Who.
        node_id: NodeId,
        /// Which of both.
        draining: bool,
        /// Tasks that run there.
        running_tasks: u64,
        /// Leases that are held under its id.
        leases: u64,
    },
    /// This term is over; 0: the node did not hold the one that was named.
    Resigned(Term),
}

/// Why nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The node is no member.
    NotJoined,
    /// Redis did not answer.
    Unavailable(String),
    /// Another process holds the id.
    InUse {
        /// The id.
        node_id: NodeId,
        /// Who holds it.
        holder: String,
    },
    /// No live member has this id.
    Unknown(NodeId),
    /// The request cannot be met as it is.
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

    /// Why a node that is no member cannot do it.
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
            Some((leader_id, term, expires_at)) => {
                self.reply(client, Ok(Response::Elected { leader_id, term, changed: false, expires_at }));
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

    /// Brings an election on; true when it is answered.
    fn advance(&mut self, now: Moment, election: &mut Election) -> bool {
        // Without force a leader that was only out of sight for a moment is an answer, too.
        let fits = |term: &Term| *term > election.from || !election.force;
        let leader = self.live_leader(self.view.as_of).filter(|(_, term, _)| fits(term));
        let wanted = leader.filter(|(id, ..)| !election.force || election.candidate.as_ref() == Some(id));
        // A node that answers for itself waits until it really leads.
        let led = |id: &NodeId| self.node_id() != id || self.leads(now);
        if let Some((leader_id, term, expires_at)) = wanted.filter(|(id, ..)| led(id)) {
            let changed = term > election.from;
            self.reply(election.client, Ok(Response::Elected { leader_id, term, changed, expires_at }));
            return true;
        }
        if now >= election.deadline {
            let why = "leadership did not change in time".to_owned();
            self.reply(election.client, Err(Refusal::Unavailable(why)));
            return true;
        }
        if election.force && election.call.is_none() && election.again <= now {
            // Asked again when somebody else was faster, or an answer was lost; not for ever, because a candidate that does
            // not take it would cost the cluster its leader each time.
            election.again = now + Duration::from_millis(500);
            let marked = self.view.leader.as_ref().is_some_and(|record| record.handing_to == election.candidate);
            if election.asks < MAX_ASKS
                && (election.asks == 0 || (self.view.holder().is_some() && !marked))
                && let Some(candidate) = election.candidate.clone()
            {
                election.asks += 1;
                election.call = Some(self.call(Call::HandOver { candidate }));
            }
        }
        false
    }

    pub(super) fn hand_over_answered(
        &mut self,
        now: Moment,
        ticket: Ticket,
        outcome: HandOver,
        leader: Option<LeaderRecord>,
    ) {
        self.look_now(now);
        let Some(at) = self.requests.elections.iter().position(|e| e.call == Some(ticket)) else { return };
        let election = &mut self.requests.elections[at];
        election.call = None;
        let candidate = election.candidate.clone();
        let answer = match (outcome, candidate, leader) {
            (HandOver::Same, Some(leader_id), Some(record)) => {
                let changed = record.term > election.from;
                Ok(Response::Elected { leader_id, term: record.term, changed, expires_at: record.expires_at })
            }
            (HandOver::Unknown, Some(id), _) => Err(Refusal::Unknown(id)),
            (HandOver::Barred, Some(id), _) => Err(Refusal::Invalid(format!(
                "node {id} cannot become leader (it is draining, its leader.candidate is false, or it runs only one-shot heartbeats); choose another candidate"
            ))),
            _ => return,
        };
        // Itself the leader by record, but not yet by its own presence: the wait goes on.
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

    /// The node is no member any more: what waits is refused.
    pub(super) fn refuse_waiting(&mut self, refusal: &Refusal) {
        let elections = std::mem::take(&mut self.requests.elections);
        let beats = std::mem::take(&mut self.requests.beats);
        for client in elections.into_iter().map(|e| e.client).chain(beats) {
            self.reply(client, Err(refusal.clone()));
        }
    }
}
