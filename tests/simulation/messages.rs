//! Messages of a process, around the real inbox and packing: accepting, sending, reading, handing out.
//!
//! 1. What a client gives is on the disk before it is answered, and leaves it when the stream has it.
//! 2. One write and one read are under way at a time.
//! 3. It does what `engine::publisher`, `engine::reader` and `engine::sync` do, which are I/O.
//!
//! Not here: what must hold (`message_checks.rs`), when clients act (`load.rs`).

use crate::clock::MS;
use crate::disk::{Disk, DiskKey};
use crate::message_checks::{Given, Log};
use crate::network::News;
use crate::process::Process;
use crate::side::Side;
use crate::world::{Due, World};
use clawster::cluster::ids::{MessageSeq, NodeId, Nonce};
use clawster::cluster::messages::inbox::Inbox;
use clawster::cluster::messages::message::{Message, Outgoing};
use clawster::cluster::messages::packing::pack;
use clawster::cluster::node::{Admission, Input, JoinRequest, Request, Standing};
use clawster::cluster::protocol::{Acknowledge, Call, DataSet, Entry, Fault, Identity, Publish, PublishReply, Reply};
use serde_json::value::RawValue;

/// How many messages one write carries.
const BATCH: usize = 200;

/// The messages of a process.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// The store that it holds.
    pub(crate) disk: Option<DiskKey>,
    pub(crate) inbox: Option<Inbox>,
    owner: Option<NodeId>,
    publishing: Option<Vec<Outgoing>>,
    sent: u64,
    newest: MessageSeq,
    pub(crate) reading: bool,
    /// Whether that read looks for what is left of an earlier data set.
    pub(crate) reading_remains: bool,
    /// A pause before the next read runs.
    pub(crate) again: bool,
    /// Entries behind a hole, which wait for an answer about the data set.
    pub(crate) held: Option<(MessageSeq, Vec<Entry>)>,
    /// What its client saw while it had no store.
    pub(crate) log: Log,
}

impl Mail {
    /// The highest position that was seen.
    pub(crate) fn highest(&self) -> MessageSeq {
        self.inbox.as_ref().map(Inbox::read).unwrap_or_default().max(self.newest)
    }
}

impl World {
    /// A process takes the store of its id, if nobody holds it.
    pub(crate) fn hold_disk(&mut self, pid: usize, id: &NodeId) -> bool {
        if self.processes[pid].mail.disk.is_some() {
            return false;
        }
        let key = (self.processes[pid].host, id.clone());
        let name = format!("out{}x{}", key.0, self.disks.len());
        let disk = self.disks.entry(key.clone()).or_insert_with(|| Disk::new(&name));
        if disk.holder.is_some() {
            return false;
        }
        disk.holder = Some(pid);
        let kept = disk.kept();
        let mail = &mut self.processes[pid].mail;
        disk.log.take_in(std::mem::take(&mut mail.log));
        mail.disk = Some(key);
        mail.sent = 0;
        if let Some(inbox) = &mut mail.inbox {
            inbox.adopt(kept);
        }
        self.save_cursor(pid);
        self.read_on(pid);
        true
    }

    pub(crate) fn release_disk(&mut self, pid: usize, killed: bool) {
        let Some(key) = self.processes[pid].mail.disk.take() else { return };
        let now = self.now;
        let disk = self.disks.get_mut(&key).expect("it is held");
        if killed && disk.crash(now, &mut self.rng) {
            self.coverage.see("fault: removals of sent messages lost");
        }
        disk.holder = None;
        let waits = |p: &Process| p.alive && p.host == key.0 && *p.node.node_id() == key.1 && p.mail.disk.is_none();
        let waiting: Vec<usize> = (0..self.processes.len()).filter(|other| waits(&self.processes[*other])).collect();
        for other in waiting {
            self.later(now + 100 * MS, Due::Deliver(other, None, News::StoreFree));
        }
    }

    pub(crate) fn store_is_free(&mut self, pid: usize) {
        if self.is_member(pid) {
            let id = self.processes[pid].node.node_id().clone();
            self.resume_disk(pid, &id);
        }
    }

    /// A join takes the store of its id first; where another process holds it, only a forced one goes on without.
    pub(crate) fn may_ask(&mut self, pid: usize, input: &Input) -> bool {
        let Input::Asked(ticket, Request::Join(ask)) = input else { return true };
        if !self.setup.load.messages || self.processes[pid].mail.disk.is_some() {
            return true;
        }
        let id = ask.node_id.clone().unwrap_or_else(|| self.processes[pid].node.node_id().clone());
        self.resume_disk(pid, &id);
        let may = ask.force || self.processes[pid].mail.disk.is_some();
        if !may {
            self.coverage.see("message: a join refused, because another process holds the store");
            self.processes[pid].asked.remove(ticket);
        }
        may
    }

    /// The store that a process holds goes along to its new id; one that lay there is set aside.
    fn rename_disk(&mut self, pid: usize, id: &NodeId) {
        let Some(old) = self.processes[pid].mail.disk.clone().filter(|(_, known)| known != id) else { return };
        let new = (old.0, id.clone());
        if self.disks.get(&new).is_some_and(|disk| disk.holder.is_some()) {
            return;
        }
        let mut disk = self.disks.remove(&old).expect("it is held");
        if let Some(aside) = self.disks.remove(&new) {
            self.coverage.see("message: a store was set aside by a rename");
            disk.log.take_id(&aside.log);
            self.disks.insert((1000 + self.disks.len(), id.clone()), aside);
        }
        self.disks.insert(new.clone(), disk);
        if self.hosts[old.0].id == old.1 && self.rng.chance(600) {
            // Whoever renamed it wrote the new id into its configuration, too.
            self.hosts[old.0].id = id.clone();
        }
        self.processes[pid].mail.disk = Some(new);
    }

    pub(crate) fn mail_admitted(&mut self, pid: usize, admission: &Admission) {
        let id = &admission.instance.node_id;
        let met = self.disks.get(&(self.processes[pid].host, id.clone())).filter(|disk| disk.holder.is_none());
        let began =
            met.and_then(|disk| disk.place.as_ref()).filter(|place| place.owner == *id).map(|place| place.began);
        self.rename_disk(pid, id);
        if self.processes[pid].mail.disk.is_none() {
            self.resume_disk(pid, &id.clone());
        }
        let mut ids = vec![id.clone()];
        ids.extend(admission.aliases.iter().cloned());
        self.processes[pid].ids.clone_from(&ids);
        let mail = &mut self.processes[pid].mail;
        let before = mail.owner.replace(id.clone());
        let goes_on = before.as_ref().is_some_and(|known| ids.contains(known));
        let key = mail.disk.clone();
        if let Some(inbox) = mail.inbox.as_mut().filter(|_| goes_on) {
            match admission.stood.filter(|_| before.as_ref() != Some(id)) {
                Some(stood) => inbox.rename(ids.clone(), stood, began),
                None => inbox.set_ids(ids.clone()),
            }
            inbox.begin_epoch(&admission.data);
        } else {
            let kept = key.as_ref().and_then(|key| self.disks.get(key));
            let (nobody, data) = (Nonce::from_bytes([0; 16]), &admission.data);
            let mut inbox = Inbox::new(ids.clone(), nobody, admission.cursor, data, Default::default());
            if let Some(disk) = kept {
                inbox.adopt(disk.kept());
            }
            mail.inbox = Some(inbox);
        }
        let cursor = mail.inbox.as_ref().map(Inbox::acknowledged).unwrap_or_default();
        self.note(|| format!("-- p{pid} receives as {ids:?} from {cursor}, goes on: {goes_on}"));
        if let Some(key) = key {
            self.check_begin(&key, &ids, cursor);
        }
        self.save_cursor(pid);
        self.read_on(pid);
        self.publish_on(pid);
    }

    pub(crate) fn mail_data_set(&mut self, pid: usize, data: &DataSet) {
        if let Some(inbox) = &mut self.processes[pid].mail.inbox {
            inbox.begin_epoch(data);
        }
    }

    pub(crate) fn mail_departed(&mut self, pid: usize) {
        let process = &mut self.processes[pid];
        process.mail.inbox = None;
        process.mail.owner = None;
        if matches!(process.node.standing(), Standing::Refused(_)) {
            self.release_disk(pid, false);
        }
    }

    /// Takes the store of an id if this process has none, as a join does before and after its call.
    pub(crate) fn resume_disk(&mut self, pid: usize, id: &NodeId) {
        if !self.hold_disk(pid, id) {
            return;
        }
        let key = self.processes[pid].mail.disk.clone().expect("it holds one");
        let disk = &self.disks[&key];
        let known = self.hosts[self.processes[pid].host].known;
        let (producer, cursor, cursor_of) = (disk.producer.clone(), disk.cursor.clone(), disk.cursor_of());
        let input = Input::Resumed { producer, known, cursor, cursor_of };
        self.step(pid, input);
        self.publish_on(pid);
    }

    /// What a process asks that wants another id: the store of that id, if nobody holds it, tells where its receiving stood.
    pub(crate) fn rename_ask(&self, pid: usize, id: NodeId) -> JoinRequest {
        let process = &self.processes[pid];
        let looks = process.mail.disk.is_some() && *process.node.node_id() != id;
        let there = self.disks.get(&(process.host, id.clone())).filter(|disk| looks && disk.holder.is_none());
        let known = there.map(|_| self.hosts[process.host].known).unwrap_or_default();
        let stood = there.filter(|disk| disk.cursor_of().is_none_or(|of| of == id));
        let stood = stood.and_then(|disk| disk.cursor.clone());
        JoinRequest { node_id: Some(id), stood, known, ..JoinRequest::default() }
    }

    fn save_cursor(&mut self, pid: usize) {
        let mail = &mut self.processes[pid].mail;
        let (Some(key), Some(inbox)) = (&mail.disk, &mut mail.inbox) else { return };
        let disk = self.disks.get_mut(key).expect("it is held");
        disk.cursor = Some((inbox.acknowledged(), inbox.epoch().to_owned()));
        disk.place = inbox.place().or(disk.place.take());
        for (producer, seq) in inbox.take_marks() {
            let mark = disk.marks.entry(producer).or_default();
            *mark = seq.max(*mark);
        }
    }

    /// A client gives messages to a node.
    pub(crate) fn give_messages(&mut self, pid: usize, count: u64, to: Option<&NodeId>) {
        let Some(key) = self.processes[pid].mail.disk.clone() else { return };
        let accepted = self.now;
        let disk = self.disks.get_mut(&key).expect("it is held");
        for _ in 0..count {
            self.messages += 1;
            let payload = RawValue::from_string("1".to_owned()).expect("JSON");
            let to_all = to.map(|id| vec![id.clone()]);
            disk.accept(Message { id: self.messages.to_string(), topic: None, to: to_all, payload });
            let producer = disk.producer.clone();
            let (key, to) = (key.clone(), to.cloned());
            let given = Given { key, producer, to, accepted, written: None, positions: Vec::new(), lost: false };
            self.streams.given.insert(self.messages, given);
        }
        self.publish_on(pid);
    }

    /// Sends what waits, unless a write is under way.
    pub(crate) fn publish_on(&mut self, pid: usize) {
        let process = &self.processes[pid];
        let Standing::Member(instance) = process.node.standing() else { return };
        let Some(key) = process.mail.disk.as_ref().filter(|_| process.mail.publishing.is_none()) else { return };
        let disk = &self.disks[key];
        let batch = disk.next_batch(process.mail.sent, BATCH);
        if batch.is_empty() {
            return;
        }
        let publish = Publish {
            instance: instance.clone(),
            epoch: process.node.view().epoch().to_owned(),
            producer: disk.producer.clone(),
            keep: self.setup.load.keep,
            max_bytes: 1 << 30,
            entries: pack(&batch),
        };
        self.processes[pid].mail.publishing = Some(batch);
        self.side_call(pid, Side::Publish, Call::Publish(Box::new(publish)));
    }

    pub(crate) fn published(&mut self, pid: usize, outcome: Result<Reply, Fault>) {
        let Some(batch) = self.processes[pid].mail.publishing.take() else { return };
        let up_to = match outcome {
            Ok(Reply::Publish(PublishReply::Written { first, .. })) => {
                let last = batch.last().map_or(0, |message| message.producer_seq);
                let newest = MessageSeq(first.0 + batch.len() as u64 - 1);
                self.processes[pid].mail.newest = self.processes[pid].mail.newest.max(newest);
                Some(last)
            }
            Ok(Reply::Publish(PublishReply::Marked { producer_seq, seq })) => {
                self.coverage.see("message: sent again, dropped by the producer's mark");
                self.processes[pid].mail.newest = self.processes[pid].mail.newest.max(seq);
                Some(producer_seq.min(batch.last().map_or(0, |message| message.producer_seq)))
            }
            Ok(Reply::Publish(PublishReply::Refused(identity))) => {
                self.coverage.see("message: a write refused to a life that is over");
                if identity != Identity::Replaced {
                    self.step(pid, Input::CalledToRegister);
                }
                None
            }
            _ => None,
        };
        let now = self.now;
        let mail = &mut self.processes[pid].mail;
        if let Some(key) = &mail.disk
            && let Some(up_to) = up_to
        {
            let disk = self.disks.get_mut(key).expect("it is held");
            // A store that was taken meanwhile has other places.
            if batch.first().is_some_and(|m| disk.unsent.front().is_some_and(|own| own.message.id == m.message.id)) {
                mail.sent = mail.sent.max(up_to);
                disk.sent(now, up_to);
            }
            return self.publish_on(pid);
        }
        self.later(now + 250 * MS, Due::Deliver(pid, None, News::PublishAgain));
    }

    /// A client receives, and may acknowledge what it got at once.
    pub(crate) fn receive(&mut self, pid: usize, limit: usize, acknowledges: bool) {
        let mail = &mut self.processes[pid].mail;
        let Some(inbox) = &mut mail.inbox else { return };
        let offer = inbox.offer(limit, 4 << 20);
        self.note(|| {
            format!(
                "-- p{pid} is handed {} up to {}, gap {:?}, acknowledges: {acknowledges}",
                offer.received.len(),
                offer.cursor,
                offer.gap
            )
        });
        match self.processes[pid].mail.disk.clone() {
            Some(key) => {
                self.check_offer(pid, &key, &offer);
                self.disks.get_mut(&key).expect("it is held").log.offered = Some(offer.cursor);
            }
            None => self.processes[pid].mail.log.note_offer(&offer),
        }
        if acknowledges {
            self.acknowledge(pid, offer.cursor, false);
        }
        self.read_on(pid);
    }

    /// A client acknowledges what it was given, perhaps by an earlier process.
    pub(crate) fn acknowledge_late(&mut self, pid: usize) {
        let key = self.processes[pid].mail.disk.clone();
        let offered = key.and_then(|key| self.disks.get_mut(&key)?.log.offered.take());
        if let Some(cursor) = offered {
            self.acknowledge(pid, cursor, true);
        }
    }

    fn acknowledge(&mut self, pid: usize, cursor: MessageSeq, late: bool) {
        let ids = self.processes[pid].ids.clone();
        let mail = &mut self.processes[pid].mail;
        let Some(inbox) = &mut mail.inbox else { return };
        match inbox.acknowledge(cursor) {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return self.coverage.see("message: acknowledgement beyond what was delivered"),
        }
        let epoch = inbox.epoch().to_owned();
        let key = mail.disk.clone();
        self.save_cursor(pid);
        match key {
            Some(key) => self.check_acknowledged(&key, &ids, cursor, late),
            None => self.note_acknowledged(&ids, cursor),
        }
        self.coverage.see("message: acknowledged");
        self.step(pid, Input::Acknowledged(cursor, epoch.clone()));
        if let Standing::Member(instance) = self.processes[pid].node.standing().clone() {
            self.side_call(pid, Side::Acknowledge, Call::Acknowledge(Acknowledge { instance, epoch, seq: cursor }));
        }
    }

    /// Whether a process has nothing left to send or to read, as far as it can know.
    pub(crate) fn mail_is_done(&self, pid: usize) -> bool {
        let mail = &self.processes[pid].mail;
        let sent = mail.disk.as_ref().is_none_or(|key| self.disks[key].unsent.is_empty());
        let state = &self.servers[self.primary].state;
        let read =
            mail.inbox.as_ref().is_some_and(|inbox| inbox.is_empty() && state.messages(inbox.read(), 1).is_empty());
        sent && read
    }
}
