//! Checksums of JSON records: the last member of each record is the CRC-32 of all bytes before it. It reveals
//! bytes that changed on the disk, and any JSON reader can still read the record.

const LABEL: &[u8] = br#","record_crc32":"#;

/// The state of a record's checksum.
#[derive(Debug, PartialEq, Eq)]
pub enum Checksum {
    Valid,
    Invalid,
    /// The record has no checksum.
    Missing,
}

/// Adds the checksum to a JSON object that has members.
pub fn add_checksum(mut json: Vec<u8>) -> Vec<u8> {
    if json.pop_if(|last| *last == b'}').is_some() {
        let sum = crc32fast::hash(&json);
        json.extend_from_slice(LABEL);
        json.extend_from_slice(sum.to_string().as_bytes());
        json.push(b'}');
    }
    json
}

/// Verifies the checksum.
pub fn check(json: &[u8]) -> Checksum {
    let Some(at) = json.windows(LABEL.len()).rposition(|window| window == LABEL) else {
        return Checksum::Missing;
    };
    // The same number in the same notation.
    if add_checksum([&json[..at], b"}"].concat()) == json { Checksum::Valid } else { Checksum::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let protected =
            add_checksum(br#"{"format_version":1,"chunks":[{"bytes":3,"crc32":77,"rows":5}]}"#.to_vec());
        assert_eq!(check(&protected), Checksum::Valid);
        let value: serde_json::Value = serde_json::from_slice(&protected).expect("JSON");
        assert_eq!(value["format_version"], 1);
        for at in 0..protected.len() * 8 {
            let mut flipped = protected.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_ne!(check(&flipped), Checksum::Valid, "{}", String::from_utf8_lossy(&flipped));
        }
        assert_eq!(check(br#"{"chunks":[{"bytes":3,"crc32":77,"rows":5}]}"#), Checksum::Missing);
    }
}
