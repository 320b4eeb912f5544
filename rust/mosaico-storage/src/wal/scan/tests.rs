use mosaico_wire::zero_runs::pack;
use proptest::prelude::*;

use crate::wal::frame::Framing;
use crate::wal::scan::*;

type Parts = (Vec<u8>, Vec<u8>, u64);

const FIRST: u64 = 1000;

/// A segment, and the end of each of its frames; the first end is that of the header, the second that of the
/// schema.
fn segment(frames: &[Parts]) -> (Vec<u8>, Vec<usize>) {
    let mut framing = Framing::new(FIRST);
    let mut bytes = framing.header().to_vec();
    let mut ends = vec![bytes.len()];
    let rows = frames.iter().map(|(header, body, rows)| {
        let packed = pack(body);
        let (sparse, body) = (packed.is_some(), packed.unwrap_or_else(|| body.clone()));
        Frame { header: header.clone().into(), body: body.into(), sparse, rows: *rows }
    });
    for frame in std::iter::once(Frame::schema(b"the schema".to_vec())).chain(rows) {
        frame.write_to(&mut framing, &mut bytes).unwrap();
        ends.push(bytes.len());
        let (last, before) = (ends[ends.len() - 1], ends[ends.len() - 2]);
        assert_eq!(frame.stored_bytes(), (last - before) as u64);
    }
    (bytes, ends)
}

/// The rows of each frame.
fn rows_of(frames: &[Parts]) -> Vec<Range<u64>> {
    let mut at = FIRST;
    let rows = |(_, _, rows): &Parts| {
        at += rows;
        at - rows..at
    };
    frames.iter().map(rows).collect()
}

fn found(scan: &Scan) -> Vec<Range<u64>> {
    scan.frames.iter().map(|frame| frame.rows.clone()).collect()
}

fn data(frame: &FrameAt, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let body = bytes[frame.body.clone()].to_vec();
    let body = if frame.sparse { mosaico_wire::zero_runs::unpack(&body, usize::MAX).unwrap() } else { body };
    (bytes[frame.message.clone()].to_vec(), body)
}

fn frames() -> impl Strategy<Value = Vec<Parts>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..80);
    let body = prop_oneof![bytes(), (0_usize..900).prop_map(|len| vec![0; len])];
    proptest::collection::vec((bytes(), body, 1_u64..9), 0..6)
}

fn example() -> Vec<Parts> {
    let body = |seed: u8| (0..60).map(|i| seed.wrapping_mul(31).wrapping_add(i)).collect();
    let long = |seed: u8| if seed == 2 { vec![0; 400] } else { body(seed) };
    (1..5).map(|seed| (vec![seed; 20], long(seed), u64::from(seed))).collect()
}

/// Checks the effect of one flipped byte: the scan finds all rows outside the affected frame; it finds the
/// rows inside it unchanged or reports them as lost.
fn check_flip(frames: &[Parts], at: usize, flip: u8) {
    let (mut bytes, ends) = segment(frames);
    bytes[at] ^= flip;
    let all = rows_of(frames);
    // 0: the header, 1: the schema, 2: the first frame.
    let place = ends.iter().filter(|&&end| end <= at).count();
    let hit = place.checked_sub(2);
    let scan = scan(&bytes, "s").unwrap();
    assert!(!scan.damage.is_empty(), "byte {at} ^ {flip}: damage is not noticed");
    assert_eq!(scan.whole, scan.length, "byte {at} ^ {flip}: acknowledged bytes are taken for a torn tail");
    let found = found(&scan);
    let others: Vec<_> =
        all.iter().enumerate().filter(|(i, _)| Some(*i) != hit).map(|(_, rows)| rows.clone()).collect();
    let in_end = hit.is_some_and(|hit| at >= ends[hit + 2] - END);
    // The data of a frame is valid whatever its end contains.
    assert_eq!(found, if in_end { all.clone() } else { others }, "byte {at} ^ {flip}");
    let lost: Vec<_> = hit.filter(|_| !in_end).map(|hit| all[hit].clone()).into_iter().collect();
    assert_eq!(scan.lost(FIRST), lost, "byte {at} ^ {flip}");
    for frame in &scan.frames {
        let (message, body, _) = &frames[all.iter().position(|rows| *rows == frame.rows).unwrap()];
        assert_eq!(data(frame, &bytes), (message.clone(), body.clone()), "byte {at} ^ {flip}");
    }
}

#[test]
fn each_flipped_byte_of_a_segment_costs_at_most_its_frame() {
    let frames = example();
    let (bytes, _) = segment(&frames);
    for at in 0..bytes.len() {
        for flip in [1, 0x40, 0x80, 0xff] {
            check_flip(&frames, at, flip);
        }
    }
}

#[test]
fn each_cut_leaves_the_whole_frames_before_it() {
    let frames = example();
    let (bytes, ends) = segment(&frames);
    for cut in 0..bytes.len() {
        let scan = scan(&bytes[..cut], "s").unwrap();
        assert_eq!(scan.damage, [], "{cut}");
        let whole = ends.iter().rfind(|&&end| end <= cut).copied().unwrap_or(0);
        // Without its header, a segment is unreadable.
        assert_eq!(scan.whole as usize, whole, "{cut}");
        let expected: Vec<_> =
            rows_of(&frames).into_iter().zip(&ends[2..]).filter(|(_, end)| **end <= cut).collect();
        assert_eq!(found(&scan), expected.into_iter().map(|(rows, _)| rows).collect::<Vec<_>>(), "{cut}");
    }
}

#[test]
fn a_version_of_later_is_refused() {
    let (mut bytes, _) = segment(&example());
    bytes[8..10].copy_from_slice(&7_u16.to_le_bytes());
    // Damage, as long as the checksum differs.
    assert!(!scan(&bytes, "s").unwrap().damage.is_empty());
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    let error = scan(&bytes, "this segment").unwrap_err().to_string();
    for part in ["this segment", "version 7", "version 1", "upgrade"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(matches!(scan(&bytes[..16], "s"), Err(LogError::Version { found: 7, .. })));
}

#[test]
fn a_tail_that_was_never_written_is_torn() {
    let (bytes, _) = segment(&example());
    let mut longer = bytes.clone();
    longer.resize(bytes.len() + 4096, 0);
    let found = scan(&longer, "s").unwrap();
    assert_eq!((found.whole, found.damage.len()), (bytes.len() as u64, 0));
    // Anything else may have been acknowledged.
    longer.extend_from_slice(&[7; 100]);
    let found = scan(&longer, "s").unwrap();
    assert_eq!((found.whole, found.damage.len()), (longer.len() as u64, 1));
    assert!(found.lost(FIRST).is_empty());
}

#[test]
fn data_that_is_like_a_frame_is_not_one() {
    let (inner, _) = segment(&example());
    let (mut bytes, ends) = segment(&[(vec![1; 9], inner, 3), (vec![2; 9], vec![3; 9], 4)]);
    let clean = scan(&bytes, "s").unwrap();
    assert_eq!((found(&clean), clean.damage.len()), (vec![FIRST..FIRST + 3, FIRST + 3..FIRST + 7], 0));
    // The lengths cannot be trusted, so the scan also searches the frames' data.
    bytes[ends[1] + 12] ^= 1;
    let scan = scan(&bytes, "s").unwrap();
    assert_eq!(found(&scan), std::slice::from_ref(&(FIRST + 3..FIRST + 7)));
    assert_eq!(scan.lost(FIRST), std::slice::from_ref(&(FIRST..FIRST + 3)));
}

#[test]
fn lost_rows_at_both_ends_are_known() {
    let frames = example();
    let (mut bytes, ends) = segment(&frames);
    let all = rows_of(&frames);
    let ranges = [all[0].clone(), all[3].clone()];
    // The prefixes of the first and the last frame, and with them the row numbers before the data.
    bytes[ends[1]] ^= 1;
    bytes[ends[4] + 1] ^= 1;
    assert_eq!(scan(&bytes, "s").unwrap().lost(FIRST), ranges);
    // Header and schema too: then the caller has to provide the preceding row number.
    bytes[3] ^= 1;
    bytes[ends[0] + 60] ^= 1;
    assert_eq!(scan(&bytes, "s").unwrap().lost(FIRST), ranges);
    assert_eq!(scan(&bytes, "s").unwrap().row_start, None);
}

proptest! {
    #[test]
    fn what_was_written_reads_back(frames in frames()) {
        let (bytes, _) = segment(&frames);
        let scan = scan(&bytes, "s").unwrap();
        prop_assert_eq!(&scan.damage, &[]);
        prop_assert_eq!(scan.whole, bytes.len() as u64);
        prop_assert_eq!(scan.row_start, Some(FIRST));
        prop_assert_eq!(found(&scan), rows_of(&frames));
        for (frame, (message, body, _)) in scan.frames.iter().zip(&frames) {
            prop_assert_eq!(data(frame, &bytes), (message.clone(), body.clone()));
        }
    }

    #[test]
    fn a_flipped_byte_costs_at_most_its_frame(
        frames in frames(),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let at = at.index(segment(&frames).0.len());
        check_flip(&frames, at, flip);
    }

    #[test]
    fn rows_are_found_or_lost_however_large_the_damage(
        frames in frames(),
        from in any::<prop::sample::Index>(),
        with in proptest::collection::vec(any::<u8>(), 1..300),
    ) {
        let (mut bytes, ends) = segment(&frames);
        let from = from.index(bytes.len());
        let to = bytes.len().min(from + with.len());
        bytes[from..to].copy_from_slice(&with[..to - from]);
        let scan = match scan(&bytes, "s") {
            Ok(scan) => scan,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        for (rows, place) in rows_of(&frames).into_iter().zip(ends[1..].windows(2)) {
            let untouched = place[1] <= from || to <= place[0];
            prop_assert!(!untouched || found(&scan).contains(&rows), "{:?}", rows);
        }
        prop_assert!(found(&scan).iter().all(|rows| rows_of(&frames).contains(rows)));
    }

    #[test]
    fn garbage_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = scan(&garbage, "s");
        let (mut bytes, _) = segment(&[]);
        bytes.extend(garbage);
        let _ = scan(&bytes, "s");
    }
}

#[test]
fn the_version_is_that_of_the_docs() {
    let docs = include_str!("../../../../../docs/formats.md");
    let version = crate::wal::frame::VERSION;
    let row = format!(
        "| WAL segment, WAL object | state folder; `wal/*.wal` of a topic in the store | {version} |"
    );
    assert!(docs.contains(&row), "{row}");
}
