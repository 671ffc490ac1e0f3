//! L3: the commands of `run --lease` follow each other, and their tokens rise.

use super::Case;
use crate::support::stamps::one_after_the_other;

/// What is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    one_after_the_other(case.stamps).err().map(|why| format!("L3: {why}")).into_iter().collect()
}
