//! A network between nodes and Redis that fails on request.
//!
//! 1. What a mode does, it does to open connections and new ones alike.
//! 2. Bytes that a black hole holds back are delivered once it ends, as TCP would.
//!
//! Not here: a server that itself stops (`redis_server.rs`).

use crate::redis_server::free_port;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Hands everything on.
    Pass,
    /// Hands everything on after this time, each way.
    Delay(Duration),
    /// Hands on so many bytes a second on each way of each connection.
    Slow(u32),
    /// Closes connections, open ones and new ones.
    Drop,
    /// Accepts and keeps connections, hands nothing on.
    BlackHole,
    /// Accepts and keeps connections, hands nothing on to the server.
    BlackHoleUp,
    /// Accepts and keeps connections, hands nothing on to the client.
    BlackHoleDown,
    /// Ends the way from the server to the client and keeps the other way.
    HalfClose,
}

#[derive(Debug)]
struct Shared {
    mode: Mutex<Mode>,
    swallow: AtomicU64,
    target: AtomicU16,
    cut: AtomicU64,
    done: AtomicBool,
    opened: AtomicU64,
    /// Connections up to this number hand nothing on to the server.
    held: AtomicU64,
    /// How many of those there are.
    holding: AtomicU64,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

const LOOK: Duration = Duration::from_millis(5);
/// How long a thread waits for bytes before it looks whether its connection is to end.
const READ: Duration = Duration::from_millis(20);
/// The bytes that are handed on at a time while the way is narrow.
const SIP: usize = 4 << 10;

impl Proxy {
    /// Starts one in front of a port on the loopback interface.
    pub fn start(target: u16) -> Self {
        let (port, listener) = loop {
            let port = free_port();
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                break (port, listener);
            }
        };
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Pass),
            swallow: AtomicU64::new(0),
            target: AtomicU16::new(target),
            cut: AtomicU64::new(0),
            done: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            held: AtomicU64::new(0),
            holding: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { port, shared }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what the network does from now on.
    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// Closes the connections that are open now.
    pub fn cut(&self) {
        self.shared.cut.fetch_add(1, Ordering::SeqCst);
    }

    /// Holds back what was and is sent on the connections that are open now, whatever the mode, until [`Self::let_go`].
    pub fn hold_open_ones(&self) {
        self.shared.held.store(self.opened(), Ordering::SeqCst);
    }

    /// Hands on what was held back, though whoever sent it may be gone, and waits until the server has it.
    #[track_caller]
    pub fn let_go(&self) {
        self.shared.held.store(0, Ordering::SeqCst);
        crate::eventually("what was held back has arrived", Duration::from_secs(10), || {
            let holding = self.shared.holding.load(Ordering::SeqCst);
            if holding == 0 { Ok(()) } else { Err(format!("{holding} connections hold something back")) }
        });
    }

    /// Swallows the next `count` pieces of what the server answers, and closes the connection of each: the command was
    /// done, its reply is lost.
    pub fn drop_replies(&self, count: u64) {
        self.shared.swallow.store(count, Ordering::SeqCst);
    }

    /// Replies that are still to be swallowed.
    pub fn replies_to_drop(&self) -> u64 {
        self.shared.swallow.load(Ordering::SeqCst)
    }

    /// Leads new connections to another port.
    pub fn target(&self, port: u16) {
        self.shared.target.store(port, Ordering::SeqCst);
    }

    /// How many connections were accepted so far.
    pub fn opened(&self) -> u64 {
        self.shared.opened.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.done.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let number = shared.opened.fetch_add(1, Ordering::SeqCst) + 1;
        if shared.mode() == Mode::Drop {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", shared.target.load(Ordering::SeqCst))) else { continue };
        for stream in [&client, &server] {
            stream.set_nodelay(true).ok();
            stream.set_read_timeout(Some(READ)).ok();
        }
        let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else { continue };
        let born = shared.cut.load(Ordering::SeqCst);
        let (up, down) = (Arc::clone(shared), Arc::clone(shared));
        std::thread::spawn(move || pump(client, server, &up, born, Some(number)));
        std::thread::spawn(move || pump(server_too, client_too, &down, born, None));
    }
}

/// Hands bytes on from one socket to the other until one ends or the mode says otherwise.
///
/// `upward`: the connection's number, on its way to the server.
fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared, born: u64, upward: Option<u64>) {
    let to_client = upward.is_none();
    let mut chunk = vec![0; 1 << 16];
    let mut held = false;
    let free = |held: &mut bool| {
        if std::mem::take(held) {
            shared.holding.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let over = loop {
        if let Some(over) = shared.wait_to_hand_on(born, upward, &mut held) {
            break over;
        }
        let most = if matches!(shared.mode(), Mode::Slow(_)) { SIP } else { chunk.len() };
        let size = match from.read(&mut chunk[..most]) {
            Ok(0) => break Shutdown::Write,
            Ok(size) => size,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                free(&mut held);
                continue;
            }
            Err(_) => break Shutdown::Both,
        };
        match shared.mode() {
            Mode::Delay(time) => std::thread::sleep(time),
            Mode::Slow(rate) => std::thread::sleep(Duration::from_secs_f64(size as f64 / f64::from(rate))),
            _ => {}
        }
        // The mode may have turned while this thread waited in `read`.
        if let Some(over) = shared.wait_to_hand_on(born, upward, &mut held) {
            break over;
        }
        let take = |left: u64| left.checked_sub(1);
        if to_client && shared.swallow.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            break Shutdown::Both;
        }
        if to.write_all(&chunk[..size]).is_err() {
            break Shutdown::Both;
        }
    };
    free(&mut held);
    to.shutdown(over).ok();
    if over == Shutdown::Both {
        from.shutdown(Shutdown::Both).ok();
    }
}

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    /// Waits while nothing is to be handed on; `Some` when the connection, or one way of it, is to end.
    fn wait_to_hand_on(&self, born: u64, upward: Option<u64>, held: &mut bool) -> Option<Shutdown> {
        let to_client = upward.is_none();
        loop {
            if upward.is_some_and(|number| number <= self.held.load(Ordering::SeqCst)) {
                if !std::mem::replace(held, true) {
                    self.holding.fetch_add(1, Ordering::SeqCst);
                }
                std::thread::sleep(LOOK);
                continue;
            }
            let mode = self.mode();
            if mode == Mode::Drop || self.cut.load(Ordering::SeqCst) != born || self.done.load(Ordering::SeqCst) {
                return Some(Shutdown::Both);
            }
            match mode {
                Mode::HalfClose if to_client => return Some(Shutdown::Write),
                Mode::BlackHole => std::thread::sleep(LOOK),
                Mode::BlackHoleUp if !to_client => std::thread::sleep(LOOK),
                Mode::BlackHoleDown if to_client => std::thread::sleep(LOOK),
                _ => return None,
            }
        }
    }
}
