//! How work on a task ends: completed once, failed, timed out, its worker dead, cancelled; what is kept of it.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::task_calls::*;
use clawster::cluster::ids::{TaskToken, Term};
use clawster::cluster::protocol::{
    Call, Drain, Identity, Join, NewTask, Reply, Rule, SettleReply, SettleTasks, Settled, Settlement, TaskCall,
    TaskChange, TaskReply, Verdict,
};
use clawster::cluster::task::{Jitter, TaskState};
use std::time::Duration;

async fn a_task_is_completed_once<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, vec![new("t"), new("u")]).await;
    let token = take(&f, &a, "t").await;
    assert_eq!(complete(&f, &b, "t", token).await, Settled::Stale, "another node's word");
    assert_eq!(complete(&f, &a, "t", TaskToken(token.0 + 1)).await, Settled::Stale);
    assert_eq!(complete(&f, &a, "other", token).await, Settled::NotFound);
    let other = take(&f, &b, "u").await;
    assert_eq!(complete(&f, &a, "t", other).await, Settled::Stale, "the token of another task");
    assert_eq!(complete(&f, &a, "t", token).await, DONE);
    assert_eq!(complete(&f, &a, "t", token).await, DONE, "its answer was lost");
    assert_eq!(complete(&f, &b, "t", token).await, Settled::Stale, "another node's word, also once it is done");
    assert_eq!(settle(&f, &a, "t", token, failed(true)).await, Settled::Stale);
    assert_eq!(settle(&f, &a, "t", token, Verdict::Extend).await, Settled::Stale);
    f.advance(secs(10));
    tick(&f, &a).await;
    assert_eq!((state(&f, "t").await, state(&f, "u").await), (TaskState::Done, TaskState::Delayed));
    assert_eq!(complete(&f, &b, "u", other).await, Settled::Stale, "it timed out");
    f.advance(secs(2));
    let second = take(&f, &a, "u").await;
    assert!(second > other);
    assert_eq!(complete(&f, &b, "u", other).await, Settled::Stale, "somebody else works on it");
    assert_eq!(complete(&f, &a, "u", second).await, DONE);
    assert_eq!(complete(&f, &b, "u", other).await, Settled::Stale);
    assert_eq!(get(&f, "u").await.summary.node_id, Some(id("a")));
}

async fn another_life_of_the_node_does_not_settle<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &b, vec![new("t")]).await;
    let token = take(&f, &a, "t").await;
    leave(&f, &a).await;
    let next = member(&f, "a").await;
    assert_eq!(complete(&f, &next, "t", token).await, Settled::Stale);
    let ask = TaskCall::Settle(SettleTasks {
        instance: a.instance.clone(),
        settlements: vec![Settlement { id: tid("t"), token, verdict: Verdict::Complete { result: None } }],
    });
    let TaskReply::Settled(SettleReply { identity, results }) = task_call(&f, ask).await else { panic!("no answer") };
    assert_eq!((identity, results), (Identity::Replaced, vec![]));
    let token = take(&f, &next, "t").await;
    assert_eq!(complete(&f, &next, "t", token).await, DONE);
    leave(&f, &next).await;
    let last = member(&f, "a").await;
    assert_eq!(complete(&f, &last, "t", token).await, DONE, "its answer was lost with the life");
    assert_eq!(complete(&f, &b, "t", token).await, Settled::Stale);
}

async fn several_settlements_are_judged_one_by_one<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, (0..6).map(|n| new(&format!("t{n}"))).collect()).await;
    let tasks = claim(&f, &a, 5).await;
    let of = |n: usize, verdict| Settlement { id: tasks[n].id.clone(), token: tasks[n].token, verdict };
    let settlements = vec![
        of(0, Verdict::Complete { result: None }),
        of(0, Verdict::Complete { result: Some("1".to_owned()) }),
        of(1, Verdict::Complete { result: Some("[]".to_owned()) }),
        of(2, failed(false)),
        Settlement { token: TaskToken(1), ..of(3, failed(true)) },
        of(3, failed(true)),
        of(4, Verdict::Extend),
        of(4, Verdict::Complete { result: None }),
    ];
    let ask = TaskCall::Settle(SettleTasks { instance: a.instance.clone(), settlements });
    let TaskReply::Settled(SettleReply { results, .. }) = task_call(&f, ask).await else { panic!("no answer") };
    let states: Vec<Option<TaskState>> = results
        .iter()
        .map(|result| if let Settled::Accepted { state, .. } = result { Some(*state) } else { None })
        .collect();
    use TaskState::{Delayed, Done, Failed, Running};
    assert_eq!(
        states,
        [Some(Done), Some(Done), Some(Done), Some(Failed), None, Some(Delayed), Some(Running), Some(Done)]
    );
    assert_eq!((get(&f, "t0").await.result, get(&f, "t1").await.result.as_deref()), (None, Some("[]")));
    assert_eq!(names(&f, &a, 9).await, ["t5"]);
}

async fn a_failed_task_comes_again_after_a_pause_and_is_dead_in_the_end<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, vec![NewTask { max_attempts: 9, timeout: secs(600), ..new("t") }]).await;
    let pauses = [1, 2, 4, 8, 16, 32, 60, 60].map(|whole| whole * 1000u64);
    for (n, whole) in pauses.into_iter().enumerate() {
        let token = take(&f, &b, "t").await;
        let jitter = Jitter::from_random(n as u64 * 143);
        let verdict = Verdict::Fail { error: format!("e{n}"), retry: true, jitter };
        let before = view(&f).await.now;
        let outcome = settle(&f, &b, "t", token, verdict.clone()).await;
        let Settled::Accepted { state: TaskState::Delayed, due_at: Some(due) } = outcome else { panic!("{outcome:?}") };
        let pause = due.since(before);
        let least = Duration::from_millis(whole * (1000 + u64::from(jitter.thousandths())) / 2000);
        assert!(pause >= least && pause < least + secs(1), "{n}: {pause:?} for {least:?}");
        assert!(pause >= Duration::from_millis(whole / 2) && pause < Duration::from_millis(whole) + secs(1));
        assert_eq!(settle(&f, &b, "t", token, verdict).await, outcome, "its answer was lost");
        let summary = get(&f, "t").await.summary;
        assert_eq!((summary.error, summary.attempts, summary.due_at), (Some(format!("e{n}")), n as u32 + 1, Some(due)));
        for _ in 0..8 {
            f.advance(secs(8));
            tick(&f, &a).await;
            tick(&f, &b).await;
        }
        assert_eq!(
            settle(&f, &b, "t", token, failed(true)).await,
            Settled::Accepted { state: TaskState::Waiting, due_at: None }
        );
    }
    let token = take(&f, &b, "t").await;
    let dead = Settled::Accepted { state: TaskState::Dead, due_at: None };
    assert_eq!(settle(&f, &b, "t", token, failed(true)).await, dead);
    assert_eq!(settle(&f, &b, "t", token, failed(true)).await, dead);
    let summary = get(&f, "t").await.summary;
    assert_eq!((summary.state, summary.error.as_deref(), summary.attempts), (TaskState::Dead, Some("it broke"), 9));
    assert_eq!(told(&f).await.last().map(String::as_str), Some("b buries t mail"));
    assert_eq!(names(&f, &a, 9).await, Vec::<String>::new());

    assert_eq!(redrive(&f, "t").await, TaskChange::Yes(TaskState::Waiting));
    assert_eq!(redrive(&f, "t").await, TaskChange::Yes(TaskState::Waiting), "its answer was lost");
    assert_eq!(told(&f).await.last().map(String::as_str), Some("a offers t mail"));
    assert_eq!(settle(&f, &b, "t", token, failed(true)).await, Settled::Stale);
    let again = claim(&f, &a, 9).await;
    assert_eq!((again.len(), again[0].attempt), (1, 1));
    assert_eq!(redrive(&f, "t").await, TaskChange::No(TaskState::Running));
    assert_eq!(complete(&f, &a, "t", again[0].token).await, DONE);
    assert_eq!(redrive(&f, "t").await, TaskChange::No(TaskState::Done));
    assert_eq!(redrive(&f, "other").await, TaskChange::NotFound);
}

async fn without_a_retry_a_task_fails_for_good<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("t")]).await;
    let token = take(&f, &a, "t").await;
    let outcome = Settled::Accepted { state: TaskState::Failed, due_at: None };
    assert_eq!(settle(&f, &a, "t", token, failed(false)).await, outcome);
    assert_eq!(settle(&f, &a, "t", token, failed(false)).await, outcome);
    assert_eq!(complete(&f, &a, "t", token).await, Settled::Stale);
    assert_eq!(told(&f).await, ["a offers t mail"], "nothing is dead");
    assert_eq!(redrive(&f, "t").await, TaskChange::Yes(TaskState::Waiting));
    assert_eq!(names(&f, &a, 1).await, ["t"]);
}

async fn a_task_times_out_unless_it_is_extended<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, vec![NewTask { max_attempts: 2, ..new("t") }]).await;
    let token = take(&f, &b, "t").await;
    for _ in 0..3 {
        f.advance(secs(6));
        let Settled::Accepted { state, due_at: Some(due) } = settle(&f, &b, "t", token, Verdict::Extend).await else {
            panic!("not extended")
        };
        let left = due.since(view(&f).await.now);
        assert!(state == TaskState::Running && left > secs(7) && left <= secs(9), "{left:?}");
    }
    assert!(tick(&f, &a).await.due <= secs(9));
    f.advance(secs(10));
    let late = tick(&f, &a).await;
    assert!(late.due <= secs(1), "the next attempt is due: {:?}", late.due);
    let summary = get(&f, "t").await.summary;
    assert_eq!((summary.state, summary.error.as_deref()), (TaskState::Delayed, Some("timed out")));
    assert_eq!(settle(&f, &b, "t", token, Verdict::Extend).await, Settled::Stale);
    f.advance(secs(2));
    take(&f, &a, "t").await;
    f.advance(secs(10));
    assert_eq!(names(&f, &b, 1).await, Vec::<String>::new());
    assert_eq!(state(&f, "t").await, TaskState::Dead, "a claim takes overdue tasks, too");
    assert_eq!(told(&f).await.last().map(String::as_str), Some("a buries t mail"));
}

async fn a_tick_looks_after_16_tasks_of_each_sort<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let delayed = |n: usize| NewTask { delay: secs(3), ..new(&format!("d{n:02}")) };
    add(&f, &a, (0..20).map(|n| new(&format!("r{n:02}"))).collect()).await;
    assert_eq!(claim(&f, &a, 20).await.len(), 20);
    add(&f, &a, (0..20).map(delayed).collect()).await;
    f.advance(secs(10));
    assert_eq!(tick(&f, &a).await.due, secs(0));
    assert_eq!(listed(&f, Some(TaskState::Waiting), None, 99).await.len(), 16);
    assert_eq!(listed(&f, Some(TaskState::Running), None, 99).await.len(), 4);
    assert_eq!(told(&f).await.len(), 1, "they were told of before");
    f.advance(secs(2));
    tick(&f, &a).await;
    tick(&f, &a).await;
    assert_eq!(listed(&f, Some(TaskState::Running), None, 99).await.len(), 0);
}

/// `b` works on two tasks, one of them for the last time, and dies; what it worked on is the next one's at once.
async fn dies<F: Fixture>(f: &mut F, a: &Node, b: &Node, reason: &str, death: impl AsyncFnOnce(&mut F)) {
    let (t, u) = (format!("t-{reason}"), format!("u-{reason}"));
    add(
        f,
        a,
        vec![NewTask { max_attempts: 1, timeout: secs(600), ..new(&t) }, NewTask { timeout: secs(600), ..new(&u) }],
    )
    .await;
    let tasks = claim(f, b, 2).await;
    assert_eq!(tasks.len(), 2, "{reason}");
    assert_eq!(claim(f, a, 2).await, []);
    let before = told(f).await.len();
    death(f).await;
    let told = told(f).await;
    assert_eq!(
        told[before..],
        [format!("{} buries {t} mail", b.instance.node_id), format!("{} offers {u} mail", a.instance.node_id)],
        "{reason}"
    );
    let again = claim(f, a, 2).await;
    assert_eq!((again.len(), &again[0].id, again[0].attempt), (1, &tid(&u), 2), "{reason}");
    assert!(again[0].token > tasks[1].token);
    let dead = get(f, &t).await.summary;
    let error = format!("its node {} ended: {reason}", b.instance.node_id);
    assert_eq!((dead.state, dead.error.as_deref()), (TaskState::Dead, Some(error.as_str())));
    assert_eq!(complete(f, a, &u, again[0].token).await, DONE);
}

async fn tasks_of_a_dead_worker_are_ready_at_once<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = member(&f, "b").await;
    dies(&mut f, &a, &b, "left", async |f: &mut F| {
        leave(f, &b).await;
    })
    .await;

    let c = member(&f, "c").await;
    let forced = Join { process: nonce("rival"), force: true, ..join_of("c") };
    dies(&mut f, &a, &c, "replaced", async |f: &mut F| drop(admitted(f, forced).await)).await;

    let d = present(&mut f, "d", "p4").await;
    let instance = a.clone();
    dies(&mut f, &a, &d, "process_died", async |f: &mut F| {
        f.hang_up("p4").await;
        sweep(f, &instance, term, &[("d", "p4")]).await;
    })
    .await;

    let e = member(&f, "e").await;
    dies(&mut f, &a, &e, "heartbeat_timeout", async |f: &mut F| {
        for _ in 0..4 {
            f.advance(secs(10));
            tick(f, &instance).await;
        }
    })
    .await;
}

async fn tasks_of_a_leader_that_died_are_ready_with_the_next_one<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let b = member(&f, "b").await;
    dies(&mut f, &b, &a, "process_died", async |f: &mut F| {
        f.hang_up("p1").await;
        grant(f, campaign_of(&b, Rule::Presence { nonce: "p1".to_owned() }, term)).await;
    })
    .await;
    assert!(record(&f).await.term > Term(term.0));
}

async fn a_cancelled_task_is_nobodys<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("running"), new("waiting"), new("last"), NewTask { delay: secs(3), ..new("delayed") }]).await;
    let token = take(&f, &a, "running").await;
    for name in ["running", "waiting", "delayed"] {
        assert_eq!(cancel(&f, name).await, TaskChange::Yes(TaskState::Failed));
        assert_eq!(cancel(&f, name).await, TaskChange::Yes(TaskState::Failed), "its answer was lost");
        assert_eq!(get(&f, name).await.summary.error.as_deref(), Some("cancelled"));
    }
    assert_eq!(complete(&f, &a, "running", token).await, Settled::Stale);
    f.advance(secs(10));
    tick(&f, &a).await;
    assert_eq!(names(&f, &a, 9).await, ["last"]);
    assert_eq!(told(&f).await, ["a offers running mail"]);
    assert_eq!(cancel(&f, "other").await, TaskChange::NotFound);
    assert_eq!(redrive(&f, "delayed").await, TaskChange::Yes(TaskState::Waiting));
    let token = take(&f, &a, "delayed").await;
    assert_eq!(complete(&f, &a, "delayed", token).await, DONE);
    assert_eq!(cancel(&f, "delayed").await, TaskChange::No(TaskState::Done));
}

async fn a_draining_member_gets_no_tasks_and_finishes_what_it_has<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, vec![new("t"), new("u")]).await;
    let ask = claim_of(&b, 1, fresh());
    let got = send_claim(&f, ask.clone()).await.1;
    let drain = async |enabled| {
        let ask = Call::Drain(Drain { instance: b.instance.clone(), enabled, revision: 0 });
        let Reply::Drain(reply) = call(&f, ask).await else { panic!("no answer") };
        reply.running_tasks
    };
    assert_eq!(drain(true).await, 1);
    assert_eq!(send_claim(&f, ask).await.1, got, "what it has it may ask for again");
    assert_eq!(names(&f, &b, 9).await, Vec::<String>::new());
    add(&f, &a, vec![new("v")]).await;
    assert_eq!(told(&f).await.len(), 1, "it does not wait for tasks either");
    assert_eq!(complete(&f, &b, "t", got[0].token).await, DONE);
    assert_eq!(drain(true).await, 0);
    assert_eq!(names(&f, &a, 1).await, ["u"]);
    assert_eq!(drain(false).await, 0);
    assert_eq!(names(&f, &b, 9).await, ["v"]);
}

async fn ended_tasks_are_kept_for_a_day_and_dead_ones_for_a_week<F: Fixture>(mut f: F) {
    let a = admitted(&f, Join { settings: slow(), ..join_of("a") }).await;
    let once = |id: &str| NewTask { max_attempts: 1, ..new(id) };
    add(&f, &a, vec![once("dead"), once("failed"), once("done")]).await;
    let tasks = claim(&f, &a, 3).await;
    settle(&f, &a, "dead", tasks[0].token, failed(true)).await;
    settle(&f, &a, "failed", tasks[1].token, failed(false)).await;
    complete(&f, &a, "done", tasks[2].token).await;
    let all = async |f: &F| listed(f, None, None, 9).await;
    f.advance(secs(86_000));
    tick(&f, &a).await;
    assert_eq!(all(&f).await, ["done", "failed", "dead"]);
    f.advance(secs(800));
    tick(&f, &a).await;
    assert_eq!(all(&f).await, ["dead"]);
    assert_eq!((find(&f, "done").await, find(&f, "failed").await), (None, None));
    add(&f, &a, vec![new("done")]).await;
    assert_eq!(names(&f, &a, 9).await, ["done"], "its id is free again");
    f.advance(secs(6 * 86_400));
    tick(&f, &a).await;
    assert_eq!(find(&f, "dead").await, None);
}

async fn ten_thousand_done_tasks_are_kept<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    for batch in 0..11 {
        let tasks = (0..1000).map(|n| NewTask { payload: "1".to_owned(), ..new(&format!("t{}", batch * 1000 + n)) });
        add(&f, &a, tasks.collect()).await;
        let settlements = claim(&f, &a, 1000).await.into_iter();
        let done = |task: clawster::cluster::protocol::ClaimedTask| Settlement {
            id: task.id,
            token: task.token,
            verdict: Verdict::Complete { result: None },
        };
        let (instance, settlements) = (a.instance.clone(), settlements.map(done).collect());
        let ask = TaskCall::Settle(SettleTasks { instance, settlements });
        let Ok(answer) = clawster::store::Store::call(f.store(), Call::Task(Box::new(ask))).await else { panic!() };
        drop(answer);
    }
    assert_eq!((find(&f, "t0").await, find(&f, "t999").await), (None, None));
    assert_eq!((state(&f, "t1000").await, state(&f, "t10999").await), (TaskState::Done, TaskState::Done));
}

async fn after_a_loss_of_data_tasks_are_gone_and_tokens_go_on_rising<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("t")]).await;
    let token = take(&f, &a, "t").await;
    let known = tick(&f, &a).await.data.numbers;
    f.flush();
    let back = admitted(&f, Join { known, ..join_of("a") }).await;
    assert_eq!(find(&f, "t").await, None);
    assert_eq!(complete(&f, &back, "t", token).await, Settled::NotFound);
    add(&f, &back, vec![new("t")]).await;
    let next = take(&f, &back, "t").await;
    assert!(next > token, "{next} after {token}");
    assert_eq!(complete(&f, &back, "t", token).await, Settled::Stale);
    assert_eq!(complete(&f, &back, "t", next).await, DONE);
}

async fn tasks_survive_a_restart_of_the_server_and_time_out_later<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("t"), new("u")]).await;
    let token = take(&f, &a, "t").await;
    f.restart(true).await;
    f.advance(secs(600));
    tick(&f, &a).await;
    assert_eq!(state(&f, "t").await, TaskState::Running, "a silence of the server takes nobody's work");
    let next = take(&f, &a, "u").await;
    assert!(next.0 > token.0 + 1_000, "what the old process granted last may be lost");
    assert_eq!(complete(&f, &a, "t", token).await, DONE);
}

contract!(
    a_task_is_completed_once,
    another_life_of_the_node_does_not_settle,
    several_settlements_are_judged_one_by_one,
    a_failed_task_comes_again_after_a_pause_and_is_dead_in_the_end,
    without_a_retry_a_task_fails_for_good,
    a_task_times_out_unless_it_is_extended,
    a_tick_looks_after_16_tasks_of_each_sort,
    tasks_of_a_dead_worker_are_ready_at_once,
    tasks_of_a_leader_that_died_are_ready_with_the_next_one,
    a_cancelled_task_is_nobodys,
    a_draining_member_gets_no_tasks_and_finishes_what_it_has,
    ended_tasks_are_kept_for_a_day_and_dead_ones_for_a_week,
    ten_thousand_done_tasks_are_kept,
    after_a_loss_of_data_tasks_are_gone_and_tokens_go_on_rising,
    tasks_survive_a_restart_of_the_server_and_time_out_later,
);
