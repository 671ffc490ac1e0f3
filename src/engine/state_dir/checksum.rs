//! A checksum that detects damage on disk, and JSON files that contain one.
//!
//! 1. A file with a wrong checksum is damaged; a file without one is from a version that wrote none, and is trusted.
//! 2. The checksum is a member of the JSON object, so that older versions can still read the file.
//!
//! Not here: handling a damaged file.

/// CRC-32 with the polynomial of Ethernet.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 })
    };
    !bytes.iter().fold(!0, step)
}

/// The beginning of a sealed object; eight hexadecimal digits, `",` and the other members follow.
const SEAL: &str = "{\"sum\":\"";

/// A JSON object (not empty) with the checksum of its members added as the first member.
pub(crate) fn seal(json: &str) -> String {
    match json.strip_prefix('{') {
        Some(members) => format!("{SEAL}{:08x}\",{members}", checksum(members.as_bytes())),
        None => json.to_owned(),
    }
}

/// Whether a text from [`seal`] is unchanged; a text without a checksum counts as unchanged.
pub(crate) fn is_intact(text: &str) -> bool {
    let text = text.trim_end();
    if !text.contains("\"sum\"") {
        return true;
    }
    let Some(rest) = text.strip_prefix(SEAL) else { return false };
    let Some((sum, members)) = rest.split_once("\",") else { return false };
    sum.len() == 8 && u32::from_str_radix(sum, 16) == Ok(checksum(members.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_sealed_object_shows() {
        let sealed = seal("{\"a\":1,\"b\":\"text\"}");
        assert!(is_intact(&sealed) && is_intact(&format!("{sealed}\n")) && is_intact("{\"a\":1}"));
        assert!(serde_json::from_str::<serde_json::Value>(&sealed).is_ok());
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let read = serde_json::from_str::<serde_json::Value>(&text);
            let harmless = read.map_or(true, |value| value["a"] == 1 && value["b"] == "text");
            assert!(!is_intact(&text) || harmless, "{text}");
        }
        for length in 0..sealed.len() {
            assert!(
                serde_json::from_str::<serde_json::Value>(&sealed[..length]).is_err() || !is_intact(&sealed[..length])
            );
        }
    }
}
