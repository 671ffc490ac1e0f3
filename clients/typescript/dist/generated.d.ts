/** A member of the cluster. */
export interface Node {
    /** What the node can do; tasks can require it. */
    capabilities: string[];
    /** Where the node's gateway can be reached; free text. */
    endpoint: string | null;
    /** The incarnation of the node; it rises with every start of the process. */
    incarnation: number;
    /** When this incarnation joined, in milliseconds of the Redis server's clock. */
    joined_at_ms: number;
    /** Labels of the node; tasks can require them. */
    labels: Record<string, string>;
    /** When its last heartbeat arrived, in milliseconds of the Redis server's clock. */
    last_seen_ms: number;
    /** The display name of the node; its id if no name was given. */
    name: string;
    /** The stable id of the node. */
    node_id: string;
    /** The role of the node. */
    role: "leader" | "follower" | "observer";
    /** Whether the node is alive. */
    status: "online" | "draining" | "suspect" | "offline" | "left";
    /** The version of clawster that the node runs. */
    version: string;
}
/** The result of `distributed.join_cluster`. */
export interface JoinResult {
    /** The name of the cluster. */
    cluster: string;
    /** The incarnation of this node; it rises with every start of the process. */
    incarnation: number;
    /** When this node joined, in milliseconds of the Redis server's clock. */
    joined_at_ms: number;
    /** The node id of the leader; null: none is known. */
    leader_id: string | null;
    /** The id of this node. */
    node_id: string;
    /** All members. */
    nodes: Node[];
    /** The highest term that this node knows. */
    term: number;
}
/** The result of `distributed.leave_cluster`. */
export interface LeaveResult {
    /** When the node left, in milliseconds of the Redis server's clock. */
    left_at_ms: number;
    /** The id of the node that left. */
    node_id: string;
    /** Whether the node was leader and resigned. */
    resigned: boolean;
}
/** The Redis that the cluster uses. */
export interface RedisInfo {
    /** The mode of Redis: `standalone`, `sentinel`, `cluster` or `embedded`. */
    mode: string;
    /** Whether Redis works for this node. */
    status: "ok" | "unavailable";
    /** What is wrong and what to do, in one sentence; absent when Redis works. */
    trouble?: string | null;
}
/** The result of `distributed.get_cluster_state`. */
export interface ClusterState {
    /** The age of the view by the node's own clock: the leader's lease has `lease_expires_at_ms - as_of_ms -
     * age_ms` left. */
    age_ms: number;
    /** The time of the view, in milliseconds of the Redis server's clock. */
    as_of_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The node id of the holder of the leader's lease; null: there is none. */
    leader_id: string | null;
    /** When the leader's lease expires, in milliseconds of the Redis server's clock; null: there is no leader. */
    lease_expires_at_ms: number | null;
    /** With `metrics`: the metrics of this node, under their Prometheus names including labels. */
    metrics?: Record<string, number> | null;
    /** The id of this node; null while it is not a member. */
    node_id: string | null;
    /** All members, by id. */
    nodes: Node[];
    /** The Redis that the cluster uses. */
    redis: RedisInfo;
    /** The role of this node, checked at the time of the answer. */
    role: "leader" | "follower" | "observer";
    /** The highest term that this node knows. */
    term: number;
}
/** The result of `distributed.elect_leader`. */
export interface ElectResult {
    /** Whether this call led to the term. */
    changed: boolean;
    /** The node id of the leader. */
    leader_id: string;
    /** When the leader's lease expires, in milliseconds of the Redis server's clock. */
    lease_expires_at_ms: number;
    /** The term of the leader. */
    term: number;
}
/** A message with an id. */
export interface SyncMessagesMessages {
    /** The id of the message. The same id from the same sender within 24 hours is a duplicate and is not sent
     * again. */
    id: string;
    /** The content: any JSON value. */
    payload: unknown;
    /** The ids of the members to send to. Default: all others. */
    to?: string[] | null;
    /** The topic; free text for the receivers. */
    topic?: string | null;
}
/** The messages that were lost before this node read them; repeated until acknowledged. */
export interface SyncResultGap {
    /** The number of missed positions; null: unknown. */
    count: number | null;
    /** The first missed position, as `<seq>-0`. */
    from: string;
    /** The last missed position, as `<seq>-0`. */
    to: string;
}
/** A received message. */
export interface Received {
    /** The position of the message in the total order, as `<seq>-0`. */
    entry_id: string;
    /** The node id of the sender. */
    from: string;
    /** The id that the sender gave the message. */
    id: string;
    /** The content. */
    payload: unknown;
    /** When the message entered the stream, in milliseconds of the Redis server's clock. */
    sent_at_ms: number;
    /** The ids of the members that it was sent to; null: all others. */
    to: string[] | null;
    /** The topic; null: the sender gave none. */
    topic: string | null;
}
/** The result of `distributed.sync_messages`. */
export interface SyncResult {
    /** The cursor to pass as `ack` to acknowledge everything received. */
    cursor: string;
    /** How many of the given messages are duplicates, which were not sent again. */
    duplicates: number;
    /** For each given message its position as `<seq>-0`; null: not known yet. */
    entry_ids: (string | null)[];
    /** The messages that were lost before this node read them; repeated until acknowledged. */
    gap: SyncResultGap;
    /** Whether more messages wait. */
    more: boolean;
    /** How many of the given messages are in the stream now. */
    published: number;
    /** How many of the given messages wait in the outbox. */
    queued: number;
    /** The received messages. */
    received: Received[];
}
/** The result of `distributed.acquire_lease`. */
export interface AcquireResult {
    /** Whether the caller now holds the lease. */
    acquired: boolean;
    /** When the lease expires unless it is renewed, in milliseconds of the Redis server's clock; null: the lease
     * is free. */
    expires_at_ms: number | null;
    /** The node id of the holder; null: the lease is free. */
    holder: string | null;
    /** The name of the lease. */
    name: string;
    /** The fencing token of the current holder. Every grant in the cluster has a higher token than all grants
     * before it. Null: the lease is free. */
    token: number | null;
}
/** The result of `distributed.renew_lease`. */
export interface RenewResult {
    /** When the lease expires unless it is renewed again, in milliseconds of the Redis server's clock. */
    expires_at_ms: number;
    /** The name of the lease. */
    name: string;
    /** The token of the lease; a renewal does not change it. */
    token: number;
}
/** The result of `distributed.release_lease`. */
export interface ReleaseResult {
    /** The name of the lease. */
    name: string;
    /** Always true: a stale token is an error. */
    released: boolean;
}
/** The result of `distributed.check_lease`. */
export interface CheckResult {
    /** Whether the token holds the lease at this instant. */
    valid: boolean;
}
/** The answer for one of several keys. */
export interface OnceAnswer {
    /** When the key was granted, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The node that the key was granted to. */
    by: string;
    /** Whether the key was granted to the caller. */
    granted: boolean;
    /** The key. */
    key: string;
}
/** The result of `distributed.run_once`, for one key or for several. */
export interface OnceResult {
    /** When the key was granted, in milliseconds of the Redis server's clock. */
    at_ms?: number;
    /** The node that the key was granted to. */
    by?: string;
    /** Whether the key was granted to the caller. */
    granted?: boolean;
    /** One answer for each key, in the order of the keys. */
    results?: OnceAnswer[];
}
/** The requirements on the node that gets the task. Default: any node. */
export interface SubmitTaskRequires {
    /** Capabilities that the node must have. */
    capabilities?: string[] | null;
    /** Labels that the node must have, with these values. */
    labels?: Record<string, string> | null;
    /** The id of the only node that may get the task. */
    node_id?: string | null;
}
/** The result of `distributed.submit_task`. */
export interface SubmitResult {
    /** Whether a task with this id already existed; then nothing was changed. */
    duplicate: boolean;
    /** The id of the task, given or generated. */
    task_id: string;
}
/** A task that the caller has claimed. */
export interface ClaimedTask {
    /** The number of this attempt, from 1. */
    attempt: number;
    /** When this attempt times out unless it is extended, in milliseconds of the Redis server's clock. */
    expires_at_ms: number;
    /** The kind of work. */
    kind: string;
    /** The payload that was submitted. */
    payload: unknown;
    /** The id of the task. */
    task_id: string;
    /** The token that proves the claim; a later claim has a higher token. */
    token: number;
}
/** The result of `distributed.claim_tasks`. */
export interface ClaimResult {
    /** The claimed tasks, highest priority first; empty if none became ready in time, or while the node is
     * draining. */
    tasks: ClaimedTask[];
}
/** The result of `distributed.extend_task`. */
export interface ExtendResult {
    /** When this attempt now times out unless it is extended again, in milliseconds of the Redis server's clock. */
    expires_at_ms: number;
    /** The id of the task. */
    task_id: string;
}
/** The result of `distributed.complete_task`, `fail_task`, `cancel_task` and `redrive_task`. */
export interface StateResult {
    /** The new state of the task. */
    state: "waiting" | "delayed" | "running" | "done" | "failed" | "dead";
    /** The id of the task. */
    task_id: string;
}
/** The requirements on the node that gets the task. */
export interface TaskDetailsRequires {
    /** Capabilities that the node must have. */
    capabilities?: string[] | null;
    /** Labels that the node must have, with these values. */
    labels?: Record<string, string> | null;
    /** The id of the only node that may get the task. */
    node_id?: string | null;
}
/** The result of `distributed.get_task`. */
export interface TaskDetails {
    /** The number of attempts so far. */
    attempts: number;
    /** When the task entered its state, in milliseconds of the Redis server's clock. */
    changed_at_ms: number;
    /** When the task was submitted, in milliseconds of the Redis server's clock. */
    created_at_ms: number;
    /** When a `delayed` task becomes ready, or the attempt of a `running` one times out, in milliseconds of the
     * Redis server's clock. */
    due_at_ms: number | null;
    /** Why the last attempt failed; null: it did not. */
    error: string | null;
    /** The kind of work. */
    kind: string;
    /** The maximum number of attempts. */
    max_attempts: number;
    /** The id of the node that has claimed the task, or was the last to do so; null: none was. */
    node_id: string | null;
    /** The payload that was submitted. */
    payload: unknown;
    /** The priority; higher ones are claimed first. */
    priority: number;
    /** The requirements on the node that gets the task. */
    requires: TaskDetailsRequires;
    /** The result, once the task is done. */
    result: unknown;
    /** The state of the task. */
    state: "waiting" | "delayed" | "running" | "done" | "failed" | "dead";
    /** The id of the node that submitted the task. */
    submitted_by: string;
    /** The id of the task. */
    task_id: string;
    /** How long one attempt may take without an extension, in milliseconds. */
    timeout_ms: number;
    /** The token of the last claim, for comparing. Only the node that claimed the task can settle it with this
     * token. */
    token: number | null;
}
/** The requirements on the node that gets the task. */
export interface TaskSummaryRequires {
    /** Capabilities that the node must have. */
    capabilities?: string[] | null;
    /** Labels that the node must have, with these values. */
    labels?: Record<string, string> | null;
    /** The id of the only node that may get the task. */
    node_id?: string | null;
}
/** A task in a list. */
export interface TaskSummary {
    /** The number of attempts so far. */
    attempts: number;
    /** When the task entered its state, in milliseconds of the Redis server's clock. */
    changed_at_ms: number;
    /** When the task was submitted, in milliseconds of the Redis server's clock. */
    created_at_ms: number;
    /** When a `delayed` task becomes ready, or the attempt of a `running` one times out, in milliseconds of the
     * Redis server's clock. */
    due_at_ms: number | null;
    /** Why the last attempt failed; null: it did not. */
    error: string | null;
    /** The kind of work. */
    kind: string;
    /** The maximum number of attempts. */
    max_attempts: number;
    /** The id of the node that has claimed the task, or was the last to do so; null: none was. */
    node_id: string | null;
    /** The priority; higher ones are claimed first. */
    priority: number;
    /** The requirements on the node that gets the task. */
    requires: TaskSummaryRequires;
    /** The state of the task. */
    state: "waiting" | "delayed" | "running" | "done" | "failed" | "dead";
    /** The id of the node that submitted the task. */
    submitted_by: string;
    /** The id of the task. */
    task_id: string;
    /** How long one attempt may take without an extension, in milliseconds. */
    timeout_ms: number;
    /** The token of the last claim, for comparing. Only the node that claimed the task can settle it with this
     * token. */
    token: number | null;
}
/** The result of `distributed.list_tasks`. */
export interface ListResult {
    /** Whether there are more tasks than `limit`. */
    more: boolean;
    /** The tasks, newest first. */
    tasks: TaskSummary[];
}
/** The result of `distributed.drain`. */
export interface DrainResult {
    /** Whether the node is draining now. */
    draining: boolean;
    /** How many leases are held under this node's id. */
    leases: number;
    /** The id of this node. */
    node_id: string;
    /** How many tasks are running on this node. */
    running_tasks: number;
}
/** A recorded heartbeat. */
export interface Heartbeat {
    /** When Redis accepted the heartbeat, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The number of attempts that the heartbeat took. */
    attempts: number;
    /** The time from when the heartbeat was due to its answer, in milliseconds, to a tenth. */
    delay_ms: number;
    /** The incarnation of the node; it rises with every start of the process. */
    incarnation: number;
    /** The heartbeat interval, in milliseconds. */
    interval_ms: number;
    /** The number of messages that the node had not acknowledged. */
    lag: number;
    /** The holder of the leader's lease that the node knew; null: none. */
    leader_id: string | null;
    /** The resident memory of the node's process in bytes; 0: unknown. */
    memory_bytes: number;
    /** The node that sent the heartbeat. */
    node_id: string;
    /** The number of the heartbeat within its incarnation, from 1. */
    number: number;
    /** The role of the node at that time. */
    role: "leader" | "follower";
    /** The time from sending the successful attempt to its answer, in milliseconds, to a tenth. */
    round_trip_ms: number;
    /** The highest term that the node knew. */
    term: number;
    /** The version of clawster that the node ran. */
    version: string;
}
/** A change of the leader. */
export interface Failover {
    /** When the new leader was elected. */
    at_ms: number;
    /** The last sign that the old leader was leading: its last recorded heartbeat as leader, or its election if
     * that was just before. Null: none is recorded. */
    last_sign_ms: number | null;
    /** The node id of the new leader. */
    leader_id: string;
    /** Whether the change was requested, or the old leader left. */
    planned: boolean;
    /** The node id of the previous leader. */
    previous_leader_id: string;
    /** Why there was an election. */
    reason: "vacant" | "expired" | "process_died" | "handover" | "resigned" | "other";
    /** The term of the new leader. */
    term: number;
    /** The maximum time without a leader, from that sign to the election. It equals `vacant_ms` if that is
     * known. Null: neither is known. */
    vacant_at_most_ms: number | null;
    /** How long there was no leader; null: it is not recorded when the old leader stopped. */
    vacant_ms: number | null;
}
/** A span in which a node was not a live member. */
export interface Absence {
    /** Whether the node came back at the end of the span. */
    back: boolean;
    /** Whether the node was down and came back within five minutes. */
    flap: boolean;
    /** When the node went away. */
    from_ms: number;
    /** Why the node was away. */
    reason: "left" | "heartbeat_timeout" | "process_died" | "replaced" | "silent" | "unknown";
    /** When the node came back, or the end of the window. */
    to_ms: number;
}
/** The delay between when heartbeats were due and when they were answered; null: none is recorded. */
export interface NodeHistoryDelayMs {
    /** The maximum. */
    max: number;
    /** The median. */
    p50: number;
    /** The 95th percentile. */
    p95: number;
    /** The 99th percentile. */
    p99: number;
}
/** A span with missing heartbeats. */
export interface MissingBeats {
    /** The heartbeat before the gap, or the start of the window. */
    from_ms: number;
    /** The approximate number of missing heartbeats. */
    missed: number;
    /** The heartbeat after the gap, or the end of the window. */
    to_ms: number;
}
/** A span of time. */
export interface Span {
    /** The start. */
    from_ms: number;
    /** The end. */
    to_ms: number;
}
/** The round trips of heartbeats; null: none is recorded. */
export interface NodeHistoryRoundTripMs {
    /** The maximum. */
    max: number;
    /** The median. */
    p50: number;
    /** The 95th percentile. */
    p95: number;
    /** The 99th percentile. */
    p99: number;
}
/** The history of one node. */
export interface NodeHistory {
    /** The fraction (0 to 1) of the window, since the node first joined in it, during which it was online. Time
     * after a regular leave does not count. Null: no time is left to count. */
    availability: number | null;
    /** The spans in which the node was away after having been online. */
    away: Absence[];
    /** The number of all times that the node was away. */
    away_count: number;
    /** The number of recorded heartbeats, including up to ten minutes before the window. */
    beats: number;
    /** The delay between when heartbeats were due and when they were answered; null: none is recorded. */
    delay_ms: NodeHistoryDelayMs;
    /** How long the node was down: offline without having left. */
    down_ms: number;
    /** How often the node was down and came back within five minutes. */
    flaps: number;
    /** The number of those gaps, at least. */
    gap_count: number;
    /** The spans in which heartbeats are missing although the node was a member. */
    gaps: MissingBeats[];
    /** The display name of the node; its id if it has none. */
    name: string;
    /** The id of the node. */
    node_id: string;
    /** The spans in which the node was online. */
    online: Span[];
    /** How long the node was online. */
    online_ms: number;
    /** The number of heartbeats that needed more than one attempt. */
    retried: number;
    /** The round trips of heartbeats; null: none is recorded. */
    round_trip_ms: NodeHistoryRoundTripMs;
    /** The status of the node at the end of the window. */
    status: "online" | "offline" | "left";
    /** The versions of clawster that the node ran, newest last. */
    versions: string[];
}
/** The time of one leader in one term. */
export interface Reign {
    /** How leadership ended. */
    end: "leads" | "lost" | "followed" | "gone" | "unknown";
    /** The start of leadership. */
    from_ms: number;
    /** The node id of the leader. */
    node_id: string;
    /** Why the leader gave leadership up; null if it did not. */
    reason: "handover" | "resigned" | "replaced" | "other" | null;
    /** The term; null: unknown, as only the fact that this node led is recorded. */
    term: number | null;
    /** The end of leadership; with `followed`, the last known heartbeat as leader, or the next election. */
    to_ms: number;
}
/** The report, if it was requested. */
export interface HistoryReport {
    /** The time of the oldest recorded heartbeat in the window; null: there is none. */
    beats_since_ms: number | null;
    /** When the cluster started over because Redis had lost its data. */
    data_lost_at_ms: number[];
    /** The number of all changes of leader. */
    failover_count: number;
    /** The changes of leader in order of time. */
    failovers: Failover[];
    /** The start of the window, in milliseconds of the Redis server's clock. */
    from_ms: number;
    /** Since when there has been no leader; null: there is one, or there never was one. */
    leaderless_since_ms: number | null;
    /** The nodes that were members at some time within the window, by id. */
    nodes: NodeHistory[];
    /** The leaders in order of time. */
    reigns: Reign[];
    /** The maximum by which the Redis server's clock was set back; times near that are not exact. 0: it was not
     * set back. */
    set_back_ms: number;
    /** The end of the window, which is now. */
    to_ms: number;
    /** The parts of the window without recorded events; there, only heartbeats are known. */
    unrecorded: Span[];
}
/** The result of `distributed.get_history`. */
export interface HistoryResult {
    /** The heartbeats, newest last. */
    entries: Heartbeat[];
    /** Whether older heartbeats were left out. */
    more: boolean;
    /** The report, if it was requested. */
    report?: HistoryReport;
    /** The store that answered. */
    source: "mongodb" | "redis";
}
/** The result of `cluster.heartbeat`. */
export interface HeartbeatResult {
    /** When Redis accepted the heartbeat, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The number of attempts that the heartbeat took. */
    attempts: number;
    /** The incarnation of this node; it rises with every start of the process. */
    incarnation: number;
    /** The node id of the leader; null: there is none. */
    leader_id: string | null;
    /** The id of this node. */
    node_id: string;
    /** The role of this node. */
    role: "leader" | "follower" | "observer";
    /** The round trip to Redis, in milliseconds with fractions. */
    round_trip_ms: number;
    /** The highest term that this node knows. */
    term: number;
}
/** A node became a member. */
export interface NodeJoined {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.node_joined";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The incarnation of the node; it rises with every start of the process. */
    incarnation: number;
    /** The display name of the node. */
    name: string;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** Whether the cluster knew the node id before. */
    rejoined: boolean;
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
}
/** A node stopped being a live member. */
export interface NodeLeft {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.node_left";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The incarnation of the node; it rises with every start of the process. */
    incarnation: number;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** Why the node is no longer a live member. */
    reason: "left" | "heartbeat_timeout" | "process_died" | "replaced" | "other";
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
}
/** A leader was granted a term. */
export interface LeaderElected {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.leader_elected";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The node id of the new leader. */
    leader_id: string;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** The node id of the previous leader; null: there was none. */
    previous_leader_id: string | null;
    /** Why there was an election. */
    reason: "vacant" | "expired" | "process_died" | "handover" | "resigned" | "other";
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
    /** The term of the new leader. */
    term: number;
}
/** Leadership became vacant. */
export interface LeaderLost {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.leader_lost";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The node id of the former leader. */
    leader_id: string;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** Why leadership became vacant. */
    reason: "handover" | "resigned" | "replaced" | "other";
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
    /** The term that ended. */
    term: number;
}
/** Tasks of this kind became available after there were none to claim. Only the first such task is announced. */
export interface TaskAvailable {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.task_available";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The kind of the task. */
    kind: string;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
    /** The id of the task. */
    task_id: string;
}
/** All attempts of a task failed. */
export interface TaskDead {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.task_dead";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The kind of the task. */
    kind: string;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
    /** The id of the task. */
    task_id: string;
}
/** This node sent or received a batch of messages. */
export interface SyncComplete {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The number of messages. */
    count: number;
    /** Whether the messages were sent or received. */
    direction: "sent" | "received";
    /** The name of the event. */
    event: "cluster.sync_complete";
    /** The position of the first message, as `<seq>-0`. */
    first_entry_id: string;
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The position of the last message, as `<seq>-0`. */
    last_entry_id: string;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
}
/** A message arrived; it is not acknowledged by this event. */
export interface MessageCame {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.message";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The message. */
    message: Received;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
}
/** Redis stopped working for this node. Each outage is reported once, and `cluster.recovered` reports its end. */
export interface Degraded {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** What is wrong and what to do, in one sentence. */
    detail: string;
    /** The name of the event. */
    event: "cluster.degraded";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** The kind of trouble. */
    reason: "unreachable" | "refuses_writes" | "full";
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
}
/** Redis accepted a heartbeat of this node again. */
export interface Recovered {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.recovered";
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
}
/** Events were trimmed or lost before this subscriber saw them. Both ends are included. */
export interface GapSeen {
    /** When the event happened, in milliseconds of the Redis server's clock. */
    at_ms: number;
    /** The name of the cluster. */
    cluster: string;
    /** The name of the event. */
    event: "cluster.gap";
    /** The position of the first missed event. */
    from_seq: number;
    /** The position of the event as `<seq>-0`, to pass as `after`; null for a local event and a gap. */
    id: string | null;
    /** The node that the event is about. For a local event: this node, or null while it is not a member. */
    node_id: string | null;
    /** The position of the event in the order that all nodes see; null for a local event and a gap. */
    seq: number | null;
    /** The position of the last missed event. */
    to_seq: number;
}
/** The type of each event, by its name. */
export interface Events {
    "cluster.node_joined": NodeJoined;
    "cluster.node_left": NodeLeft;
    "cluster.leader_elected": LeaderElected;
    "cluster.leader_lost": LeaderLost;
    "cluster.task_available": TaskAvailable;
    "cluster.task_dead": TaskDead;
    "cluster.sync_complete": SyncComplete;
    "cluster.message": MessageCame;
    "cluster.degraded": Degraded;
    "cluster.recovered": Recovered;
    "cluster.gap": GapSeen;
}
/** Any event of the cluster; `event` is its name. */
export type AnyEvent = Events[keyof Events];
/** The codes of errors, by their kind. */
export declare const ERROR_CODES: {
    readonly not_joined: -32001;
    readonly redis_unavailable: -32002;
    readonly node_id_in_use: -32003;
    readonly unknown_node: -32004;
    readonly message_too_large: -32005;
    readonly overloaded: -32006;
    readonly stale_token: -32007;
    readonly not_configured: -32008;
    readonly not_found: -32009;
    readonly timeout: -32011;
    readonly invalid_request: -32600;
    readonly method_not_found: -32601;
    readonly invalid_params: -32602;
    readonly internal_error: -32603;
    readonly parse_error: -32700;
};
/** The kinds of errors. */
export type ErrorKind = keyof typeof ERROR_CODES;
/** Sends a call and returns its result. */
export type Call = (method: string, params: object) => Promise<unknown>;
/** The methods `distributed.…`. */
export declare class Distributed {
    #private;
    constructor(call: Call);
    /** Join the cluster. Makes this node a member. Joining again under the same node id updates the metadata;
     * under another node id it renames the node. A node id that another live process holds is refused unless
     * force is given. */
    joinCluster(params?: {
        /** The node id to join under. Default: the configured one, else a generated one. A member that joins under
         * another id is renamed. */
        node_id?: string;
        /** The display name of the node. */
        name?: string;
        /** Where the gateway can be reached; free text. */
        endpoint?: string;
        /** What the node can do; tasks can require it. */
        capabilities?: string[];
        /** Labels of the node; tasks can require them. */
        labels?: Record<string, string>;
        /** Take over the node id even if another live process holds it. */
        force?: boolean;
    }): Promise<JoinResult>;
    /** Leave the cluster. Takes this node out of the cluster. A leader resigns first, so that another node can
     * take over at once. */
    leaveCluster(): Promise<LeaveResult>;
    /** Show the members, the leader and this node's role. Answers from the local view, which is at most one
     * heartbeat old. With fresh it asks Redis, and fails while Redis does not answer. With metrics the answer
     * includes the metrics of this node. */
    getClusterState(params?: {
        /** Ask Redis now instead of answering from the local view. Fails while Redis does not answer. */
        fresh?: boolean;
        /** Also return the metrics of this node: heartbeats, messages, tasks, requests and calls to Redis. */
        metrics?: boolean;
    }): Promise<ClusterState>;
    /** Show the leader, or hand leadership over. Without force, and if the leader is alive, the call returns
     * that leader. With force it hands leadership over to the candidate, or to this node, under a new term,
     * after the old leader has stopped leading. */
    electLeader(params?: {
        /** The live member to become leader. Default: this node. */
        candidate?: string;
        /** Hand leadership over even if the current leader is alive. Default: false. */
        force?: boolean;
    }): Promise<ElectResult>;
    /** Send and receive messages. Sends messages to all other members, or to those in to, and receives the
     * messages after the acknowledged cursor of this node. With auto_ack, received messages count as
     * acknowledged once the answer has been written; without it, they are received again until a call passes
     * ack. */
    syncMessages(params?: {
        /** The messages to send, in this order: any JSON values, or named messages. */
        messages?: unknown[];
        /** The maximum number of messages to receive. Default: the configured batch size. 0: receive none. */
        limit?: number;
        /** How long to wait for a message to receive, in milliseconds, at most one hour. */
        wait_ms?: number;
        /** Whether received messages count as acknowledged once the answer has been written. */
        auto_ack?: boolean;
        /** First acknowledge everything up to this cursor. */
        ack?: string;
    }): Promise<SyncResult>;
    /** Acquire a lease, or wait for it. Grants a named lease to one caller in the cluster at a time. Each grant
     * has a higher token than all grants before it: pass the token to the system that the lease protects, so
     * that it can refuse late writes. With wait_ms the caller waits in a queue, first come, first served. The
     * lease ends when ttl_ms passes without a renewal, when it is released, and when the process of the node
     * dies. A repeated request_id returns the first grant again. The lease named leader is the leadership of
     * the cluster. */
    acquireLease(params: {
        /** The name of the lease: 1 to 128 characters of a-z, A-Z, 0-9, `.`, `_`, `-`, `:` and `/`. */
        name: string;
        /** How long the lease lasts without a renewal, in milliseconds. */
        ttl_ms: number;
        /** How long to wait in the queue for the lease, in milliseconds, at most one hour. 0: do not wait. */
        wait_ms?: number;
        /** An id of your choice for this call. A repeated call with the same id returns the first grant instead of
         * a second one. */
        request_id?: string;
    }): Promise<AcquireResult>;
    /** Renew a lease. Extends a lease that this node holds under the token. Only the node that was granted the
     * lease can renew it; the token of another node is refused as stale. */
    renewLease(params: {
        /** The name of the lease. */
        name: string;
        /** The token that the lease was granted with. */
        token: number;
        /** How long the lease lasts from now on, in milliseconds. Default: as long as before. */
        ttl_ms?: number;
    }): Promise<RenewResult>;
    /** Release a lease. Ends a lease that this node holds under the token; the first waiter gets it at once.
     * Only the node that was granted the lease can release it; the token of another node is refused as stale.
     * Releasing a lease again is not an error while nobody else has been granted it. */
    releaseLease(params: {
        /** The name of the lease. */
        name: string;
        /** The token that the lease was granted with. */
        token: number;
    }): Promise<ReleaseResult>;
    /** Check whether a token still holds its lease. Asks Redis, never the local view. Any node can check any
     * token. For the lease named leader the token is the term. */
    checkLease(params: {
        /** The name of the lease. */
        name: string;
        /** The token that the lease was granted with. */
        token: number;
    }): Promise<CheckResult>;
    /** Do something once in the cluster. Grants a key to exactly one caller in the cluster until ttl_ms has
     * passed. With keys instead of key, each key is granted on its own. A repeated request_id of the same node
     * gets its grants again. */
    runOnce(params: {
        /** The key, which names the thing to do once. Null with `keys`. */
        key?: string;
        /** How long the key stays taken, in milliseconds, at most 30 days. */
        ttl_ms: number;
        /** An id of your choice for this call. A repeated call of this node with the same id gets its grants
         * again. */
        request_id?: string;
        /** Several keys at once, at most 10,000. Each is granted on its own. */
        keys?: string[];
    }): Promise<OnceResult>;
    /** Submit a task for any node to do. Keeps a task until a worker claims it. A task id that already exists
     * makes the call a duplicate, which changes nothing. Without an id the node generates one; if the node
     * cannot tell whether the task was submitted, the timeout error names that id: submit the task again with
     * it. */
    submitTask(params: {
        /** An id of your choice, 1 to 128 printable characters without spaces. Submitting the same id again is a
         * duplicate. Default: a generated id. */
        id?: string;
        /** The kind of work, 1 to 128 printable characters without spaces. Workers claim tasks by kind. */
        kind: string;
        /** The input for the worker: any JSON value, at most 1 MiB. */
        payload: unknown;
        /** The requirements on the node that gets the task. Default: any node. */
        requires?: SubmitTaskRequires;
        /** Tasks with a higher priority are claimed first; with equal priority, the older task. */
        priority?: number;
        /** How long to wait before the task becomes ready, in milliseconds, at most 365 days. */
        delay_ms?: number;
        /** The maximum number of attempts; after the last failed attempt the task is dead. */
        max_attempts?: number;
        /** How long one attempt may take without an extension, in milliseconds, at most 7 days. */
        timeout_ms?: number;
    }): Promise<SubmitResult>;
    /** Claim tasks to work on. Returns tasks that this node is allowed to do, each with a token. The caller has
     * a task until expires_at_ms; extend_task moves that time. If the node dies, the task goes to another node.
     * With wait_ms the caller waits for the first task. A draining node gets none. */
    claimTasks(params?: {
        /** The kinds to claim. Default: any kind. */
        kinds?: string[];
        /** The maximum number of tasks to claim. */
        limit?: number;
        /** How long to wait for the first task, in milliseconds, at most one hour. */
        wait_ms?: number;
    }): Promise<ClaimResult>;
    /** Extend the time for a task. Gives the task its full timeout again, counted from now. */
    extendTask(params: {
        /** The id of the task. */
        task_id: string;
        /** The token that the task was claimed with. */
        token: number;
    }): Promise<ExtendResult>;
    /** Complete a task. Ends a task with a result. A repeated call, for example after a lost answer, gets the
     * same answer. */
    completeTask(params: {
        /** The id of the task. */
        task_id: string;
        /** The token that the task was claimed with. */
        token: number;
        /** The result of the task: any JSON value, at most 1 MiB. */
        result?: unknown;
    }): Promise<StateResult>;
    /** Report that a task failed. With retry the task is tried again after a pause while it has attempts left;
     * after the last attempt it is dead. Without retry it fails for good. */
    failTask(params: {
        /** The id of the task. */
        task_id: string;
        /** The token that the task was claimed with. */
        token: number;
        /** Why the task failed; text beyond 4 KiB is cut off. */
        error: string;
        /** Whether to retry the task after a pause, if it has attempts left. */
        retry?: boolean;
    }): Promise<StateResult>;
    /** Cancel a task. Fails a task that has not ended, with the error cancelled. The token of a worker that has
     * claimed it becomes stale. */
    cancelTask(params: {
        /** The id of the task. */
        task_id: string;
    }): Promise<StateResult>;
    /** Show a task. Includes its payload and, once it is done, its result. Tasks that are done or failed are
     * kept for one day, dead tasks for one week. */
    getTask(params: {
        /** The id of the task. */
        task_id: string;
    }): Promise<TaskDetails>;
    /** List tasks. Newest first, without payloads and results. */
    listTasks(params?: {
        /** Only tasks in this state. */
        state?: "waiting" | "delayed" | "running" | "done" | "failed" | "dead";
        /** The maximum number of tasks; the newest are returned. */
        limit?: number;
        /** Only tasks of this kind. */
        kind?: string;
    }): Promise<ListResult>;
    /** Retry a dead or failed task. The task waits for a worker again, with all its attempts. */
    redriveTask(params: {
        /** The id of the task. */
        task_id: string;
    }): Promise<StateResult>;
    /** Start or stop draining this node. A draining node gives up leadership, claims no tasks and acquires no
     * leases; work that already runs continues. The call returns at once with the number of running tasks and
     * held leases; repeat it to see them decrease. */
    drain(params: {
        /** True: stop taking new work. False: take part in everything again. */
        enabled: boolean;
    }): Promise<DrainResult>;
    /** Query heartbeat history and availability. Reads recorded heartbeats, newest last: from MongoDB if it is
     * configured, else those of the last day from Redis. With report the answer also has availability, gaps,
     * flaps, leaders and failovers of that time. If MongoDB does not answer, the call fails with overloaded;
     * call again. */
    getHistory(params?: {
        /** Only heartbeats of this node. Default: all nodes. */
        node_id?: string;
        /** Only what happened within this many milliseconds before now. Default: as far back as history is kept;
         * for a report: one day. */
        since_ms?: number;
        /** The maximum number of heartbeats; the newest are returned. 1 to 10000. Default 1000. */
        limit?: number;
        /** Also report availability, gaps, flaps, leaders and failovers. Default false. */
        report?: boolean;
    }): Promise<HistoryResult>;
}
/** The methods `cluster.…`. */
export declare class Cluster {
    #private;
    constructor(call: Call);
    /** Send a heartbeat now. Makes the node send a heartbeat now, with the configured retries, and returns what
     * the node learned from the answer. */
    heartbeat(): Promise<HeartbeatResult>;
}
