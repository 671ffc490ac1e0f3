//! The holder against a store, a connection and a command that a test plays.

mod waiting;

use super::*;
use crate::cluster::ids::Incarnation;
use crate::cluster::protocol::{Acquire, AcquireReply, Acquired, LeaseRecord, Owner, Refusal, Renewed};
use crate::cluster::time::ServerTime;

const TTL: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(1);

fn at(ms: u64) -> Moment {
    Moment(Duration::from_millis(ms))
}

fn text(text: &str) -> Nonce {
    Nonce::new(text).expect("a nonce")
}

fn node(id: &str) -> NodeId {
    NodeId::new(id).expect("an id")
}

/// What a test plays: the holder, and what it wants that was not answered yet.
struct Play {
    holder: Holder,
    now: Moment,
    call: Option<(Moment, LeaseCall)>,
    line: Option<Nonce>,
    ping: Option<Moment>,
    effects: Vec<Effect>,
}

impl Play {
    fn new(change: impl FnOnce(&mut Terms)) -> Self {
        let name = LeaseName::new("bot").expect("a name");
        let mut terms = Terms {
            name,
            node_id: node("a"),
            ttl: TTL,
            grace: GRACE,
            stop_timeout: Duration::from_secs(10),
            wait: Wait::Forever,
            exit_when_lost: false,
            random: text("r"),
        };
        change(&mut terms);
        let now = at(10_000);
        let mut play =
            Self { holder: Holder::new(terms), now, call: None, line: None, ping: None, effects: Vec::new() };
        play.input(Input::Wake);
        play
    }

    fn input(&mut self, input: Input) {
        for effect in self.holder.step(self.now, input) {
            match &effect {
                Effect::Call(call) => {
                    assert!(self.call.is_none(), "two calls at a time");
                    self.call = Some((self.now, LeaseCall::clone(call)));
                }
                Effect::OpenPresence(nonce) => self.line = Some(nonce.clone()),
                Effect::ClosePresence => self.line = None,
                Effect::Ping(..) => self.ping = Some(self.now),
                _ => {}
            }
            self.effects.push(effect);
        }
    }

    /// Goes on to this time, waking the holder when it wants to be.
    fn until(&mut self, ms: u64) {
        for _ in 0..10_000 {
            let Some(due) = self.holder.wake_at().filter(|due| *due <= at(ms)) else { break };
            self.now = self.now.max(due);
            let before = self.effects.len();
            self.input(Input::Wake);
            if due <= self.now && self.effects.len() == before && self.holder.wake_at() == Some(due) {
                break;
            }
        }
        self.now = at(ms);
        self.input(Input::Wake);
    }

    fn up(&mut self) {
        let nonce = self.line.clone().expect("a connection was asked for");
        self.input(Input::PresenceUp(nonce));
    }

    fn pong(&mut self) {
        let (nonce, sent) = (self.line.clone().expect("a line"), self.ping.take().expect("a ping"));
        self.input(Input::Pong { nonce, sent });
    }

    fn answer(&mut self, reply: LeaseReply) {
        self.answer_of("s1", reply);
    }

    fn answer_of(&mut self, server: &str, reply: LeaseReply) {
        let (sent, _) = self.call.take().expect("a call");
        self.input(Input::Answered { sent, answer: Ok((reply, ServerId(server.to_owned()))) });
    }

    fn fail(&mut self) {
        let (sent, _) = self.call.take().expect("a call");
        self.input(Input::Answered { sent, answer: Err(Fault::Unavailable("gone".to_owned())) });
    }

    fn asked(&self) -> &Acquire {
        match &self.call {
            Some((_, LeaseCall::Acquire(acquire))) => acquire,
            other => panic!("no acquisition but {other:?}"),
        }
    }

    fn reply(&self, outcome: Acquired, record: Option<LeaseRecord>) -> LeaseReply {
        let (now, epoch) = (ServerTime(1_000_000), "e".to_owned());
        LeaseReply::Acquired(Box::new(AcquireReply {
            now,
            epoch,
            token: 7,
            outcome,
            again: None,
            record,
            grace: Some(GRACE),
        }))
    }

    fn grant(&mut self, again: bool) {
        let expires_at = ServerTime(1_030_000);
        let reply = self.reply(Acquired::Granted { token: Term(7), expires_at, again }, None);
        self.answer(reply);
    }

    /// The command runs.
    fn running(change: impl FnOnce(&mut Terms)) -> Self {
        let mut play = Self::new(change);
        play.up();
        play.grant(false);
        play.pong();
        assert!(matches!(play.effects.last(), Some(Effect::Start { token: Term(7), .. })), "{:?}", play.effects);
        play.effects.clear();
        play
    }

    fn has(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.effects.iter().any(wanted)
    }

    fn end(&self) -> Option<&End> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Finish(end) => Some(end),
            _ => None,
        })
    }
}

fn record(present: bool, nonce: &str) -> LeaseRecord {
    LeaseRecord {
        holder: Some(Owner { node_id: node("b"), incarnation: Incarnation(0), presence: Some(text("p")) }),
        token: Term(5),
        expires_at: ServerTime(1_030_000),
        ttl: TTL,
        grace: GRACE,
        nonce: nonce.to_owned(),
        present,
        same_server: true,
        offered_to: None,
        waiters: 1,
    }
}

fn watched(record: LeaseRecord) -> LeaseReply {
    LeaseReply::Watched { now: ServerTime(1_000_000), epoch: "e".to_owned(), record: Some(record) }
}

fn until() -> LeaseReply {
    LeaseReply::Renewed {
        now: ServerTime(1_000_000),
        outcome: Renewed::Until(ServerTime(1_030_000)),
        grace: Some(GRACE),
    }
}

#[test]
fn the_command_starts_only_after_a_ping_that_was_sent_after_the_grant() {
    let mut play = Play::new(|_| {});
    assert!(play.call.is_none(), "nothing is asked before the connection stands");
    play.up();
    assert_eq!(play.asked().owner.presence, play.line);
    play.now = at(10_100);
    play.grant(false);
    assert!(!play.has(|effect| matches!(effect, Effect::Start { .. })));
    assert_eq!(play.ping, Some(at(10_100)));
    play.now = at(10_200);
    play.pong();
    let limits = Limits { terminate_at: at(10_600), kill_at: at(10_900) };
    assert_eq!(play.effects.last(), Some(&Effect::Start { token: Term(7), limits }));
}

#[test]
fn each_answered_ping_moves_the_limits_and_a_late_one_is_followed_at_once() {
    let mut play = Play::running(|_| {});
    play.until(10_400);
    let sent = play.ping.expect("a ping each third of the grace");
    assert_eq!(sent, at(10_000) + GRACE / 3);
    play.now = at(10_800);
    play.pong();
    let limits = Limits { terminate_at: sent + GRACE / 2, kill_at: sent + GRACE.mul_f64(0.8) };
    assert!(play.has(|effect| *effect == Effect::Limit(limits)), "{:?}", play.effects);
    assert_eq!(play.ping, Some(at(10_800)));
}

#[test]
fn without_answers_the_command_is_gone_and_the_lease_given_back_before_it_is_asked_for_again() {
    let mut play = Play::running(|_| {});
    play.until(10_949);
    assert!(!play.has(|effect| *effect == Effect::Kill));
    play.until(10_951);
    assert!(play.has(|effect| *effect == Effect::Kill));
    play.until(60_000);
    assert!(play.call.is_none(), "while the command is there nothing is asked");
    play.input(Input::Ended { code: 137, asked: true });
    let Some((_, LeaseCall::Release { token: Term(7), ticket, .. })) = &play.call else { panic!("{:?}", play.call) };
    assert_eq!(ticket, &Some(text("r-1")));
    play.fail();
    play.until(60_500);
    play.answer(LeaseReply::Released { released: true });
    assert_ne!(play.asked().ticket, text("r-1"), "a new place in the queue");
    assert_eq!(play.end(), None);
}

#[test]
fn a_lease_that_is_not_renewed_ends_though_pings_are_answered() {
    let mut play = Play::running(|_| {});
    for second in 0..280 {
        play.until(10_000 + second * 100);
        if play.ping.is_some() {
            play.pong();
        }
        if play.call.is_some() {
            play.fail();
        }
    }
    let last = play.effects.iter().rev().find_map(|effect| match effect {
        Effect::Limit(limits) => Some(*limits),
        _ => None,
    });
    // Three quarters of the lease less 50 ms, and 0.9 of it.
    assert_eq!(last, Some(Limits { terminate_at: at(32_450), kill_at: at(36_950) }));
    play.until(38_449);
    assert!(!play.has(|effect| *effect == Effect::Kill));
    play.until(38_451);
    assert!(play.has(|effect| *effect == Effect::Kill));
}

#[test]
fn what_was_stopped_within_the_grace_starts_again_under_the_same_token() {
    let mut play = Play::running(|_| {});
    play.until(10_900);
    play.input(Input::Terminating);
    play.input(Input::Ended { code: 143, asked: true });
    assert!(!play.has(|effect| matches!(effect, Effect::Start { .. })), "not before an answer");
    play.pong();
    assert!(!play.has(|effect| matches!(effect, Effect::Start { .. })), "the answer is too old to start anything");
    play.now = at(10_920);
    play.pong();
    assert!(play.has(|effect| matches!(effect, Effect::Start { token: Term(7), .. })), "{:?}", play.effects);
}

#[test]
fn a_lost_connection_is_replaced_and_pings_on_the_new_one_count_once_the_store_knows_it() {
    let mut play = Play::running(|_| {});
    let old = play.line.clone().expect("a line");
    play.now = at(10_100);
    play.input(Input::PresenceDown(old.clone()));
    assert_ne!(play.line, Some(old), "another name");
    play.up();
    let Some((_, LeaseCall::Renew { owner, ticket, holds, .. })) = &play.call else { panic!("{:?}", play.call) };
    assert_eq!((&owner.presence, ticket), (&play.line, &Some(text("r-1"))), "the ticket proves that it is its own");
    assert!(*holds, "it still holds, by its own clock");
    play.now = at(10_200);
    play.answer_of("s2", until());
    assert_eq!(play.ping, Some(at(10_200)));
    play.now = at(10_250);
    play.pong();
    let limits = Limits { terminate_at: at(10_700), kill_at: at(11_000) };
    assert!(play.has(|effect| *effect == Effect::Limit(limits)), "{:?}", play.effects);
}

#[test]
fn another_server_process_has_to_see_the_connection_anew() {
    let mut play = Play::running(|_| {});
    let old = play.line.clone();
    for step in 1..=34 {
        play.until(10_000 + step * 300);
        if play.ping.is_some() {
            play.pong();
        }
    }
    assert!(matches!(play.call, Some((_, LeaseCall::Renew { .. }))), "{:?}", play.call);
    play.answer_of("s2", until());
    assert!(play.has(|effect| *effect == Effect::ClosePresence));
    play.until(20_500);
    assert_ne!(play.line, old);
}

#[test]
fn a_stale_token_kills_at_once() {
    let mut play = Play::running(|terms| terms.exit_when_lost = true);
    play.input(Input::CalledToRegister);
    play.answer(LeaseReply::Renewed { now: ServerTime(1), outcome: Renewed::Stale, grace: None });
    assert!(play.has(|effect| *effect == Effect::Kill));
    play.input(Input::Ended { code: 137, asked: true });
    play.answer(LeaseReply::Released { released: false });
    assert_eq!(play.end(), Some(&End::Lost(Why::Lost)));
}

#[test]
fn a_command_that_ends_by_itself_ends_everything_after_the_release() {
    let mut play = Play::running(|_| {});
    play.input(Input::Ended { code: 3, asked: false });
    assert_eq!(play.end(), None);
    play.answer(LeaseReply::Released { released: true });
    assert_eq!(play.end(), Some(&End::Code(3)));
    let mut away = Play::running(|_| {});
    away.input(Input::Ended { code: 3, asked: false });
    for step in 1..=40 {
        if away.call.is_some() {
            away.fail();
        }
        away.until(10_000 + step * 100);
    }
    assert_eq!(away.end(), Some(&End::Code(3)), "Redis is not waited for for ever");
}

#[test]
fn a_draining_node_stops_the_command_keeps_the_lease_meanwhile_and_waits() {
    let mut play = Play::running(|_| {});
    play.input(Input::Drained);
    assert!(play.has(|effect| *effect == Effect::Stop(Duration::from_secs(10))));
    play.until(10_350);
    play.pong();
    assert!(play.has(|effect| matches!(effect, Effect::Limit(_))), "it still holds");
    play.input(Input::Ended { code: 0, asked: true });
    play.answer(LeaseReply::Released { released: true });
    let refused = play.reply(Acquired::Refused(Refusal::Draining), None);
    play.answer(refused);
    assert!(play.has(|effect| *effect == Effect::Report(News::Draining)));
    play.until(12_000);
    assert!(play.asked().wait);
}
