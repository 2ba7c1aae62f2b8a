//! Compaction: of the rows with equal keys only the last one stays. Offsets never change.
//!
//! The closed segments of a partition are **clean** (made by an earlier compaction) up to some offset and **dirty** from
//! there on. When the dirty ones are large enough compared with all, a compaction
//!
//! 1. reads the keys of the dirty segments, and keeps for each the offset of its last row;
//! 2. writes the rows of all closed segments that no later row replaces into new files, several small segments into one;
//! 3. puts each new file into the place of the first segment that it stands for, by one rename, then removes the others.
//!
//! A crash before the rename leaves a file that nobody reads, which the next compaction removes; one behind it leaves
//! segments whose rows the one before them holds too: nobody comes to them from the front, and who begins in one reads
//! rows that later ones replace. Readers that have a segment open read on in the old file.
//!
//! A tombstone stays for a while after the rows that it ends have gone, so that who has seen one of them comes to the
//! tombstone too: its frame's *horizon* says how long. Nothing is touched from the lowest pin on (pins.rs), and nothing
//! in the active segment.
//!
//! Precedent: Kafka's log cleaner. Unlike there, frames keep covering all offsets, so that a hole is a fault.

use super::body::{self, Content, Decoder, Encoder};
use super::error::LogError;
use super::frame::{HEADER_LEN, Header, Sparse};
use super::index::Index;
use super::partition::Partition;
use super::parts::Body;
use super::pins::Pinned;
use super::segment::{Fault, Segment, list_segments, segment_path};
use super::settings::Compaction;
use super::topic::TopicInfo;
use crate::disk::{DiskFile, Open};
use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{concat, concat_batches, filter, filter_record_batch};
use arrow::datatypes::{Int64Type, UInt64Type};
use arrow::row::{RowConverter, SortField};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The dirty segments must be at least this part of all (1 / n) before anything is done.
const DIRTY_PART: u64 = 2;
/// The most keys that one compaction takes into memory (about 48 bytes each); more are left to the next one.
const MOST_KEYS: usize = 4 << 20;
/// Rows are put together until a frame has this many.
const FRAME_ROWS: usize = 32_768;

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Segments before and after.
    pub segments: (u64, u64),
    /// Bytes of them before and after.
    pub bytes: (u64, u64),
    /// Rows that were taken out.
    pub rows: u64,
}

/// A closed segment.
#[derive(Debug, Clone, Copy)]
struct Closed {
    base: u64,
    end: u64,
    len: u64,
    clean: bool,
}

impl Partition {
    /// Compacts the closed segments before `pinned`, if it is time for it: when half of their bytes are dirty, or
    /// `always`. One process at a time does so; where another is at it, nothing is done.
    pub(super) fn compact(
        &self,
        info: &TopicInfo,
        compaction: &Compaction,
        segment_bytes: u64,
        now_ns: i64,
        pinned: &Pinned,
        always: bool,
    ) -> Result<Compacted, LogError> {
        self.check_sound()?;
        if !self.disk.exists(&self.dir)? {
            return Ok(Compacted::default());
        }
        let lock = Arc::new(self.disk.open(&self.dir.join("compaction.lock"), Open::Create)?);
        let Some(_lock) = lock.try_lock()? else { return Ok(Compacted::default()) };
        self.remove_unfinished()?;
        let (mut segments, replaced) = self.closed_segments(pinned.lowest)?;
        if !replaced.is_empty() {
            // Who put in place what replaces them may have died before that was durable.
            self.disk.sync_dir(&self.dir)?;
            self.remove_replaced(&replaced)?;
        }
        let total: u64 = segments.iter().map(|s| s.len).sum();
        let dirty: u64 = segments.iter().filter(|s| !s.clean).map(|s| s.len).sum();
        if dirty == 0 || (dirty < total / DIRTY_PART && !always) {
            return Ok(Compacted::default());
        }
        // A segment that was removed must not come back once tombstones that end its rows have gone.
        self.disk.sync_dir(&self.dir)?;
        let rows = Rows::new(info, compaction)?;
        let last = self.last_rows(&rows, &segments)?;
        segments.retain(|segment| segment.end <= last.until);
        let mut done = Compacted::default();
        for group in groups(&segments, segment_bytes) {
            let mut rewrite = Rewrite::new(self, info, &rows, &last, now_ns, compaction)?;
            for segment in group {
                rewrite.take_in(segment)?;
            }
            let (index, taken_out) = rewrite.finish(group)?;
            if !self.put_in_place(group, &index, pinned)? {
                break;
            }
            done.segments = (done.segments.0 + group.len() as u64, done.segments.1 + 1);
            done.bytes.0 += group.iter().map(|s| s.len).sum::<u64>();
            done.bytes.1 += index.len;
            done.rows += taken_out;
        }
        Ok(done)
    }

    /// Removes files that a compaction did not come to put in place.
    fn remove_unfinished(&self) -> Result<(), LogError> {
        for name in self.disk.list(&self.dir)?.iter().filter(|name| name.ends_with(".cleaned")) {
            self.disk.remove_file(&self.dir.join(name))?;
        }
        Ok(())
    }

    /// The closed segments that end at `pinned` or before, each beginning where the one before ends; and what a crash
    /// left of those that have gone into another one.
    fn closed_segments(&self, pinned: Option<u64>) -> Result<(Vec<Closed>, Vec<u64>), LogError> {
        let state = self.enter()?.core.state;
        let mut closed: Vec<Closed> = Vec::new();
        let mut replaced = Vec::new();
        let mut end = state.log_start;
        for base in list_segments(&self.disk, &self.dir)? {
            if base < state.log_start || base >= state.segment {
                continue;
            }
            if base < end {
                replaced.push(base);
                continue;
            }
            if base > end {
                return Err(self.missing(end, base));
            }
            let fault = |fault| self.fault(fault, base, 0, base, state.next_offset);
            let index = self.index(base).map_err(fault)?;
            if pinned.is_some_and(|pinned| index.end_offset > pinned) {
                break;
            }
            let mut segment = Segment::open(&self.disk, &self.dir, base)?;
            let clean = segment.header(0, index.len).map_err(fault)?.sparse.is_some();
            // What lies behind a dirty one has not been compared with it.
            let clean = clean && closed.last().is_none_or(|before| before.clean);
            closed.push(Closed { base, end: index.end_offset, len: index.len, clean });
            end = index.end_offset;
        }
        Ok((closed, replaced))
    }

    /// Removes segments whose rows are in the one before them: one after the other, each for good. Were one to come back
    /// without the next, who begins in it would come to a hole.
    fn remove_replaced(&self, bases: &[u64]) -> Result<(), LogError> {
        for base in bases {
            self.remove_segment(*base)?;
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// The offset of the last row of each key in the dirty segments.
    fn last_rows(&self, rows: &Rows, segments: &[Closed]) -> Result<LastRows, LogError> {
        let mut last = LastRows { offsets: HashMap::new(), until: 0 };
        for segment in segments {
            if segment.clean {
                last.until = segment.end;
                continue;
            }
            if last.offsets.len() > MOST_KEYS {
                break;
            }
            self.each_frame(segment, &rows.keys_only, |header, content| {
                let hashes = rows.hashes(&content.batch, true)?;
                for (i, hash) in hashes.into_iter().enumerate() {
                    let offset = offset_of(header, &content, i);
                    last.offsets.insert(hash, offset);
                }
                Ok(())
            })?;
            last.until = segment.end;
        }
        Ok(last)
    }

    /// Gives each frame of a closed segment, decoded.
    fn each_frame(
        &self,
        segment: &Closed,
        decoder: &Decoder,
        mut each: impl FnMut(&Header, Content) -> Result<(), String>,
    ) -> Result<(), LogError> {
        let mut file = Segment::open(&self.disk, &self.dir, segment.base)?;
        let (mut position, mut offset) = (0, segment.base);
        while position < segment.len {
            let fault = |fault| self.fault(fault, segment.base, position, offset, segment.end);
            let (header, body) = file.frame(position, segment.len).map_err(fault)?;
            if header.base_offset != offset {
                return Err(fault(Fault::Bad("the frame there does not continue the one before".into())));
            }
            decoder
                .decode(&header, &Body::Whole(body))
                .and_then(|content| each(&header, content))
                .map_err(|reason| fault(Fault::Bad(reason)))?;
            (position, offset) = (position + header.frame_len(), header.next_offset());
        }
        Ok(())
    }

    /// Puts the new file into the place of the first of `group`, and removes the others. `false` = somebody has meanwhile said
    /// that these rows will be needed again.
    fn put_in_place(&self, group: &[Closed], index: &Index, pinned: &Pinned) -> Result<bool, LogError> {
        let mut entered = self.enter()?;
        // A `tail` from before these segments were closed must not come back: recovery would look in them for places
        // that are not there any more. Published anew, since a sync that failed before may have made the system take
        // for written what is not.
        let state = entered.core.state;
        entered.publish(state)?;
        entered.sync_tail()?;
        // Retention may have been quicker.
        let retained = entered.core.state.log_start > index.base;
        let needed = (pinned.now)()?.is_some_and(|pinned| pinned < index.end_offset);
        if retained || needed {
            self.disk.remove_file(&cleaned_path(self, index.base))?;
            return Ok(!needed);
        }
        self.disk.rename(&cleaned_path(self, index.base), &segment_path(&self.dir, index.base))?;
        self.disk.sync_dir(&self.dir)?;
        drop(entered);
        // The old index does not count beside the new file.
        index.write(&self.disk, &self.dir)?;
        let replaced: Vec<u64> = group[1..].iter().map(|segment| segment.base).collect();
        self.remove_replaced(&replaced)?;
        Ok(true)
    }
}

/// The segments that become one each: neighbours that are small.
fn groups(segments: &[Closed], segment_bytes: u64) -> Vec<&[Closed]> {
    let mut groups = Vec::new();
    let (mut from, mut len) = (0, 0);
    for (i, segment) in segments.iter().enumerate() {
        if i > from && len + segment.len > segment_bytes {
            groups.push(&segments[from..i]);
            (from, len) = (i, 0);
        }
        len += segment.len;
    }
    if from < segments.len() {
        groups.push(&segments[from..]);
    }
    groups
}

fn cleaned_path(partition: &Partition, base: u64) -> PathBuf {
    partition.dir.join(format!("{base:020}.cleaned"))
}

fn offset_of(header: &Header, content: &Content, row: usize) -> u64 {
    content.offsets.as_ref().map_or(header.base_offset + row as u64, |offsets| offsets.value(row))
}

/// The last row of each key, of the rows before `until`.
struct LastRows {
    offsets: HashMap<u128, u64>,
    until: u64,
}

/// How a topic's rows are read, and their keys compared.
struct Rows {
    all: Decoder,
    keys_only: Decoder,
    converter: RowConverter,
    /// The key's columns in the topic.
    key: Vec<usize>,
    deleted: Option<usize>,
}

impl Rows {
    fn new(info: &TopicInfo, compaction: &Compaction) -> Result<Self, LogError> {
        let index = |column: &String| {
            let missing = |_| LogError::CompactionColumn { column: column.clone() };
            info.schema.index_of(column).map_err(missing)
        };
        let key = compaction.key.iter().map(index).collect::<Result<Vec<_>, _>>()?;
        let deleted = compaction.deleted.as_ref().map(index).transpose()?;
        let fields = key.iter().map(|c| SortField::new(info.schema.field(*c).data_type().clone())).collect();
        let converter = RowConverter::new(fields)
            .map_err(|_| LogError::CompactionColumn { column: compaction.key.join(", ") })?;
        Ok(Rows {
            all: Decoder::new(Arc::clone(&info.schema), None),
            keys_only: Decoder::new(Arc::clone(&info.schema), Some(key.clone())),
            converter,
            key,
            deleted,
        })
    }

    /// A hash of each row's key, wide enough to stand for it (as in Kafka's cleaner).
    fn hashes(&self, batch: &RecordBatch, keys_only: bool) -> Result<Vec<u128>, String> {
        let columns = match keys_only {
            true => batch.columns().to_vec(),
            false => self.key.iter().map(|c| Arc::clone(batch.column(*c))).collect(),
        };
        if columns.is_empty() {
            return Ok(vec![0; batch.num_rows()]);
        }
        let rows = self.converter.convert_columns(&columns).map_err(|e| e.to_string())?;
        Ok(rows.iter().map(|row| xxh3_128(row.as_ref())).collect())
    }
}

/// The writing of a new file for some segments.
struct Rewrite<'a> {
    partition: &'a Partition,
    rows: &'a Rows,
    last: &'a LastRows,
    now_ns: i64,
    /// When tombstones that are counted for the first time may go.
    horizon: i64,
    encoder: Encoder,
    file: Option<(DiskFile, Index)>,
    pending: Vec<(RecordBatch, Option<Int64Array>, UInt64Array)>,
    pending_rows: usize,
    /// What the next frame's header says of all that has gone into it.
    header: Header,
    taken_out: u64,
}

impl<'a> Rewrite<'a> {
    fn new(
        partition: &'a Partition,
        info: &TopicInfo,
        rows: &'a Rows,
        last: &'a LastRows,
        now_ns: i64,
        compaction: &Compaction,
    ) -> Result<Self, LogError> {
        let keep = i64::try_from(compaction.keep_tombstones.as_nanos()).unwrap_or(i64::MAX);
        let encoder = Encoder::new(&info.schema, info.codec)
            .map_err(|e| LogError::RowsDoNotFit { topic: info.name.clone(), reason: e.to_string() })?;
        Ok(Rewrite {
            partition,
            rows,
            last,
            now_ns,
            horizon: now_ns.saturating_add(keep),
            encoder,
            file: None,
            pending: Vec::new(),
            pending_rows: 0,
            header: Header::default(),
            taken_out: 0,
        })
    }

    /// Takes over the rows of a segment that nothing replaces.
    fn take_in(&mut self, segment: &Closed) -> Result<(), LogError> {
        if self.file.is_none() {
            let path = cleaned_path(self.partition, segment.base);
            let file = self.partition.disk.open(&path, Open::Create)?;
            file.truncate(0)?;
            self.file = Some((file, Index::new(segment.base)));
        }
        let mut failed = None;
        let (partition, rows) = (self.partition, self.rows);
        partition
            .each_frame(segment, &rows.all, |header, content| {
                self.frame(header, content)?;
                if self.pending_rows >= FRAME_ROWS
                    && let Err(e) = self.flush(header.next_offset())
                {
                    failed = Some(e);
                    return Err("it could not be written again".into());
                }
                Ok(())
            })
            .map_err(|e| failed.unwrap_or(e))
    }

    fn frame(&mut self, header: &Header, content: Content) -> Result<(), String> {
        let hashes = self.rows.hashes(&content.batch, false)?;
        let deleted = self.rows.deleted.map(|c| content.batch.column(c).as_boolean().clone());
        let horizon = header.sparse.map_or(0, |sparse| sparse.horizon);
        let tombstones_go = horizon != 0 && horizon <= self.now_ns;
        let mut tombstones_stay = false;
        let keep: BooleanArray = hashes
            .iter()
            .enumerate()
            .map(|(i, hash)| {
                let last = self.last.offsets.get(hash);
                let is_last = last.is_none_or(|last| *last <= offset_of(header, &content, i));
                let tombstone = deleted.as_ref().is_some_and(|d| d.is_valid(i) && d.value(i));
                let stays = is_last && !(tombstone && tombstones_go);
                tombstones_stay |= stays && tombstone;
                Some(stays)
            })
            .collect();
        let offsets = content.offsets.unwrap_or_else(|| {
            UInt64Array::from_iter_values((0..u64::from(header.rows)).map(|i| header.base_offset + i))
        });
        let words = |e: arrow::error::ArrowError| e.to_string();
        let batch = filter_record_batch(&content.batch, &keep).map_err(words)?;
        let offsets = filter(&offsets, &keep).map_err(words)?.as_primitive::<UInt64Type>().clone();
        let marks = content.marks.map(|marks| filter(&marks, &keep)).transpose().map_err(words)?;
        let marks = marks.map(|marks| marks.as_primitive::<Int64Type>().clone());
        self.taken_out += (hashes.len() - batch.num_rows()) as u64;
        self.pending_rows += batch.num_rows();
        self.pending.push((batch, marks, offsets));

        let sparse = self.header.sparse.unwrap_or_default();
        let horizon = if tombstones_stay { if horizon == 0 { self.horizon } else { horizon } } else { 0 };
        let timestamps = match (self.header.timestamps, header.timestamps) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
        self.header = Header {
            watermark: header.watermark.max(self.header.watermark),
            timestamps,
            append_time: header.append_time.max(self.header.append_time),
            epoch: header.epoch.max(self.header.epoch),
            sparse: Some(Sparse { horizon: horizon.max(sparse.horizon), ..sparse }),
            ..self.header
        };
        Ok(())
    }

    /// Writes what is pending as a frame that covers the offsets up to `end`.
    fn flush(&mut self, end: u64) -> Result<(), LogError> {
        let partition = self.partition;
        let topic = || partition.topic.name.clone();
        let words =
            |e: arrow::error::ArrowError| LogError::RowsDoNotFit { topic: topic(), reason: e.to_string() };
        let Some((file, index)) = &mut self.file else { return Ok(()) };
        let pending = std::mem::take(&mut self.pending);
        let Some((first, ..)) = pending.first() else { return Ok(()) };
        let batch =
            concat_batches(&first.schema(), pending.iter().map(|(batch, ..)| batch)).map_err(words)?;
        let offsets: Vec<&dyn Array> = pending.iter().map(|(_, _, o)| o as &dyn Array).collect();
        let offsets = concat(&offsets).map_err(words)?.as_primitive::<UInt64Type>().clone();
        let marks =
            body::marks_of(pending.iter().map(|(batch, marks, _)| (marks.as_ref(), batch.num_rows())));
        let mut from = 0;
        let mut len = batch.num_rows();
        loop {
            let piece = batch.slice(from, len);
            let piece_marks = marks.as_ref().map(|marks| marks.slice(from, len));
            let piece_offsets = offsets.slice(from, len);
            let encoded =
                self.encoder.encode(&piece, piece_marks.as_ref(), Some(&piece_offsets)).map_err(words)?;
            let Some((header, mut frame)) = encoded else {
                if len <= 1 {
                    let (topic, most_bytes) = (topic(), super::frame::MAX_BODY);
                    let bytes = piece.get_array_memory_size() as u64;
                    return Err(LogError::FrameTooLarge { topic, bytes, most_bytes });
                }
                // Together they may be too much.
                len /= 2;
                continue;
            };
            let is_last = from + len == batch.num_rows();
            let end_offset = if is_last { end } else { offsets.value(from + len) };
            let offsets_len = header.sparse.map_or(0, |sparse| sparse.offsets_len);
            let horizon = self.header.sparse.map_or(0, |sparse| sparse.horizon);
            let header = Header {
                base_offset: index.end_offset,
                watermark: self.header.watermark.filter(|_| is_last),
                timestamps: self.header.timestamps,
                append_time: self.header.append_time,
                epoch: self.header.epoch,
                sparse: Some(Sparse { end_offset, offsets_len, horizon }),
                ..header
            };
            frame[..HEADER_LEN].copy_from_slice(&header.bytes());
            file.write_all_at(&frame, index.len)?;
            index.take_in(&header);
            self.encoder.reuse(frame);
            if is_last {
                break;
            }
            (from, len) = (from + len, batch.num_rows() - from - len);
        }
        self.pending_rows = 0;
        self.header = Header { epoch: self.header.epoch, ..Header::default() };
        Ok(())
    }

    /// Writes what is left, makes the file durable, and gives its index and the number of rows that are not in it.
    fn finish(mut self, group: &[Closed]) -> Result<(Index, u64), LogError> {
        let end = group.last().map_or(0, |segment| segment.end);
        self.flush(end)?;
        let Some((file, index)) = self.file else { return Err(self.partition.deleted()) };
        file.sync_data()?;
        Ok((index, self.taken_out))
    }
}
