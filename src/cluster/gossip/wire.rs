//! The bytes of gossip: bounded reading and writing, and the codec of the membership protocol.
//!
//! 1. Reading checks every length; bytes that do not fit are [`Malformed`], never a panic.
//! 2. What a newer version appends to a [record](super::record) is skipped.
//!
//! Numbers are big-endian. A text is its length in one byte and its UTF-8.
//!
//! Not here: what is read (`record.rs`, `frame.rs`), sealing (`seal.rs`).

use super::identity::Identity;
use crate::cluster::ids::NodeId;
use bytes::{Buf, BufMut};
use core::net::{IpAddr, SocketAddr};
use foca::{Header, Member, Message, State};

/// The bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are malformed")]
pub(super) struct Malformed;

/// Reads from bytes; see the head of this file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes(N)?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.u8()?;
        std::str::from_utf8(self.bytes(length.into())?).map_err(|_| Malformed)
    }

    pub(super) fn node_id(&mut self) -> Result<NodeId, Malformed> {
        NodeId::new(self.text()?).map_err(|_| Malformed)
    }

    pub(super) fn identity(&mut self) -> Result<Identity, Malformed> {
        let (node_id, life) = (self.node_id()?, self.u64()?);
        let ip = match self.u8()? {
            4 => IpAddr::from(self.array::<4>()?),
            6 => IpAddr::from(self.array::<16>()?),
            _ => return Err(Malformed),
        };
        Ok(Identity::new(node_id, life, SocketAddr::new(ip, self.u16()?)))
    }

    fn message(&mut self) -> Result<Message<Identity>, Malformed> {
        Ok(match self.u8()? {
            0 => Message::Ping(self.u8()?),
            1 => Message::Ack(self.u8()?),
            2 => Message::PingReq { target: self.identity()?, probe_number: self.u8()? },
            3 => Message::IndirectPing { origin: self.identity()?, probe_number: self.u8()? },
            4 => Message::IndirectAck { target: self.identity()?, probe_number: self.u8()? },
            5 => Message::ForwardedAck { origin: self.identity()?, probe_number: self.u8()? },
            6 => Message::Announce,
            7 => Message::Feed,
            8 => Message::Gossip,
            9 => Message::TurnUndead,
            _ => return Err(Malformed),
        })
    }
}

/// Appends a text of at most 255 bytes; a longer one is cut between characters.
pub(super) fn put_text(into: &mut Vec<u8>, text: &str) {
    let text = text.get(..text.floor_char_boundary(255)).unwrap_or_default();
    into.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    into.extend_from_slice(text.as_bytes());
}

pub(super) fn put_identity(into: &mut Vec<u8>, identity: &Identity) {
    put_text(into, identity.node_id.as_str());
    into.put_u64(identity.life);
    match identity.address.ip() {
        IpAddr::V4(ip) => {
            into.put_u8(4);
            into.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            into.put_u8(6);
            into.extend_from_slice(&ip.octets());
        }
    }
    into.put_u16(identity.address.port());
}

fn put_message(into: &mut Vec<u8>, message: &Message<Identity>) -> Result<(), Malformed> {
    let (kind, about, number) = match message {
        Message::Ping(number) => (0, None, Some(*number)),
        Message::Ack(number) => (1, None, Some(*number)),
        Message::PingReq { target, probe_number } => (2, Some(target), Some(*probe_number)),
        Message::IndirectPing { origin, probe_number } => (3, Some(origin), Some(*probe_number)),
        Message::IndirectAck { target, probe_number } => (4, Some(target), Some(*probe_number)),
        Message::ForwardedAck { origin, probe_number } => (5, Some(origin), Some(*probe_number)),
        Message::Announce => (6, None, None),
        Message::Feed => (7, None, None),
        Message::Gossip => (8, None, None),
        Message::TurnUndead => (9, None, None),
        // Only sent when custom broadcasts are in use.
        Message::Broadcast => return Err(Malformed),
    };
    into.push(kind);
    if let Some(identity) = about {
        put_identity(into, identity);
    }
    into.extend(number);
    Ok(())
}

/// The codec of the membership protocol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire;

/// Writes all of it or nothing.
fn put_whole(bytes: &[u8], mut buf: impl BufMut) -> Result<(), Malformed> {
    if buf.remaining_mut() < bytes.len() {
        return Err(Malformed);
    }
    buf.put_slice(bytes);
    Ok(())
}

/// Reads one item and moves the buffer behind it.
fn take<T>(mut buf: impl Buf, read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>) -> Result<T, Malformed> {
    let before = buf.chunk().len();
    let mut reader = Reader(buf.chunk());
    let item = read(&mut reader)?;
    let used = before - reader.0.len();
    buf.advance(used);
    Ok(item)
}

impl foca::Codec<Identity> for Wire {
    type Error = Malformed;

    fn encode_header(&mut self, header: &Header<Identity>, buf: impl BufMut) -> Result<(), Malformed> {
        let mut bytes = Vec::with_capacity(256);
        put_identity(&mut bytes, &header.src);
        bytes.put_u16(header.src_incarnation);
        put_identity(&mut bytes, &header.dst);
        put_message(&mut bytes, &header.message)?;
        put_whole(&bytes, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, Malformed> {
        take(buf, |reader| {
            let (src, src_incarnation) = (reader.identity()?, reader.u16()?);
            Ok(Header { src, src_incarnation, dst: reader.identity()?, message: reader.message()? })
        })
    }

    fn encode_member(&mut self, member: &Member<Identity>, buf: impl BufMut) -> Result<(), Malformed> {
        let mut bytes = Vec::with_capacity(96);
        put_identity(&mut bytes, member.id());
        bytes.put_u16(member.incarnation());
        bytes.push(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        put_whole(&bytes, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, Malformed> {
        take(buf, |reader| {
            let (identity, incarnation) = (reader.identity()?, reader.u16()?);
            let state = match reader.u8()? {
                0 => State::Alive,
                1 => State::Suspect,
                2 => State::Down,
                _ => return Err(Malformed),
            };
            Ok(Member::new(identity, incarnation, state))
        })
    }
}
