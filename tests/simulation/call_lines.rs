//! A call and its answer in one line of the trace.

use clawster::cluster::protocol::{Call, JoinReply, LeaderRecord, Numbers, Reply};

fn short(number: u64) -> String {
    let text = number.to_string();
    text[text.len().saturating_sub(9)..].to_owned()
}

fn numbers(n: Numbers) -> String {
    format!("t{} e{}", short(n.token), short(n.event))
}

fn record(leader: Option<&LeaderRecord>) -> String {
    let Some(r) = leader else { return "no record".to_owned() };
    let holder = r.holder.as_ref().map_or("vacant".to_owned(), |l| format!("{}/{}", l.node_id, short(l.incarnation.0)));
    let presence = r.presence.as_deref().unwrap_or("-");
    let to = r.handing_to.as_ref().map_or(String::new(), |id| format!(" to {id}"));
    format!("{holder} term {} until {} by {presence} there {}{to}", short(r.term.0), short(r.expires_at.0), r.present)
}

pub(crate) fn call(call: &Call) -> String {
    match call {
        Call::Tick(t) => {
            let renew = t.renew.map(|t| short(t.0));
            format!("Tick {} knows {} renew {renew:?} leads {}", t.instance.node_id, numbers(t.known), t.leads)
        }
        Call::Join(j) => {
            let (dead, own) = (&j.dead_presence, short(j.own.0));
            let from = &j.rename_from;
            format!(
                "Join {} {} knows {} own {own} force {} dead {dead:?} from {from:?}",
                j.node_id,
                j.process,
                numbers(j.known),
                j.force
            )
        }
        Call::Campaign(c) => format!("Campaign {} {:?} seen {}", c.instance.node_id, c.rule, short(c.seen.0)),
        Call::Register { instance, presence, term } => {
            format!("Register {} {presence} {:?}", instance.node_id, term.map(|t| short(t.0)))
        }
        Call::Sweep { instance, dead, .. } => format!("Sweep {} dead {dead:?}", instance.node_id),
        other => format!("{other:?}"),
    }
}

pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Tick(t) => format!(
            "{:?} at {} {} epoch {} {:?}, {}",
            t.identity,
            short(t.now.0),
            numbers(t.data.numbers),
            t.data.epoch,
            t.lease,
            record(t.leader.as_ref())
        ),
        Reply::Join(j) => match &**j {
            JoinReply::Joined { now, incarnation, data, registered, .. } => format!(
                "joined {} at {} {} epoch {} registered {registered}",
                short(incarnation.0),
                short(now.0),
                numbers(data.numbers),
                data.epoch
            ),
            other => format!("{other:?}"),
        },
        Reply::Campaign(c) => format!(
            "{:?} granted {:?} {} {}",
            c.identity,
            c.granted.map(|t| short(t.0)),
            c.refused,
            record(c.leader.as_ref())
        ),
        Reply::HandOver { outcome, leader, .. } => format!("{outcome:?} {}", record(leader.as_ref())),
        Reply::Watch(w) => {
            format!("watch {} same {} channel {}", record(w.leader.as_ref()), w.same_server, w.leader_channel)
        }
        other => format!("{other:?}"),
    }
}
