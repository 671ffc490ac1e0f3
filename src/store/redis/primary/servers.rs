//! What is known of the servers: the primary, its replicas, and the last promotion.
//!
//! 1. A promotion counts once a connection to the new primary is open; connections of one store to one primary are one promotion.
//!
//! Not here: finding the primary (`mod.rs`).

use crate::cluster::protocol::ServerId;
use crate::cluster::time::Moment;
use crate::store::redis::target::Address;
use std::time::Duration;

/// A promotion, as this process saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// The address of the former primary.
    pub from: String,
    /// The address of the new one.
    pub to: String,
    /// The server process of the new one.
    pub run_id: String,
    /// How long this process had no primary: from the first failure to the open connection.
    pub without: Duration,
}

/// A replica, as its primary reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its address.
    pub address: String,
    /// Whether it follows the primary at the moment.
    pub online: bool,
    /// How many bytes of the replication stream it has not confirmed.
    pub lag_bytes: u64,
}

/// What is known of several servers; all empty with one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Servers {
    /// The address of the primary.
    pub primary: Option<String>,
    /// How many promotions this process saw.
    pub failovers: u64,
    /// The last one.
    pub last: Option<Failover>,
    /// The replicas, at the last look.
    pub replicas: Vec<Replica>,
}

impl Servers {
    /// Called with each connection that was opened; `since`: when the primary failed. Returns whether it is another primary.
    pub(super) fn opened(&mut self, address: &Address, server: &ServerId, since: Option<Moment>, now: Moment) -> bool {
        let to = address.to_string();
        let Some(from) = self.primary.replace(to.clone()).filter(|from| *from != to) else { return false };
        let without = since.map(|since| now.since(since)).unwrap_or_default();
        self.failovers += 1;
        self.last = Some(Failover { from, to, run_id: server.0.clone(), without });
        self.replicas.clear();
        true
    }
}

/// The replicas in the section `replication` of INFO.
pub(super) fn replicas(info: &str) -> Vec<Replica> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let written = info.lines().find_map(|line| number(line.strip_prefix("master_repl_offset:")?)).unwrap_or(0);
    let rows = info.lines().filter_map(|line| {
        let (name, row) = line.trim().split_once(':')?;
        name.strip_prefix("slave")?.parse::<u32>().ok()?;
        let field = |name: &str| row.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        Some(Replica {
            address: format!("{}:{}", field("ip")?, field("port")?),
            online: field("state") == Some("online"),
            lag_bytes: written.saturating_sub(field("offset").and_then(number).unwrap_or(0)),
        })
    });
    rows.take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_address_is_a_promotion() {
        let at = |port| Address::Tcp { host: "h".to_owned(), port, tls: false };
        let (mut servers, run, now) = (Servers::default(), ServerId("r".to_owned()), Moment(Duration::from_secs(9)));
        assert!(!servers.opened(&at(1), &run, None, now) && !servers.opened(&at(1), &run, Some(now), now));
        assert!(servers.opened(&at(2), &run, Some(Moment(Duration::from_secs(7))), now));
        assert!(!servers.opened(&at(2), &run, None, now), "a second connection to it");
        let last = servers.last.expect("a promotion");
        assert_eq!((last.from.as_str(), last.to.as_str(), last.without.as_secs()), ("h:1", "h:2", 2));
        assert_eq!(servers.failovers, 1);
    }

    #[test]
    fn replicas_and_their_lag_are_read() {
        let info = "role:master\r\nconnected_slaves:2\r\nslave0:ip=10.0.0.2,port=6379,state=online,offset=90,lag=0\r\n\
                    slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r\nmaster_repl_offset:100\r\n";
        let found = replicas(info);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].address.as_str(), found[0].online, found[0].lag_bytes), ("10.0.0.2:6379", true, 10));
        assert_eq!((found[1].online, found[1].lag_bytes), (false, 100));
    }
}
