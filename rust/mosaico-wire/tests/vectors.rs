//! Tickets and answers as recorded from Mosaico 0.2.4 (`mosaico-server/tests/vectors`).

use std::path::Path;

use mosaico_types::TimeWindow;
use mosaico_wire::ticket::Ticket;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// A recorded file.
fn recorded(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../mosaico-server/tests/vectors");
    let path = Path::new(folder).join(name);
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

proptest! {
    /// A mutated ticket of the reference is refused, or means what its own encoding means.
    #[test]
    fn mutated_tickets_never_panic(
        which in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        length in any::<Index>(),
    ) {
        let file = recorded("tickets.json");
        let cases = file["encoder_cases_not_from_server"].as_array().expect("encoder cases");
        let mut ticket = bytes(which.get(cases)["hex"].as_str().expect("hex"));
        for (at, value) in changes {
            let at = at.index(ticket.len());
            ticket[at] = value;
        }
        ticket.truncate(length.index(ticket.len()) + 1);
        if let Ok(read) = Ticket::decode(&ticket) {
            prop_assert_eq!(Ticket::decode(&read.encode()), Ok(read));
        }
    }
}
