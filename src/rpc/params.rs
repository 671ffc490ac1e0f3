//! Reading parameters by name or by position, with errors that name the parameter.
//!
//! 1. The names and their order come from the parameter type; there is no second list of them.
//! 2. Each parameter is read on its own, so that an error can say which one is wrong.
//!
//! Not here: bounds on values (`super::wire` and the methods check them).

use super::errors::{ErrorKind, RpcError, shown};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;
use std::fmt;

/// The field names of a parameter type, in the order of their declaration.
pub(crate) fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    // The probe always fails; only the field names that it was asked for count.
    let _ = T::deserialize(FieldProbe { found: &mut found });
    found
}

/// The length from which a text is read as a whole first: most are right, and reading each parameter on its own reads it twice.
const LONG_BYTES: usize = 4 << 10;

/// Reads the `params` of a request; absent means no parameters.
///
/// # Errors
/// `invalid_params`, with a message that names the parameter and the allowed values.
pub(crate) fn parse<T: DeserializeOwned>(raw: Option<&str>) -> Result<T, RpcError> {
    let raw = raw.map(str::trim_start);
    // Parameter types refuse unknown members themselves; what is wrong with a text is found out below.
    if let Some(text) = raw.filter(|text| text.len() > LONG_BYTES && text.starts_with('{'))
        && let Ok(params) = serde_json::from_str(text)
    {
        return Ok(params);
    }
    let known = names::<T>();
    let given = match raw {
        None => Vec::new(),
        Some(text) if text.starts_with('[') => by_position(text, known)?,
        Some(text) => by_name(text, known)?,
    };
    let access = Given { entries: given.into_iter(), next: None };
    T::deserialize(MapAccessDeserializer::new(access)).map_err(|problem| problem.into_error(known))
}

type Entry<'a> = (&'static str, &'a RawValue);

fn by_position<'a>(text: &'a str, known: &'static [&'static str]) -> Result<Vec<Entry<'a>>, RpcError> {
    let values: Vec<&RawValue> = serde_json::from_str(text).map_err(unreadable)?;
    if values.len() > known.len() {
        let (given, most) = (values.len(), known.len());
        let text = format!("{given} parameters were given, at most {most} are taken{}", listing(known));
        return Err(RpcError::new(ErrorKind::InvalidParams, text));
    }
    Ok(known.iter().copied().zip(values).collect())
}

fn by_name<'a>(text: &'a str, known: &'static [&'static str]) -> Result<Vec<Entry<'a>>, RpcError> {
    let members: Members<'a> = serde_json::from_str(text).map_err(unreadable)?;
    let mut entries: Vec<Entry<'a>> = Vec::with_capacity(known.len());
    for (name, value) in members.0 {
        let Some(known) = known.iter().copied().find(|known| *known == name) else {
            let text = format!("unknown parameter {}{}", shown(&name), listing(known));
            let short: String = name.chars().take(80).collect();
            return Err(RpcError {
                detail: Some(json!({ "parameter": short })),
                ..RpcError::new(ErrorKind::InvalidParams, text)
            });
        };
        if entries.iter().any(|(seen, _)| *seen == known) {
            return Err(RpcError::parameter(known, "it was given twice"));
        }
        entries.push((known, value));
    }
    Ok(entries)
}

fn listing(known: &[&str]) -> String {
    if known.is_empty() { "; there are none".to_owned() } else { format!("; there are: {}", known.join(", ")) }
}

fn unreadable(error: serde_json::Error) -> RpcError {
    let text = format!("params cannot be read: {}", plain_text(&error.to_string()));
    RpcError::new(ErrorKind::InvalidParams, text)
}

/// An error of the JSON reader in plain words: without a position in the fragment, without Rust type names.
pub(crate) fn plain_text(text: &str) -> String {
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let mut plain = text[..end].to_owned();
    for number in ["usize", "u64", "u32"] {
        plain = plain.replace(&format!("expected {number}"), "expected a whole number of 0 or more");
    }
    plain = plain.replace("expected a sequence", "expected a list").replace("expected a map", "expected an object");
    if plain.len() > 400 {
        plain = plain.chars().take(400).collect::<String>() + "…";
    }
    plain
}

/// The members of an object in the given order; their values are not read.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> de::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Why a parameter type could not be read.
#[derive(Debug)]
struct Problem {
    parameter: Option<String>,
    text: String,
}

impl Problem {
    fn into_error(self, known: &[&str]) -> RpcError {
        match self.parameter {
            Some(parameter) => RpcError::parameter(&parameter, self.text),
            None => RpcError::new(ErrorKind::InvalidParams, format!("{}{}", self.text, listing(known))),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self { parameter: None, text: message.to_string() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { parameter: Some(field.to_owned()), text: "it is missing".to_owned() }
    }
}

/// The given parameters, as a map whose values are read from their own text.
struct Given<'a> {
    entries: std::vec::IntoIter<Entry<'a>>,
    next: Option<Entry<'a>>,
}

impl<'de> MapAccess<'de> for Given<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        self.next = self.entries.next();
        let Some((name, _)) = self.next else { return Ok(None) };
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let Some((name, raw)) = self.next.take() else { return Err(de::Error::custom("a value without a name")) };
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        seed.deserialize(&mut reader)
            .map_err(|error| Problem { parameter: Some(name.to_owned()), text: plain_text(&error.to_string()) })
    }
}

/// A deserializer that only records which fields a type asks for.
struct FieldProbe<'a> {
    found: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for FieldProbe<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Problem> {
        Err(de::Error::custom("only asked for its members"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Problem> {
        *self.found = fields;
        Err(de::Error::custom("only asked for its members"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::wire::NoParams;
    use crate::rpc::wire::membership::JoinParams;
    use crate::rpc::wire::subscription::UnsubscribeParams;
    use crate::rpc::wire::sync::SyncParams;

    #[test]
    fn the_names_come_from_the_type_in_its_order() {
        assert_eq!(names::<SyncParams>(), ["messages", "limit", "wait_ms", "auto_ack", "ack"]);
        assert_eq!(names::<NoParams>(), [""; 0]);
    }

    #[test]
    fn names_and_positions_lead_to_the_same_thing() {
        let named: JoinParams = parse(Some(r#"{"labels":{"a":"b"},"name":"x","node_id":null}"#)).unwrap();
        let placed: JoinParams = parse(Some(r#" [null, "x", null, null, {"a":"b"}]"#)).unwrap();
        assert_eq!(named, placed);
        assert_eq!(parse::<JoinParams>(None).unwrap(), JoinParams::default());
        assert_eq!(parse::<JoinParams>(Some("[]")).unwrap(), JoinParams::default());
    }

    #[test]
    fn a_long_text_is_read_and_refused_as_a_short_one() {
        let long = "x".repeat(LONG_BYTES);
        let read = |text: &str| parse::<SyncParams>(Some(text));
        let params = read(&format!(r#" {{"limit":3,"messages":[ {{"a":"{long}"}}, 1e400]}}"#)).unwrap();
        let messages: Vec<String> = params.messages.unwrap().iter().map(|raw| raw.get().to_owned()).collect();
        assert_eq!((params.limit, messages), (Some(3), vec![format!(r#"{{"a":"{long}"}}"#), "1e400".to_owned()]));
        for wrong in [r#""limits":1"#, r#""limit":1,"limit":2"#, r#""limit":"x""#, r#""limit":-1"#] {
            let message = |long: &str| read(&format!(r#"{{"messages":["{long}"],{wrong}}}"#)).unwrap_err().message;
            assert_eq!(message(&long), message(""), "{wrong}");
        }
    }

    fn problem<T: DeserializeOwned + fmt::Debug>(text: &str) -> String {
        parse::<T>(Some(text)).unwrap_err().message
    }

    #[test]
    fn an_error_names_the_parameter_and_what_is_allowed() {
        assert_eq!(
            problem::<SyncParams>(r#"{"limit":"x"}"#),
            r#"parameter limit: invalid type: string "x", expected a whole number of 0 or more"#
        );
        assert_eq!(problem::<JoinParams>("[7]"), "parameter node_id: invalid type: integer `7`, expected a string");
        assert_eq!(
            problem::<SyncParams>(r#"{"limits":1}"#),
            r#"unknown parameter "limits"; there are: messages, limit, wait_ms, auto_ack, ack"#
        );
        assert_eq!(problem::<NoParams>("[1]"), "1 parameters were given, at most 0 are taken; there are none");
        assert_eq!(problem::<UnsubscribeParams>("{}"), "parameter subscription: it is missing");
        assert_eq!(problem::<SyncParams>(r#"{"ack":"1-0","ack":"2-0"}"#), "parameter ack: it was given twice");
    }
}
