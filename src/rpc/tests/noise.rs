//! Whatever comes in, the server answers each line at most once and lives on.

use super::*;
use proptest::prelude::*;

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let method = prop_oneof![
        Just("distributed.sync_messages".to_owned()),
        Just("cluster.subscribe".to_owned()),
        Just("distributed.join_cluster".to_owned()),
        Just("cluster.unsubscribe".to_owned()),
        "[a-z.]{0,12}"
    ];
    let params = prop_oneof![
        Just("{}".to_owned()),
        Just("[1,{\"id\":1,\"payload\":2},\"x\"]".to_owned()),
        Just("{\"messages\":[{\"id\":\"a\",\"payload\":[]}],\"limit\":3}".to_owned()),
        "[\\[\\]{}\",:0-9a-z]{0,20}"
    ];
    let id =
        prop_oneof![Just("1".to_owned()), Just("null".to_owned()), Just("\"\u{0}\"".to_owned()), "[0-9e.{\"]{0,6}"];
    let request = (id, method, params)
        .prop_map(|(id, method, params)| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
        })
        .boxed();
    let batch = proptest::collection::vec(request.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(",")));
    let line = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        request.prop_map(String::into_bytes),
        batch.prop_map(String::into_bytes),
    ];
    let without_end = line.prop_map(|mut line: Vec<u8>| {
        line.retain(|byte| *byte != b'\n');
        line
    });
    proptest::collection::vec(without_end, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_kills_the_server(lines in lines()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers = runtime.block_on(async {
            let mut host = Host::start();
            for line in &lines {
                host.write(&[line.as_slice(), b"\n"].concat()).await;
            }
            host.input = None;
            let mut answers = 0;
            while let Some(text) = host.next_text().await {
                let answer: Value = serde_json::from_str(&text).unwrap();
                assert!(answer.is_array() || answer["jsonrpc"] == "2.0", "{answer}");
                answers += 1;
            }
            assert_eq!(host.ended().await, Ended::InputClosed);
            answers
        });
        prop_assert!(answers <= lines.len(), "{answers} answers to {} lines", lines.len());
    }
}
