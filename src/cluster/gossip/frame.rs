//! The content of a datagram, before it is sealed.
//!
//! ```text
//!  session (16) and epoch (4) of the receiver · epoch of the sender (4) · kind (1) · body
//! ```
//!
//! 1. A datagram that names the receiver's session and epoch was made after the receiver chose them: it is not from the past.
//! 2. No datagram is longer than [`MAX_DATAGRAM`](super::seal::MAX_DATAGRAM).
//!
//! Not here: what a receiver does with it (`mod.rs`).

use super::identity::Identity;
use super::note::Note;
use super::record::{self, Record};
use super::seal::{MAX_DATAGRAM, OVERHEAD, Session};
use super::wire::{Malformed, Reader, put_identity};
use bytes::BufMut;

/// The most bytes of a body.
pub(super) const MAX_BODY: usize = MAX_DATAGRAM - OVERHEAD - ENVELOPE;
/// The most bytes of membership in a datagram; records get the rest.
pub(super) const MAX_MEMBERSHIP: usize = 900;

const ENVELOPE: usize = 25;
const HELLO: u8 = 0;
const GOSSIP: u8 = 1;
const NOTE: u8 = 2;

/// The receiver that a datagram is meant for: one process, and how often it started over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Receiver {
    pub(super) session: Session,
    pub(super) epoch: u32,
}

/// A datagram's content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) to: Receiver,
    /// The sender's own epoch, for the answer.
    pub(super) epoch: u32,
    pub(super) body: Body<'a>,
}

/// What a datagram is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// Tells the receiver the sender's session.
    Hello(Identity),
    /// Records of nodes, and a message of the membership protocol.
    Gossip(Vec<Record>, &'a [u8]),
    /// A note from a client.
    Note(Note),
}

pub(super) fn hello(identity: &Identity) -> Vec<u8> {
    let mut body = vec![HELLO];
    put_identity(&mut body, identity);
    body
}

pub(super) fn gossip(records: &[u8], membership: &[u8]) -> Vec<u8> {
    [&[GOSSIP], records, membership].concat()
}

pub(super) fn note(note: &Note) -> Vec<u8> {
    let mut body = vec![NOTE];
    note.write(&mut body);
    body
}

/// Puts the envelope around a body.
pub(super) fn envelope(to: Receiver, epoch: u32, body: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(ENVELOPE + body.len());
    content.extend_from_slice(&to.session);
    content.put_u32(to.epoch);
    content.put_u32(epoch);
    content.extend_from_slice(body);
    content
}

/// Reads what was sealed.
pub(super) fn read(content: &[u8]) -> Result<Frame<'_>, Malformed> {
    let mut reader = Reader(content);
    let to = Receiver { session: reader.array()?, epoch: reader.u32()? };
    let (epoch, kind) = (reader.u32()?, reader.u8()?);
    let body = match kind {
        HELLO => Body::Hello(reader.identity()?),
        GOSSIP => Body::Gossip(record::read_all(&mut reader)?, reader.0),
        NOTE => Body::Note(Note::read(&mut reader)?),
        _ => return Err(Malformed),
    };
    Ok(Frame { to, epoch, body })
}
