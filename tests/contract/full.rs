//! A Redis that is full: what keeps the cluster a cluster is taken all the same, what needs memory is refused as a whole.

use crate::calls::*;
use crate::fixture::{Fixture, Redis};
use crate::lease_calls::*;
use crate::task_calls::*;
use clawster::cluster::ids::MessageSeq;
use clawster::cluster::protocol::{
    Acknowledge, Call, Drain, Fault, HandOver, Identity, LeaseCall, LeaseNews, PublishReply, Resign, Rule, SubmitTasks,
    TaskCall, Tick,
};
use clawster::store::Store;

fn fill(f: &Redis) {
    f.server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
}

fn empty(f: &Redis) {
    f.server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn membership_and_election_survive_a_full_redis() {
    let mut f = Redis::start();
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = present(&mut f, "b", "p2").await;
    fill(&f);
    let ask = Tick { renew: Some(term), presence: Some(nonce("p1")), leads: true, ..tick_of(&a) };
    let beat = send_tick(&f, ask).await;
    assert_eq!((beat.identity, beat.lease, beat.full), (Identity::Ok, LeaseNews::Renewed, true));
    member(&f, "c").await;
    for ask in [
        Call::Acknowledge(Acknowledge {
            instance: b.instance.clone(),
            epoch: b.epoch.clone(),
            seq: MessageSeq(b.cursor.0 + 1),
        }),
        Call::HandOver(HandOver { candidate: id("b") }),
        Call::Resign(Resign { instance: a.instance.clone(), term }),
        Call::Drain(Drain { instance: b.instance.clone(), enabled: false, revision: 2 }),
    ] {
        call(&f, ask).await;
    }
    assert!(grant(&f, campaign_of(&b, Rule::Vacant, term)).await > term);
    leave(&f, &a).await;
    empty(&f);
    assert!(!tick(&f, &b).await.full);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_refuses_new_things_as_a_whole_and_takes_the_end_of_old_ones() {
    let mut f = Redis::start();
    let (a, _) = leader(&mut f, "a", "p1").await;
    let old = acquire_of(&a, "old");
    let token = taken(&f, old.clone()).await;
    add(&f, &a, vec![new("t")]).await;
    fill(&f);
    let before = f.server.cli(&["DBSIZE"]);
    for ask in [
        Call::Lease(Box::new(LeaseCall::Acquire(acquire_of(&a, "new")))),
        Call::Once(Box::new(once_of("a", &["key"]))),
        Call::Task(Box::new(TaskCall::Submit(SubmitTasks {
            instance: a.instance.clone(),
            tasks: vec![new("u")],
            max_bytes: 1 << 40,
        }))),
    ] {
        let fault = f.store().call(ask.clone()).await;
        assert!(matches!(&fault, Err(Fault::Unwritable(why)) if why.contains("out of memory")), "{ask:?}: {fault:?}");
    }
    let refused = publish(&f, publish_of(&a, vec![packed(1, 1)])).await;
    assert!(matches!(refused, PublishReply::Full { bound: None, .. }), "{refused:?}");
    assert_eq!(f.server.cli(&["DBSIZE"]), before, "nothing of them is left");
    assert!(release(&f, &old, "old", token).await);
    empty(&f);
    put(&f, publish_of(&a, vec![packed(1, 1)])).await;
}
