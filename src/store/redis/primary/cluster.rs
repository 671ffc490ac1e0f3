//! What a node of a Redis Cluster says: the primary of a hash slot.
//!
//! All keys of a cluster share one hash tag, hence one slot. So no traffic is routed by key: only the primary of that slot counts.
//!
//! Not here: whom to believe (`mod.rs`).

use super::{HostPort, Opinion, connect, text};
use crate::cluster::protocol::Fault;
use crate::store::redis::faults::fault;
use crate::store::redis::target::{Address, Target};
use redis::Value;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a hash tag: CRC-16/XMODEM modulo the number of slots, as Redis defines it.
pub(super) fn slot(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8)
            .fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    });
    crc % SLOTS
}

/// Asks a node for the primary of a slot.
pub(super) async fn ask(target: &Target, node: HostPort, slot: u16) -> Result<Opinion, Fault> {
    let address = Address::Tcp { host: node.0.clone(), port: node.1, tls: target.uses_tls() };
    let mut connection = connect(&target.client_at(&address)?).await?;
    let answer = redis::cmd("CLUSTER").arg("SLOTS").query_async::<Value>(&mut connection).await.map_err(|error| {
        if error.detail().is_some_and(|text| text.contains("cluster support disabled")) {
            let why = "it is no node of a Redis Cluster; set redis.mode to standalone, or correct redis.nodes";
            return Fault::Unavailable(why.to_owned());
        }
        fault(&error)
    })?;
    match primary_of(&answer, slot, &node.0) {
        Some(primary) => Ok(Opinion { primary, epoch: 0 }),
        None => Err(Fault::Unavailable(format!("hash slot {slot}, which holds the cluster's keys, has no primary"))),
    }
}

/// The primary of a slot in an answer to CLUSTER SLOTS: `[[first, last, [host, port, …], replicas…], …]`. A host that is empty or
/// missing is the one that was asked.
fn primary_of(answer: &Value, slot: u16, asked: &str) -> Option<HostPort> {
    let Value::Array(ranges) = answer else { return None };
    ranges.iter().find_map(|range| {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = parts.as_slice() else { return None };
        if !(*first..=*last).contains(&i64::from(slot)) {
            return None;
        }
        let [host, Value::Int(port), ..] = primary.as_slice() else { return None };
        let host = text(host).filter(|host| !host.is_empty() && *host != "?").unwrap_or(asked);
        Some((host.to_owned(), u16::try_from(*port).ok()?))
    })
}

/// The address in an error of the kind `MOVED <slot> <host>:<port>`.
pub(super) fn redirected(place: &str, from: &Address) -> Option<HostPort> {
    let (host, port) = place.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = match (host, from) {
        ("" | "?", Address::Tcp { host, .. }) => host,
        (host, _) => host,
    };
    (!host.is_empty()).then_some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As CLUSTER KEYSLOT answers.
        assert_eq!([slot("123456789"), slot("foo")], [12_739, 12_182]);
    }

    #[test]
    fn the_primary_of_the_slot_is_found() {
        let word = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), word("id")]);
        let range = |first, last, host| {
            Value::Array(vec![Value::Int(first), Value::Int(last), node(host, 7), node(word("replica"), 8)])
        };
        let answer =
            Value::Array(vec![range(0, 99, word("a")), range(100, 199, word("")), range(200, 299, Value::Nil)]);
        let find = |slot| primary_of(&answer, slot, "asked");
        assert_eq!(find(99), Some(("a".to_owned(), 7)));
        assert_eq!([find(100), find(299)], [const { None }; 2].map(|_: Option<()>| Some(("asked".to_owned(), 7))));
        assert_eq!(find(300), None);
        assert_eq!(primary_of(&Value::Nil, 1, "x"), None);
    }

    #[test]
    fn redirections_are_read() {
        let from = Address::Tcp { host: "f".to_owned(), port: 1, tls: false };
        let read = |text| redirected(text, &from);
        assert_eq!(read("h:2"), Some(("h".to_owned(), 2)));
        assert_eq!(read("::1:2"), Some(("::1".to_owned(), 2)));
        assert_eq!(read(":2"), Some(("f".to_owned(), 2)));
        assert_eq!([read("h"), read("h:x")], [None, None]);
    }
}
