//! Redis holds what it should not, or is not what it should be: an error for whom it touches, and nothing breaks.

use crate::calls::*;
use crate::fixture::{Fixture, Redis, key};
use crate::lease_calls::*;
use crate::task_calls::{claim_of, new, tid};
use clawster::cluster::ids::{MessageSeq, Term};
use clawster::cluster::protocol::{
    Acknowledge, Acquire, Acquired, Call, CancelTask, Check, Drain, Fault, Forget, ForgetMembers, GetTask, HandOver,
    Identity, Join, LeaseCall, ListLeases, ListTasks, Owner, RedriveTask, Register, Release, Reply, Resign, Rule,
    SettleTasks, SubmitTasks, Sweep, TakeCensus, TaskCall, View, WatchLeader, WatchLease,
};
use clawster::store::Store;

const KEYS: [&str; 23] = [
    "meta",
    "members",
    "beats",
    "changes",
    "lease:leader",
    "events",
    "messages",
    "presence",
    "acks",
    "cursors",
    "producers",
    "away",
    "running",
    "delayed",
    "done",
    "lanes",
    "failed",
    "dead",
    "leases",
    "lease:bot",
    "queue:bot",
    "owned:a",
    "once:key",
];

fn about(ask: TaskCall) -> Call {
    Call::Task(Box::new(ask))
}

/// One call of every kind.
fn every_call(node: &Node, term: Term) -> Vec<Call> {
    let instance = || node.instance.clone();
    vec![
        Call::View(View { epoch: String::new(), version: 0, floor: 0, rows: 10, beats: 10 }),
        Call::Watch(WatchLeader),
        Call::Census(TakeCensus),
        Call::Leases(ListLeases { limit: 10 }),
        Call::ForgetMembers(ForgetMembers { members: vec![id("nobody"), id("a")] }),
        Call::Join(Box::new(join_of("new"))),
        Call::Join(Box::new(join_of("a"))),
        Call::Tick(Box::new(tick_of(node))),
        Call::Tick(Box::new(clawster::cluster::protocol::Tick { renew: Some(term), ..tick_of(node) })),
        Call::Register(Register { instance: instance(), presence: nonce("p1"), term: Some(term) }),
        Call::Sweep(Sweep { instance: instance(), term, dead: vec![(id("b"), "p2".to_owned())] }),
        Call::HandOver(HandOver { candidate: id("b") }),
        Call::Campaign(Box::new(campaign_of(node, Rule::Vacant, term))),
        Call::Publish(Box::new(publish_of(node, vec![packed(100, 2)]))),
        Call::Acknowledge(Acknowledge {
            instance: instance(),
            epoch: node.epoch.clone(),
            seq: MessageSeq(u64::MAX >> 12),
        }),
        Call::Resign(Resign { instance: instance(), term: Term(1) }),
        about(TaskCall::Submit(SubmitTasks {
            instance: instance(),
            tasks: vec![new("t"), new("u")],
            max_bytes: 1 << 40,
        })),
        about(TaskCall::Claim(claim_of(node, 9, fresh()))),
        about(TaskCall::Settle(SettleTasks { instance: instance(), settlements: Vec::new() })),
        about(TaskCall::Cancel(CancelTask { id: tid("u") })),
        about(TaskCall::Redrive(RedriveTask { id: tid("u") })),
        about(TaskCall::Get(GetTask { id: tid("t") })),
        about(TaskCall::List(ListTasks { state: None, kind: None, limit: 9 })),
        Call::Lease(Box::new(LeaseCall::Acquire(Acquire { wait: true, ..acquire_of(node, "bot") }))),
        Call::Lease(Box::new(LeaseCall::Acquire(acquire_of(node, "other")))),
        Call::Lease(Box::new(LeaseCall::Watch(WatchLease { name: lease_name("bot") }))),
        Call::Lease(Box::new(LeaseCall::Check(Check { name: lease_name("bot"), token: Term(1) }))),
        Call::Lease(Box::new(LeaseCall::Release(Release {
            name: lease_name("bot"),
            token: Term(1),
            owner: Owner::of(instance()),
            ticket: None,
        }))),
        Call::Lease(Box::new(LeaseCall::Forget(Forget { name: lease_name("bot"), ticket: nonce("nobody") }))),
        Call::Once(Box::new(once_of("a", &["key"]))),
        Call::Drain(Drain { instance: instance(), enabled: false, revision: 0 }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_is_an_error_and_breaks_nothing() {
    for name in KEYS {
        let mut f = Redis::start();
        let (a, term) = leader(&mut f, "a", "p1").await;
        present(&mut f, "b", "p2").await;
        put(&f, publish_of(&a, vec![packed(1, 3)])).await;
        taken(&f, acquire_of(&a, "bot")).await;
        assert!(matches!(
            acquire(&f, Acquire { wait: true, ..acquire_of(&a, "bot") }).await.outcome,
            Acquired::Queued { .. }
        ));
        once(&f, once_of("a", &["key"])).await;
        f.server.cli(&["RENAME", &key(name), &key("aside")]);
        f.server.cli(&["SET", &key(name), "a text"]);
        let mut faults = 0;
        for ask in every_call(&a, term) {
            match f.store().call(ask.clone()).await {
                Ok(_) => {}
                Err(Fault::Refused(_) | Fault::Unwritable(_)) => faults += 1,
                Err(Fault::Unavailable(why)) => panic!("{name}: {ask:?}: {why}"),
            }
        }
        // Where another key tells the same, or the key is begun anew, no call fails.
        assert!(faults > 0 || ["away", "delayed", "once:key"].contains(&name), "{name}");
        f.server.cli(&["DEL", &key(name)]);
        f.server.cli(&["RENAME", &key("aside"), &key(name)]);
        for ask in every_call(&a, term) {
            f.store().call(ask.clone()).await.unwrap_or_else(|fault| panic!("{name}: {ask:?}: {fault}"));
        }
        events(&f).await;
        put(&f, publish_of(&a, vec![packed(200, 1)])).await;
        assert_eq!(tick(&f, &a).await.identity, Identity::Ok, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_row_touches_nobody_else() {
    let mut f = Redis::start();
    let a = present(&mut f, "a", "p1").await;
    let rows = ["garbage", "{}", "[1]", "null", "7", "\"text\"", r#"{"i":1,"p":null}"#, "\u{0}", ""];
    for (n, row) in rows.into_iter().enumerate() {
        let broken = member(&f, "broken").await;
        f.server.cli(&["HSET", &key("members"), "broken", row]);
        f.server.cli(&["HSET", &key("presence"), "broken", row]);
        f.server.cli(&["HSET", &key("cursors"), "broken", "no number"]);
        assert_eq!(tick(&f, &broken).await.identity, Identity::Unknown, "{row}");
        let seen = tick(&f, &a).await;
        assert_eq!((seen.identity, seen.alive, seen.delta.rows.len()), (Identity::Ok, 2, 1), "{row}");
        assert_eq!(hand_over(&f, "broken").await.0, clawster::cluster::protocol::HandedOver::Unknown);
        if n % 2 == 0 {
            for _ in 0..3 {
                f.advance(secs(11));
                tick(&f, &a).await;
            }
            assert_eq!(view(&f).await.alive, 1, "its deadline goes, too");
        }
        let healed = admitted(&f, Join { force: true, ..join_of("broken") }).await;
        assert_eq!(tick(&f, &healed).await.identity, Identity::Ok);
        assert_eq!(tick(&f, &a).await.delta.rows.len(), 2);
    }
    events(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_id_and_no_entry_is_passed_over() {
    let mut f = Redis::start();
    let (a, term) = leader(&mut f, "a", "p1").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 1)])).await;
    let server = f.server.info("server", "run_id").unwrap();
    f.server.cli(&["ZADD", &key("beats"), "inf", "no id!"]);
    f.server.cli(&["HSET", &key("members"), "no id!", "{}"]);
    f.server.cli(&["ZADD", &key("changes"), "99", "no id!"]);
    f.server.cli(&["HSET", &key("presence"), "no id!", &format!("p9 {server}")]);
    f.server.cli(&["XADD", &key("events"), "*", "some", "thing"]);
    f.server.cli(&["XADD", &key("messages"), "*", "some", "thing"]);
    assert_eq!(tick(&f, &a).await.beats.len(), 1);
    assert_eq!(sweep(&f, &a, term, &[]).await, (true, vec![]));
    assert_eq!(put(&f, publish_of(&a, vec![packed(2, 1)])).await, first + 1);
    assert_eq!(positions(&f).await, [first, first + 1]);
    resign(&f, &a, term).await;
    assert_eq!(story(&f).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_record_or_mark_is_written_again() {
    let mut f = Redis::start();
    let (a, term) = leader(&mut f, "a", "p1").await;
    f.server.cli(&["HSET", &key("producers"), "producer-a", "no mark"]);
    put(&f, publish_of(&a, vec![packed(1, 1)])).await;
    assert_eq!(positions(&f).await.len(), 1);
    for (field, value) in [("term", "no number"), ("holder", "no id!"), ("incarnation", "")] {
        f.server.cli(&["HSET", &key("lease:leader"), field, value]);
        assert_eq!(watch(&f).await.leader, None, "{field}");
        let ask = clawster::cluster::protocol::Tick {
            renew: Some(term),
            leads: true,
            presence: Some(nonce("p1")),
            ..tick_of(&a)
        };
        send_tick(&f, ask).await;
        assert_eq!(record(&f).await.term, term, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_lease_touches_nobody_else() {
    let mut f = Redis::start();
    let (a, b) = (member(&f, "a").await, present(&mut f, "b", "p2").await);
    taken(&f, acquire_of(&a, "good")).await;
    let waits = acquire_of(&b, "good");
    queued(&f, &waits).await;
    for name in ["text", "fields", "queue", "nothing"] {
        taken(&f, acquire_of(&a, name)).await;
        f.server.cli(&["ZADD", &key("leases"), "1", name]);
    }
    f.server.cli(&["SET", &key("lease:text"), "a text"]);
    f.server.cli(&["HSET", &key("lease:fields"), "term", "x", "expires", "never", "holder", "no id!", "ttl", "-"]);
    f.server.cli(&["SET", &key("queue:queue"), "a text"]);
    f.server.cli(&["DEL", &key("lease:nothing")]);
    f.server.cli(&["ZADD", &key("leases"), "1", "no name!"]);
    f.server.cli(&["ZADD", &key("queue:good"), "-1", "no waiter"]);
    f.server.cli(&["SADD", &key("owned:a"), "text", "no name!", "strange"]);
    f.server.cli(&["SET", &key("once:odd"), "a text"]);
    assert_eq!(tick(&f, &b).await.identity, Identity::Ok);
    assert_eq!(drain(&f, &a, true).await.leases, 2, "good and queue");
    let text = Call::Lease(Box::new(LeaseCall::Watch(WatchLease { name: lease_name("text") })));
    assert!(matches!(f.store().call(text).await, Err(Fault::Unwritable(why)) if why.contains("doctor")));
    assert!(once(&f, once_of("a", &["odd", "even"])).await.iter().all(|grant| grant.granted));
    leave(&f, &a).await;
    f.noticed("p2", clawster::store::Notice::Lease(waits.ticket.clone())).await;
    taken(&f, waits).await;
    for _ in 0..3 {
        f.advance(secs(11));
        assert_eq!(tick(&f, &b).await.identity, Identity::Ok);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_replica_takes_no_writes() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    f.server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let fault = f.store().call(Call::Tick(Box::new(tick_of(&a)))).await;
    assert!(matches!(&fault, Err(Fault::Unwritable(why)) if why.contains("read-only replica")), "{fault:?}");
    f.server.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgot_the_scripts_is_given_them_again() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    f.server.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
}

/// How many commands one tick runs, and how long it takes the server, in microseconds.
async fn cost(members: usize) -> (u64, f64) {
    let mut f = Redis::start();
    let (a, term) = leader(&mut f, "a", "p1").await;
    for n in 1..members {
        member(&f, &format!("m{n:04}")).await;
    }
    let (mut version, mut floor) = (0, 0);
    loop {
        let seen = view_from(&f, &a.epoch, version, floor, 1000).await.delta;
        (version, floor) = (seen.version, seen.floor);
        if !seen.more {
            break;
        }
    }
    let beat = || async {
        let ask = clawster::cluster::protocol::Tick {
            version,
            floor,
            renew: Some(term),
            presence: Some(nonce("p1")),
            ..tick_of(&a)
        };
        let Reply::Tick(reply) = call(&f, Call::Tick(Box::new(ask))).await else { panic!("no answer") };
        assert!(reply.delta.rows.is_empty() && reply.alive == members as u64);
    };
    beat().await;
    f.server.cli(&["CONFIG", "RESETSTAT"]);
    for _ in 0..1000 {
        beat().await;
    }
    let stats = f.server.cli(&["INFO", "commandstats"]);
    let mut calls = 0;
    let mut micros = 0.0;
    for line in stats.lines().filter(|line| line.starts_with("cmdstat_") && !line.starts_with("cmdstat_config")) {
        let field = |name: &str| line.split([':', ',']).find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
        if line.starts_with("cmdstat_evalsha") {
            micros = field("usec_per_call=").parse().unwrap();
        } else {
            calls += field("calls=").parse::<u64>().unwrap();
        }
    }
    (calls / 1000, micros)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_runs_as_many_commands_for_a_thousand_members_as_for_forty() {
    let (few, some, many) = (cost(10).await, cost(40).await, cost(1000).await);
    eprintln!("commands and microseconds of a tick: {few:?} with 10 members, {some:?} with 40, {many:?} with 1,000");
    assert_eq!(some.0, many.0);
    assert_eq!(few.0, many.0);
}
