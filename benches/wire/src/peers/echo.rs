//! Servers over standard input and output that give back what they are given: lines as they are, and MCP's official crate.
//!
//! Not here: who asks them (`stdio.rs`).

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, ServiceExt, schemars, tool, tool_handler, tool_router};
use std::io::{Read, Write};

/// Gives back all whole lines of each read in one write.
pub fn lines() {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let (mut held, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(size @ 1..) = input.read(&mut buffer) {
        held.extend_from_slice(&buffer[..size]);
        let Some(end) = memchr::memrchr(b'\n', &held) else { continue };
        output.write_all(&held[..=end]).and_then(|()| output.flush()).expect("the driver reads");
        held.drain(..=end);
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Text {
    text: String,
}

#[derive(Clone)]
struct Echo;

#[tool_router]
impl Echo {
    #[tool(description = "Gives back its text")]
    async fn echo(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        text
    }
}

#[tool_handler]
impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// An MCP server with one tool.
pub fn rmcp() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let service = Echo.serve(rmcp::transport::stdio()).await.expect("the host says hello");
        service.waiting().await.expect("the host goes");
    });
}
