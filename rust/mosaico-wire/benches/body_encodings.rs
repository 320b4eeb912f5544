//! Zero-run elision beside the LZ4 compression of Arrow IPC: bytes, and CPU time per byte of the plain body.
//!
//! `cargo bench -p mosaico-wire --bench body_encodings`. IMU rows and images are those of the recording in
//! `../shared/data/euroc_micro` (`MOSAICO_SHARED` names another place than `../shared`); a scan of a lidar is computed.
//! The time is that of this thread on a CPU, so a busy machine does not matter much; Linux only.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int16Array, Int64Array, ListArray,
    RecordBatch, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Float64Type};
use arrow::ipc::root_as_message;
use flate2::read::ZlibDecoder;
use mosaico_wire::ipc::batch_message;
use mosaico_wire::zero_runs::{pack, unpack};

/// Each measurement takes about this long on a CPU.
const NANOSECONDS: u64 = 400_000_000;

/// Row batches of a lane are sent in messages of about this size.
const MESSAGE_BYTES: usize = 1 << 20;

fn main() {
    let data = std::env::var_os("MOSAICO_SHARED").map(PathBuf::from);
    let shared = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = data.unwrap_or_else(shared).join("data/euroc_micro/mav0");
    println!("| topic | plain bytes | encoding | bytes | encode, MB/s of CPU | decode, MB/s of CPU |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (name, batch) in [
        ("IMU, one second", imu(&data, 200)),
        ("IMU, a full message", imu(&data, 2_200)),
        ("image, mono8", images(&data)),
        ("lidar, XYZI", lidar(0.0)),
        ("lidar, XYZI, a fifth without echo", lidar(0.2)),
    ] {
        let message = batch_message(&batch, false).unwrap();
        let body = message.body;
        let zero_runs = |body: &[u8]| pack(body).unwrap_or_else(|| body.to_vec());
        let packed = zero_runs(&body);
        let restore: &dyn Fn() -> Vec<u8> = match packed.len() < body.len() {
            true => &|| unpack(&packed, usize::MAX).unwrap(),
            false => &|| packed.clone(),
        };
        assert!(restore() == body);
        row(name, &body, "zero runs", packed.len(), &|| zero_runs(&body), restore);
        let buffers = buffers(&message.header);
        let packed = lz4(&body, &buffers);
        let restore = || unlz4(&packed, &body, &buffers);
        assert!(restore() == body);
        let len = packed.iter().map(Vec::len).sum();
        row(name, &body, "LZ4", len, &|| lz4(&body, &buffers), &restore);
    }
}

fn row<A, B>(
    name: &str,
    body: &[u8],
    encoding: &str,
    len: usize,
    encode: &dyn Fn() -> A,
    decode: &dyn Fn() -> B,
) {
    let share = 100.0 * len as f64 / body.len() as f64;
    let (encode, decode) = (rate(body.len(), encode), rate(body.len(), decode));
    println!("| {name} | {} | {encoding} | {share:.1} % | {encode:.0} | {decode:.0} |", body.len());
}

/// Megabytes per second on a CPU.
fn rate<T>(bytes: usize, work: &dyn Fn() -> T) -> f64 {
    let begin = on_cpu();
    let mut runs = 0;
    while on_cpu() - begin < NANOSECONDS {
        for _ in 0..8 {
            black_box(work());
        }
        runs += 8;
    }
    (bytes * runs) as f64 * 1e3 / (on_cpu() - begin) as f64
}

/// Nanoseconds that this thread was on a CPU.
fn on_cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Offsets and lengths in the body.
fn buffers(header: &[u8]) -> Vec<(usize, usize)> {
    let message = root_as_message(header).unwrap();
    let buffers = message.header_as_record_batch().unwrap().buffers().unwrap();
    buffers.iter().map(|buffer| (buffer.offset() as usize, buffer.length() as usize)).collect()
}

/// As Arrow does it: each buffer is a frame behind its length, or itself behind -1 if that is shorter.
fn lz4(body: &[u8], buffers: &[(usize, usize)]) -> Vec<Vec<u8>> {
    let compress = |&(offset, len): &(usize, usize)| {
        let buffer = &body[offset..offset + len];
        if buffer.is_empty() {
            return Vec::new();
        }
        let mut encoder = lz4_flex::frame::FrameEncoder::new((len as i64).to_le_bytes().to_vec());
        encoder.write_all(buffer).unwrap();
        let packed = encoder.finish().unwrap();
        if packed.len() - 8 < len {
            return packed;
        }
        let mut plain = (-1_i64).to_le_bytes().to_vec();
        plain.extend_from_slice(buffer);
        plain
    };
    buffers.iter().map(compress).collect()
}

fn unlz4(packed: &[Vec<u8>], body: &[u8], buffers: &[(usize, usize)]) -> Vec<u8> {
    let mut out = vec![0; body.len()];
    for (packed, &(offset, len)) in packed.iter().zip(buffers).filter(|(packed, _)| !packed.is_empty()) {
        let (head, rest) = packed.split_at(8);
        let buffer = &mut out[offset..offset + len];
        match i64::from_le_bytes(head.try_into().unwrap()) {
            -1 => buffer.copy_from_slice(rest),
            _ => lz4_flex::frame::FrameDecoder::new(rest).read_exact(buffer).unwrap(),
        }
    }
    out
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Measured values; orientation, covariances and headers as drivers leave them: zero.
fn imu(data: &Path, rows: usize) -> RecordBatch {
    let text = fs::read_to_string(data.join("imu0/data.csv")).unwrap();
    let lines: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|value| value.trim().parse().unwrap()).collect())
        .collect();
    let repeated = || lines.iter().cycle().take(rows);
    let times = (0..rows as i64).map(|row| 1_403_715_273_262_142_976 + row * 5_000_000);
    let values =
        |at: usize| -> ArrayRef { Arc::new(Float64Array::from_iter_values(repeated().map(|line| line[at]))) };
    let zeros = || -> ArrayRef { Arc::new(Float64Array::from(vec![0.0; rows])) };
    let covariance = || -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(
            (0..rows).map(|_| Some(vec![Some(0.0); 9])),
        ))
    };
    let mut columns: Vec<(&str, ArrayRef)> =
        vec![("timestamp_ns", Arc::new(Int64Array::from_iter_values(times)))];
    for (at, name) in [(4, "acceleration.x"), (5, "acceleration.y"), (6, "acceleration.z")] {
        columns.push((name, values(at)));
    }
    for (at, name) in [(1, "angular_velocity.x"), (2, "angular_velocity.y"), (3, "angular_velocity.z")] {
        columns.push((name, values(at)));
    }
    for name in ["orientation.x", "orientation.y", "orientation.z", "orientation.w"] {
        columns.push((name, zeros()));
    }
    for [covariance_of, kind, seq, sec, nanosec] in [
        ["a.covariance", "a.covariance_type", "a.header.seq", "a.header.stamp.sec", "a.header.stamp.nanosec"],
        ["g.covariance", "g.covariance_type", "g.header.seq", "g.header.stamp.sec", "g.header.stamp.nanosec"],
        ["o.covariance", "o.covariance_type", "o.header.seq", "o.header.stamp.sec", "o.header.stamp.nanosec"],
    ] {
        columns.push((covariance_of, covariance()));
        columns.push((kind, Arc::new(Int16Array::from(vec![None; rows]))));
        columns.push((seq, Arc::new(UInt32Array::from(vec![None; rows]))));
        columns.push((sec, Arc::new(Int64Array::from(vec![None; rows]))));
        columns.push((nanosec, Arc::new(UInt32Array::from(vec![None; rows]))));
    }
    batch(columns)
}

/// Some frames of the camera, raw.
fn images(data: &Path) -> RecordBatch {
    let mut files: Vec<PathBuf> =
        fs::read_dir(data.join("cam0/data")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let frames: Vec<Vec<u8>> =
        files.iter().step_by(25).map(|file| pixels(&fs::read(file).unwrap())).take(3).collect();
    let times: Vec<i64> = (0..frames.len() as i64).collect();
    batch(vec![
        ("timestamp_ns", Arc::new(Int64Array::from(times))),
        ("data", Arc::new(BinaryArray::from_iter_values(frames))),
    ])
}

/// The pixels of a PNG of 8-bit grey, not interlaced.
fn pixels(png: &[u8]) -> Vec<u8> {
    let (mut at, mut size, mut packed) = (8, (0, 0), Vec::new());
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
    while at < png.len() {
        let chunk = &png[at + 8..at + 8 + number(at)];
        match &png[at + 4..at + 8] {
            b"IHDR" => size = (number(at + 8), number(at + 12)),
            b"IDAT" => packed.extend_from_slice(chunk),
            _ => {}
        }
        at += 12 + chunk.len();
    }
    let mut filtered = Vec::new();
    ZlibDecoder::new(&packed[..]).read_to_end(&mut filtered).unwrap();
    let (width, height) = size;
    let mut out = vec![0; width * height];
    for row in 0..height {
        let line = &filtered[row * (width + 1)..(row + 1) * (width + 1)];
        for column in 0..width {
            let before = |back: usize, up: usize| match (column.checked_sub(back), row.checked_sub(up)) {
                (Some(column), Some(row)) => i32::from(out[row * width + column]),
                _ => 0,
            };
            let (a, b, c) = (before(1, 0), before(0, 1), before(1, 1));
            let predicted = match line[0] {
                0 => 0,
                1 => a,
                2 => b,
                3 => (a + b) / 2,
                _ => [a, b, c].into_iter().min_by_key(|value| (a + b - c - value).abs()).unwrap(),
            };
            out[row * width + column] = line[1 + column].wrapping_add(predicted as u8);
        }
    }
    out
}

/// A scan of 32 beams in a hall, with noise of 2 cm; `lost` of the beams have no echo, in patches, and are zero.
fn lidar(lost: f64) -> RecordBatch {
    const BEAMS: usize = 32;
    const STEPS: usize = 1024;
    let mut state = 7_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let mut columns: [Vec<f32>; 4] = Default::default();
    let scans = MESSAGE_BYTES / (BEAMS * STEPS * 16);
    for _ in 0..scans * BEAMS {
        let beam = columns[0].len() / STEPS % BEAMS;
        let elevation = (beam as f64 - 20.0).to_radians();
        for step in 0..STEPS {
            let azimuth = step as f64 / STEPS as f64 * std::f64::consts::TAU;
            // The walls are 12 m and 7 m away, the floor 1.5 m below.
            let wall = (12.0 / azimuth.cos().abs()).min(7.0 / azimuth.sin().abs()) / elevation.cos();
            let floor = if elevation < 0.0 { 1.5 / -elevation.sin() } else { f64::INFINITY };
            let range = wall.min(floor) + (random() - 0.5) * 0.04;
            let is_lost = (step / 50 * 7 + beam / 4 * 3) % 10 < (lost * 10.0) as usize;
            let point = match is_lost {
                true => [0.0; 4],
                false => [
                    range * elevation.cos() * azimuth.cos(),
                    range * elevation.cos() * azimuth.sin(),
                    range * elevation.sin(),
                    (random() * 256.0).floor(),
                ],
            };
            for (column, value) in columns.iter_mut().zip(point) {
                column.push(value as f32);
            }
        }
    }
    let field = Arc::new(Field::new("item", DataType::Float32, false));
    let list = |values: Vec<f32>| -> ArrayRef {
        let values = Arc::new(Float32Array::from(values));
        Arc::new(FixedSizeListArray::new(Arc::clone(&field), (BEAMS * STEPS) as i32, values, None))
    };
    let [x, y, z, intensity] = columns;
    batch(vec![("x", list(x)), ("y", list(y)), ("z", list(z)), ("intensity", list(intensity))])
}
