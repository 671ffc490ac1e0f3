//! Summaries as documents.
//!
//! 1. A report reads many thousands of them, so they are small, their histograms are strings, and they are read in one pass.
//! 2. A document with a missing field, or one of another type, is skipped.
//!
//! Not here: the other documents (`rows.rs`).

use super::rows::{date, duration, millis, signed, time, unsigned};
use crate::cluster::history::{Between, Histogram, Summary};
use crate::cluster::ids::{ClusterName, Incarnation, NodeId, Term};
use crate::cluster::time::ServerTime;
use mongodb::bson::{Document, RawBsonRef, RawDocument, doc};
use std::fmt::Write;
use std::time::Duration;

/// A histogram as a string: `bucket:count bucket:count …`.
fn text(histogram: &Histogram) -> String {
    histogram.buckets().fold(String::new(), |mut text, (bucket, count)| {
        let space = if text.is_empty() { "" } else { " " };
        // Writing into a text cannot fail.
        let _ = write!(text, "{space}{bucket}:{count}");
        text
    })
}

fn histogram(text: &str) -> Option<Histogram> {
    let pair = |pair: &str| {
        let (bucket, count) = pair.split_once(':')?;
        Some((bucket.parse::<u16>().ok()?, count.parse::<u64>().ok()?))
    };
    let pairs: Option<Vec<(u16, u64)>> = text.split(' ').filter(|text| !text.is_empty()).map(pair).collect();
    pairs.map(Histogram::from_buckets)
}

fn gap((from, to): &Between) -> Document {
    doc! {"from": date(*from), "to": date(*to)}
}

fn reign((term, from, to): &(Term, ServerTime, ServerTime)) -> Document {
    doc! {"term": signed(term.0), "from": date(*from), "to": date(*to)}
}

/// The document of a summary; `at` is the start of its ten minutes.
pub(super) fn document(cluster: &ClusterName, summary: &Summary) -> Document {
    doc! {
        "_id": format!("{cluster}/{}/{}/{}", summary.node_id, summary.incarnation, summary.from.0),
        "cluster": cluster.as_str(),
        "node_id": summary.node_id.as_str(),
        "incarnation": signed(summary.incarnation.0),
        "at": date(summary.from),
        "first_at": date(summary.first_at),
        "last_at": date(summary.last_at),
        "last_number": signed(summary.last_number),
        "beats": signed(summary.beats),
        "retried": signed(summary.retried),
        "delays": text(&summary.delays),
        "longest_delay_ms": millis(summary.longest_delay),
        "round_trips": text(&summary.round_trips),
        "gaps": summary.gaps.iter().map(gap).collect::<Vec<_>>(),
        "reigns": summary.reigns.iter().map(reign).collect::<Vec<_>>(),
        "interval_ms": millis(summary.interval),
        "version": &summary.version,
    }
}

/// The summary of a document; `None`: it is invalid.
pub(super) fn read(raw: &RawDocument) -> Option<Summary> {
    let mut row = Row::of(raw)?;
    Some(Summary {
        node_id: NodeId::new(row.text("node_id")?).ok()?,
        incarnation: Incarnation(row.number("incarnation")?),
        from: row.time("at")?,
        first_at: row.time("first_at")?,
        last_at: row.time("last_at")?,
        last_number: row.number("last_number")?,
        beats: row.number("beats")?,
        retried: row.number("retried")?,
        delays: histogram(row.text("delays")?)?,
        longest_delay: row.duration("longest_delay_ms")?,
        round_trips: histogram(row.text("round_trips")?)?,
        gaps: row.list("gaps", |span| Some((span.time("from")?, span.time("to")?)))?,
        reigns: row.list("reigns", |span| Some((Term(span.number("term")?), span.time("from")?, span.time("to")?)))?,
        interval: row.duration("interval_ms")?,
        version: row.text("version")?.to_owned(),
    })
}

/// The fields of a document, read mostly in their order.
struct Row<'a> {
    fields: Vec<(&'a str, RawBsonRef<'a>)>,
    next: usize,
}

impl<'a> Row<'a> {
    fn of(raw: &'a RawDocument) -> Option<Self> {
        let fields = raw.iter().map(|field| field.map(|(name, value)| (name.as_str(), value)));
        Some(Self { fields: fields.collect::<Result<_, _>>().ok()?, next: 0 })
    }

    fn field(&mut self, name: &str) -> Option<RawBsonRef<'a>> {
        let (before, behind) = self.fields.split_at_checked(self.next)?;
        let (place, value) = match behind.iter().position(|(own, _)| *own == name) {
            Some(at) => (self.next + at, behind.get(at)?.1),
            None => {
                before.iter().enumerate().find(|(_, (own, _))| *own == name).map(|(at, (_, value))| (at, *value))?
            }
        };
        self.next = place + 1;
        Some(value)
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        self.field(name)?.as_str()
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.field(name)?;
        value.as_i64().or_else(|| value.as_i32().map(i64::from)).map(unsigned)
    }

    fn time(&mut self, name: &str) -> Option<ServerTime> {
        self.field(name)?.as_datetime().map(time)
    }

    fn duration(&mut self, name: &str) -> Option<Duration> {
        self.field(name)?.as_f64().map(duration)
    }

    fn list<T>(&mut self, name: &str, read: impl Fn(&mut Row<'_>) -> Option<T>) -> Option<Vec<T>> {
        let list = self.field(name)?.as_array()?;
        list.into_iter().map(|entry| read(&mut Row::of(entry.ok()?.as_document()?)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let mut delays = Histogram::default();
        [1, 1, 70, 4_000].into_iter().for_each(|millis| delays.add(Duration::from_millis(millis)));
        Summary {
            node_id: NodeId::new("a").expect("an id"),
            incarnation: Incarnation(7),
            from: ServerTime(600_000),
            first_at: ServerTime(600_001),
            last_at: ServerTime(900_000),
            last_number: 30,
            beats: 29,
            retried: 2,
            delays,
            longest_delay: Duration::from_micros(4_000_123),
            round_trips: Histogram::default(),
            gaps: vec![(ServerTime(590_000), ServerTime(600_001)), (ServerTime(700_000), ServerTime(800_000))],
            reigns: vec![(Term(3), ServerTime(600_001), ServerTime(650_000))],
            interval: Duration::from_secs(10),
            version: "1".to_owned(),
        }
    }

    fn back(document: &Document) -> Option<Summary> {
        read(&mongodb::bson::RawDocumentBuf::try_from(document).expect("a document"))
    }

    #[test]
    fn a_document_is_read_in_any_order_and_not_without_a_field() {
        let document = document(&ClusterName::new("c").expect("a name"), &summary());
        assert_eq!(back(&document), Some(summary()));
        let turned: Document = document.clone().into_iter().collect::<Vec<_>>().into_iter().rev().collect();
        assert_eq!(back(&turned), Some(summary()));
        for name in document.keys().filter(|name| !matches!(name.as_str(), "_id" | "cluster")) {
            let mut lacking = document.clone();
            lacking.remove(name);
            assert_eq!(back(&lacking), None, "without {name}");
            lacking.insert(name, doc! {"odd": true});
            assert_eq!(back(&lacking), None, "with another {name}");
        }
    }

    #[test]
    fn a_histogram_is_a_text() {
        assert_eq!(histogram("3:4 7:1").map(|histogram| text(&histogram)).as_deref(), Some("3:4 7:1"));
        assert_eq!(histogram(""), Some(Histogram::default()));
        for odd in ["3", "3:", "x:1", "3:-1", "70000:1", "3:4,7:1"] {
            assert_eq!(histogram(odd), None, "{odd}");
        }
    }
}
