//! A command on a pseudo-terminal of its own, and the screen that a user would see.
//!
//! 1. The command leads a session of its own whose terminal this is, as under a login; `setsid` of util-linux makes it so.
//! 2. What is asked of the terminal's modes is asked of the kernel, what is asked of the screen of a VT100 that read every byte.
//! 3. It is killed when this is dropped.
//!
//! Not here: what is shown.

use crate::serve::Launch;
use crate::wait::eventually;
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OutputModes, Winsize, tcgetattr, tcgetpgrp, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long anything on the screen may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module's text.
pub struct Pty {
    terminal: File,
    child: Child,
    screen: Arc<Mutex<vt100::Parser>>,
}

fn size(columns: u16, rows: u16) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(rows).expect("rows"), NonZeroU16::new(columns).expect("columns"))
}

impl Pty {
    /// Starts clawster with these arguments in a node's environment, on a terminal of this size.
    #[track_caller]
    pub fn clawster(launch: &Launch, args: &[&str], columns: u16, rows: u16) -> Self {
        let program = crate::program().display().to_string();
        let mut line = vec![program.as_str()];
        line.extend(args);
        Self::start(launch, &line, columns, rows)
    }

    /// Starts a command.
    #[track_caller]
    pub fn start(launch: &Launch, line: &[&str], columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("its other end");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let open = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name.as_c_str(), open, rustix::fs::Mode::empty()).expect("its other end opens");
        let terminal = File::from(master);
        let end = || Stdio::from(slave.try_clone().expect("one more"));
        let (height, width) = size(columns, rows);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(height, width, 0)));
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(line).env_clear().envs(launch.environment());
        command.env("TERM", "xterm-256color").env("PS1", "$ ").current_dir(&launch.home);
        command.stdin(end()).stdout(end()).stderr(end());
        let mut started = Self { terminal, child: command.spawn().expect("`setsid` starts"), screen };
        started.resize(columns, rows);
        let (mut reader, screen) = (started.terminal.try_clone().expect("one more"), Arc::clone(&started.screen));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // Ends with an error when nobody has the other end any more.
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                screen.lock().unwrap().process(&chunk[..length]);
            }
        });
        started
    }

    /// Gives the terminal another size.
    #[track_caller]
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let (height, width) = size(columns, rows);
        self.screen.lock().unwrap().screen_mut().set_size(height, width);
        let of = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.terminal, of).expect("another size");
    }

    /// Types.
    #[track_caller]
    pub fn keys(&mut self, keys: &[u8]) {
        self.terminal.write_all(keys).expect("typed");
    }

    /// What is on the screen now.
    pub fn shown(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen is as it should be, and returns it.
    #[track_caller]
    pub fn until(&self, what: &str, look: impl Fn(&str) -> bool) -> String {
        eventually(what, PATIENCE, || {
            let shown = self.shown();
            if look(&shown) { Ok(shown) } else { Err(format!("\n{shown}")) }
        })
    }

    /// Waits until a text stands on the screen, on one line or wrapped.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = squeezed(text);
        self.until(&format!("{text:?} is shown"), |shown| shown.contains(text) || squeezed(shown).contains(&wanted))
    }

    /// Signals the command.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }

    /// Signals the process group that has the terminal.
    #[track_caller]
    pub fn signal_foreground(&self, signal: Signal) {
        let group = tcgetpgrp(&self.terminal).expect("a group in the foreground");
        kill_process_group(group, signal).expect("signalled");
    }

    /// Waits until the command has ended.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        eventually("it ends", PATIENCE, || match self.child.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err(self.shown()),
        })
    }

    /// Whether a view has the terminal: keys come one by one, and the screen is not the shell's.
    pub fn is_taken(&self) -> bool {
        !self.is_usable() && self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// What a shell needs: lines with echo, keys that send signals, line ends, its own screen, a cursor.
    pub fn is_usable(&self) -> bool {
        let modes = tcgetattr(&self.terminal).expect("its modes");
        let cooked = modes.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
            && modes.output_modes.contains(OutputModes::OPOST);
        let parser = self.screen.lock().unwrap();
        cooked && !parser.screen().alternate_screen() && !parser.screen().hide_cursor()
    }

    /// Waits until the terminal is usable again.
    #[track_caller]
    pub fn comes_back(&self) {
        eventually(
            "the terminal is usable again",
            PATIENCE,
            || {
                if self.is_usable() { Ok(()) } else { Err(self.shown()) }
            },
        );
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
