//! Tickets and answers as recorded from Mosaico 0.2.4 (`contract/vectors`, beside the project).

use std::path::PathBuf;

use mosaico_types::TimeWindow;
use mosaico_wire::ticket::Ticket;
use serde_json::Value;

/// A recorded file. Its absence is a failure: without it nothing would be tested.
fn recorded(name: &str) -> Value {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("MOSAICO_SHARED").map_or(beside, PathBuf::from);
    let path = shared.join("contract/vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("recordings are JSON")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("bytes are recorded in hex");
    (0..hex.len()).step_by(2).map(digits).collect()
}

#[test]
fn tickets_of_the_reference_are_ours_byte_by_byte() {
    let file = recorded("tickets.json");
    let issued = file["issued_by_server"].as_array().expect("tickets that the server issued");
    assert!(!issued.is_empty());
    for case in issued {
        let hex = case["server_ticket_hex"].as_str().expect("every ticket has its bytes");
        let ticket = Ticket::decode(&bytes(hex)).unwrap_or_else(|e| panic!("{hex}: {e}"));
        assert_eq!(ticket.encode(), bytes(hex), "{case}");
    }
}

#[test]
fn any_ticket_of_the_layout_is_understood() {
    let file = recorded("tickets.json");
    for case in file["encoder_cases_not_from_server"].as_array().expect("encoder cases") {
        let ticket = Ticket::decode(&bytes(case["hex"].as_str().unwrap())).unwrap();
        assert_eq!(ticket.locator, case["locator"].as_str().unwrap());
        // The sentinels of the layout mean that there is no bound.
        let start = case["start_ns"].as_i64().filter(|&start| start != i64::MIN);
        let end = case["end_ns"].as_i64().filter(|&end| end != i64::MAX);
        assert_eq!(ticket.window, TimeWindow { start, end }, "{case}");
    }
}
