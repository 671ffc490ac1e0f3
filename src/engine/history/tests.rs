//! The recorder beside a store that fails on demand.

use super::*;
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{HistoryPage, HistoryQuery, Summary};
use crate::cluster::ids::{EventSeq, Term};
use crate::cluster::time::ServerTime;
use crate::store::history::HistoryFault;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;
use tokio::sync::Semaphore;

pub(super) fn sample(number: u64) -> Sample {
    Sample {
        node_id: NodeId::new("a").expect("an id"),
        incarnation: Incarnation(7),
        number,
        at: ServerTime(1_000_000 + number * 100),
        leads: false,
        term: Term(3),
        leader_id: None,
        round_trip: Duration::from_millis(1),
        attempts: 1,
        delay: Duration::from_millis(2),
        lag: 0,
        memory: 0,
        peers: None,
        version: "1".to_owned(),
        interval: Duration::from_millis(100),
    }
}

/// How a store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Refuses,
    /// It takes what it is given and does not say so.
    Unanswered,
    /// It takes nothing until it is released.
    Hangs,
}

struct Fake {
    mood: Mutex<Mood>,
    released: Semaphore,
    batches: Mutex<Vec<Batch>>,
    kept: Mutex<BTreeMap<u64, usize>>,
    summaries: Mutex<BTreeMap<u64, Summary>>,
}

impl Fake {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(mood),
            released: Semaphore::new(0),
            batches: Mutex::default(),
            kept: Mutex::default(),
            summaries: Mutex::default(),
        })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    fn numbers(&self) -> Vec<u64> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Whether any sample came twice without a word of doubt.
    fn doubled(&self) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).values().any(|count| *count > 1)
    }

    fn keep(&self, batch: &Batch) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for sample in &batch.samples {
            let count = kept.entry(sample.number).or_default();
            *count += usize::from(*count == 0 || !batch.unsure);
        }
        let mut summaries = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        summaries.extend(batch.summaries.iter().map(|summary| (summary.from.0, summary.clone())));
    }
}

impl HistoryStore for Fake {
    fn source(&self) -> Source {
        Source::Mongodb
    }

    async fn record(&self, batch: &Batch) -> Result<(), HistoryFault> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch.clone());
        let mood = *self.mood.lock().unwrap_or_else(PoisonError::into_inner);
        match mood {
            Mood::Refuses => return Err(HistoryFault::Refused("full".to_owned())),
            Mood::Hangs => self.released.acquire().await.expect("open").forget(),
            Mood::Well | Mood::Unanswered => {}
        }
        self.keep(batch);
        match mood {
            Mood::Unanswered => Err(HistoryFault::Unavailable("gone".to_owned())),
            _ => Ok(()),
        }
    }

    async fn record_events(&self, _: &str, _: &[ClusterEvent]) -> Result<(), HistoryFault> {
        Ok(())
    }

    async fn last_event(&self, _: &str) -> Result<EventSeq, HistoryFault> {
        Ok(EventSeq(0))
    }

    async fn samples(&self, _: &HistoryQuery) -> Result<HistoryPage, HistoryFault> {
        Ok(HistoryPage::default())
    }

    async fn summaries(&self, _: ServerTime) -> Result<Vec<Summary>, HistoryFault> {
        Ok(Vec::new())
    }

    async fn events(&self, _: ServerTime) -> Result<Vec<ClusterEvent>, HistoryFault> {
        Ok(Vec::new())
    }
}

/// A recorder of a process on a host.
struct Bench {
    intake: Arc<Intake>,
    metrics: Arc<Metrics>,
    ending: watch::Sender<Option<Moment>>,
    ended: watch::Receiver<bool>,
    tasks: JoinSet<()>,
}

impl Bench {
    fn start(host: &Path, process: &str, store: &Arc<Fake>) -> Self {
        let cluster = crate::cluster::ids::ClusterName::new("c").expect("a name");
        let dir = StateDir::open(host, &cluster).expect("opens");
        let metrics = Metrics::new().expect("metrics");
        let intake = Intake::new(Arc::clone(&metrics), None);
        let (ending, to_end) = watch::channel(None);
        let (end_sender, ended) = watch::channel(false);
        let recorder = Recorder {
            store: Arc::clone(store),
            intake: Arc::clone(&intake),
            spool: Arc::new(Mutex::new(Spool::new(&dir, process))),
            metrics: Arc::clone(&metrics),
            ending: to_end,
            ended: end_sender,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(recorder.run());
        Self { intake, metrics, ending, ended, tasks }
    }

    fn put(&self, numbers: std::ops::RangeInclusive<u64>) {
        numbers.for_each(|number| self.intake.put(sample(number)));
    }

    async fn end(&mut self, within: Duration) {
        self.ending.send_replace(Some(clock::now() + within));
        let ended = self.ended.wait_for(|ended| *ended);
        tokio::time::timeout(DEADLINE, ended).await.expect("ends in time").expect("lives");
    }

    /// As by kill -9.
    async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

const DEADLINE: Duration = Duration::from_secs(60);

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test]
async fn samples_are_recorded_in_batches_and_confirmed() {
    let host = tempfile::tempdir().expect("a folder");
    let store = Fake::new(Mood::Well);
    let bench = Bench::start(host.path(), "p", &store);
    bench.put(1..=1_200);
    assert_eq!(bench.intake.unrecorded().len(), 1_000);
    until("all are there", || store.numbers().len() == 1_200 && bench.intake.unrecorded().is_empty()).await;
    assert!(!store.doubled());
    let sizes: Vec<usize> = store.batches.lock().unwrap().iter().map(|batch| batch.samples.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 500), "{sizes:?}");
    let sum: u64 = store.summaries.lock().unwrap().values().map(|summary| summary.beats).sum();
    assert_eq!(sum, 1_200);
    assert_eq!(bench.metrics.history_recorded.get(), 1_200);
}

#[tokio::test]
async fn what_was_not_answered_goes_again_as_unsure_and_in_order() {
    let host = tempfile::tempdir().expect("a folder");
    let store = Fake::new(Mood::Unanswered);
    let bench = Bench::start(host.path(), "p", &store);
    bench.put(1..=10);
    until("one try", || !store.batches.lock().unwrap().is_empty()).await;
    store.set(Mood::Well);
    bench.put(11..=20);
    until("all are there", || store.numbers().len() == 20).await;
    assert!(!store.doubled());
    assert!(store.batches.lock().unwrap()[1].unsure);
}

#[tokio::test]
async fn a_store_that_hangs_delays_nothing_and_what_waits_is_on_disk() {
    let host = tempfile::tempdir().expect("a folder");
    let store = Fake::new(Mood::Hangs);
    let bench = Bench::start(host.path(), "p", &store);
    bench.put(1..=1);
    until("one try", || !store.batches.lock().unwrap().is_empty()).await;
    bench.put(2..=30);
    until("they are on disk", || bench.metrics.history_spooled.get() == 30).await;
    // The process dies with the batch on its way, the next one does not know what became of it.
    bench.kill().await;
    store.set(Mood::Well);
    let next = Bench::start(host.path(), "q", &store);
    next.put(31..=32);
    until("all are there", || store.numbers().len() == 32).await;
    assert!(!store.doubled());
    until("nothing waits", || next.metrics.history_spooled.get() == 0).await;
}

#[tokio::test]
async fn at_the_end_what_waits_is_recorded_if_there_is_time() {
    let host = tempfile::tempdir().expect("a folder");
    let store = Fake::new(Mood::Well);
    let mut bench = Bench::start(host.path(), "p", &store);
    bench.put(1..=1);
    until("the first one is there", || store.numbers().len() == 1).await;
    // Within the pause between two batches.
    bench.put(2..=3);
    bench.end(Duration::from_secs(30)).await;
    assert_eq!(store.numbers(), [1, 2, 3]);
}

#[tokio::test]
async fn at_the_end_what_a_lost_store_does_not_take_stays_on_disk() {
    let host = tempfile::tempdir().expect("a folder");
    for mood in [Mood::Refuses, Mood::Hangs] {
        let store = Fake::new(mood);
        let mut bench = Bench::start(host.path(), "p", &store);
        bench.put(1..=3);
        let began = clock::now();
        bench.end(Duration::from_millis(300)).await;
        assert!(clock::now().since(began) < Duration::from_secs(10));
        bench.kill().await;
    }
    let store = Fake::new(Mood::Well);
    let next = Bench::start(host.path(), "q", &store);
    until("the next process brings it", || store.numbers() == [1, 2, 3]).await;
    assert!(store.batches.lock().unwrap().iter().all(|batch| batch.unsure));
    drop(next);
}

#[tokio::test]
async fn a_flood_is_bounded_and_counted() {
    let metrics = Metrics::new().expect("metrics");
    let intake = Intake::new(Arc::clone(&metrics), None);
    (1..=10_050).for_each(|number| intake.put(sample(number)));
    assert_eq!((metrics.history_waiting.get(), metrics.history_dropped.get()), (10_000, 50));
}

#[test]
fn a_summary_goes_on_from_batch_to_batch() {
    let intake = Intake::new(Metrics::new().expect("metrics"), None);
    let at = |number: u64, at: u64| Sample { at: ServerTime(at), ..sample(number) };
    intake.put(at(1, 1_000));
    intake.put(at(2, 1_100));
    let first = intake.take(10).expect("a batch");
    intake.put(at(3, 1_200));
    intake.put(at(4, 700_000));
    let second = intake.take(10).expect("a batch");
    let beats = |batch: &Batch| batch.summaries.iter().map(|summary| summary.beats).collect::<Vec<_>>();
    assert_eq!((beats(&first), beats(&second)), (vec![2], vec![3, 1]));
    assert_eq!(second.summaries[1].gaps.len(), 1, "the gap before it is known");
    intake.put(at(5, 700_100));
    assert_eq!(beats(&intake.take(10).expect("a batch")), [2]);
    assert!(intake.take(10).is_none());
}

#[test]
fn a_summary_that_single_heartbeats_began_goes_on() {
    let began = Summary::of_all(&(1..=5).map(sample).collect::<Vec<_>>()).pop();
    let intake = Intake::new(Metrics::new().expect("metrics"), began);
    intake.put(sample(6));
    let batch = intake.take(10).expect("a batch");
    let counts: Vec<_> = batch.summaries.iter().map(|summary| (summary.beats, summary.last_number)).collect();
    assert_eq!(counts, [(6, 6)]);
}
