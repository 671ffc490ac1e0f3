//! Keys that run once, while the server's clock jumps.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::lease_calls::*;
use clawster::cluster::protocol::{ClockSeen, Once};
use clawster::cluster::time::ServerTime;
use std::time::Duration;

const HOUR: u64 = 3600;
const JUMP: Duration = Duration::from_secs(HOUR + HOUR / 2);

fn hourly(node: &str, key: &str, seen: Option<ClockSeen>) -> Once {
    Once { ttl: secs(HOUR), seen, ..once_of(node, &[key]) }
}

async fn server_now<F: Fixture>(f: &F) -> u64 {
    watch(f).await.now.0
}

async fn granted<F: Fixture>(f: &F, ask: Once) -> bool {
    once(f, ask).await[0].granted
}

async fn a_jump_forward_ends_no_key_early<F: Fixture>(mut f: F) {
    for key in ["fresh", "noted", "old"] {
        assert!(granted(&f, hourly("a", key, None)).await);
    }
    f.advance(JUMP);
    let by = u64::try_from(JUMP.as_millis()).unwrap();
    let now = server_now(&f).await;
    // A node that has not seen the jump yet, and expects the time before it.
    let unaware = ClockSeen { expected: ServerTime(now - by), jumps: Vec::new() };
    let refused = once(&f, hourly("b", "fresh", Some(unaware))).await;
    assert!(!refused[0].granted && refused[0].by == id("a"), "{refused:?}");
    // One that has.
    let aware = ClockSeen { expected: ServerTime(now), jumps: vec![(ServerTime(now), JUMP)] };
    assert!(!granted(&f, hourly("b", "noted", Some(aware.clone()))).await);
    let again = ClockSeen { expected: ServerTime(now), jumps: vec![(ServerTime(now + 4_000), JUMP + secs(2))] };
    assert!(!granted(&f, hourly("b", "noted", Some(again))).await, "seen by another node as well, it is the same one");
    assert!(!granted(&f, hourly("c", "old", None)).await, "whoever asks");
    assert!(granted(&f, hourly("b", "new", Some(aware))).await);
    f.advance(secs(HOUR + 1));
    assert!(granted(&f, hourly("c", "noted", None)).await, "its time has passed");
    assert!(granted(&f, hourly("c", "new", None)).await, "granted after the jump, it lasts no longer than others");
}

async fn a_cluster_that_was_off_goes_by_the_servers_clock<F: Fixture>(mut f: F) {
    assert!(granted(&f, hourly("a", "k", None)).await);
    f.advance(secs(HOUR - 1));
    assert!(!granted(&f, hourly("b", "k", None)).await);
    f.advance(secs(2));
    let seen = ClockSeen { expected: ServerTime(server_now(&f).await), jumps: Vec::new() };
    assert!(granted(&f, hourly("b", "k", Some(seen))).await, "kept for longer, but over");
}

contract!(a_jump_forward_ends_no_key_early, a_cluster_that_was_off_goes_by_the_servers_clock);
