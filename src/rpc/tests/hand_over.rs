//! The client, the socket, and how sockets pass from one process to the next.

use super::*;
use crate::rpc::client::{CallError, Client, ClientError, SubscriptionId};
use crate::rpc::socket::{Listener, MAX_CLIENTS, Places};
use crate::rpc::wire::state::ClusterState;
use crate::rpc::wire::subscription::SubscribeParams;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

struct Served {
    node: Arc<Stub>,
    path: PathBuf,
    stop: watch::Sender<bool>,
    _close: watch::Sender<bool>,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

fn served() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let (node, module) = module();
    let (stop, stopped) = watch::channel(false);
    let listener = Listener::bind(&path).unwrap();
    let (close, open) = watch::channel(false);
    let server = tokio::spawn(listener.serve(module, Limits::default(), Places::default(), open, stopped));
    Served { node, path, stop, _close: close, server, _folder: folder }
}

#[tokio::test]
async fn calls_errors_and_events_reach_the_client() {
    let served = served();
    let mode = std::fs::metadata(&served.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let client = Client::connect(&served.path).await.unwrap();
    let slow = client.call::<ClusterState>("distributed.get_cluster_state", json!({"fresh": true}));
    let fast = async {
        let state = client.call_raw("distributed.get_cluster_state", ()).await.unwrap();
        served.node.gate.add_permits(1);
        state
    };
    let (slow, fast) = tokio::join!(slow, fast);
    assert_eq!((slow.unwrap().cluster, &fast["cluster"]), ("openclaw".to_owned(), &json!("openclaw")));

    let Err(CallError::Rpc(failure)) = client.call_raw("distributed.leave_cluster", ()).await else {
        panic!("a refusal was expected")
    };
    assert_eq!((failure.code, failure.data.unwrap().kind.name()), (-32001, "not_joined"));

    let (id, mut events) = client.subscribe(SubscribeParams::default()).await.unwrap();
    let (_, feed) = served.node.feeds.lock().unwrap().pop().unwrap();
    feed.send(Event::Local {
        at: ServerTime(1),
        fact: crate::cluster::event::LocalFact::Degraded {
            reason: crate::cluster::event::DegradedReason::Unreachable,
            detail: String::new(),
        },
    })
    .await
    .unwrap();
    let event = tokio::time::timeout(DEADLINE, events.recv()).await.unwrap().unwrap();
    assert_eq!((event.method.as_str(), &event.result["event"]), ("cluster.degraded", &json!("cluster.degraded")));
    assert_eq!(client.unsubscribe(id).await, Ok(true));
    assert!(matches!(client.unsubscribe(SubscriptionId(99)).await, Err(CallError::Rpc(_))));

    served.stop.send_replace(true);
    tokio::time::timeout(DEADLINE, served.server).await.expect("the socket did not end").unwrap();
    assert!(!served.path.exists());
    assert_eq!(client.call_raw("rpc.discover", ()).await, Err(CallError::Lost));
    assert!(matches!(Client::connect(&served.path).await, Err(ClientError::NoNode { .. })));
}

#[tokio::test]
async fn a_lost_connection_ends_every_waiting_call_and_event_stream() {
    let served = served();
    let client = Client::connect(&served.path).await.unwrap();
    let (_, mut events) = client.subscribe(SubscribeParams::default()).await.unwrap();
    let waiting = client.call_raw("distributed.get_cluster_state", json!({"fresh": true}));
    let end = async {
        client.call_raw("rpc.discover", ()).await.unwrap();
        served.server.abort();
    };
    let (answer, ()) = tokio::time::timeout(DEADLINE, async { tokio::join!(waiting, end) }).await.unwrap();
    assert_eq!(answer, Err(CallError::Lost));
    assert!(tokio::time::timeout(DEADLINE, events.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_live_socket_is_kept_and_a_dead_one_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let first = Listener::bind(&path).unwrap();
    assert_eq!(Listener::bind(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop(first);
    // What a killed process leaves behind: a socket file that nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Listener::bind(&path).unwrap());
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    assert_eq!(Listener::bind(&path).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let long = folder.path().join("x".repeat(100));
    assert_eq!(Listener::bind(&long).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let served = served();
    let mut clients = Vec::new();
    for _ in 0..MAX_CLIENTS {
        clients.push(Client::connect(&served.path).await.unwrap());
    }
    clients.last().unwrap().call_raw("rpc.discover", ()).await.unwrap();
    let stream = tokio::net::UnixStream::connect(&served.path).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let refusal: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&Value::Null, &json!(-32006)));
}

#[tokio::test]
async fn an_error_without_an_id_reaches_the_only_caller() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(near);
    let client = Client::over(input, output);
    let (reader, mut writer) = tokio::io::split(far);
    let mut lines = BufReader::new(reader).lines();
    let refusal = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"too long\"}}\n";
    let node = async {
        lines.next_line().await.unwrap();
        writer.write_all(refusal.as_bytes()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.call_raw("rpc.discover", ()), node);
    let Err(CallError::Rpc(failure)) = answer else { panic!("{answer:?}") };
    assert_eq!((failure.code, failure.message.as_str()), (-32600, "too long"));

    // With two that wait, nobody knows whose it is.
    let node = async {
        lines.next_line().await.unwrap();
        lines.next_line().await.unwrap();
        writer.write_all(refusal.as_bytes()).await.unwrap();
    };
    let (one, two, ()) = tokio::join!(client.call_raw("a", ()), client.call_raw("b", ()), node);
    assert_eq!((one, two), (Err(CallError::Lost), Err(CallError::Lost)));
}

#[tokio::test]
async fn a_client_too_many_hears_why_from_its_first_call() {
    let served = served();
    let mut clients = Vec::new();
    for _ in 0..MAX_CLIENTS {
        clients.push(Client::connect(&served.path).await.unwrap());
    }
    clients.last().unwrap().call_raw("rpc.discover", ()).await.unwrap();
    let client = Client::connect(&served.path).await.unwrap();
    let Err(CallError::Rpc(failure)) = client.call_raw("rpc.discover", ()).await else { panic!("it was served") };
    assert_eq!(failure.code, -32006);
}

#[tokio::test]
async fn a_client_that_refuses_answers_gets_those_before_and_the_node_knows_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    // Other systems throw away what was not read.
    for written_before in [cfg!(target_os = "linux"), false] {
        let client = Client::connect(&path).await.unwrap();
        let node = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut lines = BufReader::new(stream).lines();
            lines.next_line().await.unwrap();
            // No await from here on: the client cannot read in between.
            let stream = lines.get_ref().get_ref();
            let answer = |text: &str| stream.try_write(format!("{text}\n").as_bytes()).map_err(|error| error.kind());
            let granted = r#"{"jsonrpc":"2.0","id":1,"result":"granted"}"#;
            if written_before {
                answer(granted).unwrap();
            }
            client.refuse_answers();
            assert_eq!(answer(granted), Err(std::io::ErrorKind::BrokenPipe));
        };
        let (answer, ()) = tokio::join!(client.call_raw("distributed.acquire_lease", ()), node);
        assert_eq!(answer, if written_before { Ok(json!("granted")) } else { Err(CallError::Lost) });
    }
}
