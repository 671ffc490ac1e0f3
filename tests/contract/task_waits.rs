//! What keeps a task back: tasks that must be done first, and how many with one key run at once.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::task_calls::*;
use clawster::cluster::protocol::{NewTask, Submitted, TaskChange};
use clawster::cluster::task::{Blocked, Concurrency, ConcurrencyKey, Origin, ScheduleId, TaskState};
use clawster::cluster::time::ServerTime;

fn behind(id: &str, after: &[&str]) -> NewTask {
    NewTask { after: after.iter().map(|id| tid(id)).collect(), ..new(id) }
}

fn limited(id: &str, max: u32) -> NewTask {
    NewTask { concurrency: Some(Concurrency { key: ConcurrencyKey::new("k").unwrap(), max }), ..new(id) }
}

async fn blocked<F: Fixture>(f: &F, id: &str) -> (TaskState, Option<Blocked>) {
    let task = get(f, id).await.summary;
    (task.state, task.blocked)
}

const AFTER: (TaskState, Option<Blocked>) = (TaskState::Waiting, Some(Blocked::After));
const PARKED: (TaskState, Option<Blocked>) = (TaskState::Waiting, Some(Blocked::Concurrency));
const READY: (TaskState, Option<Blocked>) = (TaskState::Waiting, None);

async fn a_task_waits_until_all_that_must_be_done_first_are<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("one"), new("two"), behind("both", &["one", "two"]), behind("last", &["both"])]).await;
    assert_eq!((blocked(&f, "both").await, blocked(&f, "last").await), (AFTER, AFTER));
    assert_eq!(get(&f, "both").await.summary.after, [tid("one"), tid("two")]);
    let one = take(&f, &a, "one").await;
    let two = take(&f, &a, "two").await;
    assert_eq!(names(&f, &a, 9).await, [""; 0], "nothing else is ready");
    complete(&f, &a, "two", two).await;
    assert_eq!(blocked(&f, "both").await, AFTER);
    complete(&f, &a, "one", one).await;
    assert_eq!(blocked(&f, "both").await, READY);
    let both = take(&f, &a, "both").await;
    assert_eq!(get(&f, "one").await.result.as_deref(), Some("7"), "its result can be read");
    complete(&f, &a, "both", both).await;
    assert_eq!(names(&f, &a, 9).await, ["last"]);
    add(&f, &a, vec![behind("late", &["one"])]).await;
    assert_eq!(names(&f, &a, 9).await, ["late"], "what is done already is not waited for");
}

async fn who_waits_is_told_when_the_wait_is_over<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let other = NewTask { kind: kind("call"), ..behind("second", &["first"]) };
    add(&f, &a, vec![new("first"), other]).await;
    let token = take(&f, &a, "first").await;
    assert_eq!(claim(&f, &a, 9).await, [], "it found nothing, so it is told of the next one");
    let before = story(&f).await.len();
    complete(&f, &a, "first", token).await;
    assert_eq!(story(&f).await.split_off(before), ["a offers second call"]);
}

async fn a_task_fails_with_those_that_it_waits_for<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let once = |id: &str| NewTask { max_attempts: 1, ..new(id) };
    add(&f, &a, vec![once("dies"), new("fails"), new("cancelled"), new("fine")]).await;
    add(&f, &a, vec![behind("d", &["dies", "fine"]), behind("f", &["fails"]), behind("c", &["cancelled"])]).await;
    add(&f, &a, vec![behind("dd", &["d"]), behind("ddd", &["dd"])]).await;
    let token = take(&f, &a, "dies").await;
    settle(&f, &a, "dies", token, failed(true)).await;
    let token = take(&f, &a, "fails").await;
    settle(&f, &a, "fails", token, failed(false)).await;
    cancel(&f, "cancelled").await;
    let mut told = Vec::new();
    for id in ["d", "f", "c", "dd", "ddd"] {
        let task = get(&f, id).await.summary;
        assert_eq!((task.state, task.blocked), (TaskState::Failed, None), "{id}");
        told.push(task.error.unwrap());
    }
    let because = |id: &str, why: &str| format!("task {id}, which must be done first, {why}");
    let expected = [
        ("dies", "is dead"),
        ("fails", "has failed"),
        ("cancelled", "was cancelled"),
        ("d", "has failed"),
        ("dd", "has failed"),
    ];
    assert_eq!(told, expected.map(|(id, why)| because(id, why)));
    add(&f, &a, vec![behind("late", &["fails"])]).await;
    assert_eq!(get(&f, "late").await.summary.state, TaskState::Failed, "it had failed before");
    assert_eq!(names(&f, &a, 9).await, ["fine"]);
    // Redriven: what must be done first is waited for again.
    redrive(&f, "dies").await;
    assert_eq!(redrive(&f, "d").await, TaskChange::Yes(TaskState::Waiting));
    assert_eq!(blocked(&f, "d").await, AFTER);
    assert_eq!(redrive(&f, "f").await, TaskChange::Yes(TaskState::Failed), "it fails for the same reason");
}

async fn what_is_unknown_is_not_waited_for<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("known")]).await;
    let asked = vec![behind("t", &["known", "nobody"]), behind("itself", &["itself"]), behind("u", &["known"])];
    let results = submit(&f, &a, asked).await.1;
    assert_eq!(results, [Submitted::Unknown(1), Submitted::Unknown(0), Submitted::New]);
    assert_eq!((find(&f, "t").await, find(&f, "itself").await), (None, None));
}

async fn a_delay_counts_from_when_the_wait_is_over<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("first"), NewTask { delay: secs(9), ..behind("t", &["first"]) }]).await;
    f.advance(secs(14));
    let token = take(&f, &a, "first").await;
    complete(&f, &a, "first", token).await;
    assert_eq!(blocked(&f, "t").await, (TaskState::Delayed, None));
    f.advance(secs(12));
    assert_eq!(names(&f, &a, 9).await, ["t"]);
}

async fn a_blocked_task_is_listed_and_can_be_cancelled<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("first"), behind("t", &["first"]), limited("l1", 1), limited("l2", 1)]).await;
    assert_eq!(names(&f, &a, 9).await, ["first", "l1"]);
    assert_eq!(blocked(&f, "l2").await, PARKED);
    assert_eq!(listed(&f, Some(TaskState::Waiting), None, 9).await, ["l2", "t"]);
    for id in ["t", "l2"] {
        assert_eq!(cancel(&f, id).await, TaskChange::Yes(TaskState::Failed));
    }
    assert_eq!(listed(&f, Some(TaskState::Waiting), None, 9).await, [""; 0]);
}

async fn so_many_with_one_key_run_at_once<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, (0..6).map(|n| limited(&format!("t{n}"), 2)).chain([new("free")]).collect()).await;
    assert_eq!(names(&f, &a, 1).await, ["t0"]);
    let rest = claim(&f, &b, 9).await;
    let got: Vec<&str> = rest.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(got, ["t1", "free"], "those that may not run are in nobody's way");
    assert_eq!(blocked(&f, "t2").await, PARKED);
    assert_eq!(names(&f, &a, 9).await, [""; 0]);
    complete(&f, &b, "t1", rest[0].token).await;
    assert_eq!(names(&f, &a, 9).await, ["t2"], "one ended, one more runs");
    cancel(&f, "t0").await;
    let third = claim(&f, &b, 9).await;
    assert_eq!(third[0].id, tid("t3"));
    settle(&f, &b, "t3", third[0].token, failed(true)).await;
    assert_eq!(names(&f, &a, 9).await, ["t4"], "one that waits for its next attempt does not run");
    leave(&f, &a).await;
    assert_eq!(names(&f, &b, 9).await, ["t2", "t4"], "those of a dead node run elsewhere");
    assert_eq!(blocked(&f, "t5").await, PARKED);
}

async fn a_key_is_not_held_up_by_a_task_that_nobody_can_do<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let gpu = NewTask { requires: needing("x", r#"{"capabilities":["gpu"]}"#).requires, ..limited("gpu", 1) };
    add(&f, &a, vec![limited("t0", 1), gpu, limited("t1", 1), limited("t2", 1)]).await;
    for id in ["t0", "t1", "t2"] {
        let token = take(&f, &a, id).await;
        assert_eq!(names(&f, &a, 9).await, [""; 0]);
        complete(&f, &a, id, token).await;
    }
    assert_eq!(blocked(&f, "gpu").await, READY);
}

async fn a_task_that_times_out_gives_its_key_back<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, vec![limited("t0", 1), limited("t1", 1)]).await;
    take(&f, &a, "t0").await;
    assert_eq!(names(&f, &b, 9).await, [""; 0]);
    f.advance(secs(12));
    assert_eq!(names(&f, &b, 9).await, ["t1"]);
}

async fn a_task_tells_the_schedule_that_it_comes_from<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let origin = Some(Origin { schedule: ScheduleId::new("nightly").unwrap(), slot: ServerTime(1_795_000_000_000) });
    add(&f, &a, vec![NewTask { origin: origin.clone(), ..new("t") }]).await;
    assert_eq!(get(&f, "t").await.summary.origin, origin);
}

contract! {
    a_task_waits_until_all_that_must_be_done_first_are,
    who_waits_is_told_when_the_wait_is_over,
    a_task_fails_with_those_that_it_waits_for,
    what_is_unknown_is_not_waited_for,
    a_delay_counts_from_when_the_wait_is_over,
    a_blocked_task_is_listed_and_can_be_cancelled,
    so_many_with_one_key_run_at_once,
    a_key_is_not_held_up_by_a_task_that_nobody_can_do,
    a_task_that_times_out_gives_its_key_back,
    a_task_tells_the_schedule_that_it_comes_from,
}
