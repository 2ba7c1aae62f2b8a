//! Steps that are run again after a crash: what the journal says of them, and where its sources and a checkpoint's
//! nodes are in the job as it is now.

use super::checkpoint::{JobStore, Manifest};
use super::feed::{Next, PartitionFeed, PartitionState, Prepared};
use super::job::{SourceSetup, bad_schema};
use super::journal::{Entry, Moment, PartitionEntry, SliceEntry};
use super::part::Part;
use super::retry::Patience;
use super::steps::Taken;
use super::{Result, RuntimeError};
use crate::connectors::BadRecord;
use arrow::array::{Int64Array, RecordBatch, StringArray};
use std::sync::Arc;

/// Where the nodes and sources of a checkpoint are now.
pub(super) struct Moves {
    /// For each node of the checkpoint the one here.
    pub(super) nodes: Vec<Option<usize>>,
    /// For each source here the one of the checkpoint. `None`: there is no checkpoint, all are where they were.
    sources: Option<Vec<Option<usize>>>,
    identity: bool,
}

impl Moves {
    /// Without a checkpoint.
    pub(super) fn none() -> Self {
        Moves { nodes: Vec::new(), sources: None, identity: true }
    }

    /// From the checkpoint to the statements as they are now.
    pub(super) fn of(store: &JobStore, manifest: &Manifest, parts: &[Part], sources: usize) -> Result<Self> {
        let mut nodes: Vec<Option<usize>> = Vec::new();
        let mut here: Vec<Option<usize>> = vec![None; sources];
        let mut identity = manifest.sources.len() == sources;
        for part in parts {
            let misfit = |reason: &str| store.misfit(&part.name, reason);
            let moved = part.moved(manifest.part(store, &part.name, &part.fingerprint)?, &misfit)?;
            for (then, now) in moved.nodes {
                if nodes.len() <= then {
                    nodes.resize(then + 1, None);
                }
                if nodes[then].is_some_and(|n| n != now) {
                    return Err(misfit("was written when more of its statements were the same"));
                }
                nodes[then] = Some(now);
                identity &= then == now;
            }
            for (then, now) in moved.sources {
                here[now] = Some(then);
                identity &= then == now;
            }
        }
        Ok(Moves { nodes, sources: Some(here), identity })
    }

    pub(super) fn is_identity(&self) -> bool {
        self.identity
    }

    /// Which source of the checkpoint the source `s` here is.
    pub(super) fn source_before(&self, s: usize) -> Option<usize> {
        match &self.sources {
            Some(sources) => sources.get(s).copied().flatten(),
            None => Some(s),
        }
    }

    /// What an entry of the journal says of the source `s` here.
    pub(super) fn entries_of<'a>(&self, entry: &'a Entry, s: usize) -> &'a [PartitionEntry] {
        let before = self.source_before(s).and_then(|before| entry.sources.get(before));
        before.map_or(&[], Vec::as_slice)
    }
}

/// The journal's entry for a step over `taken`.
pub(super) fn entry(step: u64, moment: Moment, taken: &[Taken], states: &[Vec<PartitionState>]) -> Entry {
    let slice = |p: &Prepared| SliceEntry {
        asked: p.asked,
        rows: p.delta.num_rows(),
        end: p.end,
        running: p.running,
    };
    let sources = taken
        .iter()
        .zip(states)
        .map(|(partitions, states)| {
            let all = partitions.iter().zip(states).enumerate();
            all.map(|(partition, ((slices, ended), state))| PartitionEntry {
                partition,
                slices: slices.iter().map(slice).collect(),
                ended: *ended || state.ended,
                idle: state.idle,
            })
            .filter(|e| !e.slices.is_empty() || e.ended || e.idle)
            .collect()
        })
        .collect();
    Entry { step, moment, sources }
}

/// Reads a slice as it was read before; nothing where it only moved the watermark, which the journal tells. Where reading
/// fails in the middle for a reason that passes, the rest comes as a slice of its own.
pub(super) fn read_again(
    source: &SourceSetup,
    feed: &mut PartitionFeed,
    slice: &SliceEntry,
    patience: &Patience,
) -> Result<Vec<Prepared>> {
    let gone = || RuntimeError::RowsGone { source_name: source.name.clone() };
    let mut parts: Vec<Prepared> = Vec::new();
    let mut rows = 0;
    if slice.rows == 0 && feed.position().offset == slice.end.offset {
        return Ok(parts);
    }
    loop {
        let asked = slice.asked.saturating_sub(rows).max(1);
        match patience.until_done(|| feed.again(slice.end, asked))? {
            Next::Rows(prepared) => {
                rows += prepared.delta.num_rows();
                let end = prepared.end;
                parts.push(*prepared);
                if end.offset < slice.end.offset {
                    continue;
                }
                // Others have come in the place of those that the machine has lost.
                if source.is_topic && slice.end.line != 0 && end.line != slice.end.line {
                    return Err(gone());
                }
                if end != slice.end && slice.end.line != 0 || rows != slice.rows {
                    return Err(changed(
                        source,
                        &format!("{rows} rows where {} were read before", slice.rows),
                    ));
                }
                return Ok(parts);
            }
            Next::Pending | Next::End if parts.is_empty() || source.is_topic => return Err(gone()),
            Next::Pending | Next::End => {
                return Err(changed(source, &format!("{rows} rows where {} were read before", slice.rows)));
            }
        }
    }
}

/// A source does not give what it gave.
pub(super) fn changed(source: &SourceSetup, reason: &str) -> RuntimeError {
    RuntimeError::SourceChanged { source_name: source.name.clone(), reason: reason.into() }
}

/// The rows of a topic of bad records.
pub(super) fn bad_batch(bad: &[BadRecord]) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(
        bad_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(bad.iter().map(|b| &b.origin))),
            Arc::new(Int64Array::from_iter_values(bad.iter().map(|b| b.line as i64))),
            Arc::new(Int64Array::from_iter(bad.iter().map(|b| b.column.map(|c| c as i64)))),
            Arc::new(StringArray::from_iter_values(bad.iter().map(|b| &b.reason))),
            Arc::new(StringArray::from_iter_values(bad.iter().map(|b| &b.raw))),
        ],
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::{ConnectorError, PartitionReader, Position, Read, Slice};
    use crate::delta::WATERMARK_NONE;
    use crate::log::LogError;
    use crate::runtime::feed::FeedShape;
    use arrow::array::ArrayRef;
    use std::collections::VecDeque;

    /// Gives what it is told: so many rows, or a failure.
    struct Told {
        at: u64,
        gives: VecDeque<Result<u64, ConnectorError>>,
    }

    impl PartitionReader for Told {
        fn read(&mut self, max_rows: usize) -> Result<Read, ConnectorError> {
            let Some(gives) = self.gives.pop_front() else { return Ok(Read::Pending) };
            let rows = gives?.min(max_rows as u64);
            let numbers: ArrayRef =
                Arc::new(Int64Array::from_iter_values(self.at as i64..(self.at + rows) as i64));
            let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
            self.at += rows;
            let end = self.position();
            Ok(Read::Rows(Slice { batch, marks: None, stated: false, watermark: None, bad: vec![], end }))
        }

        fn position(&self) -> Position {
            Position { offset: self.at, line: 4 }
        }
    }

    /// Reads the slice of 5 rows that was read under `epoch` from what gives `gives`: the rows of each part.
    fn again(gives: Vec<Result<u64, ConnectorError>>, epoch: u64) -> Result<Vec<usize>> {
        let shape = FeedShape { keep: vec![0], time: None, late_rule: None };
        let reader = Told { at: 0, gives: gives.into() };
        let mut feed = PartitionFeed::new(Box::new(reader), Arc::new(shape.clone()), WATERMARK_NONE);
        let source = SourceSetup {
            name: "s".into(),
            partitions: 1,
            starts: vec![],
            open: Box::new(|_, _| Err(ConnectorError::Other("it is open".into()))),
            is_topic: true,
            shape,
            idle_timeout: None,
            bad_topic: None,
            late_topic: None,
        };
        let end = Position { offset: 5, line: epoch };
        let slice = SliceEntry { asked: 9, rows: 5, end, running: WATERMARK_NONE };
        let parts = read_again(&source, &mut feed, &slice, &Patience::of(vec![]))?;
        Ok(parts.iter().map(|p| p.delta.num_rows()).collect())
    }

    /// What a device answers, as the log tells it; one that has no number does not pass.
    fn failure(passes: bool) -> ConnectorError {
        let source = match passes {
            true => std::io::Error::from_raw_os_error(5),
            false => std::io::Error::other("it is broken"),
        };
        let path = "/there".into();
        LogError::Disk(crate::disk::DiskError { doing: "read", path, source }).into()
    }

    #[test]
    fn what_fails_in_the_middle_of_a_slice_is_told_as_what_it_is_or_tried_again() {
        assert_eq!(again(vec![Ok(5)], 4).unwrap(), [5]);
        assert_eq!(again(vec![Ok(2), Err(failure(true)), Ok(3)], 4).unwrap(), [2, 3]);
        let error = again(vec![Ok(2), Err(failure(false)), Ok(3)], 4).unwrap_err().to_string();
        assert!(error.contains("it is broken"), "{error}");
    }

    #[test]
    fn rows_that_are_gone_or_others_in_their_place_are_told_apart_from_those_that_were_read() {
        let gone = |gives, epoch| matches!(again(gives, epoch), Err(RuntimeError::RowsGone { .. }));
        assert!(gone(vec![], 4));
        assert!(gone(vec![Ok(3)], 4), "the last of them are gone");
        assert!(gone(vec![Ok(5)], 3), "rows of a later epoch");
        assert_eq!(again(vec![Ok(5)], 0).unwrap(), [5], "read by a version that kept no epoch");
    }
}
