//! What the program may cost, measured on the built binary: `make bench`. Each figure stands beside its limit, and the
//! command fails when one is broken.
//!
//! 1. Everything is measured from outside, on an otherwise idle machine, with a private Redis.
//!
//! Not here: failover times, which are tests (`tests/process/failover.rs`).

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use testkit::cluster::stage;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, clawster, hold, stamp};

/// One figure.
struct Figure {
    what: &'static str,
    value: f64,
    limit: f64,
    unit: &'static str,
}

fn main() {
    let figures = [size(), start(), memory(), one_shot(), tick()];
    let mut broken = 0;
    for Figure { what, value, limit, unit } in figures {
        let verdict = if value <= limit { "ok" } else { "BROKEN" };
        broken += i32::from(value > limit);
        println!("{what:<52} {value:>9.2} {unit:<3} (at most {limit} {unit}) {verdict}");
    }
    std::process::exit(broken.min(1));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn size() -> Figure {
    let bytes = std::fs::metadata(testkit::program()).unwrap().len();
    Figure { what: "size of the binary", value: bytes as f64 / 1_048_576.0, limit: 16.0, unit: "MiB" }
}

fn start() -> Figure {
    let (redis, dir) = (RedisServer::alone(), stage());
    let times = (0..20).map(|round| {
        let node = Launch::new(dir.path(), &format!("n{round}")).redis(&redis).start();
        node.state();
        (stamp() - node.started).as_secs_f64() * 1e3
    });
    Figure { what: "start to first answer, median of 20", value: median(times.collect()), limit: 50.0, unit: "ms" }
}

fn memory() -> Figure {
    let (redis, dir) = (RedisServer::alone(), stage());
    let nodes: Vec<_> = ["a", "b", "c"].iter().map(|id| Launch::new(dir.path(), id).redis(&redis).start()).collect();
    testkit::cluster::settled(&nodes.iter().collect::<Vec<_>>(), secs(20.0));
    hold(secs(12.0), "idle over more than one heartbeat");
    let most = nodes.iter().map(|node| node.memory_kb("VmRSS")).max().unwrap();
    Figure {
        what: "idle memory of serve, the largest of 3",
        value: most as f64 * 1024.0 / 1e6,
        limit: 20.0,
        unit: "MB",
    }
}

/// User and system time of all children that ended, in seconds; Linux counts it in hundredths.
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [13, 14].iter().map(|&at: &usize| fields[at].parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

fn one_shot() -> Figure {
    let (redis, dir) = (RedisServer::alone(), stage());
    let launch = Launch::new(dir.path(), "cron").redis(&redis);
    clawster(&launch, &["heartbeat"]).expect(0);
    let before = children_cpu();
    for _ in 0..50 {
        clawster(&launch, &["heartbeat"]).expect(0);
    }
    let each = (children_cpu() - before) / 50.0 * 1e3;
    Figure { what: "CPU time of a one-shot heartbeat, mean of 50", value: each, limit: 20.0, unit: "ms" }
}

/// A cluster in which one node beats ten times a second among members that stand still.
struct Cluster {
    redis: RedisServer,
    _node: testkit::Serve,
    _dir: tempfile::TempDir,
}

impl Cluster {
    fn of(members: usize) -> Self {
        let (redis, dir) = (RedisServer::start(), stage());
        let timing = |launch: Launch| {
            launch.redis(&redis).timing(0.1, 3_000.0, 3_000.0).env("CLAWSTER__LEADER__PRESENCE_GRACE", "900")
        };
        for number in 1..members {
            let launch = timing(Launch::new(dir.path(), &format!("m{number}")));
            clawster(&launch, &["heartbeat"]).expect(0);
        }
        let node = timing(Launch::new(dir.path(), "beats")).start();
        node.until("it sees all members", secs(30.0), |state| {
            state["nodes"].as_array().is_some_and(|all| all.len() == members)
        });
        Self { redis, _node: node, _dir: dir }
    }

    /// Server time per tick over a second, in microseconds.
    fn round(&self) -> f64 {
        self.redis.cli(&["CONFIG", "RESETSTAT"]);
        hold(secs(1.0), "ten heartbeats are counted");
        let stats = self.redis.info("commandstats", "cmdstat_evalsha").expect("scripts ran");
        let each = stats.split(',').find_map(|field| field.strip_prefix("usec_per_call="));
        each.unwrap().parse().unwrap()
    }
}

/// Both clusters in turn, the median of each: a mean over one stretch would measure what else the machine does.
fn tick() -> Figure {
    let (few, many) = (Cluster::of(10), Cluster::of(1_000));
    let rounds: Vec<(f64, f64)> = (0..15).map(|_| (few.round(), many.round())).collect();
    let (few, many) = rounds.into_iter().unzip();
    let (few, many) = (median(few), median(many));
    println!("server time per tick: {few:.1} us with 10 members, {many:.1} us with 1,000");
    Figure { what: "server time per tick, 1,000 members against 10", value: many / few, limit: 1.5, unit: "x" }
}
