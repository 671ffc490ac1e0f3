//! `clawster top` on a real terminal: what it shows, how it outlives Redis and its node, and how it gives the terminal back.

use rustix::process::Signal;
use std::process::ExitStatus;
use testkit::cluster::{member, stage};
use testkit::turn::beside;
use testkit::wait::secs;
use testkit::{Launch, Pty, RedisOptions, RedisServer, Trio, clawster, eventually};

/// How many lines of the screen begin with one of these.
fn lines(shown: &str, starts: &[&str]) -> usize {
    shown.lines().filter(|line| starts.iter().any(|start| line.starts_with(start))).count()
}

#[test]
fn it_shows_the_cluster_at_every_size_and_follows_it() {
    let _turn = beside();
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let leader = trio.settled(secs(20.0));
    let mut top = Pty::clawster(&trio.launches[0], &["top", "--interval", "200ms"], 80, 24);
    let rows = ["a        online", "b        online", "c        online"];
    // A screen is written in pieces: the last thing to come is waited for.
    let drawn = |shown: &str| shown.contains("LEADER") && shown.contains("c joined (incarnation ");
    let all = top.until("three nodes, and events that were before", |shown| lines(shown, &rows) == 3 && drawn(shown));
    assert!(all.contains("Redis ok, standalone  via a (") && all.contains(" lease █"), "{all}");
    assert!(all.lines().last().is_some_and(|line| line.contains("q quit")) && all.lines().count() == 24, "{all}");
    for (columns, rows) in [(200, 50), (10, 4), (1, 1), (300, 9), (80, 24)] {
        top.resize(columns, rows);
        if columns >= 80 {
            let bottom =
                |shown: &str| shown.lines().nth(usize::from(rows) - 1).is_some_and(|line| line.contains("q quit"));
            top.until("the new size is used", |shown| bottom(shown) && shown.contains("online"));
        }
    }
    trio.nodes[leader].kill9();
    let id = &trio.nodes[leader].label;
    if leader == 0 {
        // Its own node is gone: Redis is read until somebody starts it again.
        top.shows("reading Redis directly");
    }
    let all = top.shows(&format!(" took over from {id} (process died) "));
    assert!(all.contains(" in at most "), "{all}");
    top.until("the dead node is shown as such", |shown| lines(shown, &[&format!("{id}        offline")]) == 1);
    top.keys(b"q");
    assert_eq!(top.ends().code(), Some(0));
    top.comes_back();
}

#[test]
fn a_lost_redis_is_told_and_the_view_goes_on_when_it_is_back() {
    let _turn = beside();
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    let dir = stage();
    let launch = Launch::new(dir.path(), "solo").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let through_node = Pty::clawster(&launch, &["top", "--interval", "200ms"], 80, 24);
    let elsewhere = Launch::new(dir.path(), "elsewhere").redis(&redis).brisk().env("OPENCLAW_NODE_ID", "");
    let mut directly = Pty::clawster(&elsewhere, &["top", "--interval", "200ms"], 80, 24);
    directly.shows("no node runs on this host; reading Redis directly");
    directly.shows("solo became leader: vacant");
    directly.keys(b"d");
    directly.shows("this needs a node on this host; start one with `clawster serve`");
    redis.kill9();
    for top in [&through_node, &directly] {
        let all = top.shows("REDIS HAS NOT ANSWERED for ");
        assert!(all.contains("Redis LOST") && all.contains("solo     "), "the last view stays\n{all}");
    }
    redis.restart();
    for top in [&through_node, &directly] {
        let all = top.shows("Redis answers again after ");
        assert!(all.contains("Redis ok") && !all.contains("HAS NOT ANSWERED"), "{all}");
    }
    assert!(through_node.shows("Redis stopped answering").contains("via solo ("), "the node said so as well");
}

#[test]
fn a_node_that_goes_away_and_comes_back_is_found_again() {
    let _turn = beside();
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "solo").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let top = Pty::clawster(&launch, &["top", "--node", "solo", "--interval", "200ms"], 80, 24);
    top.shows("via solo (leader)");
    node.stop();
    top.shows("the node does not answer; showing the last view");
    node.cont();
    top.until("it answers again", |shown| !shown.contains("does not answer;"));
    node.kill9();
    top.shows("reading Redis directly");
    let again = launch.start();
    top.shows("connected to node solo");
    again.until("it leads", secs(20.0), |state| state["role"] == "leader");
    top.shows("via solo (leader)");
}

#[test]
fn nodes_are_drained_and_leadership_is_handed_over_after_a_question() {
    let _turn = beside();
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let leader = trio.settled(secs(20.0));
    let mut top = Pty::clawster(&trio.launches[0], &["top", "--interval", "200ms"], 80, 24);
    top.shows("via a (");
    let follower = if leader == 1 { 2 } else { 1 };
    // Keys choose among the rows that are there.
    top.until("all nodes are there", |shown| {
        lines(shown, &["a        online", "b        online", "c        online"]) == 3
    });
    top.keys(if follower == 1 { b"jl" } else { b"jjl" });
    let id = trio.nodes[follower].label.clone();
    top.shows(&format!("hand leadership over to {id}?  y/n"));
    top.keys(b"y");
    top.shows(&format!("{id} is the leader now (term "));
    top.until("the table says so", |shown| lines(shown, &[&format!("{id}        online    LEADER")]) == 1);
    top.keys(b"d");
    top.shows(&format!("drain {id}? It will take no new work.  y/n"));
    top.keys(b"n");
    top.shows("cancelled");
    top.keys(b"dy");
    top.shows("does not run on this host; run");
    top.shows(&format!("`clawster drain --node {id}`"));
    assert_eq!(member(&trio.nodes[0].state(), &id).map(|row| row["status"].clone()), Some("online".into()));
    top.keys(b"\x1b[Hdy");
    top.shows("a is draining: 0 tasks running, 0 leases held");
    top.until("the table says so", |shown| lines(shown, &["a        draining"]) == 1);
    top.keys(b"uy");
    top.shows("a takes new work again");
    top.keys(b"/c");
    top.until("only one is left", |shown| lines(shown, &["a    ", "b    "]) == 0 && shown.contains("1 match \"c\""));
}

fn leaves(launch: &Launch, leave: impl FnOnce(&mut Pty)) -> ExitStatus {
    let mut top = Pty::clawster(launch, &["top"], 80, 24);
    top.shows("online    LEADER");
    assert!(top.is_taken(), "{}", top.shown());
    leave(&mut top);
    let status = top.ends();
    top.comes_back();
    status
}

#[test]
fn the_terminal_is_restored_on_every_way_out() {
    use std::os::unix::process::ExitStatusExt;
    let _turn = beside();
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "solo").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    for keys in [b"q", b"\x03"] {
        assert_eq!(leaves(&launch, |top| top.keys(keys)).code(), Some(0), "{keys:?}");
    }
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        assert_eq!(leaves(&launch, |top| top.signal(signal)).code(), Some(code), "{signal:?}");
    }
    assert_eq!(leaves(&launch, |top| top.signal(Signal::KILL)).signal(), Some(9));
    assert_eq!(leaves(&launch, |top| top.signal(Signal::ABORT)).signal(), Some(6));
}

#[test]
fn it_stops_and_goes_on_as_a_job_of_a_shell() {
    let _turn = beside();
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "solo").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let mut shell = Pty::start(&launch, &["sh", "-i"], 80, 24);
    shell.shows("$ ");
    shell.keys(format!("{} top\n", testkit::program().display()).as_bytes());
    shell.shows("via solo (leader)");
    for how in 0..2 {
        if how == 0 {
            shell.keys(b"\x1a")
        } else {
            shell.signal_foreground(Signal::TSTP)
        }
        shell.comes_back();
        prompts(&shell);
        shell.keys(b"echo sh''ell\n");
        shell.shows("shell");
        shell.keys(b"fg\n");
        shell.shows("via solo (leader)");
        assert!(shell.is_taken());
    }
    // Killed under a shell, too: the shell goes on as if it had ended well.
    shell.signal_foreground(Signal::KILL);
    shell.comes_back();
    // It may have written its prompt on the view's screen, before that was left.
    eventually("a prompt", secs(20.0), || {
        shell.keys(b"\n");
        let shown = shell.shown();
        if shown.trim_end().ends_with('$') { Ok(()) } else { Err(shown) }
    });
    shell.keys(b"echo al''ive\n");
    shell.shows("alive");
    eventually("no process of it is left", secs(10.0), || {
        let left = keepers(&dir.path().display().to_string());
        if left == 0 { Ok(()) } else { Err(left) }
    });
}

/// Waits until the shell reads: what is typed before that may be thrown away.
fn prompts(shell: &Pty) {
    shell.until("a prompt", |shown| shown.trim_end().ends_with('$'));
}

/// How many processes that keep a screen have this text in their environment.
fn keepers(text: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("the processes").flatten();
    let has = |path: std::path::PathBuf, text: &str| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    };
    entries
        .filter(|entry| has(entry.path().join("cmdline"), "keep-screen") && has(entry.path().join("environ"), text))
        .count()
}

#[test]
fn the_demo_has_the_same_screen() {
    let _turn = beside();
    let dir = stage();
    // A demo that is killed leaves its folder.
    let launch = Launch::new(dir.path(), "demo").env("OPENCLAW_NODE_ID", "");
    let launch = launch.env("TMPDIR", &dir.path().display().to_string());
    let mut demo = Pty::clawster(&launch, &["demo"], 80, 24);
    demo.until("a leader", |shown| shown.contains("LEADER") && shown.contains(" lease █"));
    demo.until("messages", |shown| shown.contains("node-b 2") || shown.contains("node-a 2"));
    demo.keys(b"k");
    demo.shows(" took over after ");
    demo.signal(Signal::KILL);
    demo.ends();
    demo.comes_back();
}

#[test]
fn without_a_terminal_or_a_cluster_it_says_what_to_do() {
    let dir = stage();
    let launch = Launch::new(dir.path(), "nobody").port(1);
    let outcome = clawster(&launch, &["top"]).expect(2);
    assert!(outcome.stderr.contains("`clawster status --watch`") && outcome.stdout.is_empty(), "{outcome:?}");
    let mut top = Pty::clawster(&launch, &["top"], 80, 24);
    assert_eq!(top.ends().code(), Some(3));
    let shown = top.shows("connection refused");
    assert!(shown.contains("cannot use Redis at") && shown.contains("clawster doctor"), "{shown}");
    assert!(top.is_usable());
}
