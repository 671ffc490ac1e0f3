//! The connection string: whether it is one, and what it leaves to us.
//!
//! 1. No text from here quotes the string: a part of it that looks harmless can be a piece of a password that was not encoded. Only
//!    names of options that exist are named.
//! 2. What the string says counts, but for the retries of writes: they are this store's own business (`write.rs`).
//!
//! Not here: where the string comes from (`crate::config`).

use futures_util::FutureExt;
use mongodb::error::Result;
use mongodb::options::{Acknowledgment, ClientOptions, ConnectionString, HostInfo, WriteConcern};
use std::time::Duration;

const FORM: &str = "use mongodb://[user:password@]host[:port][,host…]/[database][?option=value&…], or mongodb+srv:// with one host, \
     with special characters of user and password percent-encoded";

/// How long a server is looked for before there counts as none.
const SELECTION: Duration = Duration::from_secs(5);
/// The driver ends what is under way on a server that did not answer its own check for this long, so it must not be shorter than
/// the wait for a write. How long a caller waits is bounded elsewhere.
const CONNECTION: Duration = Duration::from_mins(1);
/// One connection writes, one reads, and a look-up may come in between.
const CONNECTIONS: u32 = 4;

/// The options that the driver knows, as they are written.
const OPTIONS: [&str; 41] = [
    "adaptiveRetries",
    "appName",
    "authMechanism",
    "authMechanismProperties",
    "authSource",
    "compressors",
    "connectTimeoutMS",
    "directConnection",
    "enableOverloadRetargeting",
    "heartbeatFrequencyMS",
    "journal",
    "loadBalanced",
    "localThresholdMS",
    "maxAdaptiveRetries",
    "maxConnecting",
    "maxIdleTimeMS",
    "maxPoolSize",
    "maxStalenessSeconds",
    "minPoolSize",
    "readConcernLevel",
    "readPreference",
    "readPreferenceTags",
    "replicaSet",
    "retryReads",
    "retryWrites",
    "serverMonitoringMode",
    "serverSelectionTimeoutMS",
    "socketTimeoutMS",
    "srvMaxHosts",
    "srvServiceName",
    "ssl",
    "tls",
    "tlsAllowInvalidCertificates",
    "tlsAllowInvalidHostnames",
    "tlsCAFile",
    "tlsCertificateKeyFile",
    "tlsCertificateKeyFilePassword",
    "tlsInsecure",
    "w",
    "waitQueueTimeoutMS",
    "wTimeoutMS",
];

/// Checks a connection string without using the network.
///
/// # Errors
/// What is wrong with it and what is allowed, as the rest of a sentence that begins with its key; nothing of the string is shown.
pub fn check(text: &str) -> std::result::Result<(), String> {
    let rest = text.strip_prefix("mongodb://").or_else(|| text.strip_prefix("mongodb+srv://"));
    let Some(rest) = rest else { return Err("must start with mongodb:// or mongodb+srv://".to_owned()) };
    // The driver cuts texts between bytes, and panics where that is inside of a character.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("holds a character that must be percent-encoded; {FORM}"));
    }
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    // A password with a question mark in it would have its end taken for options, and its beginning for a host.
    if options.contains('@') && !place.contains('@') {
        return Err(format!("holds a question mark before its @; {FORM}"));
    }
    let Ok(parsed) = parse(text) else { return Err(wrong(place, options)) };
    // Without names to be resolved, this waits for nothing.
    let complete = match &parsed.host_info {
        HostInfo::HostIdentifiers(_) => ClientOptions::parse(parsed).into_future().now_or_never(),
        _ => None,
    };
    match complete {
        Some(Err(_)) => Err(format!("holds options that exclude one another, or one that the driver refuses; {FORM}")),
        _ => Ok(()),
    }
}

/// What is wrong with a string that the driver does not take.
fn wrong(place: &str, options: &str) -> String {
    for pair in options.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let known = OPTIONS.iter().find(|known| known.eq_ignore_ascii_case(name));
        match known {
            Some(known) if parse(&format!("mongodb://host/?{pair}")).is_err() => {
                return format!(
                    "has an option {known} whose value is not allowed here; see the driver's manual for it"
                );
            }
            None if ConnectionString::parse(format!("mongodb://host/?{pair}")).is_err() => {
                return format!("has an option that is none, or one without a value; {FORM}");
            }
            _ => {}
        }
    }
    if place.is_empty() || place.ends_with('@') || place.starts_with('/') {
        return format!("names no host; {FORM}");
    }
    format!("is not a connection string of MongoDB; {FORM}")
}

fn parse(text: &str) -> Result<ConnectionString> {
    let mut parsed = ConnectionString::parse(text)?;
    // The driver has no such timeout and refuses the option, which many strings carry; every call has a deadline anyway.
    #[allow(deprecated)]
    parsed.socket_timeout.take();
    Ok(parsed)
}

/// The driver's options for a string that was checked; `mongodb+srv` asks the name service.
pub(super) async fn options(text: &str) -> Result<ClientOptions> {
    let mut options = ClientOptions::parse(parse(text)?).await?;
    options.app_name.get_or_insert_with(|| "clawster".to_owned());
    options.server_selection_timeout.get_or_insert(SELECTION);
    options.connect_timeout.get_or_insert(CONNECTION);
    options.max_pool_size.get_or_insert(CONNECTIONS);
    options.retry_writes = Some(false);
    // A server that is killed must not forget what it confirmed.
    let concern = options.write_concern.get_or_insert_with(WriteConcern::default);
    if concern.w.is_none() {
        concern.w = Some(Acknowledgment::Majority);
    }
    if concern.journal.is_none() && concern.w != Some(Acknowledgment::Nodes(0)) {
        concern.journal = Some(true);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_takes_is_taken() {
        for good in [
            "mongodb://localhost",
            "mongodb://u:p%40ss@a:27017,b:27018/openclaw?replicaSet=rs0&authSource=admin&tls=true&w=majority",
            "mongodb+srv://u:p@cluster0.example.net/?retryWrites=true&w=majority",
            "mongodb://acct:key%3D%3D@acct.example.com:10255/?ssl=true&replicaSet=globaldb&retrywrites=false&appName=@acct@",
            "mongodb://%2Ftmp%2Fmongodb-27017.sock",
            "mongodb://h/?socketTimeoutMS=1000",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_a_credential() {
        for (bad, word) in [
            ("http://hush@h", "must start with"),
            ("mongodb://", "names no host"),
            ("mongodb://hush:hush@", "names no host"),
            ("mongodb://hush:hu?sh@h", "question mark"),
            ("mongodb://hush:hu/sh@h/x", "percent-encoded"),
            ("mongodb://hush:hu@sh@h/x", "percent-encoded"),
            ("mongodb://hush:hu%sh@h/x", "percent-encoded"),
            ("mongodb://hush:%ࠀ@h/x", "must be percent-encoded"),
            ("mongodb://h:hush", "percent-encoded"),
            ("mongodb://hush:hush@h/?w=-1&hush=hush", "option w "),
            ("mongodb://h/?hush", "an option that is none"),
            ("mongodb://h/?connectTimeoutMS=hush", "option connectTimeoutMS "),
            ("mongodb://h/?authMechanism=hush", "option authMechanism "),
            ("mongodb+srv://hush:hush@h:27017/", "percent-encoded"),
            ("mongodb+srv://hush:hush@a.b.c,d.e.f/", "percent-encoded"),
            ("mongodb://a,b/?directConnection=true", "exclude one another"),
        ] {
            let why = check(bad).expect_err(bad);
            assert!(why.contains(word), "{bad}: {why}");
            assert!(!why.contains("hush") && !why.contains("27017"), "{bad}: {why}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_check_panic(rest in ".{0,60}") {
            drop(check(&rest));
            drop(check(&format!("mongodb://{rest}")));
        }
    }

    #[tokio::test]
    async fn what_the_string_leaves_open_is_filled_in() {
        let plain = options("mongodb://h").await.expect("options");
        assert_eq!(plain.app_name.as_deref(), Some("clawster"));
        assert_eq!((plain.retry_writes, plain.max_pool_size), (Some(false), Some(CONNECTIONS)));
        let concern = plain.write_concern.expect("a concern");
        assert_eq!((concern.w, concern.journal), (Some(Acknowledgment::Majority), Some(true)));
        let own =
            options("mongodb://h/?w=1&journal=false&appName=x&maxPoolSize=9&retryWrites=true").await.expect("options");
        assert_eq!((own.app_name.as_deref(), own.retry_writes, own.max_pool_size), (Some("x"), Some(false), Some(9)));
        let concern = own.write_concern.expect("a concern");
        assert_eq!((concern.w, concern.journal), (Some(Acknowledgment::Nodes(1)), Some(false)));
    }
}
