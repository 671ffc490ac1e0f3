//! The life of a task, explored step by step in every order: deliveries, losses, repetitions, deaths and timeouts.
//!
//! **This checks a model, not the code**: the rules are written down here once more, small enough to be explored, and nothing
//! of `clawster` runs. That the code follows them is what `run.rs` and the stories look at.
//!
//! 1. One task, two workers, a store; calls are delayed, lost and sent again, a worker dies before or after its words arrive.
//! 2. Each rule of the protocol that is taken away leads to a wrong end.
//!
//! Not here: lanes, priorities, requirements (the contract has them), the election (`model.rs`).

use stateright::{Checker, HasDiscoveries, Model, Property};

/// How often the task is handed out at most.
const ATTEMPTS: u8 = 2;
/// Ticks of a timeout, and of the whole run.
const TIMEOUT: u8 = 1;
const END: u8 = 2;
/// How many messages are under way at most, and how many lives a worker has.
const UNDER_WAY: usize = 2;
const LIVES: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    AsTheyAre,
    /// A completion is taken by whatever token, while the task runs.
    AnyToken,
    /// A completion is taken by the last token, whether the task runs or not.
    AnyState,
    /// The end of a life leaves its task running.
    NoRelease,
    /// A death gives the attempt back.
    DeathsAreFree,
    /// A claim that comes again is another claim.
    NoMemory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Instance {
    worker: u8,
    number: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    /// With the nonce of the claim: a worker has one a life, and sends it again until it is answered.
    Claim(Instance),
    Handed(Instance, u8),
    Complete(Instance, u8),
    Accepted(Instance, u8),
    Fail(Instance, u8),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum State {
    #[default]
    Waiting,
    Running,
    Done,
    Dead,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Server {
    state: State,
    holder: Option<Instance>,
    token: u8,
    attempts: u8,
    expires: u8,
    /// The last life that claimed, by its worker, and what it got.
    memory: [Option<(Instance, u8)>; 2],
    /// How often it was handed out, and which completions were accepted for the first time.
    handed: u8,
    accepted: Vec<u8>,
    /// A claim came back with nothing although its task runs in its own name.
    lost_to_itself: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Worker {
    instance: u8,
    /// The token that it works under.
    token: u8,
    told: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct World {
    now: u8,
    server: Server,
    workers: [Worker; 2],
    /// Sorted, because their order means nothing.
    messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Tick,
    Deliver(Message),
    Lose(Message),
    Send(Message),
    /// The store ends a worker's life; another one begins.
    Die(u8),
}

struct Tasks {
    rules: Rules,
}

impl World {
    fn send(&mut self, message: Message) {
        self.messages.push(message);
        self.messages.sort_unstable();
    }

    fn lives(&self, instance: Instance) -> bool {
        self.workers[usize::from(instance.worker)].instance == instance.number
    }
}

impl Tasks {
    fn wishes(world: &World, at: u8) -> Vec<Message> {
        let worker = &world.workers[usize::from(at)];
        let instance = Instance { worker: at, number: worker.instance };
        match worker.token {
            0 => vec![Message::Claim(instance)],
            token => vec![Message::Complete(instance, token), Message::Fail(instance, token)],
        }
    }

    /// An attempt is over without success.
    fn end_attempt(server: &mut Server) {
        server.state = if server.attempts >= ATTEMPTS { State::Dead } else { State::Waiting };
    }

    fn deliver(&self, world: &mut World, message: Message) {
        let (now, rules) = (world.now, self.rules);
        let known = |instance: Instance| world.lives(instance);
        match message {
            Message::Claim(instance) if known(instance) => {
                let server = &mut world.server;
                let remembered = &mut server.memory[usize::from(instance.worker)];
                let same = remembered.filter(|(of, token)| *of == instance && *token == server.token);
                if let Some((_, token)) = same.filter(|_| rules != Rules::NoMemory && server.state == State::Running) {
                    world.send(Message::Handed(instance, token));
                } else if server.state == State::Waiting {
                    server.state = State::Running;
                    server.token += 1;
                    server.attempts += 1;
                    server.handed += 1;
                    (server.holder, server.expires) = (Some(instance), now + TIMEOUT);
                    *remembered = Some((instance, server.token));
                    let token = server.token;
                    world.send(Message::Handed(instance, token));
                } else if server.state == State::Running && server.holder == Some(instance) {
                    server.lost_to_itself = true;
                }
            }
            Message::Complete(instance, token) if known(instance) => {
                let server = &mut world.server;
                let mine = server.token == token || rules == Rules::AnyToken;
                let runs = server.state == State::Running || rules == Rules::AnyState;
                let before = server.state == State::Done && server.token == token;
                if mine && (runs || before) {
                    if !server.accepted.contains(&token) {
                        server.accepted.push(token);
                    }
                    // The broken store writes down that it is done, and leaves it in the set where it lies.
                    if server.state == State::Running {
                        server.state = State::Done;
                    }
                    world.send(Message::Accepted(instance, token));
                }
            }
            Message::Fail(instance, token) if known(instance) => {
                let server = &mut world.server;
                if server.state == State::Running && server.token == token && server.holder == Some(instance) {
                    Self::end_attempt(server);
                }
            }
            Message::Handed(instance, token) if known(instance) => {
                let worker = &mut world.workers[usize::from(instance.worker)];
                worker.token = worker.token.max(token);
            }
            Message::Accepted(instance, token) if known(instance) => {
                let worker = &mut world.workers[usize::from(instance.worker)];
                worker.told |= worker.token == token;
            }
            _ => {}
        }
    }

    fn die(&self, world: &mut World, at: u8) {
        let ended = Instance { worker: at, number: world.workers[usize::from(at)].instance };
        let server = &mut world.server;
        world.workers[usize::from(at)] = Worker { instance: ended.number + 1, ..Worker::default() };
        if server.state == State::Running && server.holder == Some(ended) && self.rules != Rules::NoRelease {
            if self.rules == Rules::DeathsAreFree {
                server.attempts -= 1;
            }
            Self::end_attempt(server);
        }
    }
}

impl Model for Tasks {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::default()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        if world.now < END {
            actions.push(Step::Tick);
        }
        for message in &world.messages {
            actions.push(Step::Deliver(*message));
            actions.push(Step::Lose(*message));
        }
        for at in 0..2 {
            if world.workers[usize::from(at)].instance < LIVES {
                actions.push(Step::Die(at));
            }
            if world.messages.len() < UNDER_WAY {
                actions.extend(Self::wishes(world, at).into_iter().map(Step::Send));
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
            Step::Tick => {
                world.now += 1;
                if world.server.state == State::Running && world.now > world.server.expires {
                    Self::end_attempt(&mut world.server);
                }
            }
            Step::Deliver(message) => {
                taken(&mut world, message)?;
                self.deliver(&mut world, message);
            }
            Step::Lose(message) => {
                taken(&mut world, message)?;
            }
            Step::Send(message) => world.send(message),
            Step::Die(at) => self.die(&mut world, at),
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one completion at most", |_, world: &World| world.server.accepted.len() <= 1),
            Property::always("it is that of the last claim", |_, world: &World| {
                world.server.accepted.iter().all(|token| *token == world.server.token)
            }),
            Property::always("a dead worker holds nothing", |_, world: &World| {
                world.server.state != State::Running
                    || world.server.holder.is_some_and(|instance| world.lives(instance))
            }),
            Property::always("it is handed out so often at most", |_, world: &World| world.server.handed <= ATTEMPTS),
            Property::always("one worker at most hears that it completed the task", |_, world: &World| {
                !(world.workers[0].told && world.workers[1].told)
            }),
            Property::always("a worker that asks again gets what it got", |_, world: &World| {
                !world.server.lost_to_itself
            }),
            Property::sometimes("it is done by the second worker", |_, world: &World| {
                world.server.state == State::Done && world.server.token == ATTEMPTS && world.workers[1].told
            }),
            Property::sometimes("workers die of it and it is dead", |_, world: &World| {
                world.server.state == State::Dead && world.now == 0
            }),
        ]
    }
}

fn check(rules: Rules, until: HasDiscoveries) -> impl Checker<Tasks> {
    Tasks { rules }.checker().threads(2).finish_when(until).spawn_bfs().join()
}

#[test]
fn a_task_is_done_once_or_dead_in_every_order_of_steps() {
    let checked = check(Rules::AsTheyAre, HasDiscoveries::AnyFailures);
    eprintln!("{} states", checked.unique_state_count());
    checked.assert_properties();
}

#[test]
fn every_rule_of_tasks_is_needed() {
    let broken = [
        (Rules::AnyToken, "it is that of the last claim"),
        (Rules::AnyState, "it is that of the last claim"),
        (Rules::NoRelease, "a dead worker holds nothing"),
        (Rules::DeathsAreFree, "it is handed out so often at most"),
        (Rules::NoMemory, "a worker that asks again gets what it got"),
    ];
    for (rules, property) in broken {
        assert!(
            check(rules, HasDiscoveries::AnyOf([property].into())).discovery(property).is_some(),
            "{rules:?} is not caught"
        );
    }
}
