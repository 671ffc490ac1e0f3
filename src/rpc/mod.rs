//! JSON-RPC 2.0 over stdio and a unix socket.
