//! What is kept of a run that failed: its story in lines, and the directories of its nodes with their logs.
//!
//! Not here: the verdict (`checkers/`).

use crate::history::History;
use crate::world::World;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Keeps a failed run; returns where.
pub fn keep(world: &World, problems: &[String]) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{}", world.plan.seed));
    std::fs::remove_dir_all(&place).ok();
    Command::new("cp").arg("-r").arg(&world.dir).arg(&place).stdin(Stdio::null()).stderr(Stdio::null()).status().ok();
    std::fs::create_dir_all(&place).ok();
    std::fs::write(place.join("story.txt"), story(world, problems)).ok();
    place
}

fn story(world: &World, problems: &[String]) -> String {
    let history = &world.history;
    let mut text = format!("{}\nfaults: {}\n\n", world.plan.line(), world.plan.faults_text());
    problems.iter().for_each(|problem| writeln!(text, "{problem}").unwrap());
    let mut lines: Vec<(std::time::Duration, String)> = Vec::new();
    for a in history.applied().iter() {
        let led = if a.led { ", which led" } else { "" };
        lines.push((
            a.begun,
            format!(
                "fault {} on {:?}{led}, until {:?} {}",
                a.fault,
                a.place,
                a.ended,
                a.skipped.as_deref().unwrap_or("")
            ),
        ));
    }
    for (begun, ended) in history.stalls().iter() {
        lines.push((*begun, format!("the host stood still for {:?}", *ended - *begun)));
    }
    roles(history, &mut lines);
    for (place, mine) in history.received().iter() {
        lines.extend(
            mine.gaps.iter().map(|(from, to, at)| (*at, format!("n{place} is told a gap from {from} to {to}"))),
        );
    }
    for (node, told) in history.events().iter() {
        lines.extend(told.iter().map(|told| (told.at, format!("{node} reads {}", told.event))));
    }
    for op in history.leases().iter() {
        lines.push((
            op.sent,
            format!("n{}/{} {} {:?} -> {:?} at {:?}", op.place, op.instance, op.name, op.ask, op.answer, op.answered),
        ));
    }
    for op in history.tasks().iter() {
        lines.push((op.sent, format!("n{}/{} {} {:?} at {:?}", op.place, op.instance, op.task, op.step, op.answered)));
    }
    for (place, mine) in history.received().iter() {
        lines.extend(
            mine.deliveries
                .iter()
                .map(|d| (d.at, format!("n{place} gets {} ({}), asked for at {:?}", d.id, d.seq, d.asked))),
        );
        lines.extend(mine.acked.iter().map(|(cursor, at)| (*at, format!("n{place} acknowledges {cursor}"))));
    }
    for (place, sent) in history.sent().iter() {
        lines.extend(
            sent.iter().map(|m| (m.at, format!("n{place} sends {} to {:?}, accepted at {:?}", m.id, m.to, m.accepted))),
        );
    }
    lines.sort();
    text.push('\n');
    for (at, line) in lines {
        writeln!(text, "{:>12.3} {line}", at.as_secs_f64()).unwrap();
    }
    text
}

/// When who began to say that it leads.
fn roles(history: &History, lines: &mut Vec<(std::time::Duration, String)>) {
    let mut last: std::collections::BTreeMap<String, (bool, u64)> = std::collections::BTreeMap::new();
    for sample in history.samples().iter() {
        let now = (sample.leads, sample.term);
        if last.insert(sample.node.clone(), now) != Some(now) {
            let role = if sample.leads { "leads" } else { "follows" };
            lines.push((
                sample.answered,
                format!("{} {role} in term {} (asked at {:?})", sample.node, sample.term, sample.sent),
            ));
        }
    }
}
