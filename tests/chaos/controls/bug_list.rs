//! The seeded bugs: which rule is taken out, what that breaks, and the schedule that shows it.
//!
//! Not here: how a bug gets into the program (`bugs.rs`).

/// A bug.
#[derive(Debug, Clone, Copy)]
pub struct Bug {
    pub name: &'static str,
    /// How the problems begin that must be found.
    pub breaks: &'static str,
    /// What stands in the scripts, and what is put in its place.
    pub swaps: &'static [(&'static str, &'static str)],
    pub schedule: &'static str,
    pub wrappers: usize,
}

const KILLS: &str = "2000:kill:leader:500:0,6000:kill:leader:500:0,9000:kill:1:300:0";
const CALM: &str = "6000:cut:0:0:0";
const HANDOVERS: &str = "2000:hole-down:leader:900:0,2150:handover:0:0:0,2160:handover:1:0:0,2170:handover:2:0:0,\
    6000:hole-down:leader:900:0,6150:handover:0:0:0,6160:handover:1:0:0,6170:handover:2:0:0,\
    10000:hole-down:leader:900:0,10150:handover:0:0:0,10160:handover:1:0:0,10170:handover:2:0:0";

/// All of them.
pub const BUGS: [Bug; 22] = [
    // A new leader gets the term of the old one.
    Bug {
        name: "term-given-twice",
        breaks: "E",
        swaps: &[("local term = next_token()", "local term = leader and leader.term or next_token()")],
        schedule: KILLS,
        wrappers: 0,
    },
    // A forced handover does not wait until the leader has stopped.
    Bug {
        name: "handover-at-once",
        breaks: "E1",
        swaps: &[(
            "call('HSET', LEADER, 'handing_to', candidate)\n  leader.handing_to",
            "vacate_leader(leader, 'handover')\n  call('HSET', LEADER, 'handing_to', candidate)\n  leader.handing_to",
        )],
        schedule: HANDOVERS,
        wrappers: 0,
    },
    // A leader that is there counts as gone.
    Bug {
        name: "presence-unseen",
        breaks: "M2",
        swaps: &[
            (
                "there = there or leader.presence ~= '' and subscribers(presence_channel(leader.presence)) or 0",
                "there = 0",
            ),
            ("elseif subscribers(presence_channel(seen_nonce)) > 0 then", "elseif false then"),
        ],
        schedule: CALM,
        wrappers: 0,
    },
    // An empty data set counts from one again.
    Bug {
        name: "numbers-from-one",
        breaks: "E",
        swaps: &[(
            "meta[name] = math.max(meta[name], lift(top))",
            "meta[name] = name == 'token' and 1 or math.max(meta[name], lift(top))",
        )],
        schedule: "3000:flushall:all:0:0,6000:kill:leader:500:0,9000:cut:0:0:0",
        wrappers: 0,
    },
    // Time goes on while Redis stands still.
    Bug {
        name: "no-stall-guard",
        breaks: "M2",
        swaps: &[("if silence < 0 or meta.moved or silence > half_ttl() then", "if silence < 0 or meta.moved then")],
        schedule: "3000:redis-stop:all:4500:0,9000:redis-stop:all:4500:0",
        wrappers: 0,
    },
    // The leader's sweep finds everybody gone.
    Bug {
        name: "everybody-swept",
        breaks: "M2",
        swaps: &[
            ("if counts[2 * at] == 0 then", "if true then"),
            (
                "registered == ARGV[at].dead_presence .. ' ' .. server and \
                 subscribers(presence_channel(ARGV[at].dead_presence)) == 0 then",
                "registered == ARGV[at].dead_presence .. ' ' .. server then",
            ),
        ],
        schedule: "4000:handover:0:0:0",
        wrappers: 0,
    },
    // A member counts as dead long before its deadline.
    Bug {
        name: "short-deadline",
        breaks: "M2",
        swaps: &[
            ("if first and first < cluster_now() then", "if first and first < cluster_now() + 1500 then"),
            ("'(' .. int(cluster_now()), 'LIMIT', 0, 16", "'(' .. int(cluster_now() + 1500), 'LIMIT', 0, 16"),
        ],
        schedule: "3000:redis-stop:all:1100:0,6000:redis-stop:all:1100:0",
        wrappers: 0,
    },
    // A process that was replaced goes on.
    Bug {
        name: "replaced-goes-on",
        breaks: "M3",
        swaps: &[("elseif row.i ~= incarnation then\n    --", "elseif false then\n    --")],
        schedule: "2000:forced-impostor:0:1500:0,6000:forced-impostor:1:1500:0",
        wrappers: 0,
    },
    // A new life has a lower number than the one before.
    Bug {
        name: "lives-fall",
        breaks: "M3",
        swaps: &[(
            "incarnation = (not fresh) and row.i or next_token()",
            "incarnation = (not fresh) and row.i or int(9e12 - now)",
        )],
        schedule: KILLS,
        wrappers: 0,
    },
    // Event numbers have holes.
    Bug {
        name: "event-numbers-skip",
        breaks: "M1",
        swaps: &[("meta.event_seq = meta.event_seq + 1", "meta.event_seq = meta.event_seq + 2")],
        schedule: KILLS,
        wrappers: 0,
    },
    // Some messages are numbered, and not written.
    Bug {
        name: "message-dropped",
        breaks: "S1",
        swaps: &[("append(MESSAGES, ", "(now % 7 == 0 and tostring or append)(MESSAGES, ")],
        schedule: CALM,
        wrappers: 0,
    },
    // Whoever comes back begins at the newest message.
    Bug {
        name: "join-at-newest",
        breaks: "S1",
        swaps: &[("cursor = int(cursor)", "cursor = int(meta.message_seq)")],
        schedule: "2000:kill:1:2500:0,6000:kill:2:2500:0",
        wrappers: 0,
    },
    // A lease is granted while another holds it.
    Bug {
        name: "two-holders",
        breaks: "L1",
        swaps: &[("local held = record ~= nil and record.holder ~= ''", "local held = false")],
        schedule: CALM,
        wrappers: 0,
    },
    // A lease ends a second and a half early.
    Bug {
        name: "lease-ends-early",
        breaks: "L1",
        swaps: &[("return record.expires + (record.presence", "return record.expires - 1500 + (record.presence")],
        schedule: "12000:cut:0:0:0",
        wrappers: 0,
    },
    // Lease tokens are not counted on.
    Bug {
        name: "token-stands-still",
        breaks: "L2",
        swaps: &[(
            "meta.token = call('HINCRBY', META, 'token', 1)",
            "meta.token = number(call('HGET', META, 'token'), 0) + 1",
        )],
        schedule: CALM,
        wrappers: 0,
    },
    // A presence that is there counts as gone: another wrapper starts its command.
    Bug {
        name: "wrapper-unseen",
        breaks: "L3",
        swaps: &[
            (
                "local there = record.presence ~= '' and subscribers(presence_channel(record.presence)) or 0\n  local kept",
                "local there = 0\n  local kept",
            ),
            (
                "record.presence == seen_text and subscribers(presence_channel(seen_text)) == 0",
                "record.presence == seen_text",
            ),
        ],
        schedule: "8000:cut:0:0:0",
        wrappers: 3,
    },
    // A key is granted to everybody.
    Bug {
        name: "once-for-all",
        breaks: "run_once",
        swaps: &[(
            "not call('SET', key, value, 'PX', kept, 'NX') then",
            "not call('SET', key, value, 'PX', kept) then",
        )],
        schedule: CALM,
        wrappers: 0,
    },
    // A task is handed out while another works on it.
    Bug {
        name: "task-for-two",
        breaks: "T1",
        swaps: &[
            ("'^waiting %d+ %S+ %d+ (%d+) 0 %d+ %l+$'", "'^%l+ %d+ %S+ %d+ (%d+) %d+ %d+ %l+$'"),
            (
                "call('ZREMRANGEBYRANK', lane.key, 0, lane.taken - 1)",
                "call('ZREMRANGEBYRANK', lane.key, 0, now % 3 - 1 < 0 and -100000 or lane.taken - 1)",
            ),
            ("call('HDEL', LANES, lane.text)", "call('HEXISTS', LANES, lane.text)"),
        ],
        schedule: "8000:cut:0:0:0",
        wrappers: 0,
    },
    // A submission that comes again begins the task anew.
    Bug {
        name: "submitted-anew",
        breaks: "T1",
        swaps: &[("if call('EXISTS', key) == 1 then", "if false then")],
        schedule: "8000:cut:0:0:0",
        wrappers: 0,
    },
    // Delayed tasks are forgotten when their time comes.
    Bug {
        name: "delayed-forgotten",
        breaks: "T1",
        swaps: &[("if what and is.state == 'delayed' then", "if what and is.state == 'delayed' and now % 3 > 0 then")],
        schedule: CALM,
        wrappers: 0,
    },
    // Tokens of claims are counted nowhere.
    Bug {
        name: "claims-uncounted",
        breaks: "T1",
        swaps: &[("meta.token = call('HINCRBY', META, 'token', count)", "meta.token = meta.token + count")],
        schedule: "8000:cut:0:0:0",
        wrappers: 0,
    },
    // Another's word that a task is done is taken.
    Bug {
        name: "anybody-completes",
        breaks: "T1",
        swaps: &[
            ("elseif is.token ~= token then", "elseif false then"),
            ("elseif is.node ~= id or is.incarnation ~= incarnation then", "elseif false then"),
        ],
        schedule: "20000:cut:0:0:0",
        wrappers: 0,
    },
];
