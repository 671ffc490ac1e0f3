//! Random numbers: the one place that asks the system for random bytes.

use crate::cluster::ids::Nonce;
use std::io;

/// Random bytes.
///
/// # Errors
/// [`io::Error`] when the system provides none.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// A new random nonce.
///
/// # Errors
/// As [`bytes`].
pub(crate) fn nonce() -> io::Result<Nonce> {
    bytes().map(Nonce::from_bytes)
}
