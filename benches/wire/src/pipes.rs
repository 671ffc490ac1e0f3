//! A process whose standard input and output are read and written as bytes, by as little code as possible.
//!
//! 1. It is killed when dropped.
//!
//! Not here: what is said to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running process.
pub struct Pipes {
    pub child: Child,
    pub input: ChildStdin,
    pub output: BufReader<ChildStdout>,
}

impl Pipes {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the process starts");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::with_capacity(1 << 20, output) }
    }

    /// Both ends apart, for a thread each.
    pub fn split(&mut self) -> (&mut ChildStdin, &mut BufReader<ChildStdout>) {
        (&mut self.input, &mut self.output)
    }

    /// Sends a line and reads the next one.
    pub fn ask(&mut self, line: &str) -> String {
        self.input.write_all(format!("{line}\n").as_bytes()).expect("the process reads");
        text(&mut self.output)
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The next line as text.
pub fn text(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert!(output.read_line(&mut line).expect("the process writes") > 0, "the process is gone");
    line
}

/// The next line, into a buffer that is used again.
pub fn line(output: &mut BufReader<impl Read>, into: &mut Vec<u8>) {
    into.clear();
    assert!(output.read_until(b'\n', into).expect("the process writes") > 0, "the process is gone");
}
