//! Random streams, read in random overlapping pieces by a node that restarts at random, against what the stream says.
//!
//! 1. An offer is exactly what lies behind the acknowledged position, as far as it was read: in order, each message once,
//!    every hole told.
//! 2. That stays so over restarts and over messages that a producer puts in a second time.
//!
//! Not here: entries that clawster did not write, epochs, acknowledgements of an earlier process's offers (`../tests.rs`).

use super::*;
use proptest::prelude::*;

/// The senders; the node under test comes first.
const SENDERS: [&str; 4] = ["me", "a", "b", "c"];

/// What happens to the stream.
#[derive(Debug, Clone)]
enum Growth {
    /// A sender packs new messages; each for all, for this node or for another one.
    Publish { sender: usize, to: Vec<u8> },
    /// A sender puts its last messages in again, as after a loss of data.
    Again { sender: usize, count: usize },
    /// Positions that nobody can read any more.
    Trimmed(u64),
}

/// What the node and its client do.
#[derive(Debug, Clone)]
enum Act {
    /// Reads `count` entries from `back` entries before the first unread one.
    Read {
        back: usize,
        count: usize,
    },
    Offer {
        limit: usize,
        max_bytes: usize,
    },
    /// Acknowledges so many thousandths of what was offered.
    Acknowledge {
        share: u64,
        kept: bool,
    },
    Restart,
}

/// What a position holds for this node.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    Hole,
    Nothing,
    Message(Message),
}

#[derive(Debug, Default)]
struct Stream {
    entries: Vec<Entry>,
    places: Vec<Place>,
    sent: BTreeMap<usize, Vec<Message>>,
}

impl Stream {
    fn grow(&mut self, growth: &Growth) {
        match growth {
            Growth::Trimmed(count) => self.places.extend((0..*count).map(|_| Place::Hole)),
            Growth::Publish { sender, to } => {
                let sent = self.sent.entry(*sender).or_default();
                let first = sent.len();
                for to in to {
                    let to: Option<&[&str]> = [None, Some(&["me"][..]), Some(&["b"][..])][usize::from(*to) % 3];
                    let text = "x".repeat(sent.len() % 7 * 40);
                    sent.push(message(&format!("{}{}", SENDERS[*sender], sent.len()), to, &format!("\"{text}\"")));
                }
                let new = sent[first..].to_vec();
                self.put(*sender, first, &new, true);
            }
            Growth::Again { sender, count } => {
                let sent = self.sent.entry(*sender).or_default();
                let first = sent.len().saturating_sub(*count);
                let again = sent[first..].to_vec();
                self.put(*sender, first, &again, false);
            }
        }
    }

    fn put(&mut self, sender: usize, first: usize, messages: &[Message], new: bool) {
        let from = SENDERS[sender];
        let outgoing: Vec<Outgoing> = (first as u64 + 1..)
            .zip(messages)
            .map(|(producer_seq, message)| Outgoing { producer_seq, message: message.clone() })
            .collect();
        for packed in pack(&outgoing) {
            self.entries.push(Entry {
                last: MessageSeq(self.places.len() as u64 + packed.count),
                producer: producer(&format!("out-{from}")),
                from: id(from),
                first_own: packed.first,
                count: packed.count,
                at: ServerTime(7),
                body: packed.body.into(),
                after: None,
            });
            let at = packed.first as usize - 1 - first;
            for message in &messages[at..at + packed.count as usize] {
                let meant = message.to.as_ref().is_none_or(|to| to.contains(&id("me")));
                let offered = new && sender != 0 && meant;
                self.places.push(if offered { Place::Message(message.clone()) } else { Place::Nothing });
            }
        }
    }

    /// The offer that the rules ask for, read off the stream itself.
    fn due(&self, acknowledged: u64, read: u64, limit: usize, max_bytes: usize) -> Offer {
        let mut due = Offer { received: Vec::new(), cursor: MessageSeq(acknowledged), more: false, gap: None };
        let (mut bytes, mut in_gap) = (0, false);
        for at in acknowledged + 1..=read {
            match &self.places[at as usize - 1] {
                Place::Nothing => in_gap = false,
                Place::Hole => match &mut due.gap {
                    Some(gap) if in_gap => {
                        gap.to = MessageSeq(at);
                        gap.count = gap.count.map(|count| count + 1);
                        due.cursor = gap.to;
                    }
                    None if limit > 0 && due.received.is_empty() => {
                        due.gap = gap(at, at, Some(1));
                        due.cursor = MessageSeq(at);
                        in_gap = true;
                    }
                    _ => return Offer { more: true, ..due },
                },
                Place::Message(message) => {
                    in_gap = false;
                    let from = id(&message.id[..1]);
                    let received =
                        Received { seq: MessageSeq(at), from, sent_at: ServerTime(7), message: message.into() };
                    bytes += line_bytes(&received);
                    let full = due.received.len() == limit || (bytes > max_bytes && !due.received.is_empty());
                    if full {
                        return Offer { more: true, ..due };
                    }
                    due.received.push(received);
                    due.cursor = MessageSeq(at);
                }
            }
        }
        Offer { cursor: MessageSeq(if limit > 0 { read } else { acknowledged }), ..due }
    }
}

fn growth() -> impl Strategy<Value = Growth> {
    let sender = 0..SENDERS.len();
    prop_oneof![
        6 => (sender.clone(), proptest::collection::vec(0_u8..3, 1..6))
            .prop_map(|(sender, to)| Growth::Publish { sender, to }),
        1 => (sender.clone(), proptest::collection::vec(0_u8..3, 60..140))
            .prop_map(|(sender, to)| Growth::Publish { sender, to }),
        2 => (sender, 1_usize..80).prop_map(|(sender, count)| Growth::Again { sender, count }),
        1 => (1_u64..9).prop_map(Growth::Trimmed),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_usize..4, 1_usize..8).prop_map(|(back, count)| Act::Read { back, count }),
        4 => (prop_oneof![Just(0_usize), 1_usize..6, Just(1000)], prop_oneof![Just(1_usize), Just(2000), Just(1 << 20)])
            .prop_map(|(limit, max_bytes)| Act::Offer { limit, max_bytes }),
        3 => (prop_oneof![0_u64..=1000, Just(1000)], any::<bool>())
            .prop_map(|(share, kept)| Act::Acknowledge { share, kept }),
        1 => Just(Act::Restart),
    ]
}

/// The node with what it keeps over a restart.
struct Node {
    inbox: Inbox,
    offered: u64,
    kept: (MessageSeq, BTreeMap<Producer, u64>),
}

impl Node {
    fn act(&mut self, stream: &Stream, act: &Act) -> Result<(), TestCaseError> {
        let (acknowledged, read) = (self.inbox.acknowledged().0, self.inbox.read().0);
        match act {
            Act::Read { back, count } => {
                let unread = stream.entries.partition_point(|entry| entry.last.0 <= read);
                let fresh: Vec<Received> = stream.entries[unread.saturating_sub(*back)..]
                    .iter()
                    .take(*count)
                    .flat_map(|entry| self.inbox.taken(entry))
                    .collect();
                let is_new = |place: &&Place| matches!(place, Place::Message(_));
                let new = stream.places[read as usize..self.inbox.read().0 as usize].iter().filter(is_new);
                prop_assert_eq!(fresh.len(), new.count());
                prop_assert!(fresh.is_sorted_by(|a, b| a.seq < b.seq) && fresh.iter().all(|new| new.seq.0 > read));
            }
            Act::Offer { limit, max_bytes } => {
                let offer = self.inbox.offer(*limit, *max_bytes);
                prop_assert_eq!(&offer, &stream.due(acknowledged, read, *limit, *max_bytes));
                self.offered = self.offered.max(offer.cursor.0);
            }
            Act::Acknowledge { share, kept } => {
                let cursor = acknowledged + (self.offered - acknowledged) * share / 1000;
                prop_assert_eq!(self.inbox.acknowledge(MessageSeq(cursor)), Ok(cursor > acknowledged));
                let marks = self.inbox.take_marks();
                if *kept {
                    self.kept.0 = self.inbox.acknowledged();
                    self.kept.1.extend(marks);
                } else {
                    self.inbox.return_marks(marks);
                }
            }
            Act::Restart => {
                let (cursor, marks) = self.kept.clone();
                *self = start(cursor, marks);
            }
        }
        Ok(())
    }
}

fn start(cursor: MessageSeq, marks: BTreeMap<Producer, u64>) -> Node {
    let inbox = Inbox::new(vec![id("me")], producer("out-me"), cursor, &data("e1", 0, cursor.0), marks.clone());
    Node { inbox, offered: cursor.0, kept: (cursor, marks) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_message_is_offered_in_order_until_it_is_acknowledged_and_then_no_more(
        growths in proptest::collection::vec(growth(), 1..30),
        acts in proptest::collection::vec(act(), 1..80),
    ) {
        let mut stream = Stream::default();
        growths.iter().for_each(|growth| stream.grow(growth));
        let mut node = start(MessageSeq(0), BTreeMap::new());
        for act in &acts {
            node.act(&stream, act)?;
        }
        // In the end, everything is read and acknowledged, and nothing is left.
        let to_end = [
            Act::Read { back: 0, count: usize::MAX },
            Act::Offer { limit: 7, max_bytes: 1 << 20 },
            Act::Acknowledge { share: 1000, kept: true },
        ];
        for _ in 0..=stream.places.len() {
            for act in &to_end {
                node.act(&stream, act)?;
            }
        }
        prop_assert!(node.inbox.is_empty() && node.inbox.bytes == 0);
        prop_assert_eq!(Some(node.inbox.acknowledged()), stream.entries.last().map(|entry| entry.last).or(Some(MessageSeq(0))));
    }
}
