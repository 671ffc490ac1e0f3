//! MongoDB with logins: a wrong one, one with few rights, and a server that is no member of a replica set.

use crate::history_fixture::*;
use clawster::config::Secret;
use clawster::store::history::{HistoryFault, HistoryStore};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use std::sync::Arc;
use testkit::Mongod;

/// A server with an administrator, and a user `few` who may read and write documents and nothing else.
async fn guarded() -> (InMongodb, Client) {
    let kept = InMongodb::on(Arc::new(Mongod::with_login()));
    let db = kept.config.db.clone();
    kept.server
        .command("admin", doc! {"createUser": "chief", "pwd": "boss", "roles": ["root"]})
        .expect("the first user");
    let chief = Client::with_uri_str(with(&kept, "chief:boss@")).await.expect("a client");
    let admin = async |command: Document| chief.database("admin").run_command(command).await.expect("it is done");
    let actions = ["find", "insert", "update"];
    let privilege = doc! {"resource": {"db": &db, "collection": ""}, "actions": actions.to_vec()};
    admin(doc! {"createRole": "few", "privileges": [privilege], "roles": []}).await;
    admin(doc! {"createUser": "few", "pwd": "hunter2", "roles": ["few"]}).await;
    let full = doc! {"role": "readWrite", "db": &db};
    admin(doc! {"createUser": "full", "pwd": "p@ss/w%rd?", "roles": [full]}).await;
    (kept, chief)
}

fn with(kept: &InMongodb, login: &str) -> String {
    kept.server.uri().replace("mongodb://", &format!("mongodb://{login}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_and_rights() {
    let (mut kept, chief) = guarded().await;

    kept.config.uri = Some(Secret::new(with(&kept, "few:hunter3@")));
    let refused = kept.store("test").record(&batch(beats("a", 7, 1..=3))).await;
    assert!(matches!(&refused, Err(HistoryFault::Refused(why)) if why.contains("login")), "{refused:?}");
    assert!(!format!("{refused:?}").contains("hunter3"));

    kept.config.uri = Some(Secret::new(kept.server.uri()));
    let nobody = kept.store("test").record(&batch(beats("a", 7, 1..=3))).await;
    assert!(matches!(&nobody, Err(HistoryFault::Refused(_))), "{nobody:?}");

    // Who may make neither collections nor indexes writes into a plain one, once all the same, and reads it without an index.
    kept.config.uri = Some(Secret::new(with(&kept, "few:hunter2@")));
    for _ in 0..2 {
        let few = kept.store("test");
        few.record(&batch(beats("a", 7, 1..=5))).await.expect("it is recorded");
        few.record(&unsure(beats("a", 7, 4..=8))).await.expect("it is recorded");
        few.record_events("first", &[elected(1, "a")]).await.expect("they are recorded");
        assert_eq!(few.samples(&newest(10)).await.expect("it is read").samples, beats("a", 7, 1..=8));
        assert_eq!(few.events(elected(1, "a").at).await, Ok(vec![elected(1, "a")]));
    }

    // Who may, makes a time-series collection, also where there is no replica set; and the password needs its encoding.
    chief.database(&kept.config.db).drop().await.expect("it is dropped");
    kept.config.uri = Some(Secret::new(with(&kept, "full:p%40ss%2Fw%25rd%3F@")));
    for _ in 0..2 {
        let full = kept.store("test");
        full.record(&unsure(beats("a", 7, 1..=5))).await.expect("it is recorded");
        full.record(&batch(beats("a", 7, 4..=8))).await.expect("it is recorded");
        assert_eq!(full.samples(&newest(10)).await.expect("it is read").samples, beats("a", 7, 1..=8));
    }
    let database = chief.database(&kept.config.db);
    assert_eq!(database.collection::<Document>("heartbeat").count_documents(doc! {}).await.expect("a count"), 8);
    let list =
        database.run_command(doc! {"listCollections": 1, "filter": {"name": "heartbeat"}}).await.expect("a list");
    assert!(list.to_string().contains("timeseries"), "{list}");

    // What belongs to the role dbAdmin is done without it as far as it goes.
    kept.config.retention_days = 3;
    kept.store("test").record(&batch(beats("a", 7, 9..=9))).await.expect("the retention stays, and it is recorded");
}
