//! Reads segments of the write-ahead log (WAL) that this process wrote, or that recovery found valid.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use arrow::array::RecordBatch;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::root_as_message;

use crate::wal::frame::{
    BAD_DATA, BAD_END, BAD_HEADER, BAD_PREFIX, END, HEADER, Header, LogError, PREFIX, Prefix, decode,
};

/// Reads the durable batches of a segment in the order of arrival: any invalid frame is damage.
#[derive(Debug)]
pub struct BatchReader<R = BufReader<File>> {
    input: R,
    /// The name of the segment, for errors.
    name: String,
    id: u64,
    offset: u64,
    end: u64,
    schema: SchemaRef,
    row_start: u64,
}

impl BatchReader {
    /// Reads the first `end` bytes of `file`; `name` identifies the segment in errors.
    pub fn new(file: File, end: u64, name: String) -> Result<Self, LogError> {
        Self::over(BufReader::with_capacity(1 << 16, file), end, name)
    }

    /// Resumes at `offset`, where a frame starts; `end` is the length of the readable part.
    pub fn resume_at(&mut self, offset: u64, end: u64) -> Result<(), LogError> {
        if offset != self.offset {
            self.input.seek(SeekFrom::Start(offset)).map_err(|e| self.file(e))?;
        }
        (self.offset, self.end) = (offset, end);
        Ok(())
    }

    /// The length of the file.
    pub fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.input.get_ref().metadata()?.len())
    }
}

impl<R: Read> BatchReader<R> {
    /// Reads the first `end` bytes of `input`.
    pub fn over(mut input: R, end: u64, name: String) -> Result<Self, LogError> {
        let mut header = [0; HEADER];
        let damaged = |segment, what: &str| LogError::Damaged { segment, offset: 0, what: what.to_owned() };
        if let Err(cause) = input.read_exact(&mut header) {
            return Err(LogError::File { segment: name, cause });
        }
        let (id, row_start) = match Header::parse(&header) {
            Header::Valid { id, row_start } => (id, row_start),
            Header::Version(found) => return Err(LogError::Version { segment: name, found }),
            Header::Torn | Header::Damaged => return Err(damaged(name, BAD_HEADER)),
        };
        let (offset, schema) = (HEADER as u64, SchemaRef::new(Schema::empty()));
        let mut reader = Self { input, name, id, offset, end, schema, row_start };
        let Some((prefix, message, _)) = reader.next_frame()? else {
            return Err(reader.damaged(offset, "there is no schema"));
        };
        let schema = root_as_message(&message).ok().filter(|_| prefix.row_end == prefix.row_start);
        let Some(schema) = schema.as_ref().and_then(|message| message.header_as_schema()) else {
            return Err(reader.damaged(offset, "the first frame is not the schema"));
        };
        reader.schema = SchemaRef::new(fb_to_schema(schema));
        Ok(reader)
    }

    /// The offset up to which the segment was read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Rows of the topic before the batch that was read last.
    pub fn row_start(&self) -> u64 {
        self.row_start
    }

    fn file(&self, cause: io::Error) -> LogError {
        LogError::File { segment: self.name.clone(), cause }
    }

    fn damaged(&self, offset: u64, what: impl Into<String>) -> LogError {
        LogError::Damaged { segment: self.name.clone(), offset, what: what.into() }
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), LogError> {
        self.input.read_exact(out).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(self.offset, "the file is too short"),
            _ => self.file(e),
        })
    }

    fn next_frame(&mut self) -> Result<Option<(Prefix, Vec<u8>, Buffer)>, LogError> {
        let (at, left) = (self.offset, self.end - self.offset);
        if left == 0 {
            return Ok(None);
        }
        let mut prefix = [0; PREFIX];
        if left >= PREFIX as u64 {
            self.read(&mut prefix)?;
        }
        let found = Prefix::parse(&prefix).filter(|found| found.id == self.id);
        let Some(prefix) = found else { return Err(self.damaged(at, BAD_PREFIX)) };
        if prefix.len > left {
            return Err(self.damaged(at, "the file is too short"));
        }
        let mut message = vec![0; prefix.message_len];
        self.read(&mut message)?;
        let mut body = MutableBuffer::from_len_zeroed(prefix.body_len);
        self.read(&mut body)?;
        let mut end = [0; END];
        self.read(&mut end)?;
        if !prefix.has_data(&message, &body) {
            return Err(self.damaged(at, BAD_DATA));
        }
        if !prefix.has_end(&end) {
            return Err(self.damaged(at, BAD_END));
        }
        self.offset += prefix.len;
        Ok(Some((prefix, message, body.into())))
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, LogError> {
        let at = self.offset;
        let Some((prefix, message, body)) = self.next_frame()? else { return Ok(None) };
        self.row_start = prefix.row_start;
        let batch = decode(&message, body, prefix.sparse, &self.schema);
        batch.map(Some).map_err(|e| self.damaged(at, e.to_string()))
    }
}

impl<R: Read> Iterator for BatchReader<R> {
    type Item = Result<RecordBatch, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
