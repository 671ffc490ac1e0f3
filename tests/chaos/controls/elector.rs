//! What many programs do instead of an election: `SET NX PX`, renewed by whoever finds its own name there. Speaks just enough
//! JSON-RPC to be asked for its role, so that it stands in the place of `clawster serve`.

use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testkit::resp::Resp;

/// Runs as one node; ends with its standard input.
pub fn serve() -> ExitCode {
    let id = std::env::var("OPENCLAW_NODE_ID").unwrap_or_default();
    let port = std::env::var("REDIS_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(6379);
    // The term under which it believes that it leads, or 0.
    let term = Arc::new(AtomicU64::new(0));
    let (own, own_id) = (Arc::clone(&term), id.clone());
    std::thread::spawn(move || campaign(port, &own_id, &own));
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let request: Value = serde_json::from_str(&line).unwrap_or_default();
        let now = term.load(Ordering::SeqCst);
        let role = if now > 0 { "leader" } else { "follower" };
        let nodes: Vec<Value> = (0..9).map(|n| json!({"node_id": format!("n{n}"), "status": "online"})).collect();
        let result = json!({"role": role, "term": now, "leader_id": id, "nodes": nodes});
        println!("{}", json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
        std::io::stdout().flush().ok();
    }
    ExitCode::SUCCESS
}

fn campaign(port: u16, id: &str, term: &AtomicU64) {
    let mut redis: Option<Resp> = None;
    loop {
        std::thread::sleep(Duration::from_millis(200));
        if redis.is_none() {
            redis = Resp::connect(port).ok();
        }
        let Some(connection) = &mut redis else { continue };
        // It believes what it heard last, for as long as it hears nothing else.
        match round(connection, id, term) {
            Ok(()) => {}
            Err(_) => redis = None,
        }
    }
}

fn round(redis: &mut Resp, id: &str, term: &AtomicU64) -> std::io::Result<()> {
    if redis.call(&["SET", "plain-leader", id, "NX", "PX", "3000"])? == "OK" {
        let granted = redis.call(&["INCR", "plain-term"])?.parse().unwrap_or(1);
        term.store(granted, Ordering::SeqCst);
    } else if redis.call(&["GET", "plain-leader"])? == id {
        redis.call(&["PEXPIRE", "plain-leader", "3000"])?;
    } else {
        term.store(0, Ordering::SeqCst);
    }
    Ok(())
}
