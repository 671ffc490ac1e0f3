//! `schemas/` is what the types say.

use crate::rpc::schema::documents;
use std::collections::BTreeSet;
use std::path::Path;

const REGENERATE: &str = "regenerate with: UPDATE_SCHEMAS=1 cargo test --lib rpc::tests::golden";

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut paths = BTreeSet::new();
    for (path, document) in documents() {
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        let file = root.join(&path);
        if update {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(found == text, "schemas/{path} is not what the types say; {REGENERATE}");
        paths.insert(file);
    }
    for folder in ["methods", "events"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let file = entry.unwrap().path();
            assert!(paths.contains(&file), "{} belongs to nothing any more; remove it", file.display());
        }
    }
}

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
