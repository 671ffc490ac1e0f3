//! The node's view, as clients see it.
//!
//! 1. A role is evaluated at the time of the question; a status at the time of the view, never by a clock that continued
//!    while Redis was away.
//!
//! Not here: maintaining the view (`crate::cluster::members::view`).

use super::handle::{NodeView, Role, StateView};
use crate::cluster::ids::{ClusterName, Incarnation, NodeId};
use crate::cluster::members::view::ClusterView;
use crate::cluster::node::{Link, Node, Standing};
use crate::cluster::protocol::Instance;
use crate::cluster::time::Moment;
use crate::store::redis::Servers;
use std::time::Duration;

/// The state of the node at `now`.
pub(crate) fn of(cluster: &ClusterName, node: &Node, now: Moment) -> StateView {
    let me = match node.standing() {
        Standing::Member(instance) => Some(instance.node_id.clone()),
        _ => None,
    };
    let role = match &me {
        None => Role::Observer,
        Some(_) if node.leads(now) => Role::Leader,
        Some(_) => Role::Follower,
    };
    let mut state =
        from_view(cluster, node.view(), node.timing().heartbeat_interval, me, role, *node.link() == Link::Well);
    state.redis_trouble = node.link().trouble().map(|trouble| trouble.to_string());
    state.age = node.view_age(now);
    state
}

/// A view, as clients see it. `role` is that of `me`; the roles of others follow from the leader's record.
pub(crate) fn from_view(
    cluster: &ClusterName,
    view: &ClusterView,
    interval: Duration,
    me: Option<NodeId>,
    role: Role,
    redis_ok: bool,
) -> StateView {
    let granted = view.granted().filter(|record| record.holder.is_some());
    let holder = granted.and_then(|record| record.holder.as_ref());
    let nodes = view.members.values().map(|member| {
        // An event names the holder before its incarnation is known.
        let same = |h: &Instance| h.incarnation == member.incarnation || h.incarnation == Incarnation(0);
        let holds = holder.is_some_and(|h| h.node_id == member.node_id && same(h)) && member.is_live();
        let role = match &me {
            Some(id) if *id == member.node_id => role,
            _ if holds => Role::Leader,
            _ if member.is_live() => Role::Follower,
            _ => Role::Observer,
        };
        NodeView { member: member.clone(), status: member.status_at(view.as_of, interval), role }
    });
    StateView {
        cluster: cluster.clone(),
        node_id: me.clone(),
        role,
        leader_id: holder.map(|h| h.node_id.clone()),
        term: view.term,
        lease_expires_at: granted.map(|record| record.expires_at),
        nodes: nodes.collect(),
        redis_ok,
        redis_trouble: None,
        servers: Servers::default(),
        as_of: view.as_of,
        peers: None,
        age: Duration::ZERO,
    }
}
