//! One id, one live process: held, taken by force, freed by death, renamed.

use crate::calls::*;
use crate::fixture::Fixture;
use clawster::cluster::ids::{Incarnation, MessageSeq, Nonce};
use clawster::cluster::members::member::{Member, PresenceKind, StoredStatus};
use clawster::cluster::protocol::{Identity, Join, JoinReply, Tick};
use clawster::store::Notice;

/// Another process that wants the id.
fn rival(name: &str) -> Join {
    Join { process: nonce("rival"), ..join_of(name) }
}

fn dead(presence: &str) -> Join {
    Join { dead_presence: Some(presence.to_owned()), ..rival("a") }
}

/// What the table says of a member.
async fn row<F: Fixture>(f: &F, name: &str) -> Member {
    let rows = view(f).await.delta.rows;
    rows.into_iter().find(|row| row.node_id == id(name)).expect("it is in the table")
}

fn is_held(reply: &JoinReply) -> bool {
    matches!(reply, JoinReply::Held { .. })
}

async fn an_id_of_a_live_process_is_held<F: Fixture>(mut f: F) {
    let a = present(&mut f, "a", "p1").await;
    f.advance(secs(10));
    let reply = join(&f, rival("a")).await;
    let JoinReply::Held { incarnation, presence, present, provable, left, metadata } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(incarnation, a.instance.incarnation);
    assert_eq!((presence.as_deref(), present, provable), (Some("p1"), true, true));
    assert!(left <= secs(20) && left > secs(5), "{left:?}");
    assert_eq!(metadata, join_of("a").metadata);
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
}

async fn a_replaced_process_does_not_fight_back<F: Fixture>(mut f: F) {
    let a = present(&mut f, "a", "p1").await;
    f.subscribe("watcher").await;
    let taker = admitted(&f, Join { force: true, ..rival("a") }).await;
    f.noticed("watcher", Notice::Register).await;
    assert!(taker.instance.incarnation > a.instance.incarnation);
    assert_eq!(story(&f).await, ["a new", "a left Replaced", "a back"]);
    assert_eq!(tick(&f, &a).await.identity, Identity::Replaced);
    let back = Join { own: a.instance.incarnation, ..join_of("a") };
    assert_eq!(join(&f, back.clone()).await, JoinReply::Replaced);
    assert_eq!(join(&f, Join { force: true, ..back.clone() }).await, JoinReply::Replaced);
    leave(&f, &taker).await;
    assert_eq!(join(&f, back).await, JoinReply::Replaced, "nor when the other one has left");
}

async fn a_later_life_replaces_the_row_of_an_earlier_one<F: Fixture>(mut f: F) {
    let (earlier, b) = (member(&f, "a").await, member(&f, "b").await);
    f.keep_copy();
    let later = admitted(&f, Join { force: true, ..rival("a") }).await;
    let known = tick(&f, &later).await.data.numbers;
    f.restart_on_copy().await;
    let met = send_tick(&f, Tick { known, ..tick_of(&later) }).await;
    assert_eq!(met.identity, Identity::Unknown, "an earlier life replaces nobody");
    let own = later.instance.incarnation;
    let back = admitted(&f, Join { own, known, ..rival("a") }).await;
    assert_eq!(back.instance, later.instance);
    assert_eq!(story(&f).await[2..], ["a left Replaced", "a back"]);
    assert_eq!(tick(&f, &later).await.identity, Identity::Ok);
    assert_eq!(tick(&f, &earlier).await.identity, Identity::Replaced);
    assert_eq!(join(&f, Join { own: earlier.instance.incarnation, ..join_of("a") }).await, JoinReply::Replaced);
    leave(&f, &back).await;
    assert_eq!(join(&f, Join { own: earlier.instance.incarnation, ..join_of("a") }).await, JoinReply::Replaced);
    tick(&f, &b).await;
}

async fn a_life_that_was_taken_over_is_found_again_by_its_number<F: Fixture>(mut f: F) {
    let once = admitted(&f, Join { kind: PresenceKind::None, ..join_of("a") }).await;
    f.keep_copy();
    let node = admitted(&f, Join { former: Some(join_of("a").process), ..rival("a") }).await;
    assert_eq!(node.instance, once.instance);
    f.restart_on_copy().await;
    let back = admitted(&f, Join { own: node.instance.incarnation, ..rival("a") }).await;
    assert_eq!(back.instance, node.instance, "it is this life's row, whoever wrote it");
}

async fn a_row_older_than_the_nodes_own_word_is_noticed<F: Fixture>(mut f: F) {
    let said = |revision, draining| Join { revision, draining, ..join_of("a") };
    let a = admitted(&f, said(1, Some(false))).await;
    let heard = |told| Tick { revision: told, ..tick_of(&a) };
    assert!(!send_tick(&f, heard(1)).await.outdated);
    f.keep_copy();
    let news = Join { metadata: r#"{"name":"new"}"#.to_owned(), ..said(2, Some(true)) };
    admitted(&f, news.clone()).await;
    assert!(!send_tick(&f, heard(2)).await.outdated);
    assert_eq!(row(&f, "a").await.status, StoredStatus::Draining);
    f.restart_on_copy().await;
    let met = send_tick(&f, heard(2)).await;
    assert!(met.outdated && met.identity == Identity::Ok, "{met:?}");
    assert_eq!(row(&f, "a").await.status, StoredStatus::Online);
    let own = a.instance.incarnation;
    assert_eq!(admitted(&f, Join { own, ..news }).await.instance, a.instance);
    assert!(!send_tick(&f, heard(2)).await.outdated);
    assert_eq!((row(&f, "a").await.status, row(&f, "a").await.metadata.name.as_str()), (StoredStatus::Draining, "new"));
    admitted(&f, said(1, Some(false))).await;
    assert_eq!(row(&f, "a").await.status, StoredStatus::Draining, "an earlier word that comes late changes nothing");
}

async fn a_forgotten_rename_is_made_again<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    f.keep_copy();
    let b = admitted(&f, renamed("a", "b")).await;
    let known = tick(&f, &b).await.data.numbers;
    f.restart_on_copy().await;
    let again =
        Join { own: b.instance.incarnation, known, aliases: vec![id("a")], rename_from: None, ..renamed("a", "b") };
    let back = admitted(&f, again).await;
    assert_eq!((back.instance, back.aliases), (b.instance, vec![id("a")]));
    assert_eq!(tick(&f, &a).await.identity, Identity::Gone);
    let other = Join { process: nonce("other"), aliases: vec![id("b")], ..join_of("c") };
    admitted(&f, other).await;
    assert_eq!(row(&f, "b").await.status, StoredStatus::Online, "nobody says that of another process's id");
}

async fn a_dead_process_frees_its_id_by_its_presence<F: Fixture>(mut f: F) {
    let a = present(&mut f, "a", "p1").await;
    assert!(is_held(&join(&f, dead("p1")).await), "it is present");
    f.hang_up("p1").await;
    let reply = join(&f, rival("a")).await;
    assert!(matches!(reply, JoinReply::Held { present: false, provable: true, .. }), "{reply:?}");
    assert!(is_held(&join(&f, dead("p0")).await), "another presence says nothing");
    let next = admitted(&f, dead("p1")).await;
    assert!(next.instance.incarnation > a.instance.incarnation);
    assert_eq!(story(&f).await, ["a new", "a left ProcessDied", "a back"]);
}

async fn a_presence_of_another_server_proves_no_death<F: Fixture>(mut f: F) {
    present(&mut f, "a", "p1").await;
    f.restart(true).await;
    let stranger = Join { producer: nonce("another-store"), ..dead("p1") };
    f.advance(secs(10));
    let reply = join(&f, stranger).await;
    assert!(matches!(reply, JoinReply::Held { present: false, provable: false, .. }), "{reply:?}");
}

async fn a_restart_of_the_server_does_not_keep_a_process_from_its_own_id<F: Fixture>(mut f: F) {
    let a = present(&mut f, "a", "p1").await;
    f.advance(secs(10));
    tick(&f, &a).await;
    f.restart(true).await;
    let reply = join(&f, dead("p1")).await;
    assert!(
        matches!(reply, JoinReply::Held { present: false, provable: true, .. }),
        "its last beat was just now: {reply:?}"
    );
    f.advance(secs(10));
    assert!(is_held(&join(&f, Join { dead_for: secs(0), ..dead("p1") }).await), "it may come back");
    let next = admitted(&f, dead("p1")).await;
    assert!(next.instance.incarnation > a.instance.incarnation);
}

async fn an_overdue_process_frees_its_id<F: Fixture>(mut f: F) {
    let (_, b) = (present(&mut f, "a", "p1").await, member(&f, "b").await);
    for _ in 0..2 {
        f.advance(secs(14));
        tick(&f, &b).await;
    }
    assert!(is_held(&join(&f, rival("a")).await));
    f.advance(secs(3));
    admitted(&f, rival("a")).await;
    assert_eq!(story(&f).await[2..], ["a left HeartbeatTimeout", "a back"]);
}

async fn a_nodes_process_takes_its_hosts_one_shot_over<F: Fixture>(f: F) {
    let once = admitted(&f, Join { kind: PresenceKind::None, ..join_of("a") }).await;
    assert!(is_held(&join(&f, rival("a")).await));
    let node = admitted(&f, Join { former: Some(join_of("a").process), ..rival("a") }).await;
    assert_eq!(node.instance, once.instance);
    assert_eq!(admitted(&f, rival("a")).await.instance, once.instance);
    assert!(is_held(&join(&f, join_of("a")).await));
}

async fn a_join_registers_only_a_presence_that_is_subscribed<F: Fixture>(mut f: F) {
    let ask = |presence: &str| Join { presence: Some(nonce(presence)), ..join_of("a") };
    let reply = join(&f, ask("p1")).await;
    assert!(matches!(reply, JoinReply::Joined { registered: false, .. }), "{reply:?}");
    f.subscribe("p1").await;
    let reply = join(&f, ask("p1")).await;
    assert!(matches!(reply, JoinReply::Joined { registered: true, .. }), "{reply:?}");
    admitted(&f, Join { kind: PresenceKind::None, ..join_of("a") }).await;
    let reply = join(&f, rival("a")).await;
    assert!(matches!(reply, JoinReply::Held { presence: None, .. }), "a one-shot has none: {reply:?}");
}

/// The process of `a` under another id.
fn renamed(from: &str, to: &str) -> Join {
    let (process, producer) = (join_of("a").process, join_of("a").producer);
    Join { process, producer, rename_from: Some(id(from)), ..join_of(to) }
}

async fn a_rename_takes_cursor_and_aliases_along_and_resigns<F: Fixture>(mut f: F) {
    let (a, term) = leader(&mut f, "a", "p1").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 4)])).await;
    acknowledge(&f, &a, &a.epoch, first + 1).await;
    let b = admitted(&f, renamed("a", "b")).await;
    assert_eq!((b.cursor.0, b.aliases.clone()), (first + 1, vec![id("a")]));
    assert!(b.instance.incarnation > a.instance.incarnation);
    let record = record(&f).await;
    assert_eq!((record.holder, record.term), (None, term));
    assert_eq!(tick(&f, &a).await.identity, Identity::Gone);
    assert_eq!(story(&f).await[2..], ["a lost Resigned", "a left Left", "b new"]);

    let c = admitted(&f, renamed("b", "c")).await;
    assert_eq!((c.cursor.0, c.aliases), (first + 1, vec![id("b"), id("a")]));
    let again = admitted(&f, renamed("b", "c")).await;
    assert_eq!((again.instance, again.aliases), (c.instance, vec![id("b"), id("a")]), "after a lost answer");
    assert_eq!(again.cursor.0, first + 1);
    let back = admitted(&f, renamed("c", "a")).await;
    assert_eq!(back.aliases, [id("c"), id("b")]);
    let restarted = Join { process: nonce("restarted"), ..join_of("a") };
    leave(&f, &back).await;
    assert_eq!(admitted(&f, restarted).await.aliases, [id("c"), id("b")], "aliases outlive the process");
}

async fn a_rename_onto_a_known_id_reads_on_from_the_earlier_cursor<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let first = put(&f, publish_of(&a, vec![packed(1, 4)])).await;
    acknowledge(&f, &b, &b.epoch, first).await;
    leave(&f, &b).await;
    acknowledge(&f, &a, &a.epoch, first + 3).await;
    let places = |reply: JoinReply| match reply {
        JoinReply::Joined { cursor, stood, .. } => (cursor.0, stood.map(|seq| seq.0)),
        other => panic!("{other:?}"),
    };
    assert_eq!(places(join(&f, renamed("a", "b")).await), (first, Some(first)), "the messages of b are not lost");
    assert_eq!(places(join(&f, renamed("a", "b")).await).0, first, "after a lost answer");
    assert_eq!(places(join(&f, renamed("b", "new")).await), (first, None), "nobody knows this one");
    let d = member(&f, "d").await;
    assert_eq!(d.cursor.0, first + 3);
    leave(&f, &d).await;
    assert_eq!(places(join(&f, renamed("new", "d")).await), (first, Some(first + 3)), "nor are those of the id before");
}

async fn what_a_host_kept_of_an_id_counts_for_that_id_alone<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let first = put(&f, publish_of(&a, vec![packed(1, 4)])).await;
    let kept = |seq| Some((MessageSeq(seq), a.epoch.clone()));
    let other = Join { cursor: kept(first + 2), elsewhere: true, ..join_of("x") };
    let known = Join { stood: kept(first + 1), ..other.clone() };
    assert_eq!(admitted(&f, known).await.cursor.0, first + 1, "the cursor of another id moves none of this one");
    let again = admitted(&f, other.clone()).await;
    assert_eq!(again.cursor.0, first + 1, "nor one that Redis knows");
    let new = Join { process: nonce("process-y"), node_id: id("y"), ..other };
    assert_eq!(admitted(&f, new).await.cursor.0, first + 2, "without any other it is better than none");
}

async fn a_rename_to_a_held_id_changes_nothing<F: Fixture>(f: F) {
    let (a, _) = (member(&f, "a").await, member(&f, "b").await);
    assert!(is_held(&join(&f, renamed("a", "b")).await));
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
}

async fn a_rename_of_somebody_elses_id_is_a_plain_join<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let stranger: Nonce = nonce("stranger");
    let b = admitted(&f, Join { process: stranger, rename_from: Some(id("a")), ..join_of("b") }).await;
    assert_eq!(b.aliases, []);
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
}

async fn a_rename_drops_aliases_of_an_earlier_owner_of_the_id<F: Fixture>(f: F) {
    member(&f, "a").await;
    let b = admitted(&f, renamed("a", "b")).await;
    leave(&f, &b).await;
    let other = member(&f, "x").await;
    let ask = Join { process: join_of("x").process, rename_from: Some(id("x")), ..join_of("b") };
    let taken = admitted(&f, ask).await;
    assert_eq!(taken.aliases, [id("x")]);
    assert!(taken.instance.incarnation > other.instance.incarnation && other.instance.incarnation > Incarnation(0));
}

async fn a_cursor_stays_when_another_store_has_the_id_for_a_while_and_renames_itself<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let first = put(&f, publish_of(&b, vec![packed(1, 4)])).await;
    acknowledge(&f, &a, &a.epoch, first).await;
    let (process, producer) = (nonce("rival"), nonce("rivals-store"));
    let taking = Join { force: true, producer: producer.clone(), ..rival("a") };
    assert_eq!(admitted(&f, taking.clone()).await.cursor.0, first);
    let away = Join { process, producer, rename_from: Some(id("a")), ..join_of("c") };
    admitted(&f, away.clone()).await;
    admitted(&f, away.clone()).await;
    let back = Join { process: nonce("restarted"), ..join_of("a") };
    assert_eq!(admitted(&f, back.clone()).await.cursor.0, first, "also after an answer was lost");
    // Once it is back, a rename takes the cursor along as ever.
    admitted(&f, Join { process: nonce("restarted"), ..renamed("a", "d") }).await;
    put(&f, publish_of(&b, vec![packed(5, 1)])).await;
    assert_eq!(admitted(&f, Join { process: nonce("new"), ..join_of("a") }).await.cursor.0, first + 4);
}

contract!(
    an_id_of_a_live_process_is_held,
    a_replaced_process_does_not_fight_back,
    a_later_life_replaces_the_row_of_an_earlier_one,
    a_life_that_was_taken_over_is_found_again_by_its_number,
    a_row_older_than_the_nodes_own_word_is_noticed,
    a_forgotten_rename_is_made_again,
    a_dead_process_frees_its_id_by_its_presence,
    a_presence_of_another_server_proves_no_death,
    a_restart_of_the_server_does_not_keep_a_process_from_its_own_id,
    an_overdue_process_frees_its_id,
    a_nodes_process_takes_its_hosts_one_shot_over,
    a_join_registers_only_a_presence_that_is_subscribed,
    a_rename_takes_cursor_and_aliases_along_and_resigns,
    a_rename_onto_a_known_id_reads_on_from_the_earlier_cursor,
    what_a_host_kept_of_an_id_counts_for_that_id_alone,
    a_rename_to_a_held_id_changes_nothing,
    a_rename_of_somebody_elses_id_is_a_plain_join,
    a_rename_drops_aliases_of_an_earlier_owner_of_the_id,
    a_cursor_stays_when_another_store_has_the_id_for_a_while_and_renames_itself,
);
