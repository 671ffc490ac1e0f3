//! Random nonces: the one place where the engine asks the system for random bytes.
//!
//! Not here: random node ids (`state_dir`, whose caller passes the source).

use crate::cluster::ids::Nonce;
use std::io;

/// A new random nonce.
///
/// # Errors
/// [`io::Error`] when the system provides no random bytes.
pub(crate) fn nonce() -> io::Result<Nonce> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Nonce::from_bytes(bytes))
}
