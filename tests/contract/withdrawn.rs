//! Calls that were given up without an answer: made before they are withdrawn, or after.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::lease_calls::*;
use crate::task_calls::*;
use clawster::cluster::ids::{Incarnation, Nonce, TaskToken};
use clawster::cluster::protocol::{
    Acquire, Acquired, Attempt, LeaseCall, LeaseReply, NewTask, Once, Refusal, TaskCall, TaskReply, Withdraw,
    WithdrawClaim,
};
use clawster::cluster::task::TaskState;

async fn withdraw<F: Fixture>(f: &F, ask: &Acquire) -> bool {
    let Acquire { name, owner, ticket, request_id, .. } = ask.clone();
    let LeaseReply::Withdrawn { granted } =
        lease(f, LeaseCall::Withdraw(Withdraw { name, owner, ticket, request_id })).await
    else {
        panic!("no answer")
    };
    granted
}

async fn take_back<F: Fixture>(f: &F, node: &Node, nonce: &Nonce, returned: Option<TaskToken>) -> u64 {
    let ask = TaskCall::Withdraw(WithdrawClaim {
        instance: node.instance.clone(),
        kinds: Vec::new(),
        nonce: nonce.clone(),
        returned,
    });
    let TaskReply::Withdrawn { tasks } = task_call(f, ask).await else { panic!("no answer") };
    tasks
}

async fn an_acquisition_that_arrives_after_its_withdrawal_is_granted_nothing<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let late = acquire_of(&a, "bot");
    assert!(!withdraw(&f, &late).await);
    assert_eq!(denied(&f, late.clone()).await, Refusal::Held);
    assert_eq!(denied(&f, Acquire { wait: true, ..late.clone() }).await, Refusal::Held, "nor does it queue");
    let token = taken(&f, acquire_of(&b, "bot")).await;
    assert!(!withdraw(&f, &late).await, "another's lease stays");
    assert!(check(&f, "bot", token).await);
    f.advance(secs(601));
    taken(&f, Acquire { name: lease_name("later"), ..late }).await;
}

async fn a_grant_ends_when_its_acquisition_is_withdrawn<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, present(&mut f, "b", "p2").await);
    let ask = Acquire { request_id: "r".to_owned(), ..acquire_of(&a, "bot") };
    let token = taken(&f, ask.clone()).await;
    let waits = acquire_of(&b, "bot");
    queued(&f, &waits).await;
    assert!(
        !withdraw(&f, &Acquire { owner: waits.owner.clone(), ..ask.clone() }).await,
        "a ticket alone gives no right"
    );
    assert!(check(&f, "bot", token).await);
    assert!(withdraw(&f, &ask).await);
    assert!(!check(&f, "bot", token).await);
    f.noticed("p2", clawster::store::Notice::Lease(waits.ticket.clone())).await;
    let next = taken(&f, waits).await;
    release(&f, &b, "bot", next).await;
    let again = acquire(&f, Acquire { ticket: fresh(), ..ask }).await;
    assert!(matches!(again.outcome, Acquired::Granted { again: false, .. }), "the request is a new one: {again:?}");
}

async fn a_grant_that_a_repeated_request_was_told_of_outlives_the_first_calls_withdrawal<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let first = Acquire { request_id: "r".to_owned(), stated: 10, ..acquire_of(&a, "bot") };
    let token = taken(&f, first.clone()).await;
    let second = Acquire { ticket: fresh(), stated: 20, ..first.clone() };
    assert_eq!(taken(&f, second.clone()).await, token);
    assert_eq!(taken(&f, first.clone()).await, token, "the first call arrives once more");
    assert!(!withdraw(&f, &first).await);
    assert!(check(&f, "bot", token).await);
    assert!(withdraw(&f, &second).await);
    assert!(!check(&f, "bot", token).await);
}

async fn a_waiter_that_is_withdrawn_leaves_the_queue<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, present(&mut f, "b", "p2").await);
    let c = present(&mut f, "c", "p3").await;
    let token = taken(&f, acquire_of(&a, "bot")).await;
    let (first, second) = (acquire_of(&b, "bot"), acquire_of(&c, "bot"));
    queued(&f, &first).await;
    queued(&f, &second).await;
    withdraw(&f, &first).await;
    assert_eq!(queued(&f, &second).await, 0);
    release(&f, &a, "bot", token).await;
    taken(&f, second).await;
}

fn numbered(number: u64, supersedes: bool) -> Once {
    let attempt = Some(Attempt { incarnation: Incarnation(7), number, supersedes });
    Once { request_id: "r".to_owned(), attempt, ..once_of("a", &["k"]) }
}

fn back(number: u64) -> Once {
    Once { give_back: true, ..numbered(number, false) }
}

async fn a_key_is_free_however_late_its_withdrawn_call_arrives<F: Fixture>(mut f: F) {
    assert!(!once(&f, back(1)).await[0].granted, "nothing was granted yet");
    assert!(!once(&f, numbered(1, false)).await[0].granted, "it comes too late");
    assert!(once(&f, numbered(2, false)).await[0].granted, "the client asks again");
    assert!(!once(&f, back(1)).await[0].granted, "the first withdrawal arrives twice");
    assert!(!once(&f, once_of("b", &["k"])).await[0].granted);
    assert!(once(&f, back(2)).await[0].granted, "granted, and given back");
    assert!(once(&f, once_of("b", &["k"])).await[0].granted);
    f.advance(secs(601));
    assert!(once(&f, numbered(2, false)).await[0].granted, "the mark is forgotten, as the key is");
}

async fn what_a_later_call_of_a_request_is_granted_stays<F: Fixture>(f: F) {
    assert!(once(&f, numbered(1, false)).await[0].granted, "its answer is lost");
    assert!(once(&f, numbered(2, true)).await[0].granted, "told again");
    assert!(!once(&f, back(1)).await[0].granted);
    assert!(!once(&f, once_of("b", &["k"])).await[0].granted, "the withdrawal of the first came too late");
    assert!(once(&f, numbered(1, false)).await[0].granted, "the first call arrives late, and is the same request");
    let later = Attempt { incarnation: Incarnation(8), number: 1, supersedes: false };
    let other = Once { attempt: Some(later), ..numbered(1, false) };
    assert!(once(&f, other).await[0].granted, "numbers of an earlier incarnation say nothing");
}

async fn what_a_later_incarnation_is_granted_stays<F: Fixture>(f: F) {
    let later = Attempt { incarnation: Incarnation(8), number: 1, supersedes: true };
    let again = Once { attempt: Some(later), ..numbered(1, false) };
    assert!(once(&f, numbered(5, false)).await[0].granted, "its process is killed before the answer");
    assert!(once(&f, again.clone()).await[0].granted, "the same request to the next process");
    assert!(!once(&f, back(5)).await[0].granted, "the withdrawal of the killed process arrives late");
    assert!(!once(&f, once_of("b", &["k"])).await[0].granted, "so the key is still granted to the next process");
    assert!(once(&f, Once { give_back: true, ..again.clone() }).await[0].granted, "which can give it back");
    assert!(!once(&f, numbered(6, true)).await[0].granted, "a call of the killed process is too late");
    assert!(once(&f, once_of("b", &["k"])).await[0].granted);
}

async fn a_claim_that_is_withdrawn_holds_no_task<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, vec![NewTask { max_attempts: 1, ..new("t1") }, new("t2")]).await;
    let made = fresh();
    assert_eq!(send_claim(&f, claim_of(&a, 1, made.clone())).await.1.len(), 1);
    assert_eq!(take_back(&f, &a, &made, None).await, 1);
    assert_eq!((state(&f, "t1").await, get(&f, "t1").await.summary.attempts), (TaskState::Waiting, 0));
    assert_eq!(send_claim(&f, claim_of(&a, 2, made)).await.1.len(), 0, "it arrives once more");
    let late = fresh();
    assert_eq!(take_back(&f, &a, &late, None).await, 0);
    assert_eq!(send_claim(&f, claim_of(&a, 2, late)).await.1.len(), 0);
    assert_eq!(names(&f, &b, 2).await, ["t1", "t2"]);
}

async fn what_a_claimant_was_told_of_stays_with_it<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("t1"), new("t2")]).await;
    let made = fresh();
    let told = send_claim(&f, claim_of(&a, 1, made.clone())).await.1;
    assert_eq!(take_back(&f, &a, &made, Some(told[0].token)).await, 0);
    assert_eq!(state(&f, "t1").await, TaskState::Running);
    assert_eq!(complete(&f, &a, "t1", told[0].token).await, DONE);
    assert_eq!(names(&f, &a, 2).await, ["t2"]);
    assert_eq!(send_claim(&f, claim_of(&a, 1, made)).await.1.len(), 0, "a duplicate behind the next claim");
}

contract!(
    an_acquisition_that_arrives_after_its_withdrawal_is_granted_nothing,
    a_grant_ends_when_its_acquisition_is_withdrawn,
    a_grant_that_a_repeated_request_was_told_of_outlives_the_first_calls_withdrawal,
    a_waiter_that_is_withdrawn_leaves_the_queue,
    a_key_is_free_however_late_its_withdrawn_call_arrives,
    what_a_later_call_of_a_request_is_granted_stays,
    what_a_later_incarnation_is_granted_stays,
    a_claim_that_is_withdrawn_holds_no_task,
    what_a_claimant_was_told_of_stays_with_it,
);
