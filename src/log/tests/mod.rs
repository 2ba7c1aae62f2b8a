//! Tests of the log as a whole: what goes in comes out, whatever happens to processes, disks and bits.

mod damage;
mod directory;
mod flips;
mod index;
mod keep;
mod parts;
mod power;
mod power_keep;
mod repair;
mod round_trip;
mod sharing;
mod steps;
mod synced;

use super::*;
use crate::disk::Faults;
use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use tempfile::TempDir;

/// A directory with a log that can be opened again and again, on a disk with faults.
pub(super) struct Place {
    dir: TempDir,
    pub(super) disk: Disk,
    faults: Faults,
}

impl Place {
    pub(super) fn new() -> Self {
        let (disk, faults) = Disk::faulty();
        Place { dir: tempfile::tempdir().unwrap(), disk, faults }
    }

    /// Opens the log as a process of its own would.
    pub(super) fn log(&self) -> Log {
        Log::open(self.dir.path().join("data"), self.disk.clone(), Clock::manual(1_000)).unwrap()
    }

    fn topic(&self) -> Arc<Topic> {
        self.log().topic("t").unwrap()
    }

    /// Makes the topic `t`: one column, uncompressed, one partition.
    fn create(&self, segment_bytes: u64) -> Arc<Topic> {
        let options = TopicOptions { partitions: 1, codec: Codec::None, settings: settings(segment_bytes) };
        self.log().create_topic("t", options, numbers_schema()).unwrap()
    }

    fn segments(&self, topic: &Topic) -> Vec<PathBuf> {
        let dir = topic.dir().join("0");
        let bases = segment::list_segments(&self.disk, &dir).unwrap();
        bases.into_iter().map(|base| segment::segment_path(&dir, base)).collect()
    }
}

pub(super) fn numbers_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

/// Segments of this size, synced only when a test says so.
fn settings(segment_bytes: u64) -> TopicSettings {
    TopicSettings { fsync: Fsync::Os, ..TopicSettings::segments_of(segment_bytes) }
}

fn numbers(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column = Int64Array::from_iter_values(values);
    RecordBatch::try_new(numbers_schema(), vec![Arc::new(column)]).unwrap()
}

fn put(topic: &Arc<Topic>, values: impl IntoIterator<Item = i64>) -> Result<Appended> {
    topic.writer(0).unwrap().append(Append::rows(&numbers(values)))
}

/// The numbers of a frame.
fn values(frame: &Frame) -> Vec<i64> {
    let column = frame.batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
    column.values().to_vec()
}

/// All numbers from `offset` on that can be read, and the error that ended it, if one did.
fn read_from(topic: &Arc<Topic>, offset: u64) -> (Vec<i64>, Option<LogError>) {
    let mut all = Vec::new();
    let mut reader = match topic.reader(0, offset, None) {
        Ok(reader) => reader,
        Err(e) => return (all, Some(e)),
    };
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                assert_eq!(frame.base_offset, offset + all.len() as u64, "offsets without gaps");
                all.extend(values(&frame));
                assert_eq!(reader.offset(), offset + all.len() as u64);
            }
            Ok(None) => return (all, None),
            Err(e) => return (all, Some(e)),
        }
    }
}

fn read(topic: &Arc<Topic>) -> Vec<i64> {
    let (values, error) = read_from(topic, 0);
    assert!(error.is_none(), "{}", error.unwrap());
    values
}
