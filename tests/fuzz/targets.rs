//! The fuzz targets under libFuzzer; `FUZZ_TARGET` names one. `scripts/fuzz` builds and runs it.

#![no_main]
#![allow(missing_docs, clippy::expect_used)]

use clawster::fuzz::{TARGETS, Target};
use std::sync::OnceLock;

static TARGET: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        TARGETS.iter().find(|(known, _)| *known == name).expect("a target of that name").1
    });
    target(data);
});
