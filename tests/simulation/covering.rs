//! Names what the servers did, for the table of what a run went through.
//!
//! Not here: the table (`coverage.rs`), leases, messages and tasks, which name what they see themselves.

use crate::world::World;
use clawster::cluster::event::{ClusterEvent, ClusterFact, LeftReason};
use clawster::cluster::protocol::{
    Call, HandOverReply, HandedOver, Identity, JoinReply, LeaseNews, LeaveReply, Register, Registered, Reply, Rule,
    Swept,
};
use clawster::cluster::time::ServerTime;

fn identity(identity: Identity) -> &'static str {
    match identity {
        Identity::Ok => "identity: ok",
        Identity::Unknown => "identity: unknown",
        Identity::Replaced => "identity: replaced",
        Identity::Gone => "identity: gone",
        Identity::Epoch => "identity: another data set",
    }
}

impl World {
    /// What a heartbeat or a join at this time on this server's clock brings about before anything else.
    pub(crate) fn cover_time(&mut self, sid: usize, at: ServerTime, reply: &Reply) {
        let epoch = match reply {
            Reply::Tick(tick) => &tick.data.epoch,
            Reply::Join(join) => match &**join {
                JoinReply::Joined { data, .. } => &data.epoch,
                _ => return,
            },
            _ => return,
        };
        if self.epoch != *epoch {
            self.coverage.see(if self.epoch.is_empty() { "rule: the first data set" } else { "rule: a new data set" });
            self.epoch.clone_from(epoch);
        }
        let ttl = self.setup.timing.heartbeat_ttl;
        match std::mem::replace(&mut self.servers[sid].guarded, at) {
            before if before.0 == 0 && sid > 0 => self.coverage.see("rule: the first write of another server process"),
            before if before.0 == 0 => {}
            before if at < before => self.coverage.see("rule: stall guard, the clock went back"),
            before if at.since(before) * 2 > ttl => self.coverage.see("rule: stall guard, a long silence"),
            _ => {}
        }
    }

    pub(crate) fn cover_call(&mut self, call: &Call, reply: &Reply) {
        let coverage = &mut self.coverage;
        match (call, reply) {
            (Call::Tick(_), Reply::Tick(tick)) => {
                coverage.see(identity(tick.identity));
                match tick.lease {
                    LeaseNews::None => {}
                    LeaseNews::Renewed => coverage.see("leader: renewed"),
                    LeaseNews::Lost => coverage.see("leader: lease lost"),
                }
            }
            (Call::Join(join), Reply::Join(reply)) => coverage.see(match &**reply {
                JoinReply::Replaced => "join: replaced",
                JoinReply::Held { present: true, .. } => "join: held, present",
                JoinReply::Held { .. } => "join: held, not present",
                JoinReply::Joined { .. } if join.force => "join: by force",
                JoinReply::Joined { .. } if join.dead_presence.is_some() => "join: after a dead presence",
                JoinReply::Joined { .. } if join.rename_from.is_some() => "join: rename",
                JoinReply::Joined { .. } if join.own.0 != 0 => "join: again, the same life",
                JoinReply::Joined { .. } => "join: a new life",
            }),
            (Call::Campaign(campaign), Reply::Campaign(reply)) => {
                let rule = match campaign.rule {
                    Rule::Vacant => "vacant",
                    Rule::Expired { .. } => "expired",
                    Rule::Restarted { .. } => "restarted",
                    Rule::Presence { .. } => "presence",
                    Rule::Fenced { .. } => "fenced",
                    Rule::Absent => "absent",
                    Rule::AbsentLease => "absent for a lease",
                };
                if reply.granted.is_some() {
                    coverage.see_text(format!("campaign: granted, {rule}"));
                } else {
                    coverage.see_text(format!("campaign: refused, {rule}: {}", reply.refused));
                }
            }
            (Call::HandOver { .. }, Reply::HandOver(HandOverReply { outcome, .. })) => coverage.see(match outcome {
                HandedOver::Asked => "handover: asked",
                HandedOver::Same => "handover: leads already",
                HandedOver::Vacant => "handover: vacant",
                HandedOver::Unknown => "handover: unknown",
                HandedOver::Barred => "handover: barred",
            }),
            (Call::Register(Register { term, .. }), Reply::Registered(Registered { registered, leads, .. })) => {
                coverage.see(match (registered, term, leads) {
                    (false, ..) => "register: no subscriber",
                    (true, Some(_), true) => "register: as leader",
                    (true, Some(_), false) => "register: as leader, refused",
                    (true, None, _) => "register: as member",
                });
            }
            (Call::Sweep { .. }, Reply::Sweep(Swept { leads: false, .. })) => coverage.see("sweep: refused"),
            (Call::Leave { .. }, Reply::Left(LeaveReply { resigned, .. })) => {
                coverage.see(if *resigned { "leave: of the leader" } else { "leave: of a member" });
            }
            (Call::Resign { .. }, Reply::Left(LeaveReply { resigned, .. })) => {
                coverage.see(if *resigned { "resign: done" } else { "resign: not the holder" });
            }
            (Call::Drain(drain), Reply::Drain(reply)) => coverage.see(match (drain.enabled, reply.resigned) {
                (true, true) => "drain: of the leader",
                (true, false) => "drain: begun",
                (false, _) => "drain: ended",
            }),
            _ => {}
        }
    }

    pub(crate) fn cover_event(&mut self, event: &ClusterEvent) {
        let name = match &event.fact {
            ClusterFact::NodeLeft { reason, .. } => match reason {
                LeftReason::Left => "event: left",
                LeftReason::HeartbeatTimeout => "event: left, overdue",
                LeftReason::ProcessDied => "event: left, its process died",
                LeftReason::Replaced => "event: left, replaced",
                LeftReason::Other => "event: left, told by another version",
            },
            ClusterFact::NodeJoined { rejoined: true, .. } => "event: rejoined",
            ClusterFact::NodeJoined { .. } => "event: joined",
            ClusterFact::LeaderElected { .. } => "event: elected",
            ClusterFact::LeaderLost { .. } => "event: leader lost",
            _ => return,
        };
        self.coverage.see(name);
    }
}
