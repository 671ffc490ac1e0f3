//! Schedules: stored once, moved on once for each slot, together with the slot's task.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::task_calls::*;
use clawster::cluster::ids::Nonce;
use clawster::cluster::protocol::{
    Call, DeleteSchedule, FireReply, FireSchedule, Fired, Identity, NewTask, PauseSchedule, Put, PutReply, PutSchedule,
    ReadSchedules, Reply, Schedule, ScheduleCall, ScheduleReply, SchedulesReply, Submitted,
};
use clawster::cluster::schedule::{Definition, Missed, Recurrence, task_id};
use clawster::cluster::task::{Concurrency, ConcurrencyKey, Origin, Priority, Requirements, ScheduleId, TaskState};
use clawster::cluster::time::ServerTime;
use clawster::store::Notice;

fn sid(text: &str) -> ScheduleId {
    ScheduleId::new(text).unwrap()
}

async fn schedule_call<F: Fixture>(f: &F, ask: ScheduleCall) -> ScheduleReply {
    let Reply::Schedule(reply) = call(f, Call::Schedule(Box::new(ask))).await else { panic!("no answer") };
    *reply
}

fn definition() -> Definition {
    Definition {
        recurrence: Recurrence::Cron { expression: "30 3 * * *".to_owned(), zone: "Europe/Berlin".to_owned() },
        missed: Missed::Once,
        kind: kind("report"),
        requires: Requirements::from_canonical(r#"{"capabilities":["gpu"]}"#).unwrap(),
        priority: Priority::new(-3).unwrap(),
        delay: secs(2),
        max_attempts: 5,
        timeout: secs(90),
        concurrency: Some(Concurrency { key: ConcurrencyKey::new("k").unwrap(), max: 2 }),
    }
}

/// A schedule whose next slot is this one.
fn put_of(node: &Node, id: &str, next: u64) -> PutSchedule {
    PutSchedule {
        instance: node.instance.clone(),
        id: sid(id),
        definition: definition(),
        payload: r#"{"n":1.10}"#.to_owned(),
        version: fresh(),
        replaces: None,
        next: ServerTime(next),
    }
}

async fn put<F: Fixture>(f: &F, ask: &PutSchedule) -> Put {
    let ScheduleReply::Put(PutReply { identity, outcome }) =
        schedule_call(f, ScheduleCall::Put(Box::new(ask.clone()))).await
    else {
        panic!("no answer")
    };
    assert_eq!(identity, Identity::Ok);
    outcome
}

async fn read<F: Fixture>(f: &F, read: ReadSchedules) -> SchedulesReply {
    let ScheduleReply::Read(reply) = schedule_call(f, ScheduleCall::Read(read)).await else { panic!("no answer") };
    reply
}

async fn listed_schedules<F: Fixture>(f: &F, due: bool) -> Vec<String> {
    let reply = read(f, ReadSchedules { id: None, due, limit: 9, payloads: false }).await;
    reply.schedules.into_iter().map(|schedule| schedule.id.to_string()).collect()
}

async fn get_schedule<F: Fixture>(f: &F, id: &str) -> Option<Schedule> {
    let reply = read(f, ReadSchedules { id: Some(sid(id)), due: false, limit: 1, payloads: true }).await;
    reply.schedules.into_iter().next()
}

async fn pause<F: Fixture>(f: &F, id: &str, version: &Nonce, paused: bool, next: Option<u64>) -> Put {
    let ask = PauseSchedule { id: sid(id), version: version.clone(), paused, next: next.map(ServerTime) };
    let ScheduleReply::Paused(outcome) = schedule_call(f, ScheduleCall::Pause(ask)).await else { panic!("no answer") };
    outcome
}

async fn delete<F: Fixture>(f: &F, id: &str) -> bool {
    let ask = ScheduleCall::Delete(DeleteSchedule { id: sid(id) });
    let ScheduleReply::Deleted(there) = schedule_call(f, ask).await else { panic!("no answer") };
    there
}

/// The tasks of these slots.
fn tasks_of(id: &str, slots: &[u64]) -> Vec<NewTask> {
    let of = |slot: &u64| NewTask {
        id: task_id(&sid(id), ServerTime(*slot)).unwrap(),
        origin: Some(Origin { schedule: sid(id), slot: ServerTime(*slot) }),
        ..new("x")
    };
    slots.iter().map(of).collect()
}

async fn fire<F: Fixture>(f: &F, node: &Node, ask: &PutSchedule, slot: u64, next: u64, slots: &[u64]) -> Fired {
    let fire = FireSchedule {
        instance: node.instance.clone(),
        id: ask.id.clone(),
        version: ask.version.clone(),
        slot: ServerTime(slot),
        next: Some(ServerTime(next)),
        tasks: tasks_of(ask.id.as_str(), slots),
        max_bytes: 1 << 40,
    };
    let ScheduleReply::Fired(FireReply { identity, outcome }) = schedule_call(f, ScheduleCall::Fire(fire)).await else {
        panic!("no answer")
    };
    assert_eq!(identity, Identity::Ok);
    outcome
}

const FAR: u64 = 4_000_000_000_000;

async fn a_schedule_is_kept_as_it_was_stored<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let ask = put_of(&a, "nightly", FAR);
    assert_eq!(put(&f, &ask).await, Put::Stored);
    assert_eq!(put(&f, &ask).await, Put::Stored, "the first answer may have been lost");
    let kept = get_schedule(&f, "nightly").await.unwrap();
    assert_eq!((&kept.definition, kept.payload.as_deref()), (&definition(), Some(r#"{"n":1.10}"#)));
    assert_eq!((kept.next, kept.paused, kept.runs, kept.last), (Some(ServerTime(FAR)), false, 0, None));
    let every = Recurrence::Every { period: secs(7), anchor: ServerTime(5) };
    let plain = Definition { recurrence: every, concurrency: None, requires: Requirements::default(), ..definition() };
    assert_eq!(put(&f, &PutSchedule { definition: plain.clone(), ..put_of(&a, "often", 7) }).await, Put::Stored);
    assert_eq!(get_schedule(&f, "often").await.unwrap().definition, plain);
    assert_eq!(listed_schedules(&f, false).await, ["often", "nightly"], "by their next slots");
    assert_eq!(listed_schedules(&f, true).await, ["often"]);
    let all = read(&f, ReadSchedules { id: None, due: true, limit: 9, payloads: true }).await;
    assert_eq!((all.first, all.count), (Some(ServerTime(7)), 2));
    assert!(delete(&f, "often").await && !delete(&f, "often").await);
    assert_eq!(listed_schedules(&f, false).await, ["nightly"]);
    assert_eq!(get_schedule(&f, "often").await, None);
}

async fn a_schedule_is_replaced_only_by_who_has_read_it<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let (first, second) = (put_of(&a, "s", 10), put_of(&a, "s", 20));
    assert_eq!(put(&f, &first).await, Put::Stored);
    assert_eq!(put(&f, &second).await, Put::Changed, "it is there already");
    let second = PutSchedule { replaces: Some(first.version.clone()), ..second };
    assert_eq!(put(&f, &second).await, Put::Stored);
    let third = PutSchedule { replaces: Some(first.version.clone()), ..put_of(&a, "s", 30) };
    assert_eq!(put(&f, &third).await, Put::Changed, "it was replaced meanwhile");
    assert_eq!(get_schedule(&f, "s").await.unwrap().next, Some(ServerTime(20)));
    assert_eq!(fire(&f, &a, &first, 20, 40, &[20]).await, Fired::Stale, "decided for an earlier definition");
    leave(&f, &a).await;
    let late = ScheduleCall::Put(Box::new(put_of(&a, "t", 10)));
    let ScheduleReply::Put(PutReply { identity, .. }) = schedule_call(&f, late).await else { panic!("no answer") };
    assert_eq!((identity, get_schedule(&f, "t").await), (Identity::Gone, None));
}

async fn each_slot_gets_one_task_whoever_submits_it<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let ask = put_of(&a, "s", 1000);
    put(&f, &ask).await;
    assert_eq!(fire(&f, &a, &ask, 1000, 2000, &[1000]).await, Fired::Done(vec![Submitted::New]));
    assert_eq!(fire(&f, &b, &ask, 1000, 2000, &[1000]).await, Fired::Stale, "another leader was faster");
    assert_eq!(fire(&f, &b, &ask, 2000, 5000, &[2000, 3000, 4000]).await, Fired::Done(vec![Submitted::New; 3]));
    assert_eq!(fire(&f, &a, &ask, 5000, 6000, &[]).await, Fired::Done(vec![]), "a slot that is left out");
    let schedule = get_schedule(&f, "s").await.unwrap();
    assert_eq!((schedule.next, schedule.runs), (Some(ServerTime(6000)), 4));
    assert_eq!(schedule.last, Some((ServerTime(4000), tid("s@4000"))));
    assert_eq!(names(&f, &a, 9).await, ["s@1000", "s@2000", "s@3000", "s@4000"]);
    let task = get(&f, "s@3000").await.summary;
    assert_eq!(task.origin, Some(Origin { schedule: sid("s"), slot: ServerTime(3000) }));
    // Somebody else submitted a task of that id.
    add(&f, &b, vec![new("s@6000")]).await;
    assert_eq!(fire(&f, &a, &ask, 6000, 7000, &[6000]).await, Fired::Done(vec![Submitted::Duplicate]));
}

async fn a_slot_without_room_for_its_task_is_not_passed<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let ask = put_of(&a, "s", 1000);
    put(&f, &ask).await;
    add(&f, &a, vec![new("large")]).await;
    let full = FireSchedule {
        instance: a.instance.clone(),
        id: sid("s"),
        version: ask.version.clone(),
        slot: ServerTime(1000),
        next: Some(ServerTime(2000)),
        tasks: tasks_of("s", &[1000]),
        max_bytes: 10,
    };
    let ScheduleReply::Fired(reply) = schedule_call(&f, ScheduleCall::Fire(full)).await else { panic!("no answer") };
    assert_eq!(reply.outcome, Fired::Refused(vec![Submitted::Full]));
    assert_eq!(get_schedule(&f, "s").await.unwrap().next, Some(ServerTime(1000)));
    assert_eq!(fire(&f, &a, &ask, 1000, 2000, &[1000]).await, Fired::Done(vec![Submitted::New]));
}

async fn a_paused_schedule_submits_nothing<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let ask = put_of(&a, "s", 1000);
    put(&f, &ask).await;
    put(&f, &put_of(&a, "t", FAR)).await;
    assert_eq!(pause(&f, "s", &nonce("other"), true, None).await, Put::Changed);
    assert_eq!(pause(&f, "s", &ask.version, true, None).await, Put::Stored);
    assert_eq!(fire(&f, &a, &ask, 1000, 2000, &[1000]).await, Fired::Stale);
    assert_eq!(listed_schedules(&f, true).await, [""; 0]);
    assert_eq!(listed_schedules(&f, false).await, ["t", "s"]);
    let paused = get_schedule(&f, "s").await.unwrap();
    assert_eq!((paused.paused, paused.next), (true, None));
    // Replaced while it is paused, it stays so.
    let again = PutSchedule { replaces: Some(ask.version.clone()), ..put_of(&a, "s", 3000) };
    assert_eq!(put(&f, &again).await, Put::Stored);
    assert_eq!(listed_schedules(&f, true).await, [""; 0]);
    assert_eq!(pause(&f, "s", &again.version, false, Some(4000)).await, Put::Stored);
    assert_eq!(fire(&f, &a, &again, 4000, 5000, &[4000]).await, Fired::Done(vec![Submitted::New]));
    assert_eq!(state(&f, "s@4000").await, TaskState::Waiting);
}

async fn nodes_are_told_of_an_earlier_slot<F: Fixture>(mut f: F) {
    let a = present(&mut f, "a", "pa").await;
    put(&f, &put_of(&a, "s", 2000)).await;
    f.noticed("pa", Notice::Schedule).await;
    let later = put_of(&a, "later", 3000);
    put(&f, &later).await;
    put(&f, &put_of(&a, "first", 1000)).await;
    f.noticed("pa", Notice::Schedule).await;
}

async fn there_are_so_many_bytes_of_payloads_and_no_more<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let large = |id: &str| PutSchedule { payload: format!("\"{}\"", "x".repeat(1_000_000)), ..put_of(&a, id, FAR) };
    let mut stored = 0;
    while put(&f, &large(&format!("s{stored}"))).await == Put::Stored {
        stored += 1;
        assert!(stored < 99, "there is no bound");
    }
    assert_eq!(stored, 67, "64 MiB");
    assert_eq!(put(&f, &put_of(&a, "small", FAR)).await, Put::Stored, "there is room for a small one");
    assert!(delete(&f, "s0").await);
    assert_eq!(put(&f, &large("s0")).await, Put::Stored);
}

contract! {
    a_schedule_is_kept_as_it_was_stored,
    a_schedule_is_replaced_only_by_who_has_read_it,
    each_slot_gets_one_task_whoever_submits_it,
    a_slot_without_room_for_its_task_is_not_passed,
    a_paused_schedule_submits_nothing,
    nodes_are_told_of_an_earlier_slot,
    there_are_so_many_bytes_of_payloads_and_no_more,
}
