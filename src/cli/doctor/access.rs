//! Checks that the Redis user may call all commands that a node needs.
//!
//! 1. No probe leaves anything behind: it reads, removes a missing key, undoes its own write in the same script, or has an argument
//!    error that Redis reports only after it has checked the permission.
//! 2. The probes use keys and channels with the cluster's prefix, for which the permission is needed.

use super::{Check, text};
use crate::cluster::ids::ClusterName;
use crate::store::redis::Keys;
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, RedisError, Value};
use std::time::Duration;

const SUBSCRIBE_WAIT: Duration = Duration::from_secs(3);

pub(super) async fn checks(
    client: &Client,
    connection: &mut MultiplexedConnection,
    cluster: &ClusterName,
    confirmations: u32,
) -> Vec<Check> {
    let keys = Keys::new(cluster);
    let place = keys.doctor();
    let mut refused = Vec::new();
    for (name, probe) in probes(&place) {
        let answer: Result<Value, RedisError> = probe.query_async(connection).await;
        if let Some(why) = answer.err().and_then(|error| refusal(&text(&error))) {
            refused.push(format!("{name} ({why})"));
        }
    }
    for (name, probe) in confirming(confirmations) {
        let answer: Result<Value, RedisError> = probe.query_async(connection).await;
        if let Some(why) = answer.err().and_then(|error| refusal(&text(&error))) {
            refused.push(format!("{name} ({why}; redis.wait_replicas needs it)"));
        }
    }
    if let Some(why) = subscribe(client, &place).await {
        refused.push(format!("SUBSCRIBE ({why})"));
    }
    if refused.is_empty() {
        return vec![Check::ok("permissions", "this user may call all commands that a node needs")];
    }
    let fix = format!(
        "grant the user the permissions (ACL SETUSER NAME +@all -@dangerous +info ~{all} &{all}), or undo a rename-command",
        all = keys.pattern()
    );
    vec![Check::fail("permissions", format!("refused: {}", refused.join(", ")), fix)]
}

/// What only the confirmation of grants needs.
fn confirming(confirmations: u32) -> Vec<(&'static str, Cmd)> {
    let mut wait = Cmd::new();
    wait.arg("WAIT").arg(0).arg(1);
    if confirmations > 0 { vec![("WAIT", wait)] } else { Vec::new() }
}

fn probes(place: &str) -> Vec<(&'static str, Cmd)> {
    let command = |words: &[&str]| {
        let mut command = Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        command
    };
    // Commands without a harmless wrong argument: the script that writes also removes the key, atomically.
    let passing = |write: &str| command(&["EVAL", &format!("{write} return redis.call('DEL', KEYS[1])"), "1", place]);
    let nothing = "0000000000000000000000000000000000000000";
    // Harmless arguments: nothing is written, but Redis still checks the permission.
    let script = "redis.call('TIME') redis.call('INFO', 'server') return redis.call('ZCARD', KEYS[1])";
    vec![
        ("EVALSHA", command(&["EVALSHA", nothing, "0"])),
        ("SCRIPT LOAD", command(&["SCRIPT", "LOAD", script])),
        ("EVAL", command(&["EVAL", script, "1", place])),
        ("TIME", command(&["TIME"])),
        ("INFO", command(&["INFO", "server"])),
        ("PUBSUB NUMSUB", command(&["PUBSUB", "NUMSUB", place])),
        ("PUBSUB CHANNELS", command(&["PUBSUB", "CHANNELS", place])),
        ("PUBLISH", command(&["PUBLISH", place, "doctor"])),
        ("XADD", command(&["XADD", place, "MAXLEN", "none", "*", "field", "value"])),
        ("XDEL", command(&["XDEL", place, "none"])),
        ("XREAD", command(&["XREAD", "COUNT", "1", "STREAMS", place, "0"])),
        ("XRANGE", command(&["XRANGE", place, "-", "+", "COUNT", "1"])),
        ("XREVRANGE", command(&["XREVRANGE", place, "+", "-", "COUNT", "1"])),
        ("XSETID", command(&["XSETID", place, "none"])),
        ("RENAME", command(&["RENAME", place, place])),
        ("HSCAN", command(&["HSCAN", place, "0"])),
        ("SCAN", command(&["SCAN", "0", "COUNT", "1"])),
        ("SRANDMEMBER", command(&["SRANDMEMBER", place])),
        ("HSET", command(&["HSET", place, "field", "value", "odd"])),
        ("HMSET", command(&["HMSET", place, "field", "value", "odd"])),
        ("HDEL", command(&["HDEL", place, "field"])),
        ("HINCRBY", command(&["HINCRBY", place, "field", "none"])),
        ("HGET", command(&["HGET", place, "field"])),
        ("HMGET", command(&["HMGET", place, "field"])),
        ("HGETALL", command(&["HGETALL", place])),
        ("HEXISTS", command(&["HEXISTS", place, "field"])),
        ("ZADD", command(&["ZADD", place, "none", "member"])),
        ("ZREM", command(&["ZREM", place, "member"])),
        ("ZCARD", command(&["ZCARD", place])),
        ("ZSCORE", command(&["ZSCORE", place, "member"])),
        ("ZRANGE", command(&["ZRANGE", place, "0", "0"])),
        ("ZRANGEBYSCORE", command(&["ZRANGEBYSCORE", place, "0", "0"])),
        ("ZRANK", command(&["ZRANK", place, "member"])),
        ("GET", command(&["GET", place])),
        ("SET", command(&["SET", place, "value", "PX", "none"])),
        ("PERSIST", command(&["PERSIST", place])),
        ("PEXPIRE", command(&["PEXPIRE", place, "none"])),
        ("SADD", passing("redis.call('SADD', KEYS[1], 'member')")),
        ("SREM", command(&["SREM", place, "member"])),
        ("SMEMBERS", command(&["SMEMBERS", place])),
        ("SCARD", command(&["SCARD", place])),
        ("SPOP", command(&["SPOP", place])),
        ("DEL", command(&["DEL", place])),
        ("EXISTS", command(&["EXISTS", place])),
        ("HLEN", command(&["HLEN", place])),
        ("HSTRLEN", command(&["HSTRLEN", place, "field"])),
        ("HVALS", command(&["HVALS", place])),
        ("ZREVRANGE", command(&["ZREVRANGE", place, "0", "0"])),
        ("ZREMRANGEBYRANK", command(&["ZREMRANGEBYRANK", place, "0", "0"])),
        ("ZREMRANGEBYSCORE", command(&["ZREMRANGEBYSCORE", place, "0", "0"])),
        ("RPUSH", passing("redis.call('RPUSH', KEYS[1], 'entry')")),
        ("LRANGE", command(&["LRANGE", place, "0", "0"])),
        ("LTRIM", command(&["LTRIM", place, "0", "0"])),
        ("LLEN", command(&["LLEN", place])),
        ("LINDEX", command(&["LINDEX", place, "0"])),
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
        Err(_) => Some("no answer in time".to_owned()),
    }
}

/// Why a command may not be called; `None` if the probe's error is the expected one.
fn refusal(said: &str) -> Option<String> {
    if said.contains("NOPERM") || said.contains("permission") {
        Some("not permitted".to_owned())
    } else if said.contains("unknown command") || said.contains("Unknown Redis command") {
        Some("unknown or renamed".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    /// The files of a folder and of the folders in it.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("the scripts").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn every_command_of_the_scripts_is_probed() {
        let probed = probes("place");
        let scripts = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis/scripts"));
        assert!(scripts.len() > 20, "{scripts:?}");
        for file in scripts {
            let text = std::fs::read_to_string(&file).expect("a script");
            for call in text.split("call('").skip(1) {
                let name = call.split('\'').next().unwrap_or_default();
                let known = probed.iter().any(|(probe, _)| probe.split(' ').next() == Some(name));
                assert!(known, "{}: {name} is called and not probed", file.display());
            }
        }
    }

    #[test]
    fn the_user_that_the_documentation_shows_may_call_all_of_them() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/redis.md");
        let text = std::fs::read_to_string(page).expect("the page");
        let line = text.lines().find(|line| line.starts_with("ACL SETUSER clawster on")).expect("the user");
        let allowed: Vec<&str> = line.split(' ').collect();
        for (name, _) in probes("place") {
            let word = format!("+{}", name.to_lowercase().replace(' ', "|"));
            assert!(allowed.contains(&word.as_str()), "{word} is missing");
        }
    }
}
