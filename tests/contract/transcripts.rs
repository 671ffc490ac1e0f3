//! Copies of transcripts: bounded, read from where a reader was, and begun anew without confusing it.

use crate::calls::*;
use crate::fixture::{Fixture, Redis, key};
use clawster::cluster::ids::Incarnation;
use clawster::cluster::protocol::{
    AppendReply, AppendTranscript, Call, Fault, Identity, Instance, ReadTranscript, Reply, TranscriptCall,
    TranscriptPage, TranscriptReply,
};
use clawster::store::Store;

const SESSION: &str = "agent:main:telegram:direct:123 {é}";

fn item(n: usize) -> String {
    format!(r#"{{"role":"user","n":{n}.10}}"#)
}

/// An append of the items with these numbers.
fn append_of(node: &Node, items: impl IntoIterator<Item = usize>) -> AppendTranscript {
    AppendTranscript {
        instance: node.instance.clone(),
        session: SESSION.to_owned(),
        items: items.into_iter().map(item).collect(),
        keep_items: 200,
        keep_for: secs(600),
        restart: false,
        nonce: fresh(),
    }
}

async fn transcript_call<F: Fixture>(f: &F, ask: TranscriptCall) -> TranscriptReply {
    let Reply::Transcript(reply) = call(f, Call::Transcript(Box::new(ask))).await else { panic!("no answer") };
    reply
}

async fn answer<F: Fixture>(f: &F, ask: &AppendTranscript) -> AppendReply {
    let TranscriptReply::Appended(reply) = transcript_call(f, TranscriptCall::Append(ask.clone())).await else {
        panic!("no answer")
    };
    reply
}

/// Appends, and must be let; returns the position of the newest item, and how many there are.
async fn append<F: Fixture>(f: &F, ask: &AppendTranscript) -> (Option<String>, u64) {
    let AppendReply { identity, position, kept } = answer(f, ask).await;
    assert_eq!(identity, Identity::Ok);
    (position, kept)
}

async fn read<F: Fixture>(f: &F, after: Option<&str>, limit: u32) -> TranscriptPage {
    let ask = ReadTranscript { session: SESSION.to_owned(), after: after.map(str::to_owned), limit };
    let TranscriptReply::Read(page) = transcript_call(f, TranscriptCall::Read(ask)).await else { panic!("no answer") };
    page
}

/// The items of a page as they were appended.
fn texts(page: &TranscriptPage) -> Vec<String> {
    page.items.iter().map(|item| item.item.clone()).collect()
}

fn items(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(item).collect()
}

async fn what_was_appended_is_read_from_where_the_reader_was<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let nothing = read(&f, None, 9).await;
    assert_eq!((texts(&nothing), nothing.from_start, nothing.more, nothing.last), (vec![], true, false, None));
    let (first, kept) = append(&f, &append_of(&a, 0..3)).await;
    assert_eq!(kept, 3);
    let all = read(&f, None, 9).await;
    assert_eq!((texts(&all), all.from_start, all.more), (items(0..3), true, false));
    assert_eq!(all.items.last().map(|item| &item.position), first.as_ref());
    assert!(all.items.iter().all(|item| item.node_id == id("a")));
    let none = read(&f, first.as_deref(), 9).await;
    assert_eq!((texts(&none), none.from_start, none.more), (vec![], false, false));
    let (second, kept) = append(&f, &append_of(&a, 3..8)).await;
    assert_eq!(kept, 8);
    let page = read(&f, first.as_deref(), 3).await;
    assert_eq!((texts(&page), page.from_start, page.more), (items(3..6), false, true));
    let rest = read(&f, page.last.as_deref(), 3).await;
    assert_eq!((texts(&rest), rest.from_start, rest.more), (items(6..8), false, false));
    assert_eq!(rest.last, second);
    assert_eq!(append(&f, &append_of(&a, [])).await, (second, 8), "nothing is added");
    let other = ReadTranscript { session: "another".to_owned(), after: None, limit: 9 };
    let TranscriptReply::Read(other) = transcript_call(&f, TranscriptCall::Read(other)).await else { panic!() };
    assert_eq!(texts(&other), Vec::<String>::new());
}

async fn an_append_that_arrives_twice_is_done_once<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let ask = AppendTranscript { restart: true, ..append_of(&a, 0..2) };
    let first = append(&f, &ask).await;
    append(&f, &append_of(&a, 2..3)).await;
    assert_eq!(append(&f, &ask).await, first, "its first answer");
    assert_eq!(texts(&read(&f, None, 9).await), items(0..3));
}

async fn the_oldest_items_go_first<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let (early, _) = append(&f, &append_of(&a, 0..40)).await;
    let (_, kept) = append(&f, &AppendTranscript { keep_items: 42, ..append_of(&a, 40..45) }).await;
    assert_eq!(kept, 42);
    assert_eq!(texts(&read(&f, None, 100).await), items(3..45));
    assert!(!read(&f, early.as_deref(), 9).await.from_start, "that one is there");
    let (newest, kept) = append(&f, &AppendTranscript { keep_items: 2, ..append_of(&a, []) }).await;
    assert_eq!(kept, 2);
    let page = read(&f, early.as_deref(), 9).await;
    assert_eq!((texts(&page), page.from_start), (items(43..45), true), "that one is gone");
    assert_eq!(page.last, newest);
    let (_, kept) = append(&f, &AppendTranscript { keep_items: 1, ..append_of(&a, 50..60) }).await;
    assert_eq!((texts(&read(&f, None, 9).await), kept), (items(59..60), 1));
}

async fn there_are_so_many_bytes_of_items_and_no_more<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let of = |bytes: usize| format!(r#"{{"t":"{}"}}"#, "x".repeat(bytes - 8));
    let large = |count: usize| AppendTranscript { items: vec![of(65_536); count], ..append_of(&a, []) };
    assert_eq!(append(&f, &large(10)).await.1, 10);
    assert_eq!(append(&f, &large(10)).await.1, 16, "1 MiB");
    assert_eq!(append(&f, &append_of(&a, [1])).await.1, 16, "a small one pushes a large one out");
    assert_eq!(append(&f, &append_of(&a, [2])).await.1, 17, "and makes room for more small ones");
    let page = read(&f, None, 100).await;
    assert_eq!((page.items.len(), page.more), (17, false));
    assert_eq!(texts(&page)[15..], items(1..3));
    let huge = AppendTranscript { items: vec![of(2 << 20)], ..append_of(&a, []) };
    assert_eq!(append(&f, &huge).await.1, 1, "the newest stays in any case");
    assert_eq!(append(&f, &append_of(&a, [3])).await.1, 1);
    assert_eq!(append(&f, &append_of(&a, [4])).await.1, 2);
}

async fn a_restart_removes_everything_and_no_reader_is_confused<F: Fixture>(mut f: F) {
    f.advance(secs(60));
    let a = member(&f, "a").await;
    let (old, _) = append(&f, &append_of(&a, 0..3)).await;
    f.turn_back(secs(50));
    let (new, kept) = append(&f, &AppendTranscript { restart: true, ..append_of(&a, 3..5) }).await;
    assert_eq!(kept, 2);
    let page = read(&f, old.as_deref(), 9).await;
    assert_eq!((texts(&page), page.from_start), (items(3..5), true));
    let erased = append(&f, &AppendTranscript { restart: true, ..append_of(&a, []) }).await;
    assert_eq!(erased, (None, 0));
    for after in [old.as_deref(), new.as_deref(), None] {
        let page = read(&f, after, 9).await;
        assert_eq!((texts(&page), page.from_start, page.more), (vec![], true, false));
    }
    let (newest, _) = append(&f, &append_of(&a, 5..6)).await;
    let time = |position: &Option<String>| {
        let position = position.as_ref().unwrap();
        let mut parts = position.split('-').map(|part| part.parse::<u64>().unwrap_or(0));
        (parts.next().unwrap(), parts.next().unwrap())
    };
    assert!(time(&old) < time(&new) && time(&new) < time(&newest), "{old:?} {new:?} {newest:?}");
}

async fn a_copy_expires_so_long_after_the_last_append<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let (old, _) = append(&f, &append_of(&a, 0..2)).await;
    f.advance(secs(500));
    append(&f, &append_of(&a, 2..3)).await;
    f.advance(secs(500));
    assert_eq!(texts(&read(&f, None, 9).await), items(0..3));
    f.advance(secs(101));
    let page = read(&f, old.as_deref(), 9).await;
    assert_eq!((texts(&page), page.from_start), (vec![], true));
    assert_eq!(append(&f, &append_of(&a, 3..4)).await.1, 1);
}

async fn a_position_of_lost_data_is_of_no_later_item<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let (old, _) = append(&f, &append_of(&a, 0..2)).await;
    f.flush();
    let a = admitted(&f, clawster::cluster::protocol::Join { known: a.known, ..join_of("a") }).await;
    append(&f, &append_of(&a, 2..4)).await;
    for after in [old.as_deref().unwrap(), "", "garbage", "1-2", "99999999999999999999999-1-x", "0-0-"] {
        let page = read(&f, Some(after), 9).await;
        assert_eq!((texts(&page), page.from_start), (items(2..4), true), "{after:?}");
    }
}

async fn only_a_living_incarnation_appends<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let later = Instance { incarnation: Incarnation(a.instance.incarnation.0 + 1), ..a.instance.clone() };
    let unknown = AppendTranscript { instance: later, ..append_of(&a, 0..1) };
    assert_eq!(answer(&f, &unknown).await, AppendReply { identity: Identity::Unknown, position: None, kept: 0 });
    leave(&f, &a).await;
    assert_eq!(answer(&f, &append_of(&a, 0..1)).await.identity, Identity::Gone);
    member(&f, "a").await;
    assert_eq!(answer(&f, &append_of(&a, 0..1)).await.identity, Identity::Replaced);
    assert_eq!(texts(&read(&f, None, 9).await), Vec::<String>::new());
}

async fn two_writers_share_a_copy<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    append(&f, &append_of(&a, 0..2)).await;
    let (position, _) = append(&f, &append_of(&b, 2..4)).await;
    append(&f, &append_of(&a, 4..5)).await;
    let page = read(&f, None, 9).await;
    assert_eq!(texts(&page), items(0..5));
    let writers: Vec<&str> = page.items.iter().map(|item| item.node_id.as_str()).collect();
    assert_eq!(writers, ["a", "a", "b", "b", "a"]);
    assert_eq!(texts(&read(&f, position.as_deref(), 9).await), items(4..5));
}

contract! {
    what_was_appended_is_read_from_where_the_reader_was,
    an_append_that_arrives_twice_is_done_once,
    the_oldest_items_go_first,
    there_are_so_many_bytes_of_items_and_no_more,
    a_restart_removes_everything_and_no_reader_is_confused,
    a_copy_expires_so_long_after_the_last_append,
    a_position_of_lost_data_is_of_no_later_item,
    only_a_living_incarnation_appends,
    two_writers_share_a_copy,
}

fn stream() -> String {
    key(&format!("transcript:{SESSION}"))
}

fn size() -> String {
    key(&format!("transcript_size:{SESSION}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_entries_are_passed_over() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    append(&f, &append_of(&a, 0..1)).await;
    let broken: [&[&str]; 6] = [
        &["some", "thing"],
        &["n", "a", "i", "[1]"],
        &["n", "a", "i", r#"{"a":"#],
        &["n", "not a node", "a", "\u{1} é", "i", "{}"],
        &["n", "a", "a", "x"],
        &["i", "{}"],
    ];
    for fields in broken {
        f.server.cli(&[&["XADD", &stream(), "*"], fields].concat());
    }
    // An item that is not valid UTF-8.
    f.server.cli(&["EVAL", "return redis.call('XADD', KEYS[1], '*', 'n', 'a', 'i', '{\"\\255\":1}')", "1", &stream()]);
    assert_eq!(texts(&read(&f, None, 9).await), items(0..1));
    let (position, kept) = append(&f, &append_of(&a, 1..2)).await;
    assert_eq!(kept, 9, "they count until they are trimmed");
    let page = read(&f, None, 9).await;
    assert_eq!((texts(&page), page.more, page.last), (items(0..2), false, position));
    let first = read(&f, None, 1).await;
    let mut page = read(&f, first.last.as_deref(), 1).await;
    while page.items.is_empty() && page.more {
        page = read(&f, page.last.as_deref(), 1).await;
    }
    assert_eq!(texts(&page), items(1..2), "reading goes on behind them");
    append(&f, &AppendTranscript { keep_items: 2, ..append_of(&a, 2..3) }).await;
    assert_eq!(texts(&read(&f, None, 9).await), items(1..3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_another_type_and_wrong_sizes_are_begun_anew() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    for command in ["SET", "SADD"] {
        f.server.cli(&["DEL", &stream(), &size()]);
        f.server.cli(&[command, &stream(), "text"]);
        f.server.cli(&["LPUSH", &size(), "text"]);
        assert_eq!(texts(&read(&f, None, 9).await), Vec::<String>::new());
        assert_eq!(append(&f, &append_of(&a, 0..2)).await.1, 2);
    }
    for odd in ["garbage", "", "1 2", "5 5 1-1 2-2"] {
        f.server.cli(&["SET", &size(), odd]);
        append(&f, &append_of(&a, [7])).await;
    }
    assert_eq!(append(&f, &append_of(&a, [8])).await.1, 7, "all is counted again");
    let of_all = format!("{} 7 ", 7 * item(0).len());
    assert!(f.server.cli(&["GET", &size()]).starts_with(&of_all));
    f.server.cli(&["XADD", &stream(), "18446744073709551615-18446744073709551615", "some", "thing"]);
    append(&f, &append_of(&a, 10..12)).await;
    let read = texts(&read(&f, None, 20).await);
    assert!(read.ends_with(&items(10..12)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_another_program_is_neither_read_to_its_end_nor_kept() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    let many = "for n = 1, 2500 do redis.call('XADD', KEYS[1], n .. '-1', 'some', 'thing') end";
    f.server.cli(&["EVAL", many, "1", &stream()]);
    let page = read(&f, None, 9).await;
    assert_eq!((texts(&page), page.more, page.last.as_deref()), (vec![], true, Some("2000-1-")));
    let rest = read(&f, page.last.as_deref(), 9).await;
    assert_eq!((texts(&rest), rest.more, rest.last.as_deref()), (vec![], false, Some("2500-1-")));
    assert_eq!(append(&f, &append_of(&a, 0..1)).await.1, 1);
    assert_eq!(texts(&read(&f, None, 9).await), items(0..1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_refuses_an_append_and_lets_a_copy_be_erased() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    append(&f, &append_of(&a, 0..2)).await;
    f.server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    for restart in [false, true] {
        let ask = AppendTranscript { restart, ..append_of(&a, 2..3) };
        let fault = f.store().call(Call::Transcript(Box::new(TranscriptCall::Append(ask)))).await;
        assert!(matches!(&fault, Err(Fault::Unwritable(why)) if why.contains("out of memory")), "{fault:?}");
    }
    assert_eq!(texts(&read(&f, None, 9).await), items(0..2));
    let erased = append(&f, &AppendTranscript { restart: true, ..append_of(&a, []) }).await;
    assert_eq!(erased, (None, 0));
    f.server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(append(&f, &append_of(&a, 3..4)).await.1, 1);
}
