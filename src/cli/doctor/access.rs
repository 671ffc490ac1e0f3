//! Whether the user of Redis may call what a node calls.
//!
//! 1. Every probe either reads, or is wrong in a way that Redis finds only after it has checked the permission.
//! 2. The probes use keys and channels under the cluster's own prefix, where the permission is needed.

use super::Check;
use super::server::text;
use crate::cluster::ids::ClusterName;
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, RedisError, Value};
use std::time::Duration;

const SUBSCRIBE_WAIT: Duration = Duration::from_secs(3);

pub(super) async fn checks(
    client: &Client,
    connection: &mut MultiplexedConnection,
    cluster: &ClusterName,
) -> Vec<Check> {
    let place = format!("clawster:{{{cluster}}}:doctor");
    let mut refused = Vec::new();
    for (name, probe) in probes(&place) {
        let answer: Result<Value, RedisError> = probe.query_async(connection).await;
        if let Some(why) = answer.err().and_then(|error| refusal(&text(&error))) {
            refused.push(format!("{name} ({why})"));
        }
    }
    if let Some(why) = subscribe(client, &place).await {
        refused.push(format!("SUBSCRIBE ({why})"));
    }
    if refused.is_empty() {
        return vec![Check::ok("permissions", "all commands that a node needs may be called")];
    }
    let fix = format!(
        "give the user what it needs (ACL SETUSER NAME +@all -@dangerous +info ~clawster:{{{cluster}}}:* \
         &clawster:{{{cluster}}}:*), or undo a rename-command"
    );
    vec![Check::fail("permissions", format!("refused: {}", refused.join(", ")), fix)]
}

fn probes(place: &str) -> Vec<(&'static str, Cmd)> {
    let command = |words: &[&str]| {
        let mut command = Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        command
    };
    let nothing = "0000000000000000000000000000000000000000";
    // What the node's scripts call inside; none of it writes.
    let script = "redis.call('TIME') redis.call('INFO', 'server') redis.call('PUBSUB', 'NUMSUB', KEYS[1]) \
                  redis.call('HGETALL', KEYS[1]) redis.call('ZCARD', KEYS[1]) return redis.call('GET', KEYS[1])";
    vec![
        ("EVALSHA", command(&["EVALSHA", nothing, "0"])),
        ("EVAL", command(&["EVAL", script, "1", place])),
        ("XADD", command(&["XADD", place, "MAXLEN", "none", "*", "field", "value"])),
        ("XREAD", command(&["XREAD", "COUNT", "1", "STREAMS", place, "0"])),
        ("XRANGE", command(&["XRANGE", place, "-", "+", "COUNT", "1"])),
        ("XTRIM", command(&["XTRIM", place, "MAXLEN", "none"])),
        ("HINCRBY", command(&["HINCRBY", place, "field", "none"])),
        ("ZADD", command(&["ZADD", place, "none", "member"])),
        ("SET", command(&["SET", place, "value", "EX", "none"])),
        ("PUBLISH", command(&["PUBLISH", place, "doctor"])),
        ("PUBSUB", command(&["PUBSUB", "NUMSUB", place])),
    ]
}

async fn subscribe(client: &Client, channel: &str) -> Option<String> {
    let attempt = async {
        let mut subscriber = client.get_async_pubsub().await?;
        subscriber.subscribe(channel).await
    };
    match tokio::time::timeout(SUBSCRIBE_WAIT, attempt).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(refusal(&text(&error)).unwrap_or_else(|| text(&error))),
        Err(_) => Some("no answer".to_owned()),
    }
}

/// Why a probe shows that a command may not be called; `None` when its error is the one it was made for.
fn refusal(said: &str) -> Option<String> {
    if said.contains("NOPERM") || said.contains("permission") {
        Some("not permitted".to_owned())
    } else if said.contains("unknown command") || said.contains("Unknown Redis command") {
        Some("unknown or renamed".to_owned())
    } else {
        None
    }
}
