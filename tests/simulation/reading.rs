//! Reading the stream of messages: a read waits at the server until there is something, or for a while.
//!
//! 1. One read of a process is under way at a time. Before a hole the data set is asked for, because it may be a new one.
//!
//! Not here: what the inbox makes of it (`messages.rs`).

use crate::clock::{MS, SECOND};
use crate::network::{Job, Kind, News};
use crate::side::Side;
use crate::world::{Due, World};
use clawster::cluster::ids::MessageSeq;
use clawster::cluster::messages::inbox::Inbox;
use clawster::cluster::node::Standing;
use clawster::cluster::protocol::{Call, DataSet, Entry, Fault, Reply, View};

/// How many entries one read takes.
const COUNT: usize = 16;

impl World {
    /// Asks for what stands behind what was read, unless a read is under way.
    pub(crate) fn read_on(&mut self, pid: usize) {
        let process = &self.processes[pid];
        let member = matches!(process.node.standing(), Standing::Member(_));
        let wants = process.mail.inbox.as_ref().filter(|inbox| member && !inbox.is_full()).map(Inbox::read);
        let Some(after) = wants.filter(|_| !process.mail.reading && process.mail.held.is_none()) else { return };
        let Some(conn) = process.read.or_else(|| self.connect(pid, Kind::Read)) else {
            return self.read_again(pid);
        };
        self.processes[pid].read = Some(conn);
        self.processes[pid].mail.reading = true;
        let remains = self.processes[pid].mail.inbox.as_ref().is_some_and(Inbox::seeks_remains);
        self.processes[pid].mail.reading_remains = remains;
        self.send_up(conn, Job::Read(after, !remains));
    }

    fn read_again(&mut self, pid: usize) {
        if !std::mem::replace(&mut self.processes[pid].mail.again, true) {
            self.later(self.now + 100 * MS, Due::Deliver(pid, None, News::ReadAgain));
        }
    }

    pub(crate) fn reads_again(&mut self, pid: usize) {
        self.processes[pid].mail.again = false;
        self.read_on(pid);
    }

    pub(crate) fn read_lost(&mut self, pid: usize) {
        self.processes[pid].read = None;
        self.processes[pid].mail.reading = false;
        self.read_again(pid);
    }

    pub(crate) fn entries_arrived(&mut self, pid: usize, asked: MessageSeq, entries: Vec<Entry>) {
        self.processes[pid].mail.reading = false;
        let mail = &mut self.processes[pid].mail;
        if let Some(inbox) = mail.inbox.as_mut().filter(|_| mail.reading_remains && entries.is_empty()) {
            inbox.found_nothing_after(asked);
        }
        let holes = mail.inbox.as_ref().zip(entries.first()).is_some_and(|(inbox, first)| !inbox.follows(first));
        if holes {
            mail.held = Some((asked, entries));
            let view = View { epoch: String::new(), version: 0, floor: 0, rows: 0, beats: 0 };
            return self.side_call(pid, Side::DataSet, Call::View(view));
        }
        self.take_entries(pid, None, asked, &entries);
    }

    pub(crate) fn data_set_told(&mut self, pid: usize, outcome: Result<Reply, Fault>) {
        let Some((asked, entries)) = self.processes[pid].mail.held.take() else { return };
        match outcome {
            Ok(Reply::View(view)) => self.take_entries(pid, Some(&view.data), asked, &entries),
            _ => self.read_again(pid),
        }
    }

    fn take_entries(&mut self, pid: usize, data: Option<&DataSet>, asked: MessageSeq, entries: &[Entry]) {
        if let Some(inbox) = self.processes[pid].mail.inbox.as_mut().filter(|inbox| inbox.read() >= asked) {
            if let Some(data) = data {
                inbox.begin_epoch(data);
            }
            let before = inbox.read();
            for entry in entries {
                inbox.take(entry);
            }
            let (read, count) = (inbox.read(), entries.len());
            self.note(|| format!("-- p{pid} took {count} entries, read {before} to {read}"));
        }
        self.read_on(pid);
    }

    /// A read that found nothing for a while ends.
    pub(crate) fn read_is_over(&mut self, conn: usize, number: u64) {
        let after = self.conns[conn].waiting.take_if(|(_, own)| *own == number);
        if let Some((after, _)) = after {
            self.send_down(conn, News::Entries(after, Vec::new()));
        }
    }

    /// A server answers a read, or lets it wait if it may.
    pub(crate) fn serve_read(&mut self, conn: usize, after: MessageSeq, waits: bool) {
        let entries = self.servers[self.conns[conn].server].state.messages(after, COUNT);
        if entries.is_empty() && waits {
            self.reads += 1;
            self.conns[conn].waiting = Some((after, self.reads));
            self.later(self.now + 5 * SECOND, Due::ReadIsOver(conn, self.reads));
        } else {
            self.conns[conn].waiting = None;
            self.send_down(conn, News::Entries(after, entries));
        }
    }

    /// New messages: whoever waits for some gets them.
    pub(crate) fn wake_readers(&mut self, sid: usize) {
        for conn in self.open_conns(sid) {
            if let Some((after, _)) = self.conns[conn].waiting.take() {
                self.serve_read(conn, after, true);
            }
        }
    }
}
