//! What the schemas of the wire promise, whatever the types say.
//!
//! Not here: that `schemas/` is what the types say (`crate::cli::documents`, which knows the configuration's too).

use crate::rpc::documents::documents;

#[test]
fn a_result_names_all_its_members_as_required() {
    let documents = documents();
    let (_, state) = documents.iter().find(|(path, _)| path.ends_with("get_cluster_state.result.json")).unwrap();
    let required = state["required"].as_array().unwrap();
    assert!(required.iter().any(|name| name == "leader_id"), "{required:?}");
    let (_, join) = documents.iter().find(|(path, _)| path.ends_with("join_cluster.params.json")).unwrap();
    assert!(join.get("required").is_none());
}

#[test]
fn every_schema_stands_alone() {
    for (path, document) in documents() {
        let text = document.to_string();
        assert!(!text.contains("$defs") && !text.contains("#/definitions"), "{path}");
    }
}
