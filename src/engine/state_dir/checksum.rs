//! A sum that shows damage of what lay on a disk, and JSON files that carry one.
//!
//! 1. A file with a sum that does not fit is damaged; one without a sum is from a version that wrote none, and counts as it is.
//! 2. The sum is a member of the object, so that a version that does not know it reads the file all the same.
//!
//! Not here: what a reader makes of a damaged file.

/// CRC-32 with the polynomial of Ethernet.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 })
    };
    !bytes.iter().fold(!0, step)
}

/// How a sealed object begins; eight hexadecimal digits, `",` and the other members follow.
const SEAL: &str = "{\"sum\":\"";

/// The text of a JSON object that is not empty, with the sum of its members as the first one.
pub(crate) fn seal(json: &str) -> String {
    match json.strip_prefix('{') {
        Some(members) => format!("{SEAL}{:08x}\",{members}", checksum(members.as_bytes())),
        None => json.to_owned(),
    }
}

/// Whether what [`seal`] wrote is still the same; a text without a sum is taken for good.
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
