//! What a sentinel says: the address of the primary, the epoch of its configuration, and its announcements.
//!
//! Not here: whom to believe (`mod.rs`).

use super::{HostPort, Opinion, connect, text};
use crate::cluster::protocol::Fault;
use crate::store::redis::faults::fault;
use crate::store::redis::target::{DEADLINE, Target};
use redis::aio::PubSubStream;
use redis::{Value, pipe};
use tokio::time::timeout;

/// The channel on which a sentinel announces that the primary is another server.
const SWITCHED: &str = "+switch-master";

/// Asks a sentinel for the primary with this name. During a failover it already names the promoted server, while the details that
/// contain the epoch are still those of the former one.
pub(super) async fn ask(target: &Target, node: HostPort, master_name: &str) -> Result<Opinion, Fault> {
    let mut connection = connect(&target.sentinel_client(&node)?).await?;
    let mut both = pipe();
    both.cmd("SENTINEL").arg("get-master-addr-by-name").arg(master_name);
    both.cmd("SENTINEL").arg("master").arg(master_name);
    let answers = connection.send_packed_commands(&both, 0, 2).await.map_err(|why| fault(&why))?;
    let mut answers = answers.into_iter();
    let address = answers.next().unwrap_or(Value::Nil).extract_error().map_err(|error| {
        if error.detail().is_some_and(|text| text.starts_with("unknown command")) {
            return Fault::Unavailable("it is no sentinel; correct redis.nodes, or redis.mode".to_owned());
        }
        fault(&error)
    })?;
    let primary = match &address {
        Value::Array(parts) => match (parts.first().and_then(text), parts.get(1).and_then(text)) {
            (Some(host), Some(port)) => port.parse().ok().map(|port| (host.to_owned(), port)),
            _ => None,
        },
        _ => None,
    };
    let Some(primary) = primary else {
        let why = format!("it knows no primary named {master_name:?}; correct redis.master_name");
        return Err(Fault::Unavailable(why));
    };
    Ok(Opinion { primary, epoch: answers.next().map_or(0, |details| epoch(&details)) })
}

/// The epoch in the details of a primary; 0 where they are forbidden or lack it.
fn epoch(details: &Value) -> u64 {
    let Value::Array(fields) = details else { return 0 };
    let pairs = fields.chunks_exact(2);
    let found =
        pairs.filter(|pair| text(&pair[0]) == Some("config-epoch")).find_map(|pair| text(&pair[1])?.parse().ok());
    found.unwrap_or(0)
}

/// Subscribes to the announcements of a sentinel.
pub(super) async fn subscribe(target: &Target, node: &HostPort) -> Result<PubSubStream, Fault> {
    let client = target.sentinel_client(node)?;
    let opening = async {
        let mut pubsub = client.get_async_pubsub().await?;
        pubsub.subscribe(SWITCHED).await?;
        Ok(pubsub.split().1)
    };
    match timeout(DEADLINE, opening).await {
        Ok(outcome) => outcome.map_err(|why: redis::RedisError| fault(&why)),
        Err(_) => Err(Fault::Unavailable("no answer in time".to_owned())),
    }
}

/// Whether an announcement is about this primary: `<name> <old host> <old port> <new host> <new port>`.
pub(super) fn is_about(announcement: &[u8], master_name: &str) -> bool {
    announcement.strip_prefix(master_name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_of_other_primaries_are_passed_over() {
        assert!(is_about(b"mymaster 127.0.0.1 1 127.0.0.1 2", "mymaster"));
        assert!(!is_about(b"mymaster2 127.0.0.1 1 127.0.0.1 2", "mymaster"));
        assert!(!is_about(b"mymaster", "mymaster"));
    }

    #[test]
    fn the_epoch_is_read_where_it_is_told() {
        let word = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let details = Value::Array(vec![word("name"), word("m"), word("config-epoch"), word("7")]);
        assert_eq!([epoch(&details), epoch(&Value::Nil), epoch(&Value::Array(vec![word("config-epoch")]))], [7, 0, 0]);
    }
}
