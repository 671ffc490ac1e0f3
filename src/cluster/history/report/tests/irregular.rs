//! Stories of which something is missing: events, beats, rows, or a clock that can be believed.
//!
//! Not here: whole stories (`mod.rs`).

use super::*;

#[test]
fn nothing_at_all_is_an_empty_report() {
    let report = Story::default().report(0, 100);
    assert_eq!(report.unrecorded, [(at(0), at(100))]);
    assert!(report.nodes.is_empty() && report.reigns.is_empty() && report.failovers.is_empty());
}

#[test]
fn one_beat_is_a_node_that_was_there() {
    let report = Story::default().beats("a", 1, 95..=95, 1).report(0, 100);
    assert_eq!((online(&report, "a"), node(&report, "a").beats), (vec![(95, 100)], 1));
    assert_eq!(node(&report, "a").delays.count(), 1);
    assert_eq!(report.reigns.len(), 1);
}

#[test]
fn no_percentile_passes_the_longest_delay() {
    let mut story = Story::default().beats("a", 1, 95..=95, 1);
    // Below the middle of its bucket.
    let delay = Duration::from_micros(1_010);
    story.samples[0].delay = delay;
    let report = story.report(0, 100);
    assert_eq!((node(&report, "a").delay(0.5), node(&report, "a").delay(0.99)), (Some(delay), Some(delay)));
}

#[test]
fn members_that_were_there_long_before_need_no_event() {
    let mut story =
        Story::default().member("a", 1, StoredStatus::Online, 0, 995).member("b", 2, StoredStatus::Draining, 100, 995);
    story.leader = Some((id("a"), Term(7)));
    let report = story.report(500, 1_000);
    assert_eq!((online(&report, "a"), online(&report, "b")), (vec![(500, 1_000)], vec![(500, 1_000)]));
    assert_eq!(report.unrecorded, [(at(500), at(1_000))], "but no event is kept");
    assert_eq!((report.reigns[0].node_id.clone(), report.reigns[0].end), (id("a"), ReignEnd::Leads));
}

#[test]
fn an_end_without_a_beginning_began_with_the_record() {
    let story = Story::default().joined(100, "b", 2).left(200, "a", 1, LeftReason::ProcessDied).elected(
        200,
        "b",
        5,
        "a",
        ElectedReason::ProcessDied,
    );
    let report = story.report(0, 300);
    assert_eq!(online(&report, "a"), [(100, 200)], "what came before is not known");
    assert_eq!(report.unrecorded, [(at(0), at(100))]);
    let first = &report.reigns[0];
    assert_eq!((&first.node_id, first.term, seconds(first.from, first.until)), (&id("a"), None, (100, 200)));
    assert_eq!(report.failovers[0].vacancy(), Vacancy::Unknown);
}

#[test]
fn trimmed_events_leave_what_beats_tell() {
    let story = Story::default()
        .beats("a", 1, 0..=200, 4)
        .beats("a", 2, 400..=600, 0)
        .beats("b", 3, 0..=590, 0)
        .beats("b", 3, 600..=600, 5)
        .member("a", 2, StoredStatus::Online, 400, 600)
        .member("b", 3, StoredStatus::Online, 0, 600);
    let report = story.report(0, 605);
    assert_eq!(away(&report, "a"), [((200, 400), Gone::Unknown, false)]);
    assert_eq!(report.reigns.len(), 2);
    assert_eq!((report.reigns[0].end, report.reigns[0].until), (ReignEnd::Followed, at(200)));
    assert!(report.failovers.is_empty(), "no election is kept");
}

#[test]
fn a_hole_in_the_events_is_told_and_a_new_data_set_is_none() {
    let mut story = Story::default().joined(0, "a", 1).joined(10, "b", 2).left(90, "b", 2, LeftReason::Left);
    story.events[2].seq = EventSeq(500);
    let report = story.report(0, 100);
    assert_eq!((report.unrecorded, report.data_lost), (vec![(at(10), at(90))], vec![]));
    story.events[2].seq = EventSeq(1_000_002);
    let report = story.report(0, 100);
    assert_eq!((report.unrecorded, report.data_lost), (vec![], vec![at(90)]));
}

#[test]
fn a_life_that_goes_on_in_a_new_data_set_is_one_life() {
    let mut story = Story::default().joined(0, "a", 1).beats("a", 1, 10..=90, 0).joined(50, "a", 1);
    story.events[1].seq = EventSeq(2_000_000);
    assert_eq!(online(&story.report(0, 95), "a"), [(0, 95)]);
    // Another life: the first one ended some time after its last beat.
    let story = Story::default().joined(0, "a", 1).beats("a", 1, 10..=40, 0).joined(80, "a", 2);
    assert_eq!(away(&story.report(0, 95), "a"), [((40, 80), Gone::Unknown, false)]);
}

#[test]
fn a_lonely_member_that_fell_silent_is_down() {
    let story =
        Story::default().joined(0, "a", 1).beats("a", 1, 10..=200, 0).member("a", 1, StoredStatus::Online, 0, 200);
    let report = story.report(0, 1_000);
    assert_eq!(away(&report, "a"), [((200, 1_000), Gone::Silent, false)]);
    assert_eq!(node(&report, "a").now, Standing::Offline);
    let report = story.report(0, 230);
    assert_eq!((node(&report, "a").now, node(&report, "a").gaps.len()), (Standing::Online, 1), "late so far");
}

#[test]
fn a_row_tells_how_a_node_is_gone_when_no_event_does() {
    let story = Story::default()
        .member("left", 1, StoredStatus::Left, 0, 150)
        .member("dead", 2, StoredStatus::Offline, 0, 150)
        .member("long", 3, StoredStatus::Left, 0, 50);
    let report = story.report(100, 200);
    assert_eq!((away(&report, "left")[0].1, away(&report, "dead")[0].1), (Gone::Left, Gone::Unknown));
    assert_eq!(online(&report, "dead"), [(100, 150)]);
    assert_eq!(report.nodes.len(), 2, "the third one had left before");
}

#[test]
fn a_node_that_was_down_all_the_time_is_shown_while_the_cluster_knows_it() {
    let story = Story::default().joined(0, "a", 1).left(50, "a", 1, LeftReason::ProcessDied);
    let missed = story.clone().member("a", 1, StoredStatus::Offline, 0, 50).report(100, 200);
    assert_eq!((away(&missed, "a").len(), node(&missed, "a").availability()), (1, Some(0.0)));
    let forgotten = story.member("b", 2, StoredStatus::Online, 0, 199).report(100, 200);
    assert_eq!(forgotten.nodes.len(), 1);
}

#[test]
fn a_renamed_node_says_goodbye_under_its_old_name() {
    let story = Story::default()
        .joined(0, "old", 1)
        .elected(1, "old", 2, "", ElectedReason::Vacant)
        .lost(50, "old", 2, LostReason::Resigned)
        .left(50, "old", 1, LeftReason::Left)
        .joined(50, "new", 3)
        .elected(51, "new", 4, "old", ElectedReason::Resigned);
    let report = story.report(0, 100);
    assert_eq!((node(&report, "old").now, node(&report, "new").now), (Standing::Left, Standing::Online));
    assert_eq!(node(&report, "old").availability(), Some(1.0));
    assert_eq!(report.failovers[0].vacancy(), Vacancy::Exactly(Duration::from_secs(1)));
}

#[test]
fn a_clock_that_was_set_back_is_told_and_makes_no_negative_spans() {
    let story = Story::default()
        .joined(0, "a", 1)
        .left(3_600, "a", 1, LeftReason::ProcessDied)
        .joined(50, "a", 2)
        .left(70, "a", 2, LeftReason::HeartbeatTimeout);
    let report = story.report(0, 100);
    assert_eq!(report.set_back, Duration::from_secs(3_550));
    assert_eq!(online(&report, "a"), [(0, 50), (50, 70)]);
    assert!(story.report(0, 4_000).set_back > Duration::ZERO);
}

#[test]
fn a_summary_that_was_cut_says_that_there_are_more_gaps() {
    let mut story = Story::default().joined(0, "a", 1);
    for second in (0..200).map(|gap| 600 + gap * 2) {
        story = story.beats("a", 1, second..=second, 0);
    }
    story.samples.iter_mut().for_each(|sample| sample.interval = Duration::from_secs(1));
    let report = story.report(0, 1_100);
    assert!(node(&report, "a").gaps_cut && node(&report, "a").gaps.len() >= crate::cluster::history::MOST_SPANS);
}

#[test]
fn a_leader_that_died_alone_leaves_nobody() {
    let story = Story::default()
        .joined(0, "a", 1)
        .joined(0, "b", 2)
        .elected(5, "a", 3, "", ElectedReason::Vacant)
        .left(60, "a", 1, LeftReason::ProcessDied);
    let report = story.report(0, 100);
    assert_eq!((report.reigns[0].end, report.leaderless_since), (ReignEnd::Gone, Some(at(60))));
}

#[test]
fn a_leader_that_dies_at_once_led_at_its_election() {
    let elected = |second| {
        Story::default()
            .joined(0, "b", 2)
            .elected(second, "a", 3, "", ElectedReason::Vacant)
            .elected(100, "b", 4, "a", ElectedReason::ProcessDied)
            .report(0, 200)
    };
    assert_eq!(elected(95).failovers[0].vacancy(), Vacancy::AtMost(Duration::from_secs(5)));
    assert_eq!(elected(50).failovers[0].vacancy(), Vacancy::Unknown, "that would say nothing");
}

#[test]
fn the_name_is_the_newest_one_and_the_id_where_there_is_none() {
    let mut story = Story::default().joined(0, "a", 1).joined(0, "b", 2);
    story.events[0].fact =
        ClusterFact::NodeJoined { name: "Küche".into(), incarnation: Incarnation(1), rejoined: false };
    let report = story.report(0, 100);
    assert_eq!((node(&report, "a").name.as_str(), node(&report, "b").name.as_str()), ("Küche", "b"));
}
