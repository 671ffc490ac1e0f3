//! Checks the connection string, and sets the defaults that it leaves open.
//!
//! 1. No text from here quotes the string: a part that looks harmless can be a piece of a password that was not encoded. Only names of
//!    existing options are shown.
//! 2. The string takes precedence, except for the retries of writes, which this store does itself (`write.rs`).
//!
//! Not here: where the string comes from (`crate::config`).

use futures_util::FutureExt;
use mongodb::error::Result;
use mongodb::options::{Acknowledgment, ClientOptions, ConnectionString, HostInfo, WriteConcern};
use std::time::Duration;

const FORM: &str = "use mongodb://[user:password@]host[:port][,host…]/[database][?option=value&…], or mongodb+srv:// with one host, \
     with special characters of user and password percent-encoded";

/// How long the driver looks for a server.
const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The driver cancels operations on a server that has not answered its own check for this long, so it must not be shorter than the
/// timeout of a write. Callers have their own timeouts.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);
/// The most connections: one writes, one reads, and look-ups come in between.
const MAX_CONNECTIONS: u32 = 4;

/// The options that the driver knows.
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
/// The problem and what is allowed, as the rest of a sentence that begins with the key; nothing of the string is quoted.
pub fn check(text: &str) -> std::result::Result<(), String> {
    let rest = text.strip_prefix("mongodb://").or_else(|| text.strip_prefix("mongodb+srv://"));
    let Some(rest) = rest else { return Err("must start with mongodb:// or mongodb+srv://".to_owned()) };
    // The driver splits texts at byte positions, and panics within a multi-byte character.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("contains a character that must be percent-encoded; {FORM}"));
    }
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    // With a question mark in the password, its end would be parsed as options and its beginning as a host.
    if options.contains('@') && !place.contains('@') {
        return Err(format!("contains a question mark before its @; {FORM}"));
    }
    let Ok(parsed) = parse(text) else { return Err(wrong(place, options)) };
    // Without names to resolve, this completes at once.
    let complete = match &parsed.host_info {
        HostInfo::HostIdentifiers(_) => ClientOptions::parse(parsed).into_future().now_or_never(),
        _ => None,
    };
    match complete {
        Some(Err(_)) => Err(format!("has options that exclude one another, or one that the driver refuses; {FORM}")),
        _ => Ok(()),
    }
}

/// The problem of a string that the driver refuses.
fn wrong(place: &str, options: &str) -> String {
    for pair in options.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let known = OPTIONS.iter().find(|known| known.eq_ignore_ascii_case(name));
        match known {
            Some(known) if parse(&format!("mongodb://host/?{pair}")).is_err() => {
                return format!("has an option {known} with an invalid value; see the MongoDB manual for its values");
            }
            None if ConnectionString::parse(format!("mongodb://host/?{pair}")).is_err() => {
                return format!("has an unknown option, or an option without a value; {FORM}");
            }
            _ => {}
        }
    }
    if place.is_empty() || place.ends_with('@') || place.starts_with('/') {
        return format!("does not name a host; {FORM}");
    }
    format!("is not a valid MongoDB connection string; {FORM}")
}

fn parse(text: &str) -> Result<ConnectionString> {
    let mut parsed = ConnectionString::parse(text)?;
    // The driver refuses this option, which many strings contain; every call has a deadline anyway.
    #[allow(deprecated)]
    parsed.socket_timeout.take();
    Ok(parsed)
}

/// The driver's options for a checked string; `mongodb+srv` uses the name service.
pub(super) async fn options(text: &str) -> Result<ClientOptions> {
    let mut options = ClientOptions::parse(parse(text)?).await?;
    options.app_name.get_or_insert_with(|| "clawster".to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.max_pool_size.get_or_insert(MAX_CONNECTIONS);
    options.retry_writes = Some(false);
    // A killed server must not lose writes that it has confirmed.
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
            ("mongodb://", "does not name a host"),
            ("mongodb://hush:hush@", "does not name a host"),
            ("mongodb://hush:hu?sh@h", "question mark"),
            ("mongodb://hush:hu/sh@h/x", "percent-encoded"),
            ("mongodb://hush:hu@sh@h/x", "percent-encoded"),
            ("mongodb://hush:hu%sh@h/x", "percent-encoded"),
            ("mongodb://hush:%ࠀ@h/x", "must be percent-encoded"),
            ("mongodb://h:hush", "percent-encoded"),
            ("mongodb://hush:hush@h/?w=-1&hush=hush", "option w "),
            ("mongodb://h/?hush", "an unknown option"),
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
        assert_eq!((plain.retry_writes, plain.max_pool_size), (Some(false), Some(MAX_CONNECTIONS)));
        let concern = plain.write_concern.expect("a concern");
        assert_eq!((concern.w, concern.journal), (Some(Acknowledgment::Majority), Some(true)));
        let own =
            options("mongodb://h/?w=1&journal=false&appName=x&maxPoolSize=9&retryWrites=true").await.expect("options");
        assert_eq!((own.app_name.as_deref(), own.retry_writes, own.max_pool_size), (Some("x"), Some(false), Some(9)));
        let concern = own.write_concern.expect("a concern");
        assert_eq!((concern.w, concern.journal), (Some(Acknowledgment::Nodes(1)), Some(false)));
    }
}
