//! A model check of the election: every order of a few steps, instead of many random ones.
//!
//! **This checks a model, not the code**: the rules are written down here once more, small enough to be explored, and nothing
//! of `clawster` runs. That the code follows them is what `run.rs` and the stories look at.
//!
//! 1. Two nodes, one server, one clock in whole ticks, messages that are late, lost or overtake each other.
//! 2. E1 holds in every reachable state, and a change of leaders is reachable.
//! 3. Each rule that is taken out is missed: the checker finds two leaders.
//!
//! Not here: clock rates, losses of data, several servers (the simulation has them).

use stateright::{Checker, Model, Property};

/// Ticks of a lease, of a grace, and of the whole run.
const LEASE: u8 = 2;
const GRACE: u8 = 1;
const END: u8 = 2;
/// How many messages are under way at most, and how high numbers rise.
const UNDER_WAY: usize = 2;
const NUMBERS: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    AsTheyAre,
    /// The leader counts its lease from the answer's arrival.
    LeaseFromTheAnswer,
    /// The leader counts a pong from its arrival.
    GraceFromThePong,
    /// A candidate takes over as soon as it sees the presence gone.
    NoGrace,
    /// A candidate does not look whether the leader registered again.
    AnyRegistration,
    /// A candidate takes an expired lease without having watched it for one.
    NoWatch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Why {
    Expired,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Renew { node: u8, term: u8, sent: u8 },
    Renewed { node: u8, term: u8, sent: u8 },
    Campaign { node: u8, why: Why, term: u8, seen: u8, sent: u8 },
    Granted { node: u8, term: u8, sent: u8 },
    Register { node: u8, term: u8 },
    Registered { node: u8, registration: u8 },
    Ping { node: u8, registration: u8, sent: u8 },
    Pong { node: u8, registration: u8, sent: u8 },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Server {
    holder: Option<u8>,
    term: u8,
    expires: u8,
    /// Rises with every renewal and grant.
    renewal: u8,
    /// Rises with every registration.
    registration: u8,
    present: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Node {
    term: u8,
    lease_until: u8,
    registration: u8,
    present_until: u8,
    /// The renewal that it saw, and since when it was unchanged.
    seen: Option<(u8, u8)>,
    /// The registration that it saw gone, and since when.
    gone: Option<(u8, u8)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct World {
    now: u8,
    server: Server,
    nodes: [Node; 2],
    /// Sorted, because their order means nothing.
    messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Tick,
    Deliver(Message),
    Lose(Message),
    Send(Message),
    Look(u8),
    /// The server sees the end of the leader's connection; the leader hears nothing.
    Cut,
}

struct Election {
    rules: Rules,
}

impl World {
    fn leads(&self, node: usize) -> bool {
        let n = &self.nodes[node];
        n.term > 0 && self.now < n.lease_until.min(n.present_until)
    }

    fn send(&mut self, message: Message) {
        self.messages.push(message);
        self.messages.sort_unstable();
    }

    /// Node 0 leads at first, registered and just confirmed; node 1 knows nothing yet.
    fn start() -> Self {
        let server = Server { holder: Some(0), term: 1, expires: LEASE, renewal: 1, registration: 1, present: true };
        let leader = Node { term: 1, lease_until: LEASE, registration: 1, present_until: GRACE, ..Node::default() };
        Self { server, nodes: [leader, Node::default()], ..Self::default() }
    }
}

impl Election {
    fn wishes(&self, world: &World, at: u8) -> Vec<Message> {
        let (node, now) = (&world.nodes[usize::from(at)], world.now);
        let mut all = Vec::new();
        if at == 0 && node.term == 0 {
            // Deposed: its part is over.
            return all;
        }
        if node.term > 0 {
            all.push(Message::Renew { node: at, term: node.term, sent: now });
            all.push(Message::Register { node: at, term: node.term });
            if node.registration > 0 {
                all.push(Message::Ping { node: at, registration: node.registration, sent: now });
            }
            return all;
        }
        let watched = |since: u8, wait: u8| now >= since + wait;
        if let Some((seen, since)) = node.seen
            && (watched(since, LEASE) || self.rules == Rules::NoWatch)
        {
            all.push(Message::Campaign { node: at, why: Why::Expired, term: world.server.term, seen, sent: now });
        }
        if let Some((seen, since)) = node.gone
            && (watched(since, GRACE) || self.rules == Rules::NoGrace)
        {
            all.push(Message::Campaign { node: at, why: Why::Gone, term: world.server.term, seen, sent: now });
        }
        all
    }

    fn deliver(&self, world: &mut World, message: Message) {
        let now = world.now;
        let server = &mut world.server;
        match message {
            Message::Renew { node, term, sent } => {
                if server.holder == Some(node) && server.term == term && server.renewal < NUMBERS {
                    server.expires = now + LEASE;
                    server.renewal += 1;
                    world.send(Message::Renewed { node, term, sent });
                } else if server.term != term {
                    world.nodes[usize::from(node)] = Node::default();
                }
            }
            Message::Register { node, term } => {
                if server.holder == Some(node) && server.term == term && server.registration < NUMBERS {
                    server.registration += 1;
                    server.present = true;
                    let registration = server.registration;
                    world.send(Message::Registered { node, registration });
                }
            }
            Message::Ping { node, registration, sent } => {
                if server.present && server.registration == registration {
                    world.send(Message::Pong { node, registration, sent });
                }
            }
            Message::Campaign { node, why, term, seen, sent } => {
                let allowed = match why {
                    // The jump of a server's clock is the difference between watching the lease and reading its end.
                    Why::Expired => server.renewal == seen && (now >= server.expires || self.rules == Rules::NoWatch),
                    Why::Gone => {
                        let same = server.registration == seen || self.rules == Rules::AnyRegistration;
                        same && (!server.present || self.rules == Rules::AnyRegistration)
                    }
                };
                if allowed && server.term == term && server.holder != Some(node) && term < NUMBERS {
                    *server = Server {
                        holder: Some(node),
                        term: term + 1,
                        expires: now + LEASE,
                        renewal: server.renewal + 1,
                        registration: server.registration + 1,
                        present: true,
                    };
                    world.send(Message::Granted { node, term: term + 1, sent });
                }
            }
            Message::Renewed { node, term, sent } => {
                let n = &mut world.nodes[usize::from(node)];
                if n.term == term {
                    let from = if self.rules == Rules::LeaseFromTheAnswer { now } else { sent };
                    n.lease_until = n.lease_until.max(from + LEASE);
                }
            }
            Message::Granted { node, term, sent } => {
                let registration = server.registration;
                let n = &mut world.nodes[usize::from(node)];
                if n.term < term {
                    // Its connection stood at the grant: a ping from then on counts.
                    *n = Node { term, lease_until: sent + LEASE, registration, ..Node::default() };
                }
            }
            Message::Registered { node, registration } => {
                let n = &mut world.nodes[usize::from(node)];
                if n.term > 0 {
                    n.registration = n.registration.max(registration);
                }
            }
            Message::Pong { node, registration, sent } => {
                let n = &mut world.nodes[usize::from(node)];
                if n.term > 0 && n.registration == registration {
                    let from = if self.rules == Rules::GraceFromThePong { now } else { sent };
                    n.present_until = n.present_until.max(from + GRACE);
                }
            }
        }
    }

    fn look(world: &mut World, at: u8) {
        let (now, server) = (world.now, world.server.clone());
        let node = &mut world.nodes[usize::from(at)];
        let kept = |known: Option<(u8, u8)>, value: u8| known.filter(|(v, _)| *v == value).or(Some((value, now)));
        node.seen = kept(node.seen, server.renewal);
        node.gone = if server.present { None } else { kept(node.gone, server.registration) };
    }
}

impl Model for Election {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::start()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        if world.now < END {
            actions.push(Step::Tick);
        }
        for message in &world.messages {
            actions.push(Step::Deliver(*message));
            actions.push(Step::Lose(*message));
        }
        if world.server.present {
            actions.push(Step::Cut);
        }
        for at in 0..2 {
            if at == 1 && world.nodes[1].term == 0 {
                actions.push(Step::Look(at));
            }
            if world.messages.len() < UNDER_WAY {
                let alike = |a: &Message, b: &Message| std::mem::discriminant(a) == std::mem::discriminant(b);
                let fresh = |wish: &Message| !world.messages.iter().any(|m| alike(m, wish));
                let fresh = self.wishes(world, at).into_iter().filter(fresh);
                actions.extend(fresh.map(Step::Send));
            }
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        let taken = |world: &mut World, message: Message| {
            let at = world.messages.iter().position(|m| *m == message);
            at.map(|at| world.messages.remove(at))
        };
        match step {
            Step::Tick => world.now += 1,
            Step::Deliver(message) => {
                taken(&mut world, message)?;
                self.deliver(&mut world, message);
            }
            Step::Lose(message) => {
                taken(&mut world, message)?;
            }
            Step::Send(message) => world.send(message),
            Step::Look(at) => Self::look(&mut world, at),
            Step::Cut => world.server.present = false,
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("at most one leads", |_, world: &World| !(world.leads(0) && world.leads(1))),
            Property::sometimes("the other one leads", |_, world: &World| world.leads(1)),
        ]
    }
}

fn check(rules: Rules) -> impl Checker<Election> {
    Election { rules }.checker().threads(2).spawn_bfs().join()
}

#[test]
fn at_most_one_leads_in_every_order_of_steps() {
    let checked = check(Rules::AsTheyAre);
    eprintln!("{} states", checked.unique_state_count());
    checked.assert_properties();
}

#[test]
fn every_rule_is_needed() {
    let broken =
        [Rules::LeaseFromTheAnswer, Rules::GraceFromThePong, Rules::NoGrace, Rules::AnyRegistration, Rules::NoWatch];
    for rules in broken {
        assert!(check(rules).discovery("at most one leads").is_some(), "{rules:?} is not caught");
    }
}
