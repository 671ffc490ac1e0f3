//! Parsing a line: a request, a notification, a batch of them, or an invalid text.
//!
//! 1. Every text gives a value; nothing panics, and no recursion depends on the depth of the input.
//! 2. An id is kept as the text that the client wrote, and is returned exactly like that.
//! 3. A text nested deeper than [`MAX_DEPTH`] is refused: what is sent on from it, a few levels deeper, must be readable
//!    for JSON readers with the usual bound of 128.
//!
//! Not here: lines (`framing.rs`), running the requests (`batch.rs`).

use super::errors::{ErrorKind, RpcError};
use memchr::{memchr, memchr2, memchr2_iter};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::ops::Range;
use std::sync::Arc;

/// The maximum nesting depth of a line.
pub(crate) const MAX_DEPTH: usize = 120;
/// The maximum number of requests in one batch.
pub(crate) const MAX_BATCH: usize = 1_000;

/// The content of a line.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// One request, notification or invalid object.
    Single(Item),
    /// A batch that is neither empty nor too long.
    Batch(Vec<Item>),
    /// A text without a request; one error answers it.
    Refused(RpcError),
}

/// One member of a batch, or the only one of a line.
#[derive(Debug)]
pub(crate) enum Item {
    /// A request, or a notification if it has no id; a notification gets no answer.
    Call(Call),
    /// Not a request; it is answered under this id.
    Invalid(Box<RawValue>, RpcError),
}

/// The parameters of a call as written: a part of its line, which is not copied.
#[derive(Debug, Clone)]
pub(crate) struct Params {
    line: Arc<String>,
    part: Range<usize>,
}

impl From<String> for Params {
    /// Parameters that came in without a line.
    fn from(text: String) -> Self {
        Self { part: 0..text.len(), line: Arc::new(text) }
    }
}

impl Params {
    /// `part` must be a part of the line's own text.
    fn of(line: &Arc<String>, part: &str) -> Self {
        let start = part.as_ptr().addr() - line.as_ptr().addr();
        Self { line: Arc::clone(line), part: start..start + part.len() }
    }

    /// The text.
    pub(crate) fn get(&self) -> &str {
        self.line.get(self.part.clone()).unwrap_or_default()
    }
}

/// A request or a notification.
#[derive(Debug)]
pub(crate) struct Call {
    /// The id as written; `None` for a notification.
    pub(crate) id: Option<Box<RawValue>>,
    /// The name of the method.
    pub(crate) method: String,
    /// The parameters as written: an object or a list.
    pub(crate) params: Option<Params>,
}

impl Call {
    /// The type of the id, for the log: the id itself is chosen by the client and may be secret.
    pub(crate) fn id_kind(&self) -> &'static str {
        match self.id.as_ref().and_then(|id| id.get().as_bytes().first()) {
            None => "none",
            Some(b'"') => "text",
            Some(b'n') => "null",
            Some(_) => "number",
        }
    }
}

/// Parses a line.
pub(crate) fn parse(line: impl Into<Vec<u8>>) -> Incoming {
    let Ok(text) = String::from_utf8(line.into()) else {
        return refused(ErrorKind::ParseError, "the line is not UTF-8; send JSON as UTF-8, one text per line");
    };
    if is_too_deep(&text) {
        let text = format!("the line is nested deeper than {MAX_DEPTH} levels; send a flatter value");
        return refused(ErrorKind::ParseError, text);
    }
    let line = Arc::new(text);
    // Nearly every line is one request; whatever is wrong with another one is found below.
    if line.trim_start().starts_with('{')
        && let Ok(members) = serde_json::from_str::<Members<'_>>(&line)
    {
        return Incoming::Single(item(&line, members));
    }
    let raw: &RawValue = match serde_json::from_str(&line) {
        Ok(raw) => raw,
        Err(error) => {
            return refused(ErrorKind::ParseError, format!("the line is not JSON ({error}); send one text per line"));
        }
    };
    match raw.get().as_bytes().first() {
        Some(b'[') => parse_batch(&line, raw),
        _ => Incoming::Single(parse_item(&line, raw)),
    }
}

fn refused(kind: ErrorKind, message: impl std::fmt::Display) -> Incoming {
    Incoming::Refused(RpcError::new(kind, message))
}

fn parse_batch(line: &Arc<String>, raw: &RawValue) -> Incoming {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        return refused(ErrorKind::InvalidRequest, "the batch cannot be read");
    };
    match items.len() {
        0 => refused(ErrorKind::InvalidRequest, "the batch is empty; put at least one request into it"),
        1..=MAX_BATCH => Incoming::Batch(items.into_iter().map(|raw| parse_item(line, raw)).collect()),
        count => {
            let text = format!("the batch has {count} requests, at most {MAX_BATCH} are allowed");
            refused(ErrorKind::InvalidRequest, text)
        }
    }
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

/// Distinguishes a member that is null from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn invalid(id: Option<&RawValue>, problem: &str) -> Item {
    let id = id.filter(|id| is_id(id)).map_or_else(null, ToOwned::to_owned);
    Item::Invalid(id, RpcError::new(ErrorKind::InvalidRequest, format!("not a JSON-RPC 2.0 request: {problem}")))
}

fn parse_item(line: &Arc<String>, raw: &RawValue) -> Item {
    if !raw.get().starts_with('{') {
        return invalid(None, "send an object with jsonrpc, id, method and params");
    }
    match serde_json::from_str::<Members<'_>>(raw.get()) {
        Ok(members) => item(line, members),
        Err(error) => invalid(None, &super::params::plain_text(&error.to_string())),
    }
}

/// Checks the members of an object, which are parts of the line.
fn item(line: &Arc<String>, members: Members<'_>) -> Item {
    let id = members.id;
    if id.is_some_and(|id| !is_id(id)) {
        return invalid(None, "the id must be a string, a number or null");
    }
    if members.jsonrpc.is_none_or(|version| text_of(version).as_deref() != Some("2.0")) {
        return invalid(id, "jsonrpc must be \"2.0\"");
    }
    let Some(method) = members.method.and_then(text_of) else {
        return invalid(id, "method must be a string");
    };
    // Some clients write `"params": null` instead of leaving it out.
    let params = members.params.filter(|params| params.get() != "null");
    if params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
        return invalid(id, "params must be an object or a list");
    }
    Item::Call(Call {
        id: id.map(ToOwned::to_owned),
        method,
        params: params.map(|params| Params::of(line, params.get())),
    })
}

/// The id of an answer to a line without a usable id.
pub(crate) fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

fn is_id(raw: &RawValue) -> bool {
    !raw.get().starts_with(['{', '[', 't', 'f'])
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Whether brackets are nested too deep, in one pass without recursion. The JSON reader does not check this in values that
/// are kept as text.
fn is_too_deep(text: &str) -> bool {
    let mut rest = text.as_bytes();
    // Cheap, and enough for nearly every line that is not long.
    if memchr2_iter(b'[', b'{', rest).nth(MAX_DEPTH).is_none() {
        return false;
    }
    let mut depth = 0_usize;
    loop {
        let quote = memchr(b'"', rest);
        for byte in rest.iter().take(quote.unwrap_or(rest.len())) {
            match byte {
                b'[' | b'{' if depth == MAX_DEPTH => return true,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        let Some(behind) = quote.and_then(|at| behind_string(rest.get(at + 1..)?)) else { return false };
        rest = behind;
    }
}

/// What follows the quote that ends the string, if one does. Strings are most of a line, so they are searched, not walked through.
fn behind_string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let at = memchr2(b'"', b'\\', rest)?;
        if rest.get(at) == Some(&b'"') {
            return rest.get(at + 1..);
        }
        // Whatever is escaped ends nothing.
        rest = rest.get(at + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(text: &str) -> (String, i32) {
        match parse(text.as_bytes()) {
            Incoming::Refused(error) => ("null".into(), error.kind.code()),
            Incoming::Single(Item::Invalid(id, error)) => (id.get().to_owned(), error.kind.code()),
            other => panic!("{text} was taken: {other:?}"),
        }
    }

    #[test]
    fn what_is_no_request_is_told_why_under_its_id() {
        for (text, id, code) in [
            ("nonsense", "null", -32700),
            ("{\"a\":", "null", -32700),
            ("1 2", "null", -32700),
            ("17", "null", -32600),
            ("[]", "null", -32600),
            ("{}", "null", -32600),
            (r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#, "null", -32600),
            (r#"{"jsonrpc":"2.0","id":true,"method":"a"}"#, "null", -32600),
            (r#"{"jsonrpc":"1.0","id":7,"method":"a"}"#, "7", -32600),
            (r#"{"id":7,"method":"a"}"#, "7", -32600),
            (r#"{"jsonrpc":"2.0","id":"x"}"#, "\"x\"", -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, "1", -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":"x"}"#, "1", -32600),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#, "null", -32600),
            (r#"{"jsonrpc":"2.0","id":1,"result":5}"#, "1", -32600),
        ] {
            assert_eq!(invalid(text), (id.to_owned(), code), "{text}");
        }
        assert!(matches!(parse(b"\xff\xfe"), Incoming::Refused(error) if error.kind == ErrorKind::ParseError));
    }

    #[test]
    fn ids_are_kept_as_written() {
        for id in ["null", "1", "-1", "1.50", "1e400", "123456789012345678901234567890", "\"\"", r#""\u0000é""#] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
            let Incoming::Single(Item::Call(call)) = parse(text.as_bytes()) else { panic!("{text} was refused") };
            assert_eq!(call.id.unwrap().get(), id);
        }
        let Incoming::Single(Item::Call(call)) = parse(br#"{"jsonrpc":"2.0","method":"a","params":null}"#) else {
            panic!("a notification was refused")
        };
        assert!(call.id.is_none() && call.params.is_none());
    }

    #[test]
    fn parameters_are_the_text_that_was_written_alone_and_in_a_batch() {
        let written = |item: &Item| match item {
            Item::Call(call) => call.params.as_ref().map(|params| params.get().to_owned()),
            Item::Invalid(_, error) => panic!("{error:?}"),
        };
        let one = r#" {"params": {"a" : [1,"é"] } ,"jsonrpc":"2.0","method":"m","id":1}"#;
        let Incoming::Single(item) = parse(one) else { panic!("it was refused") };
        assert_eq!(written(&item).as_deref(), Some(r#"{"a" : [1,"é"] }"#));
        let Incoming::Batch(items) = parse(format!("[{one},{}]", one.replace("{\"a\" : [1,\"é\"] }", "[ 7]"))) else {
            panic!("it was refused")
        };
        assert_eq!(
            items.iter().map(written).collect::<Vec<_>>(),
            [Some(r#"{"a" : [1,"é"] }"#.into()), Some("[ 7]".into())]
        );
    }

    #[test]
    fn depth_is_bounded_wherever_it_stands() {
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        for n in [MAX_DEPTH + 1, 100_000] {
            assert_eq!(invalid(&nest(n)), ("null".to_owned(), -32700));
        }
        let at = |n| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"messages":[{}]}}}}"#, nest(n));
        assert!(matches!(parse(at(100).as_bytes()), Incoming::Single(Item::Call(_))));
        assert_eq!(invalid(&at(MAX_DEPTH)).1, -32700);
        for before in [r#"\""#, r#"\\\""#, r#"\u0022\\"#, ""] {
            let line =
                |string: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","x":["{string}"],"y":{}}}"#, nest(100));
            let text = line(&format!("{before}{}", "[{".repeat(1000)));
            assert!(matches!(parse(text.as_bytes()), Incoming::Single(Item::Call(_))), "{text}");
            assert_eq!(
                invalid(&text.replace("[[", &"[".repeat(MAX_DEPTH))).1,
                -32700,
                "brackets behind the string {before}"
            );
        }
        let unfinished = format!("{}\"\\", "[".repeat(MAX_DEPTH));
        assert_eq!(invalid(&unfinished).1, -32700);
    }

    #[test]
    fn a_batch_is_bounded_and_its_members_stand_alone() {
        let many = format!("[{}]", vec!["1"; MAX_BATCH + 1].join(","));
        assert_eq!(invalid(&many).1, -32600);
        let Incoming::Batch(items) = parse(br#"[1, {"jsonrpc":"2.0","id":1,"method":"a"}]"#) else {
            panic!("a batch was refused")
        };
        assert!(matches!(items[0], Item::Invalid(..)));
        assert!(matches!(items[1], Item::Call(_)));
    }
}
