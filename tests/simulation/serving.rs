//! What a server does with what reaches it over a connection, and whom it tells.
//!
//! 1. A paused server serves nothing and keeps what arrives for later; one that is dead loses it.
//! 2. The checks see every call with its answer, and every new event.
//!
//! Not here: the way to the server and back (`network.rs`), its death and its successor (`server_life.rs`).

use crate::call_lines;
use crate::network::{Conn, ConnId, Job, Kind, News};
use crate::world::World;
use clawster::cluster::node::Ticket;
use clawster::cluster::protocol::{Call, Fault, Reply, Swept, TakeCensus, View, WatchLeader};
use testkit::memory::{Channel, Posted};

impl World {
    pub(crate) fn arrive(&mut self, conn: ConnId, job: Job) {
        let c = &self.conns[conn];
        let server = &mut self.servers[c.server];
        if !c.server_open || !server.alive {
            return;
        }
        if server.paused_until > self.now {
            server.backlog.push((conn, job));
            return;
        }
        self.serve(conn, job);
    }

    pub(crate) fn serve(&mut self, conn: ConnId, job: Job) {
        if !self.conns[conn].server_open {
            return;
        }
        let sid = self.conns[conn].server;
        match job {
            Job::Call(ticket, call) => self.serve_call(conn, sid, ticket, &call),
            Job::Subscribe(channel) => {
                self.servers[sid].state.subscribe(&channel);
                self.conns[conn].channels.push(channel.clone());
                match (channel, self.conns[conn].kind.clone()) {
                    (Channel::Presence(nonce), _) => self.send_down(conn, News::Up(nonce)),
                    (Channel::Leader, Kind::Presence(nonce)) => self.send_down(conn, News::Held(nonce)),
                    _ => {}
                }
            }
            Job::Unsubscribe(channel) => {
                if let Some(at) = self.conns[conn].channels.iter().position(|held| *held == channel) {
                    self.conns[conn].channels.remove(at);
                    self.servers[sid].state.unsubscribe(&channel);
                }
            }
            Job::Ping(sent) => {
                if let Kind::Presence(nonce) = self.conns[conn].kind.clone() {
                    self.send_down(conn, News::Pong(nonce, sent));
                }
            }
            Job::Follow(after) => {
                self.conns[conn].followed = Some(after);
                self.tell_follower(conn);
            }
            Job::Read(after, waits) => self.serve_read(conn, after, waits),
            Job::Close => self.server_closes(conn),
        }
    }

    pub(crate) fn server_closes(&mut self, conn: ConnId) {
        let sid = self.conns[conn].server;
        self.conns[conn].server_open = false;
        self.conns[conn].waiting = None;
        for channel in std::mem::take(&mut self.conns[conn].channels) {
            self.servers[sid].state.unsubscribe(&channel);
        }
    }

    fn serve_call(&mut self, conn: ConnId, sid: usize, ticket: Ticket, call: &Call) {
        let now = self.now;
        let reads =
            matches!(call, Call::View(_) | Call::Watch(WatchLeader) | Call::Census(TakeCensus) | Call::Leases(_));
        if self.servers[sid].read_only && !reads {
            let fault = Fault::Unavailable("this Redis is a read-only replica now".to_owned());
            self.send_down(conn, News::Answer(ticket, Box::new(Err(fault))));
            return;
        }
        let pid = self.conns[conn].pid;
        let mut call = call.clone();
        if let Some(change) = self.wrong.call {
            change(self, pid, &mut call);
        }
        let call = &call;
        if self.wrong.fast_server {
            self.servers[sid].clock += 1000;
        }
        let server = &mut self.servers[sid];
        let mut at = server.time(now);
        if self.wrong.stall_at_quarter {
            at = server.time_guarded(at, call, self.setup.timing.heartbeat_ttl);
        }
        let mut reply = server.state.apply(call, at);
        self.cover_time(sid, at, &reply);
        let server = &mut self.servers[sid];
        if self.wrong.acquire_by_server_clock {
            server.acquire_for(&self.processes[pid].node, &reply, at);
        }
        let id = server.state.server_id().clone();
        let notices = server.state.take_notices();
        if let Some(change) = self.wrong.reply {
            change(self, pid, &mut reply);
        }
        let dull = matches!(&reply, Reply::Sweep(Swept { leads: true, gone }) if gone.is_empty());
        if !reads && !dull {
            self.note(|| format!("   s{sid} p{pid} {} -> {}", call_lines::call(call), call_lines::reply(&reply)));
        }
        self.checks.applied(call, &reply);
        self.look_at_events(sid);
        self.look_at_work(call, &reply);
        if matches!(reply, Reply::Publish(_)) {
            self.wake_readers(sid);
        }
        for posted in &notices {
            self.publish(sid, posted);
        }
        if let Some((loses, left)) = &mut self.swallow
            && *left > 0
            && loses(call)
        {
            *left -= 1;
            self.note(|| format!("   s{sid} p{pid} answer swallowed"));
            return;
        }
        let weather = self.weather;
        if weather.lost_answers + weather.lost_requests > 0 {
            self.lossy_at = now;
        }
        if self.rng.chance(weather.lost_answers) {
            self.coverage.see("fault: answer lost");
            self.note(|| format!("   s{sid} p{pid} answer lost"));
            if self.rng.chance(500) {
                self.cut(conn);
            }
            return;
        }
        self.send_down(conn, News::Answer(ticket, Box::new(Ok((reply, id)))));
    }

    /// The checks of messages, leases and tasks see the call.
    fn look_at_work(&mut self, call: &Call, reply: &Reply) {
        match (call, reply) {
            (Call::Publish(publish), Reply::Publish(reply)) => self.check_publish(publish, reply),
            (Call::Lease(lease), Reply::Lease(reply)) => self.check_lease(lease, reply),
            (Call::Once(once), Reply::Once(grants)) => self.check_once(once, grants),
            (Call::Task(task), Reply::Task(reply)) => self.check_tasks(task, reply),
            (Call::Campaign(_), Reply::Campaign(reply)) => {
                if let Some(term) = reply.granted {
                    self.check_number("term", term.0);
                }
            }
            _ => {}
        }
        self.cover_call(call, reply);
    }

    fn publish(&mut self, sid: usize, posted: &Posted) {
        let meant = |c: &Conn| match &posted.to {
            Some(nonce) => c.channels.iter().any(|held| matches!(held, Channel::Presence(n) if n.as_str() == nonce)),
            None => !c.channels.is_empty(),
        };
        let open = self.open_conns(sid);
        let all: Vec<ConnId> = open.into_iter().filter(|at| meant(&self.conns[*at])).collect();
        for conn in all {
            self.send_down(conn, News::Notice(posted.notice.clone()));
        }
    }

    fn look_at_events(&mut self, sid: usize) {
        let server = &mut self.servers[sid];
        let events = server.state.events(server.told, usize::MAX);
        let Some(last) = events.last() else { return };
        server.told = last.seq;
        for event in &events {
            self.note(|| format!("** s{sid} {event:?}"));
        }
        if events.first().is_some_and(|first| !self.checks.is_next(first.seq.0)) {
            // A new data set began, perhaps with a call whose answer does not say so.
            let view = View { epoch: String::new(), version: 0, floor: 0, rows: 0, beats: 0 };
            let at = self.servers[sid].time(self.now);
            if let Reply::View(view) = self.servers[sid].state.apply(&Call::View(view), at) {
                self.checks.data_set(&view.data);
            }
        }
        self.check_events(&events);
        for event in &events {
            self.leases_end(event);
            self.tasks_end(event);
            self.cover_event(event);
        }
        let open = self.open_conns(sid);
        let all: Vec<ConnId> = open.into_iter().filter(|at| self.conns[*at].kind == Kind::Follow).collect();
        for conn in all {
            self.tell_follower(conn);
        }
    }

    pub(crate) fn tell_follower(&mut self, conn: ConnId) {
        let sid = self.conns[conn].server;
        let Some(after) = self.conns[conn].followed else { return };
        let events = self.servers[sid].state.events(after, usize::MAX);
        for event in events {
            self.conns[conn].followed = Some(event.seq);
            self.send_down(conn, News::Event(event));
        }
    }
}
