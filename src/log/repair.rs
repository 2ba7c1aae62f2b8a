//! Mending a damaged partition, when somebody asks for it: what is damaged is put aside, and frames that say that their
//! offsets are lost take its place. Readers go on behind them, and rows can be appended again.
//!
//! A segment is mended by a new file that is renamed into its place; its damaged bytes are kept beside it as
//! `<base>.damaged`. What producers wrote in frames that are lost is not known any more where no snapshot tells: who repeats
//! such a step writes it again.

use super::body::{Decoder, Encoder};
use super::error::LogError;
use super::feeders::Limits;
use super::frame::{HEADER_LEN, Header, Sparse};
use super::partition::{Entered, Partition};
use super::segment::{list_segments, segment_path};
use super::tail::Tail;
use super::topic::Topic;
use super::verify::{Damage, Piece};
use crate::disk::{DiskError, DiskFile, Open};
use arrow::array::{RecordBatch, UInt64Array};

/// How much is copied at once.
const PIECE: u64 = 1 << 20;

impl Topic {
    /// Mends a partition; gives what was damaged. Who wants to append meanwhile waits.
    pub fn repair(&self, partition: u32) -> Result<Vec<Damage>, LogError> {
        let partition = self.partition(partition)?;
        let Some(&first) = list_segments(&partition.disk, &partition.dir)?.first() else {
            return Ok(Vec::new());
        };
        let mut entered = partition.hold()?;
        let newest = entered.tail()?.read()?.newest;
        let all = partition.extent(newest, first)?;
        let pieces = partition.pieces(&all, &Decoder::new(self.schema(), None), &mut |_| {})?;
        let damage: Vec<Damage> = pieces.iter().filter_map(Piece::damage).cloned().collect();
        let mut encoder = Encoder::new(&self.schema(), self.info().codec)
            .map_err(|e| LogError::RowsDoNotFit { topic: self.name().into(), reason: e.to_string() })?;
        // By segment; one that is missing begins where it would.
        let begins: Vec<usize> = (0..pieces.len()).filter(|i| pieces[*i].begins().is_some()).collect();
        for (i, from) in begins.iter().enumerate() {
            let to = begins.get(i + 1).copied().unwrap_or(pieces.len());
            let of = &pieces[*from..to];
            if let Some(base) = of[0].begins().filter(|_| of.iter().any(|piece| piece.damage().is_some())) {
                partition.mend(base, of, self, &mut encoder)?;
            }
        }
        partition.forget_damage();
        entered.believe(all)?;
        Ok(damage)
    }
}

impl Piece {
    fn damage(&self) -> Option<&Damage> {
        match self {
            Piece::Damaged(damage) => Some(damage),
            _ => None,
        }
    }

    /// The segment that begins with it, if one does.
    fn begins(&self) -> Option<u64> {
        match self {
            Piece::Segment { base } => Some(*base),
            Piece::Damaged(damage) if damage.bytes == (0, 0) => Some(damage.offsets.0),
            _ => None,
        }
    }
}

impl Partition {
    /// How far the partition reaches that begins with the segment `first` and last said `newest` of itself.
    pub(super) fn extent(&self, newest: Option<Tail>, first: u64) -> Result<Tail, LogError> {
        let last = list_segments(&self.disk, &self.dir)?.last().copied().unwrap_or(first);
        Ok(match newest {
            Some(tail) if self.is_of_this_boot(&tail) => tail,
            // Of an earlier boot: there may be more than it says, or less.
            Some(tail) => Tail {
                segment: tail.segment.max(last),
                written: u64::MAX,
                next_offset: tail.durable_offset,
                ..tail
            },
            None => Tail { segment: last, written: u64::MAX, log_start: first, ..Tail::default() },
        })
    }

    /// Writes the whole frames of a segment anew, and in place of those that are damaged what says so.
    fn mend(
        &self,
        base: u64,
        pieces: &[Piece],
        topic: &Topic,
        encoder: &mut Encoder,
    ) -> Result<(), LogError> {
        let path = segment_path(&self.dir, base);
        let beside = |ending: &str| path.with_extension(ending);
        let old = match self.disk.open(&path, Open::Read) {
            Err(e) if e.is_not_found() => None,
            file => Some(file?),
        };
        let new = Growing::make(self.disk.open(&beside("mended"), Open::Create)?, true)?;
        let aside = Growing::make(self.disk.open(&beside("damaged"), Open::Create)?, false)?;
        let (mut new, mut aside) = (new, aside);
        let mut last_epoch = 0;
        for piece in pieces {
            match piece {
                Piece::Segment { .. } => {}
                Piece::Frames { bytes, epoch, .. } => {
                    new.copy(old.as_ref(), *bytes)?;
                    last_epoch = *epoch;
                }
                Piece::Damaged(damage) => {
                    aside.copy(old.as_ref(), damage.bytes)?;
                    if damage.offsets.0 < damage.offsets.1 {
                        new.write(&gap(topic, encoder, damage.offsets, last_epoch)?)?;
                    }
                }
            }
        }
        new.file.sync_data()?;
        aside.file.sync_data()?;
        self.disk.rename(&beside("mended"), &path)?;
        Ok(self.disk.sync_dir(&self.dir)?)
    }
}

/// A frame without rows that covers the offsets.
fn gap(topic: &Topic, encoder: &mut Encoder, offsets: (u64, u64), epoch: u32) -> Result<Vec<u8>, LogError> {
    let none = RecordBatch::new_empty(topic.schema());
    let unfit = |reason: String| LogError::RowsDoNotFit { topic: topic.name().into(), reason };
    let encoded = encoder.encode(&none, None, Some(&UInt64Array::from(Vec::<u64>::new())));
    let Some((header, mut frame)) = encoded.map_err(|e| unfit(e.to_string()))? else {
        return Err(unfit("a frame without rows is too large".into()));
    };
    let sparse = Sparse { end_offset: offsets.1, ..header.sparse.unwrap_or_default() };
    let header = Header { base_offset: offsets.0, epoch, sparse: Some(sparse), ..header };
    frame[..HEADER_LEN].copy_from_slice(&header.bytes());
    Ok(frame)
}

/// A file that is written at its end.
struct Growing {
    file: DiskFile,
    len: u64,
}

impl Growing {
    fn make(file: DiskFile, anew: bool) -> Result<Self, DiskError> {
        if anew {
            file.truncate(0)?;
        }
        let len = file.len()?;
        Ok(Growing { file, len })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all_at(bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Copies these bytes of `from`, as far as they are there.
    fn copy(&mut self, from: Option<&DiskFile>, (mut at, to): (u64, u64)) -> Result<(), DiskError> {
        let Some(from) = from else { return Ok(()) };
        let mut piece = vec![0; usize::try_from((to - at).min(PIECE)).unwrap_or_default()];
        while at < to {
            let wanted = usize::try_from((to - at).min(PIECE)).unwrap_or_default();
            let read = from.read_at(&mut piece[..wanted], at)?;
            if read == 0 {
                return Ok(());
            }
            self.write(&piece[..read])?;
            at += read as u64;
        }
        Ok(())
    }
}

impl Entered<'_> {
    /// Takes the partition, of which `known` was said, as its files are now.
    fn believe(&mut self, known: Tail) -> Result<(), LogError> {
        let partition = self.partition;
        let Some(&last) = list_segments(&partition.disk, &partition.dir)?.last() else { return Ok(()) };
        self.core.known = None;
        self.core.state = known;
        let known =
            Tail { segment: last, written: 0, next_offset: last, durable: 0, durable_offset: last, ..known };
        self.recover(Some(known), &Limits::default())
    }
}
