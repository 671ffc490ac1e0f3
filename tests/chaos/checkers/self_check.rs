//! The judges are judged first: histories that they must refuse, and good ones that they must not.

use crate::checkers::Case;
use crate::faults::{Fault, Kind, Who};
use crate::history::{
    Applied, Delivery, History, LeaseAnswer, LeaseAsk, LeaseOp, OnceOp, Sent, TaskOp, TaskStep, Told,
};
use crate::plan::{Plan, Wishes};
use serde_json::json;
use std::time::Duration;
use testkit::Stamp;

fn at(ms: u64) -> Stamp {
    Duration::from_millis(ms)
}

fn judged(fill: impl FnOnce(&History)) -> Vec<String> {
    let plan = Plan { faults: Vec::new(), ..Plan::drawn(1, &Wishes { nodes: Some(3), ..Wishes::default() }) };
    let history = History::default();
    fill(&history);
    super::judge(&Case { plan: &plan, history: &history, settle: at(1_000), stamps: &[] })
}

fn lease(place: usize, ask: LeaseAsk, answer: LeaseAnswer, sent: u64, answered: u64) -> LeaseOp {
    LeaseOp { place, instance: 1, name: "l".to_owned(), ask, answer, sent: at(sent), answered: at(answered) }
}

fn grant(place: usize, token: u64, sent: u64, answered: u64) -> LeaseOp {
    lease(place, LeaseAsk::Acquire { ttl_ms: 2_000 }, LeaseAnswer::Granted(token), sent, answered)
}

fn message(history: &History, id: &str, accepted: u64) {
    let sent = Sent { id: id.to_owned(), to: None, at: at(accepted - 1), accepted: Some(at(accepted)) };
    history.sent().entry(0).or_default().push(sent);
}

fn delivery(history: &History, place: usize, seq: u64, id: &str, asked: u64) {
    let delivery = Delivery { seq, id: id.to_owned(), asked: at(asked), at: at(asked + 1) };
    history.received().entry(place).or_default().deliveries.push(delivery);
}

fn both_get(history: &History, ids: &[&str]) {
    for (seq, id) in (1..).zip(ids) {
        message(history, id, 10 * seq);
        (1..3).for_each(|place| delivery(history, place, seq, id, 100 + 10 * seq));
    }
}

fn task(history: &History, place: usize, step: TaskStep, sent: u64) {
    let op = TaskOp { task: "t".to_owned(), place, instance: 1, step, sent: at(sent), answered: at(sent + 1) };
    history.tasks().push(op);
}

fn claimed(token: u64) -> TaskStep {
    TaskStep::Claimed { token, attempt: 1, timeout_ms: 5_000 }
}

fn told(history: &History, node: &str, seq: u64, event: &str, id: &str) {
    let event = json!({"seq": seq, "event": event, "node_id": id, "reason": "process_died"});
    history.events().entry(node.to_owned()).or_default().push(Told { at: at(50_000 + seq), event });
}

/// Whether every judge refuses what it must and nothing else; says which one does not.
pub fn judges_judge() -> bool {
    use LeaseAnswer::{No, Yes};
    use LeaseAsk::{Check, Release, Renew};
    let mut wrong = 0;
    let mut case = |what: &str, word: &str, fill: &dyn Fn(&History)| {
        let problems = judged(fill);
        let right =
            if word.is_empty() { problems.is_empty() } else { problems.iter().any(|problem| problem.contains(word)) };
        if !right {
            wrong += 1;
            println!("the judges are wrong about {what}: expected {word:?}, found {problems:?}");
        }
    };
    case("good messages", "", &|h| both_get(h, &["n0-000001", "n0-000002"]));
    case("a lost message", "S1", &|h| {
        both_get(h, &["n0-000001"]);
        message(h, "n0-000002", 50);
        delivery(h, 1, 2, "n0-000002", 200);
    });
    case("a gap though nothing was lost", "nothing was lost", &|h| {
        both_get(h, &["n0-000001"]);
        h.received().get_mut(&2).unwrap().gaps.push((2, 2, at(300)));
    });
    case("a lost message that was told", "", &|h| {
        both_get(h, &["n0-000001"]);
        let fault = Fault { at: 0, kind: Kind::Flush, who: Who::All, lasts: 0, amount: 0 };
        h.applied().push(Applied { fault, place: None, led: false, begun: at(150), ended: at(151), skipped: None });
        message(h, "n0-000002", 50);
        delivery(h, 1, 2, "n0-000002", 200);
        h.received().get_mut(&2).unwrap().gaps.push((2, 2, at(300)));
    });
    case("a message after its acknowledgement", "S2", &|h| {
        both_get(h, &["n0-000001"]);
        h.received().get_mut(&1).unwrap().acked.push((1, at(200)));
        delivery(h, 1, 1, "n0-000001", 300);
    });
    case("a message again before its acknowledgement", "", &|h| {
        both_get(h, &["n0-000001"]);
        delivery(h, 1, 1, "n0-000001", 300);
        h.received().get_mut(&1).unwrap().acked.push((1, at(400)));
    });
    case("a message again that was told as lost", "", &|h| {
        both_get(h, &["n0-000001"]);
        let fault = Fault { at: 0, kind: Kind::Flush, who: Who::All, lasts: 0, amount: 0 };
        h.applied().push(Applied { fault, place: None, led: false, begun: at(150), ended: at(151), skipped: None });
        let mut received = h.received();
        let mine = received.get_mut(&1).unwrap();
        mine.gaps.push((1, 8, at(300)));
        mine.acked.push((8, at(310)));
        drop(received);
        delivery(h, 1, 9, "n0-000001", 320);
    });
    case("an own message", "S2", &|h| {
        both_get(h, &["n0-000001"]);
        delivery(h, 0, 1, "n0-000001", 300);
    });
    case("another order", "S3", &|h| both_get(h, &["n0-000002", "n0-000001"]));
    case("one position for two messages", "S3", &|h| {
        both_get(h, &["n0-000001"]);
        message(h, "n0-000002", 60);
        delivery(h, 1, 2, "n0-000002", 300);
        delivery(h, 2, 1, "n0-000002", 300);
    });
    case("good leases", "", &|h| {
        h.leases().extend([
            grant(0, 5, 0, 1),
            lease(0, Renew { token: 5, ttl_ms: 2_000 }, Yes, 1_000, 1_001),
            lease(0, Release { token: 5 }, Yes, 1_500, 1_501),
            grant(1, 6, 1_400, 1_510),
            lease(0, Check { token: 5 }, No, 1_600, 1_601),
            grant(2, 7, 3_450, 3_500),
        ]);
    });
    case("a lease granted while another stands", "L1", &|h| {
        h.leases().extend([grant(0, 5, 0, 1), grant(1, 6, 500, 501)])
    });
    case("a lease that is valid after the next grant", "L1", &|h| {
        h.leases().extend([
            grant(0, 5, 0, 1),
            grant(1, 6, 3_000, 3_001),
            lease(0, Check { token: 5 }, Yes, 3_100, 3_101),
        ]);
    });
    case("a lease that is lost early", "L1", &|h| {
        h.leases().extend([grant(0, 5, 0, 1), lease(0, Check { token: 5 }, No, 500, 501)]);
    });
    case("a token that falls", "L2", &|h| h.leases().extend([grant(0, 7, 0, 1), grant(1, 6, 5_000, 5_001)]));
    case("a key for two", "run_once", &|h| {
        for place in 0..2 {
            h.once().push(OnceOp { place, key: "k".to_owned(), granted: Some(true), sent: at(5), answered: at(6) });
        }
    });
    case("a good task", "", &|h| {
        task(h, 0, TaskStep::Submitted, 0);
        task(h, 1, claimed(3), 10);
        task(h, 1, TaskStep::Completed { token: 3 }, 20);
        task(h, 0, TaskStep::Found { state: "done".to_owned() }, 30);
    });
    case("a task done twice", "completed under", &|h| {
        task(h, 1, TaskStep::Completed { token: 3 }, 20);
        task(h, 2, TaskStep::Completed { token: 4 }, 30);
    });
    case("a task for two at a time", "as well", &|h| {
        task(h, 1, claimed(3), 10);
        task(h, 2, claimed(4), 20);
    });
    case("a task that is gone", "is gone", &|h| {
        task(h, 0, TaskStep::Submitted, 0);
        task(h, 0, TaskStep::Missing, 30);
    });
    case("good events", "", &|h| ["n0", "n1"].iter().for_each(|node| told(h, node, 7, "cluster.node_joined", "n9")));
    case("events with a hole", "M1", &|h| {
        [7, 9].iter().for_each(|seq| told(h, "n0", *seq, "cluster.node_joined", "n9"))
    });
    case("a node that is declared dead for nothing", "M2", &|h| told(h, "n0", 7, "cluster.node_left", "n1"));
    wrong == 0
}
