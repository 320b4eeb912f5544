//! The records of MCAP files that this daemon writes, see <https://mcap.dev/spec>. All lengths are known before a message
//! is written.

pub(super) const MAGIC: [u8; 8] = [0x89, b'M', b'C', b'A', b'P', b'0', b'\r', b'\n'];

/// Opcode and length before each record.
const RECORD_HEAD: usize = 9;

/// Around the messages of a chunk, without compression.
const CHUNK_HEAD: usize = RECORD_HEAD + 8 + 8 + 8 + 4 + 4 + 8;

/// Around the data of a message.
pub(super) const MESSAGE_HEAD: usize = RECORD_HEAD + 2 + 4 + 8 + 8;

mod opcode {
    pub(super) const HEADER: u8 = 0x01;
    pub(super) const FOOTER: u8 = 0x02;
    pub(super) const SCHEMA: u8 = 0x03;
    pub(super) const CHANNEL: u8 = 0x04;
    pub(super) const MESSAGE: u8 = 0x05;
    pub(super) const CHUNK: u8 = 0x06;
    pub(super) const MESSAGE_INDEX: u8 = 0x07;
    pub(super) const CHUNK_INDEX: u8 = 0x08;
    pub(super) const STATISTICS: u8 = 0x0B;
    pub(super) const SUMMARY_OFFSET: u8 = 0x0E;
    pub(super) const DATA_END: u8 = 0x0F;
}

/// A record that is being written to the end of `out`.
struct Record<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Record<'a> {
    fn begin(out: &'a mut Vec<u8>, opcode: u8) -> Self {
        out.push(opcode);
        out.extend_from_slice(&[0; 8]);
        let start = out.len();
        Self { out, start }
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.out.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u32(&mut self, value: usize) -> &mut Self {
        // No part of a record comes near 4 GiB.
        self.out.extend_from_slice(&(value as u32).to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.out.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.u32(value.len());
        self.out.extend_from_slice(value);
        self
    }

    fn end(&mut self) {
        let length = (self.out.len() - self.start) as u64;
        self.out[self.start - 8..self.start].copy_from_slice(&length.to_le_bytes());
    }
}

pub(super) fn header(out: &mut Vec<u8>, library: &str) {
    Record::begin(out, opcode::HEADER).bytes(b"").bytes(library.as_bytes()).end();
}

/// The type of the messages of a channel.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub name: String,
    pub data: String,
}

pub(super) fn schema(out: &mut Vec<u8>, id: u16, Schema { name, data }: &Schema) {
    let mut record = Record::begin(out, opcode::SCHEMA);
    record.u16(id).bytes(name.as_bytes()).bytes(b"jsonschema").bytes(data.as_bytes()).end();
}

pub(super) fn channel(out: &mut Vec<u8>, id: u16, topic: &str, metadata: &[(&str, String)]) {
    let mut record = Record::begin(out, opcode::CHANNEL);
    record.u16(id).u16(id).bytes(topic.as_bytes()).bytes(b"json");
    let length = metadata.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
    record.u32(length);
    for (name, value) in metadata {
        record.bytes(name.as_bytes()).bytes(value.as_bytes());
    }
    record.end();
}

pub(super) fn message(out: &mut Vec<u8>, channel: u16, time: u64, data: &[u8]) {
    let mut record = Record::begin(out, opcode::MESSAGE);
    record.u16(channel).u32(0).u64(time).u64(time);
    record.out.extend_from_slice(data);
    record.end();
}

/// The messages of a time span of a channel, as a chunk with its index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub channel: u16,
    pub start: u64,
    /// Inclusive.
    pub end: u64,
    pub messages: u64,
    /// Bytes of the message records.
    pub bytes: u64,
}

impl Span {
    pub(super) fn chunk_length(&self) -> u64 {
        CHUNK_HEAD as u64 + self.bytes
    }

    pub(super) fn index_length(&self) -> u64 {
        RECORD_HEAD as u64 + 2 + 4 + 16 * self.messages
    }

    /// Bytes in the file.
    pub(super) fn length(&self) -> u64 {
        self.chunk_length() + self.index_length()
    }
}

/// A chunk with its message records, and their index: time and offset of each message.
pub(super) fn chunk(span: &Span, records: &[u8], index: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(usize::try_from(span.length()).unwrap_or(0));
    let mut record = Record::begin(&mut out, opcode::CHUNK);
    // The checksum 0 says that there is none.
    record.u64(span.start).u64(span.end).u64(span.bytes).u32(0).bytes(b"").u64(span.bytes);
    record.out.extend_from_slice(records);
    record.end();
    let mut record = Record::begin(&mut out, opcode::MESSAGE_INDEX);
    record.u16(span.channel).u32(16 * index.len());
    for (time, offset) in index {
        record.u64(*time).u64(*offset);
    }
    record.end();
    out
}

/// The end of the data, the summary and the end of the file. `place` is the offset of all this.
pub(super) fn ending(
    place: u64,
    types: &[u8],
    spans: &[(Span, u64)],
    channels: u16,
    counts: &[u64],
) -> Vec<u8> {
    let mut out = Vec::new();
    Record::begin(&mut out, opcode::DATA_END).u32(0).end();
    let start = place + out.len() as u64;
    out.extend_from_slice(types);
    let statistics = place + out.len() as u64;
    let first = spans.iter().map(|(span, _)| span.start).min().unwrap_or(0);
    let last = spans.iter().map(|(span, _)| span.end).max().unwrap_or(0);
    let mut record = Record::begin(&mut out, opcode::STATISTICS);
    record.u64(counts.iter().sum()).u16(channels).u32(channels.into()).u32(0).u32(0).u32(spans.len());
    record.u64(first).u64(last).u32(10 * counts.len());
    for (channel, count) in counts.iter().enumerate() {
        record.u16(channel as u16 + 1).u64(*count);
    }
    record.end();
    let indexes = place + out.len() as u64;
    for (span, offset) in spans {
        let mut record = Record::begin(&mut out, opcode::CHUNK_INDEX);
        record.u64(span.start).u64(span.end).u64(*offset).u64(span.chunk_length());
        record.u32(10).u16(span.channel).u64(offset + span.chunk_length()).u64(span.index_length());
        record.bytes(b"").u64(span.bytes).u64(span.bytes).end();
    }
    let offsets = place + out.len() as u64;
    for (group, from, to) in
        [(opcode::STATISTICS, statistics, indexes), (opcode::CHUNK_INDEX, indexes, offsets)]
    {
        let mut record = Record::begin(&mut out, opcode::SUMMARY_OFFSET);
        record.out.push(group);
        record.u64(from).u64(to - from).end();
    }
    Record::begin(&mut out, opcode::FOOTER).u64(start).u64(offsets).u32(0).end();
    out.extend_from_slice(&MAGIC);
    out
}
