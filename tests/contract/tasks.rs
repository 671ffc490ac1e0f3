//! Tasks until they are worked on: submitted once, handed out in order to those who can do them, told of, listed.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::task_calls::*;
use clawster::cluster::protocol::{Identity, Join, NewTask, Submitted, TaskClaim};
use clawster::cluster::task::TaskState;
use std::collections::BTreeSet;

async fn a_task_goes_from_its_submission_to_its_result<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, vec![urgent("t", -5)]).await;
    let waiting = get(&f, "t").await;
    assert_eq!(
        (waiting.summary.state, waiting.summary.attempts, &waiting.summary.node_id),
        (TaskState::Waiting, 0, &None)
    );
    assert_eq!((waiting.summary.submitted_by, waiting.payload.as_str()), (id("a"), r#"{"of":"t"}"#));
    assert_eq!((waiting.summary.priority.get(), waiting.summary.timeout), (-5, secs(9)));
    let now = view(&f).await.now;
    let tasks = claim(&f, &b, 5).await;
    assert_eq!(tasks.len(), 1);
    assert_eq!((tasks[0].attempt, tasks[0].kind.as_str(), tasks[0].payload.as_str()), (1, "mail", r#"{"of":"t"}"#));
    let left = tasks[0].expires_at.since(now);
    assert!(left >= secs(8) && left <= secs(10), "{left:?}");
    let running = get(&f, "t").await.summary;
    assert_eq!(
        (running.state, running.node_id, running.due_at),
        (TaskState::Running, Some(id("b")), Some(tasks[0].expires_at))
    );
    assert_eq!(claim(&f, &a, 5).await, [], "it is handed out once");
    assert_eq!(complete(&f, &b, "t", tasks[0].token).await, DONE);
    let done = get(&f, "t").await;
    assert_eq!((done.summary.state, done.result.as_deref(), done.summary.due_at), (TaskState::Done, Some("7"), None));
    assert_eq!(claim(&f, &a, 5).await, []);
    assert_eq!(find(&f, "other").await, None);
}

async fn an_id_is_submitted_once<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let again = NewTask { payload: "9".to_owned(), ..new("t") };
    let twice = submit(&f, &a, vec![new("t"), again.clone(), new("u")]).await;
    assert_eq!(twice.1, [Submitted::New, Submitted::Duplicate, Submitted::New]);
    let token = take(&f, &a, "t").await;
    assert_eq!(submit(&f, &a, vec![again.clone()]).await.1, [Submitted::Duplicate], "running");
    complete(&f, &a, "t", token).await;
    assert_eq!(submit(&f, &a, vec![again]).await.1, [Submitted::Duplicate], "done");
    assert_eq!(get(&f, "t").await.payload, r#"{"of":"t"}"#);
    assert_eq!(names(&f, &a, 9).await, ["u"]);
}

async fn a_submission_that_comes_again_is_answered_as_before<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let later = NewTask { delay: secs(9), ..needing("later", r#"{"capabilities":["gpu"]}"#) };
    let both = vec![new("t"), later];
    assert_eq!(submit(&f, &a, both.clone()).await.1, [Submitted::New; 2]);
    assert_eq!(submit(&f, &a, both.clone()).await.1, [Submitted::New; 2], "its first answer was lost");
    assert_eq!(submit(&f, &a, vec![new("t"), new("later")]).await.1, [Submitted::Duplicate; 2], "another submission");
    let token = take(&f, &a, "t").await;
    assert_eq!(submit(&f, &a, both.clone()).await.1, [Submitted::New; 2], "running");
    complete(&f, &a, "t", token).await;
    assert_eq!(submit(&f, &a, both.clone()).await.1, [Submitted::New; 2], "done");
    assert_eq!(names(&f, &a, 9).await, [""; 0], "it was not put up again");
}

async fn only_members_submit_and_claim<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    leave(&f, &a).await;
    assert_eq!(submit(&f, &a, vec![new("t")]).await, (Identity::Gone, vec![]));
    assert_eq!(send_claim(&f, claim_of(&a, 1, fresh())).await, (Identity::Gone, vec![]));
    assert_eq!(find(&f, "t").await, None);
    f.flush();
    assert_eq!(submit(&f, &a, vec![new("t")]).await, (Identity::Epoch, vec![]));
}

async fn tasks_come_by_priority_then_by_arrival<F: Fixture>(f: F) {
    let a = able(&f, "a", r#"{"capabilities":["gpu"]}"#).await;
    let kinds = ["mail", "call", "fax"];
    let mut expected: Vec<(i64, usize, String)> = Vec::new();
    let mut tasks = Vec::new();
    for n in 0..60usize {
        let priority = [0, 7, -3, 0, 1000, -1000][n * 7 % 6];
        let name = format!("t{n}");
        let requires = if n % 5 == 0 { r#"{"capabilities":["gpu"]}"# } else { "" };
        let task =
            NewTask { kind: kind(kinds[n % 3]), priority: urgent("t", priority).priority, ..needing(&name, requires) };
        expected.push((-priority, n, name));
        tasks.push(task);
    }
    add(&f, &a, tasks.drain(..30).collect()).await;
    add(&f, &a, tasks).await;
    expected.sort();
    let mut found = Vec::new();
    for limit in [1, 2, 5, 13, 100] {
        found.extend(names(&f, &a, limit).await);
    }
    assert_eq!(found, expected.into_iter().map(|(_, _, name)| name).collect::<Vec<_>>());
    assert_eq!(claim(&f, &a, 1).await, []);
}

async fn a_claim_gets_the_kinds_that_it_names<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let of = |id: &str, name: &str| NewTask { kind: kind(name), ..new(id) };
    add(&f, &a, vec![of("1", "mail"), of("2", "call"), of("3", "fax"), of("4", "call")]).await;
    let ask = TaskClaim { kinds: vec![kind("fax"), kind("call"), kind("nothing")], ..claim_of(&a, 9, fresh()) };
    let got: Vec<String> = send_claim(&f, ask).await.1.into_iter().map(|task| task.id.to_string()).collect();
    assert_eq!(got, ["2", "3", "4"]);
    assert_eq!(names(&f, &a, 9).await, ["1"]);
}

async fn tasks_go_to_those_who_can_do_them_and_hold_nobody_up<F: Fixture>(f: F) {
    let plain = member(&f, "plain").await;
    let able = able(&f, "able", r#"{"capabilities":["gpu","web"],"labels":{"zone":"eu","size":"l"}}"#).await;
    let nobody = ["{\"capabilities\":[\"moon\"]}", "{\"labels\":{\"zone\":\"us\"}}", "{\"node_id\":\"ghost\"}"];
    for n in 0..30 {
        add(
            &f,
            &plain,
            vec![NewTask { priority: urgent("t", 900).priority, ..needing(&format!("n{n}"), nobody[n % 3]) }],
        )
        .await;
    }
    let asks = [
        ("gpu", r#"{"capabilities":["gpu"]}"#),
        ("both", r#"{"capabilities":["web","gpu"]}"#),
        ("more", r#"{"capabilities":["gpu","moon"]}"#),
        ("zone", r#"{"labels":{"zone":"eu"}}"#),
        ("size", r#"{"labels":{"size":"s","zone":"eu"}}"#),
        ("mine", r#"{"node_id":"able"}"#),
        ("yours", r#"{"node_id":"plain"}"#),
        ("all", r#"{"capabilities":["gpu"],"labels":{"zone":"eu"},"node_id":"able"}"#),
        ("none", ""),
    ];
    add(&f, &plain, asks.iter().map(|(name, requires)| needing(name, requires)).collect()).await;
    assert_eq!(names(&f, &able, 100).await, ["gpu", "both", "zone", "mine", "all", "none"]);
    assert_eq!(names(&f, &plain, 100).await, ["yours"]);
}

async fn a_renamed_member_gets_the_tasks_of_its_old_name<F: Fixture>(f: F) {
    let other = member(&f, "other").await;
    let old = member(&f, "old").await;
    let origin = join_of("old");
    let renamed = Join {
        rename_from: Some(old.instance.node_id.clone()),
        process: origin.process,
        producer: origin.producer,
        ..join_of("new")
    };
    let new = admitted(&f, renamed).await;
    add(&f, &other, vec![needing("t", r#"{"node_id":"old"}"#), needing("u", r#"{"node_id":"old"}"#)]).await;
    assert_eq!(names(&f, &other, 9).await, Vec::<String>::new());
    assert_eq!(names(&f, &new, 1).await, ["t"]);
    let next = admitted(&f, Join { process: nonce("next"), ..join_of("old") }).await;
    assert_eq!(names(&f, &new, 9).await, Vec::<String>::new(), "somebody else goes by that name now");
    assert_eq!(names(&f, &next, 9).await, ["u"]);
}

async fn a_delayed_task_is_ready_when_its_time_has_come<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![NewTask { delay: secs(9), ..new("later") }, NewTask { timeout: secs(60), ..new("now") }]).await;
    assert_eq!(told(&f).await, ["a offers now mail"]);
    assert_eq!(names(&f, &a, 9).await, ["now"]);
    let due = tick(&f, &a).await.due;
    assert!(due > secs(7) && due <= secs(9), "a tick says when it is due: {due:?}");
    f.advance(secs(8));
    assert_eq!(names(&f, &a, 9).await, Vec::<String>::new());
    assert_eq!(state(&f, "later").await, TaskState::Delayed);
    f.advance(secs(2));
    tick(&f, &a).await;
    assert_eq!(state(&f, "later").await, TaskState::Waiting, "a tick makes it ready");
    assert_eq!(told(&f).await, ["a offers now mail", "a offers later mail"]);
    assert_eq!(names(&f, &a, 9).await, ["later"]);
    add(&f, &a, vec![NewTask { delay: secs(9), ..new("claimed") }]).await;
    f.advance(secs(10));
    assert_eq!(names(&f, &a, 9).await, ["claimed"], "and so does a claim");
}

async fn what_fell_due_in_an_outage_is_ready_after_it<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let later = |id: &str| NewTask { delay: secs(20), max_attempts: 1, timeout: secs(30), ..new(id) };
    add(&f, &a, vec![later("t"), NewTask { delay: secs(600), ..new("u") }]).await;
    // Nobody beats: cluster time stands still.
    f.advance(secs(40));
    let (task, now) = (get(&f, "t").await.summary, view(&f).await.now);
    assert!(task.due_at.is_some_and(|at| at <= now), "{task:?}");
    let claimed = claim(&f, &a, 9).await;
    assert_eq!(claimed.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["t"], "by the server's clock");
    // What its worker has time for stands still.
    f.advance(secs(600));
    assert_eq!(names(&f, &a, 9).await, ["u"]);
    assert_eq!(complete(&f, &a, "t", claimed[0].token).await, DONE);
    // The pause after a failure is a schedule, too.
    add(&f, &a, vec![new("v")]).await;
    let token = take(&f, &a, "v").await;
    settle(&f, &a, "v", token, failed(true)).await;
    f.advance(secs(60));
    let token = take(&f, &a, "v").await;
    assert_eq!(complete(&f, &a, "v", token).await, DONE);
    add(&f, &a, vec![later("cancelled")]).await;
    cancel(&f, "cancelled").await;
    f.advance(secs(60));
    assert_eq!(names(&f, &a, 9).await, Vec::<String>::new());
}

async fn a_clock_that_goes_back_holds_no_delayed_task_up<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    f.advance(secs(4000));
    tick(&f, &a).await;
    add(&f, &a, vec![NewTask { delay: secs(9), ..new("t") }]).await;
    f.turn_back(secs(3600));
    let due = tick(&f, &a).await.due;
    assert!(due > secs(7) && due <= secs(9), "{due:?}");
    f.advance(secs(5));
    assert_eq!(names(&f, &a, 9).await, Vec::<String>::new());
    f.advance(secs(5));
    assert_eq!(names(&f, &a, 9).await, ["t"], "by cluster time");
}

async fn a_repeated_claim_gets_the_same_tasks<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, (0..5).map(|n| new(&format!("t{n}"))).collect()).await;
    let ask = claim_of(&a, 3, fresh());
    let first = send_claim(&f, ask.clone()).await.1;
    assert_eq!(first.len(), 3);
    assert_eq!(send_claim(&f, ask.clone()).await.1, first, "its answer was lost");
    assert_eq!(names(&f, &b, 1).await, ["t3"]);
    assert_eq!(complete(&f, &a, "t1", first[1].token).await, DONE);
    assert_eq!(send_claim(&f, ask.clone()).await.1, [first[0].clone(), first[2].clone()], "as far as they run");
    let mail = TaskClaim { kinds: vec![kind("mail")], ..claim_of(&a, 1, fresh()) };
    assert_eq!(send_claim(&f, mail).await.1.len(), 1);
    assert_eq!(send_claim(&f, ask.clone()).await.1.len(), 2, "claims of other kinds are remembered beside it");
    let tokens: BTreeSet<_> = first.iter().map(|task| task.token).collect();
    assert_eq!(tokens.len(), 3);
    let nothing = claim_of(&a, 2, fresh());
    assert_eq!(send_claim(&f, nothing.clone()).await.1, []);
    add(&f, &a, vec![new("late")]).await;
    assert_eq!(send_claim(&f, nothing).await.1.len(), 1, "a claim that got nothing is none");
}

async fn a_kind_is_told_of_once_until_a_claim_comes_back_short<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let of = |id: String, name: &str| NewTask { kind: kind(name), ..new(&id) };
    for n in 0..50 {
        add(&f, &a, vec![of(format!("m{n}"), "mail"), of(format!("c{n}"), "call")]).await;
    }
    assert_eq!(told(&f).await, ["a offers m0 mail", "a offers c0 call"], "a flood is told of once");
    assert_eq!(claim(&f, &b, 60).await.len(), 60);
    add(&f, &a, vec![new("more")]).await;
    assert_eq!(told(&f).await.len(), 2, "nobody has missed it");
    assert_eq!(claim(&f, &b, 60).await.len(), 41);
    add(&f, &b, vec![new("x1"), new("x2")]).await;
    add(&f, &b, vec![new("x3"), of("y".to_owned(), "call")]).await;
    assert_eq!(told(&f).await[2..], ["b offers x1 mail", "b offers y call"], "that claim wanted more of any kind");
    let calls = TaskClaim { kinds: vec![kind("call")], ..claim_of(&b, 2, fresh()) };
    assert_eq!(send_claim(&f, calls).await.1.len(), 1);
    add(&f, &a, vec![new("x4"), of("z".to_owned(), "call")]).await;
    assert_eq!(told(&f).await[4..], ["a offers z call"], "that one wanted more calls");
    let moon = needing("moon", r#"{"capabilities":["moon"]}"#);
    assert_eq!(claim(&f, &b, 60).await.len(), 5);
    add(&f, &a, vec![moon, new("earth")]).await;
    assert_eq!(told(&f).await[5..], ["a offers moon mail"]);
    assert_eq!(names(&f, &b, 9).await, ["earth"]);
    add(&f, &a, vec![new("sun")]).await;
    assert_eq!(told(&f).await[6..], ["a offers sun mail"], "a task that nobody can do silences no other");
}

async fn a_claim_of_long_payloads_stops_and_goes_on<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let long = |n: usize| NewTask { payload: format!("\"{}\"", "x".repeat(900_000)), ..new(&format!("t{n}")) };
    for n in 0..5 {
        add(&f, &a, vec![long(n)]).await;
    }
    assert_eq!(names(&f, &a, 9).await, ["t0", "t1", "t2"]);
    add(&f, &a, vec![new("u")]).await;
    assert_eq!(told(&f).await.len(), 1, "there were more, so nobody is told");
    assert_eq!(names(&f, &a, 9).await, ["t3", "t4", "u"]);
    add(&f, &a, vec![new("v")]).await;
    assert_eq!(told(&f).await.len(), 2);
}

async fn tasks_are_listed_newest_first<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    assert_eq!(listed(&f, None, None, 9).await, Vec::<String>::new());
    let of = |id: &str, name: &str| NewTask { kind: kind(name), ..new(id) };
    let delayed = NewTask { delay: secs(60), ..new("delayed") };
    add(&f, &a, vec![new("done"), new("dead"), new("failed"), new("running"), delayed]).await;
    add(&f, &a, vec![of("w1", "call"), urgent("w2", 50), of("w3", "call")]).await;
    let mail = TaskClaim { kinds: vec![kind("mail")], ..claim_of(&a, 5, fresh()) };
    for task in send_claim(&f, mail).await.1 {
        match task.id.as_str() {
            "done" => assert_eq!(complete(&f, &a, "done", task.token).await, DONE),
            "failed" => drop(settle(&f, &a, "failed", task.token, failed(false)).await),
            "dead" => drop(settle(&f, &a, "dead", task.token, failed(true)).await),
            _ => {}
        }
    }
    for _ in 0..2 {
        f.advance(secs(4));
        let token = take(&f, &a, "dead").await;
        settle(&f, &a, "dead", token, failed(true)).await;
    }
    assert_eq!(listed(&f, None, None, 9).await, ["w3", "w2", "w1", "delayed", "running", "failed", "dead", "done"]);
    assert_eq!(listed(&f, None, None, 3).await, ["w3", "w2", "w1"]);
    assert_eq!(listed(&f, None, Some("call"), 9).await, ["w3", "w1"]);
    for state in [TaskState::Delayed, TaskState::Failed, TaskState::Dead, TaskState::Done] {
        assert_eq!(listed(&f, Some(state), None, 9).await, [state.word()]);
    }
    assert_eq!(listed(&f, Some(TaskState::Running), None, 9).await, ["w2", "running"]);
    assert_eq!(listed(&f, Some(TaskState::Waiting), None, 1).await, ["w3"]);
    assert_eq!(listed(&f, Some(TaskState::Waiting), Some("mail"), 9).await, Vec::<String>::new());
}

contract!(
    a_task_goes_from_its_submission_to_its_result,
    an_id_is_submitted_once,
    a_submission_that_comes_again_is_answered_as_before,
    only_members_submit_and_claim,
    tasks_come_by_priority_then_by_arrival,
    a_claim_gets_the_kinds_that_it_names,
    tasks_go_to_those_who_can_do_them_and_hold_nobody_up,
    a_renamed_member_gets_the_tasks_of_its_old_name,
    a_delayed_task_is_ready_when_its_time_has_come,
    what_fell_due_in_an_outage_is_ready_after_it,
    a_clock_that_goes_back_holds_no_delayed_task_up,
    a_repeated_claim_gets_the_same_tasks,
    a_kind_is_told_of_once_until_a_claim_comes_back_short,
    a_claim_of_long_payloads_stops_and_goes_on,
    tasks_are_listed_newest_first,
);
