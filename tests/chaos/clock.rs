//! Wall clocks that jump: the preload of `clock.c`, and the files that say by how much.
//!
//! 1. Without a C compiler, or where the preload does not work, clocks do not jump, and that is said once.
//!
//! Not here: which clock jumps when (`inject/`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The compiled preload, where there is one.
pub fn preload() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos/clock.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clock-{}.so", std::process::id()));
    let mut command = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).stdin(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => {
            println!("SKIPPED: no clock jumps: {}", String::from_utf8_lossy(&output.stderr).trim());
            None
        }
        Err(error) => {
            println!("SKIPPED: no clock jumps, because there is no C compiler: {error}");
            None
        }
    }
}

/// Removes the compiled preload.
pub fn clean_up() {
    preload().map(std::fs::remove_file);
}

/// The clock of one process, or of all that share it.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// A clock that is right.
    pub fn new(file: PathBuf) -> Self {
        std::fs::write(&file, 0_i64.to_ne_bytes()).expect("the clock's file is written");
        Self { file }
    }

    /// The variables of a process that goes by it.
    pub fn env(&self) -> Vec<(String, String)> {
        let of = |library: &Path| {
            vec![
                ("LD_PRELOAD".to_owned(), library.display().to_string()),
                ("CHAOS_CLOCK".to_owned(), self.file.display().to_string()),
            ]
        };
        preload().map(of).unwrap_or_default()
    }

    /// Moves it by so many microseconds from where it is.
    pub fn jump(&self, by_us: i64) {
        use std::io::{Seek, Write};
        let bytes = std::fs::read(&self.file).expect("the clock's file");
        let now = i64::from_ne_bytes(bytes.try_into().expect("eight bytes")) + by_us;
        let mut file = std::fs::File::options().write(true).open(&self.file).expect("the clock's file opens");
        file.rewind().expect("at its begin");
        // In place and at once: the file is mapped.
        file.write_all(&now.to_ne_bytes()).expect("the clock is set");
    }
}
