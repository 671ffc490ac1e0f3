//! Pictures of made-up reports: what must be in them, and that they are well-formed.
//!
//! To look at them: `CLAWSTER_PICTURES=target/pictures cargo test --lib picture` writes each into that folder.
//!
//! Not here: what a report says of a history.

use super::*;
use crate::cluster::event::{ElectedReason, LostReason};
use crate::cluster::history::Histogram;
use crate::cluster::history::report::{
    Absence, FLAP, Failover, Gap, Gone, LeaderTerm, NodeReport, ReignEnd, Standing, Stay, Window,
};
use crate::cluster::ids::{Incarnation, NodeId, Term};
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// 2026-11-22 17:00:00 UTC.
const NOW: u64 = 1_795_366_800;
/// Terms begin at the server's microseconds.
const TERM: u64 = 1_795_280_400_123_456;

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("an id")
}

/// Builds a report: times are seconds before its end.
struct Sketch(Report);

impl Sketch {
    fn of(seconds: u64) -> Self {
        let window = Window { from: ago(seconds), to: ago(0) };
        Self(Report {
            window,
            unrecorded: Vec::new(),
            beats_since: Some(window.from),
            data_lost: Vec::new(),
            set_back: Duration::ZERO,
            nodes: Vec::new(),
            reigns: Vec::new(),
            failovers: Vec::new(),
            leaderless_since: None,
        })
    }

    /// A node that is online but for these absences: (from, to, why), `to` 0: still away.
    fn node(mut self, name: &str, since: u64, away: &[(u64, u64, Gone)]) -> Self {
        let mut online = Vec::new();
        let mut begin = since;
        for (from, to, _) in away {
            online.push(Stay { from: ago(begin), to: ago(*from), incarnation: Incarnation(1) });
            begin = *to;
        }
        let now = match away.last() {
            Some((_, 0, Gone::Left)) => Standing::Left,
            Some((_, 0, _)) => Standing::Offline,
            _ => Standing::Online,
        };
        if now == Standing::Online {
            online.push(Stay { from: ago(begin), to: ago(0), incarnation: Incarnation(2) });
        }
        let away = away.iter().map(|(from, to, reason)| {
            let (flap, back) = (*to > 0 && *reason != Gone::Left && from - to <= FLAP.as_secs(), *to > 0);
            Absence { from: ago(*from), to: ago(*to), reason: *reason, back, flap }
        });
        let mut delays = Histogram::default();
        (1..200_u64).for_each(|number| delays.add(Duration::from_micros(900 + number * number)));
        self.0.nodes.push(NodeReport {
            node_id: id(name),
            name: name.to_owned(),
            now,
            online,
            away: away.collect(),
            gaps: Vec::new(),
            gaps_cut: false,
            beats: since / 10,
            retried: 0,
            round_trips: delays.clone(),
            longest_delay: Duration::from_millis(41),
            delays,
            versions: vec!["0.1.0".to_owned()],
        });
        self
    }

    fn named(mut self, name: &str) -> Self {
        self.0.nodes.last_mut().expect("a node").name = name.to_owned();
        self
    }

    /// Missing beats of the last node.
    fn gap(mut self, from: u64, to: u64) -> Self {
        let missed = ((from - to) / 10).saturating_sub(1).max(1);
        self.0.nodes.last_mut().expect("a node").gaps.push(Gap { from: ago(from), to: ago(to), missed });
        self
    }

    /// A reign, and how the next one came.
    fn led(mut self, name: &str, term: u64, from: u64, to: u64, end: ReignEnd) -> Self {
        let (from, until) = (ago(from), ago(to));
        let term = Some(Term(TERM + term * 1_001));
        self.0.reigns.push(LeaderTerm { node_id: id(name), term, from, until, end, last_beat: Some(until) });
        self
    }

    fn change(mut self, at: u64, from: &str, to: &str, reason: ElectedReason) -> Self {
        let before = self.0.reigns.iter().rev().find(|reign| reign.node_id == id(from)).cloned();
        let lost = before.as_ref().filter(|reign| matches!(reign.end, ReignEnd::Lost(_))).map(|reign| reign.until);
        let (at, term) = (ago(at), Term(TERM + at * 1_001));
        let last_sign = before.map(|reign| reign.until);
        let (previous, node_id) = (id(from), id(to));
        self.0.failovers.push(Failover { at, node_id, term, previous, reason, vacant_since: lost, last_sign });
        self
    }

    /// Draws it, checks that it is XML whose parts lie within it, and writes it where somebody wants to look at it.
    fn draw(&self, name: &str) -> String {
        let drawn = draw(&self.0, &Caption { cluster: "openclaw".to_owned(), store: "Redis" });
        if let Some(folder) = std::env::var_os("CLAWSTER_PICTURES") {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.svg")), &drawn).expect("writes");
        }
        check(&drawn);
        drawn
    }
}

/// Fails unless it is well-formed, stands alone, and everything in it lies within it.
fn check(drawn: &str) {
    let document = roxmltree::Document::parse(drawn).unwrap_or_else(|why| panic!("{why}: {drawn}"));
    let root = document.root_element();
    assert!(root.has_tag_name(("http://www.w3.org/2000/svg", "svg")));
    let height: f64 = root.attribute("height").and_then(|text| text.parse().ok()).expect("a height");
    for element in document.descendants().filter(roxmltree::Node::is_element) {
        let name = element.tag_name().name();
        assert!(!["script", "style", "image", "use", "a", "foreignObject"].contains(&name), "{name}");
        assert!(element.attributes().all(|a| !a.name().starts_with("on") && !a.name().contains("href")), "{name}");
        for (key, most) in [("x", look::WIDTH), ("x1", look::WIDTH), ("x2", look::WIDTH), ("y", height), ("y2", height)]
        {
            let Some(value) = element.attribute(key) else { continue };
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{key} is {value:?}"));
            assert!((0.0..=most).contains(&value), "{name} {key}={value} in {drawn}");
        }
        for key in ["width", "height"] {
            let value = element.attribute(key).map_or(1.0, |value| value.parse::<f64>().expect("a number"));
            assert!(value > 0.0, "{name} {key}={value}");
        }
    }
}

/// How many elements of a class there are below a node's row, and in all.
fn count(drawn: &str, row: Option<&str>, class: &str) -> usize {
    let document = roxmltree::Document::parse(drawn).expect("XML");
    let within = |element: &roxmltree::Node<'_, '_>| {
        row.is_none_or(|row| element.ancestors().any(|above| above.attribute("data-node") == Some(row)))
    };
    let has = |element: &roxmltree::Node<'_, '_>| {
        element.attribute("class").is_some_and(|classes| classes.split(' ').any(|one| one == class))
    };
    document.descendants().filter(|element| has(element) && within(element)).count()
}

/// All texts, in the order of the document.
fn texts(drawn: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(drawn).expect("XML");
    let texts = document.descendants().filter(|element| element.has_tag_name("text"));
    texts.filter_map(|element| element.text().map(str::to_owned)).collect()
}

fn ago(seconds: u64) -> ServerTime {
    ServerTime((NOW - seconds) * 1_000)
}

const HOUR: u64 = 3_600;

/// A night with everything in it.
fn night() -> Sketch {
    Sketch::of(24 * HOUR)
        .node("gw-berlin", 24 * HOUR, &[(11 * HOUR, 9 * HOUR, Gone::ProcessDied)])
        .named("Berlin office")
        .gap(6 * HOUR, 6 * HOUR - 1_500)
        .gap(3 * HOUR, 3 * HOUR - 20)
        .node(
            "gw-oslo",
            24 * HOUR,
            &[(18 * HOUR, 18 * HOUR - 58, Gone::HeartbeatTimeout), (4 * HOUR, 2 * HOUR, Gone::Left)],
        )
        .node("gw-paris", 20 * HOUR, &[(7 * HOUR, 7 * HOUR - 200, Gone::ProcessDied)])
        .led("gw-berlin", 1, 24 * HOUR, 11 * HOUR + 8, ReignEnd::Followed)
        .change(11 * HOUR, "gw-berlin", "gw-oslo", ElectedReason::ProcessDied)
        .led("gw-oslo", 2, 11 * HOUR, 4 * HOUR, ReignEnd::Lost(LostReason::Resigned))
        .change(4 * HOUR, "gw-oslo", "gw-paris", ElectedReason::Resigned)
        .led("gw-paris", 3, 4 * HOUR, 0, ReignEnd::Leads)
}

#[test]
fn a_night_shows_its_failover_its_outage_its_flaps_and_its_goodbye() {
    let drawn = night().draw("night");
    let row = |node, class| count(&drawn, Some(node), class);
    assert_eq!([row("gw-berlin", "down"), row("gw-berlin", "flap"), row("gw-berlin", "gap")], [1, 0, 2]);
    assert_eq!([row("gw-oslo", "down"), row("gw-oslo", "flap-mark"), row("gw-oslo", "left")], [1, 1, 1]);
    assert_eq!([row("gw-paris", "online"), row("gw-paris", "leads"), row("gw-oslo", "leads")], [2, 1, 1]);
    assert_eq!(["failover", "handover", "moved", "flag"].map(|class| count(&drawn, None, class)), [1, 1, 2, 2]);
    let texts = texts(&drawn);
    for said in [
        "Cluster openclaw, the last 24 h",
        "failover: gw-berlin → gw-oslo, at most 8 s without a leader",
        "flap 58 s: heartbeat timeout",
        "down 2 h: process died",
        "leads, term …6459",
        "Berlin office",
        "91.66 %",
        "22 Nov 2026",
        "06:00",
        "flap: down and back within 5 min",
    ] {
        assert!(texts.iter().any(|text| text == said), "{said:?} is not among {texts:#?}");
    }
    assert!(texts.iter().any(|text| text.contains("UTC") && text.contains("3 outages (2 flaps)")), "{texts:#?}");
}

#[test]
fn the_parts_stand_in_a_fixed_order() {
    let drawn = Sketch::of(600)
        .node("a", 600, &[(300, 240, Gone::ProcessDied)])
        .led("a", 1, 600, 303, ReignEnd::Gone)
        .draw("order");
    let document = roxmltree::Document::parse(&drawn).expect("XML");
    let row = document.descendants().find(|element| element.attribute("data-node") == Some("a")).expect("a row");
    let parts: Vec<_> = row
        .children()
        .filter(roxmltree::Node::is_element)
        .map(|part| part.attribute("class").unwrap_or(part.tag_name().name()))
        .collect();
    // Names, then bands, then what lies on them, then figures.
    let expected =
        ["text", "online", "online", "leads", "text", "down flap", "flap-mark", "text", "text", "text", "text"];
    assert_eq!(parts, expected);
}

#[test]
fn every_name_is_safe_in_it() {
    for name in [
        "<script>alert(1)</script>",
        "a&b \"c\" 'd'",
        "\u{0}\u{1b}[31m\u{202e}x\u{ffff}",
        "台北のゲートウェイ、とても長い名前の",
        "]]>",
        "",
    ] {
        let sketch = Sketch::of(600).node("a", 600, &[]).named(name);
        let drawn = sketch.draw("name");
        assert!(!drawn.contains("<script") && !drawn.contains('\u{1b}'), "{drawn}");
    }
}

proptest::proptest! {
    #[test]
    fn every_report_can_be_drawn(
        length in 1_u64..40_000_000,
        spans in proptest::collection::vec((0_u64..1_000, 0_u64..1_000, 0_usize..6), 0..12),
        changes in proptest::collection::vec((0_u64..1_000, proptest::bool::ANY), 0..30),
        nodes in 0_usize..40,
    ) {
        let reasons = [Gone::Left, Gone::HeartbeatTimeout, Gone::ProcessDied, Gone::Replaced, Gone::Silent, Gone::Unknown];
        let share = |part: u64| length * part / 1_000;
        let mut sketch = Sketch::of(length);
        for number in 0..nodes {
            let mut ends: Vec<u64> = spans.iter().flat_map(|(a, b, _)| [share(*a), share(*b)]).collect();
            ends.sort_unstable_by(|a, b| b.cmp(a));
            let away: Vec<_> = ends.chunks(2).zip(&spans).map(|(pair, span)| (pair[0], pair[1], reasons[span.2])).collect();
            sketch = sketch.node(&format!("n{number}"), length, &away).gap(share(500), share(400));
        }
        for (number, (at, planned)) in changes.iter().enumerate() {
            let reason = if *planned { ElectedReason::Handover } else { ElectedReason::Expired };
            let (from, to) = (format!("n{}", number % 7), format!("n{}", number % 5));
            let at = share(*at);
            sketch = sketch.led(&from, number as u64, at.saturating_add(share(50)), at, ReignEnd::Followed).change(at, &from, &to, reason);
        }
        sketch.draw("any");
    }
}

#[test]
fn one_node() {
    Sketch::of(600).node("gw-1", 420, &[]).gap(120, 80).led("gw-1", 1, 419, 0, ReignEnd::Leads).draw("one");
}

#[test]
fn ten_minutes() {
    let mut sketch = Sketch::of(600)
        .node("a", 600, &[(300, 240, Gone::ProcessDied)])
        .node("b", 600, &[(100, 0, Gone::HeartbeatTimeout)])
        .node("c", 500, &[])
        .gap(200, 160)
        .led("a", 1, 600, 303, ReignEnd::Followed)
        .change(299, "a", "b", ElectedReason::ProcessDied)
        .led("b", 2, 299, 130, ReignEnd::Followed)
        .change(100, "b", "c", ElectedReason::Expired)
        .led("c", 3, 100, 0, ReignEnd::Leads);
    sketch.0.unrecorded.push((ago(600), ago(540)));
    sketch.draw("minutes");
}

#[test]
fn a_month_of_a_hundred_nodes() {
    let mut sketch = Sketch::of(30 * 24 * HOUR);
    for number in 0..100_u64 {
        let mut away: Vec<(u64, u64, Gone)> = (1..1 + number % 7)
            .map(|k| {
                let from = (30 - k * 4) * 24 * HOUR - number * 3_333;
                (from, from - 60 - (number * k * 977) % (20 * HOUR), Gone::ProcessDied)
            })
            .collect();
        if number % 13 == 5 {
            away.push((30 * HOUR, 0, if number % 2 == 0 { Gone::HeartbeatTimeout } else { Gone::Left }));
        }
        sketch = sketch.node(&format!("gateway-{number:03}.eu-central"), 30 * 24 * HOUR - number * HOUR, &away);
        for k in 0..number % 5 {
            let from = k * 5 * 24 * HOUR + number * 777 + 3_600;
            sketch = sketch.gap(from, from - 300);
        }
    }
    let mut from = 30 * 24 * HOUR;
    for term in 0..8_u64 {
        let to = if term == 7 { 0 } else { from - (3 + term % 3) * 24 * HOUR / 2 };
        let name = format!("gateway-{:03}.eu-central", term * 37 % 100);
        if term > 0 {
            let before = format!("gateway-{:03}.eu-central", (term - 1) * 37 % 100);
            let reason = if term % 3 == 0 { ElectedReason::Handover } else { ElectedReason::ProcessDied };
            sketch = sketch.change(from, &before, &name, reason);
        }
        let end = if term == 7 { ReignEnd::Leads } else { ReignEnd::Followed };
        sketch = sketch.led(&name, term, from, to, end);
        from = to;
    }
    sketch.draw("month");
}

#[test]
fn nobody() {
    let mut sketch = Sketch::of(HOUR);
    sketch.0.unrecorded.push((ago(HOUR), ago(0)));
    assert!(sketch.draw("nobody").contains("No node was a member"));
}
