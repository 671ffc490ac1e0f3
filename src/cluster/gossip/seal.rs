//! Sealed datagrams: nobody without the key reads one, changes one, or makes one.
//!
//! ```text
//!  version (1) · session of the sender (16) · number (8) · sealed bytes · tag (16)
//! ```
//!
//! 1. Each process draws a random session at its start. Its datagrams are sealed by ChaCha20-Poly1305 with a key of that session, made
//!    from the cluster's key by HKDF-SHA256, and the nonce is the number of the datagram, which only rises. So no pair of key and nonce
//!    is used twice, also not after a restart or after the state of a host was set back.
//! 2. The cluster's name is in the authenticated data and in the key: a datagram of another cluster does not open.
//! 3. Of two keys, the first one seals to nodes that have not been heard; to the others goes the key that they use.
//!
//! Not here: what is in a datagram (`frame.rs`), datagrams that come again (`window.rs`, `routes.rs`).

use crate::cluster::ids::ClusterName;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};

/// The longest datagram, in bytes; it fits the smallest usual packet of a network.
pub const MAX_DATAGRAM: usize = 1_400;
/// What sealing adds to the content, in bytes.
pub const OVERHEAD: usize = HEADER + MAX_TAG_LEN;

const HEADER: usize = 25;
const VERSION: u8 = 1;
/// The most keys that are in use at a time: the key and the previous one.
const MAX_KEYS: usize = 2;

/// A process that seals datagrams.
pub type Session = [u8; 16];

/// Why a datagram does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unopened {
    /// It is too short, too long, or of another version.
    Foreign,
    /// It has another key or another cluster's name, or was damaged.
    Sealed,
}

/// An opened datagram.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The process that sealed it.
    pub session: Session,
    /// Its number within the session.
    pub number: u64,
    /// Which key opened it; 0 is the first one.
    pub key: usize,
    /// What was sealed.
    pub content: &'a [u8],
}

/// Seals and opens datagrams; see the head of this file.
pub struct Sealer {
    cluster: ClusterName,
    secrets: Vec<Prk>,
    session: Session,
    /// The keys of this session, in the order of `secrets`.
    own: Vec<LessSafeKey>,
    number: u64,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("cluster", &self.cluster).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer for one process. `keys`: the key, then the previous one, if any; `session`: fresh random bytes.
    #[must_use]
    pub fn new(cluster: ClusterName, keys: &[&str], session: Session) -> Self {
        let salt = Salt::new(HKDF_SHA256, b"clawster gossip 1");
        let secrets: Vec<Prk> = keys.iter().take(MAX_KEYS).map(|key| salt.extract(key.as_bytes())).collect();
        let own = secrets.iter().filter_map(|secret| key_of(secret, &cluster, &session)).collect();
        Self { cluster, secrets, session, own, number: 0 }
    }

    /// The session of this process.
    #[must_use]
    pub fn session(&self) -> Session {
        self.session
    }

    /// The number of keys.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.own.len()
    }

    /// Seals the content of a datagram with the key of this number; `None`: the content is too long, or there is no such key.
    pub fn seal(&mut self, key: usize, content: &[u8]) -> Option<Vec<u8>> {
        if content.len() + OVERHEAD > MAX_DATAGRAM {
            return None;
        }
        let number = self.number;
        self.number = number.checked_add(1)?;
        let mut datagram = Vec::with_capacity(content.len() + OVERHEAD);
        datagram.push(VERSION);
        datagram.extend_from_slice(&self.session);
        datagram.extend_from_slice(&number.to_be_bytes());
        let aad = self.authenticated(&datagram);
        let mut sealed = content.to_vec();
        let key = self.own.get(key)?;
        let tag = key.seal_in_place_separate_tag(nonce(number), Aad::from(aad), &mut sealed).ok()?;
        datagram.extend_from_slice(&sealed);
        datagram.extend_from_slice(tag.as_ref());
        Some(datagram)
    }

    /// Opens a datagram.
    ///
    /// # Errors
    /// [`Unopened`] when it was not sealed with one of the keys for this cluster.
    pub fn open<'a>(&self, datagram: &'a mut [u8]) -> Result<Opened<'a>, Unopened> {
        if datagram.len() < OVERHEAD || datagram.len() > MAX_DATAGRAM {
            return Err(Unopened::Foreign);
        }
        let (header, sealed) = datagram.split_at_mut(HEADER);
        let (Some(&VERSION), Some(session), Some(number)) = (header.first(), header.get(1..17), header.get(17..))
        else {
            return Err(Unopened::Foreign);
        };
        let session: Session = session.try_into().map_err(|_| Unopened::Foreign)?;
        let number = number.try_into().map(u64::from_be_bytes).map_err(|_| Unopened::Foreign)?;
        let aad = self.authenticated(header);
        let copy = sealed.to_vec();
        for (at, secret) in self.secrets.iter().enumerate() {
            if at > 0 {
                // A failed attempt has overwritten it.
                sealed.copy_from_slice(&copy);
            }
            let Some(key) = key_of(secret, &self.cluster, &session) else { continue };
            if let Ok(content) = key.open_in_place(nonce(number), Aad::from(&aad), sealed) {
                let length = content.len();
                let content = sealed.get(..length).unwrap_or_default();
                return Ok(Opened { session, number, key: at, content });
            }
        }
        Err(Unopened::Sealed)
    }

    fn authenticated(&self, header: &[u8]) -> Vec<u8> {
        [header, self.cluster.as_str().as_bytes()].concat()
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    if let Some(low) = bytes.last_chunk_mut() {
        *low = number.to_be_bytes();
    }
    Nonce::assume_unique_for_key(bytes)
}

fn key_of(secret: &Prk, cluster: &ClusterName, session: &Session) -> Option<LessSafeKey> {
    let info: [&[u8]; 2] = [session, cluster.as_str().as_bytes()];
    let made = secret.expand(&info, &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(made)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(cluster: &str, keys: &[&str], session: u8) -> Sealer {
        Sealer::new(ClusterName::new(cluster).expect("a name"), keys, [session; 16])
    }

    #[test]
    fn only_the_same_key_and_cluster_open_a_datagram() {
        let mut one = sealer("blue", &["key-one"], 1);
        let datagram = one.seal(0, b"hello").expect("sealed");
        assert_eq!(datagram.len(), 5 + OVERHEAD);
        let opened = |with: &Sealer| with.open(&mut datagram.clone()).map(|o| (o.number, o.key, o.content.to_vec()));
        assert_eq!(opened(&sealer("blue", &["key-one"], 2)), Ok((0, 0, b"hello".to_vec())));
        assert_eq!(opened(&sealer("blue", &["key-two", "key-one"], 2)), Ok((0, 1, b"hello".to_vec())));
        assert_eq!(opened(&sealer("blue", &["key-two"], 2)), Err(Unopened::Sealed));
        assert_eq!(opened(&sealer("green", &["key-one"], 2)), Err(Unopened::Sealed));
    }

    #[test]
    fn a_datagram_with_any_bit_changed_does_not_open() {
        let (mut one, two) = (sealer("blue", &["key"], 1), sealer("blue", &["key"], 2));
        let datagram = one.seal(0, b"content").expect("sealed");
        for at in 0..datagram.len() * 8 {
            let mut changed = datagram.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert!(two.open(&mut changed).is_err(), "bit {at}");
        }
    }

    #[test]
    fn no_two_datagrams_share_key_and_nonce() {
        let mut one = sealer("blue", &["new", "old"], 1);
        let mut again = sealer("blue", &["new", "old"], 2);
        let heads: std::collections::BTreeSet<Vec<u8>> = (0..10)
            .flat_map(|n| [one.seal(n % 2, b"same").expect("sealed"), again.seal(n % 2, b"same").expect("sealed")])
            .map(|datagram| datagram[..HEADER].to_vec())
            .collect();
        assert_eq!(heads.len(), 20, "a session and a number name a datagram");
    }

    #[test]
    fn a_datagram_has_at_most_1400_bytes() {
        let mut one = sealer("blue", &["key"], 1);
        assert_eq!(one.seal(0, &[0; MAX_DATAGRAM - OVERHEAD]).map(|d| d.len()), Some(MAX_DATAGRAM));
        assert_eq!(one.seal(0, &[0; MAX_DATAGRAM - OVERHEAD + 1]), None);
        assert_eq!(one.open(&mut vec![1; MAX_DATAGRAM + 1]), Err(Unopened::Foreign));
    }
}
