//! L3: the commands of `run --lease` follow each other, and their tokens rise; across a loss of all data they do as long as the clock of Redis
//! does.

use super::Case;
use testkit::stamps::{never_beside_each_other, one_after_the_other};

/// What is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    let rising = !case.history.numbers_may_fall();
    let verdict = if rising { one_after_the_other(case.stamps) } else { never_beside_each_other(case.stamps) };
    verdict.err().map(|why| format!("L3: {why}")).into_iter().collect()
}
