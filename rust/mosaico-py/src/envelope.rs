//! What a message adds to its data: its times, and a header of its time.

use mosaico_client::columns::{Column, ColumnError, Values};

/// Columns of the envelope, which precede those of the data class: the time, and the time of recording.
pub(crate) const ENVELOPE: usize = 2;

const NS_PER_SECOND: i64 = 1_000_000_000;

/// Fills a column of headers with one that has the stamp `timestamp_ns` and nothing else, as a message does.
pub(crate) fn append_header(column: &mut Column, timestamp_ns: i64) -> Result<(), ColumnError> {
    let time = split_time(timestamp_ns);
    for child in column.children_mut() {
        if child.name() != "stamp" {
            child.push_null()?;
            continue;
        }
        for (column, part) in child.children_mut().iter_mut().zip(time) {
            append_int(column, part)?;
        }
        child.mark_valid();
    }
    column.mark_valid();
    Ok(())
}

/// Seconds and nanoseconds, as in a stamp.
pub(crate) fn split_time(timestamp_ns: i64) -> [i64; 2] {
    [timestamp_ns.div_euclid(NS_PER_SECOND), timestamp_ns.rem_euclid(NS_PER_SECOND)]
}

fn append_int(column: &mut Column, value: i64) -> Result<(), ColumnError> {
    if let Values::Fixed(fixed) = column.values_mut() {
        fixed.push_int(i128::from(value))?;
    }
    column.mark_valid();
    Ok(())
}
