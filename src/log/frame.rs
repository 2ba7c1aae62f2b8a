//! The header of a frame, the log's checksummed unit: what stands before a body of Arrow IPC.
//!
//! ```text
//!        0        4    5      6        8          12           16         20
//!      0 │ magic  │ v1 │codec │ flags  │ body len │ header crc │ body crc │ rows
//!     24 │ base offset u64 │ producer u128                     │
//!     48 │ step u64        │ watermark i64   │
//!     64 │ least time i64  │ greatest time i64 │
//!     80 │ append time i64 │ epoch u32 │ marks len u32 │
//!     96 │ body …
//! ```
//!
//! All numbers are little endian; lengths count bytes, times are nanoseconds since the epoch.
//! `header crc` is the CRC32C of the header's other bytes, `body crc` that of the body: so one can hop
//! from header to header and trust each without reading the bodies. Header and body lengths are
//! multiples of 16, hence in a file of frames every Arrow buffer lies as Arrow wants it in memory.
//! Flags: 1 = `watermark` is set, 2 = the two times are set, 4 = the rows are followed by `marks len` bytes
//! of marks, 8 = more frames of the same step follow, 16 = the frame is sparse, 32 = the body ends with checksums of its
//! parts (parts.rs). A field whose flag is not set is 0.
//!
//! A frame covers the offsets from `base offset` up to, but not including, its end; the next frame begins there. A
//! frame that was appended has a row for each of them. A **sparse** frame is what compaction or repair has left of
//! others: it says itself where it ends and which rows are left, in the place of producer and step:
//!
//! ```text
//!     32 │ end offset u64 │ offsets len u32 │ 0 │ 48 │ horizon i64 │
//! ```
//!
//! The last `offsets len` bytes of its body, but for the checksums, hold the rows' offsets. `horizon` is the time after which tombstones in
//! it may go (0 = it has none that have been counted yet).

use super::body::Codec;

/// Bytes of a header.
pub(super) const HEADER_LEN: usize = 96;
/// The longest body in bytes.
pub(super) const MAX_BODY: u64 = 256 << 20;

const MAGIC: [u8; 4] = *b"MSFR";
const VERSION: u8 = 1;
const HAS_WATERMARK: u16 = 1;
const HAS_TIMES: u16 = 2;
const HAS_MARKS: u16 = 4;
const CONTINUES: u16 = 8;
const SPARSE: u16 = 16;
const HAS_CHECKS: u16 = 32;
const KNOWN: u16 = HAS_WATERMARK | HAS_TIMES | HAS_MARKS | CONTINUES | SPARSE | HAS_CHECKS;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Header {
    pub(super) codec: Codec,
    pub(super) body_len: u32,
    pub(super) body_crc: u32,
    pub(super) rows: u32,
    /// Offset of the first row.
    pub(super) base_offset: u64,
    /// Who wrote it; 0 = someone who needs no deduplication.
    pub(super) producer: u128,
    /// The producer's step.
    pub(super) step: u64,
    pub(super) watermark: Option<i64>,
    /// Least and greatest timestamp of the rows.
    pub(super) timestamps: Option<(i64, i64)>,
    pub(super) append_time: i64,
    /// Raised with each takeover: never smaller than the frame's before.
    pub(super) epoch: u32,
    /// Bytes of the body, behind the rows, that hold the marks, if there are any.
    pub(super) marks_len: Option<u32>,
    /// More frames of the same step follow: the step is whole only with the last of them.
    pub(super) continues: bool,
    /// What a sparse frame has instead of producer and step, which are then 0.
    pub(super) sparse: Option<Sparse>,
    /// The body ends with checksums of its parts.
    pub(super) has_checks: bool,
}

/// What stands only in a sparse frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sparse {
    /// The offset after the last one that the frame covers.
    pub(super) end_offset: u64,
    /// Bytes of the body, behind the marks, that hold the rows' offsets.
    pub(super) offsets_len: u32,
    /// When its tombstones may go, in nanoseconds since the epoch; 0 = not known yet.
    pub(super) horizon: i64,
}

impl Header {
    /// Bytes of header and body.
    pub(super) fn frame_len(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.body_len)
    }

    /// Bytes of marks and offsets; [`Header::read`] has checked that the body has as many.
    pub(super) fn beside_len(&self) -> usize {
        self.marks_len.unwrap_or_default() as usize + self.sparse.map_or(0, |s| s.offsets_len) as usize
    }

    /// The offset after the last one that it covers; [`Header::read`] has checked that it is one.
    pub(super) fn next_offset(&self) -> u64 {
        self.sparse.map_or(self.base_offset.saturating_add(u64::from(self.rows)), |s| s.end_offset)
    }

    /// The checksum that the header bears in the file.
    pub(super) fn crc(&self) -> u32 {
        u32::from_le_bytes(field(&self.bytes(), 12))
    }

    /// The header as it stands in the file.
    pub(super) fn bytes(&self) -> [u8; HEADER_LEN] {
        let mut flags = 0;
        flags |= if self.watermark.is_some() { HAS_WATERMARK } else { 0 };
        flags |= if self.timestamps.is_some() { HAS_TIMES } else { 0 };
        flags |= if self.marks_len.is_some() { HAS_MARKS } else { 0 };
        flags |= if self.continues { CONTINUES } else { 0 };
        flags |= if self.sparse.is_some() { SPARSE } else { 0 };
        flags |= if self.has_checks { HAS_CHECKS } else { 0 };
        let (least, greatest) = self.timestamps.unwrap_or_default();

        let mut out = [0; HEADER_LEN];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(4, &[VERSION, self.codec.code()]);
        put(6, &flags.to_le_bytes());
        put(8, &self.body_len.to_le_bytes());
        put(16, &self.body_crc.to_le_bytes());
        put(20, &self.rows.to_le_bytes());
        put(24, &self.base_offset.to_le_bytes());
        match self.sparse {
            None => {
                put(32, &self.producer.to_le_bytes());
                put(48, &self.step.to_le_bytes());
            }
            Some(sparse) => {
                put(32, &sparse.end_offset.to_le_bytes());
                put(40, &sparse.offsets_len.to_le_bytes());
                put(48, &sparse.horizon.to_le_bytes());
            }
        }
        put(56, &self.watermark.unwrap_or_default().to_le_bytes());
        put(64, &least.to_le_bytes());
        put(72, &greatest.to_le_bytes());
        put(80, &self.append_time.to_le_bytes());
        put(88, &self.epoch.to_le_bytes());
        put(92, &self.marks_len.unwrap_or_default().to_le_bytes());
        let crc = header_crc(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header, or says in words why these bytes are none.
    pub(super) fn read(bytes: &[u8; HEADER_LEN]) -> Result<Self, &'static str> {
        if bytes[..4] != MAGIC {
            return Err("no frame starts here");
        }
        if bytes[4] > VERSION {
            return Err("the frame was written by a newer millstream, or its header is damaged");
        }
        if u32::from_le_bytes(field(bytes, 12)) != header_crc(bytes) {
            return Err("the checksum of the frame's header is wrong");
        }
        let flags = u16::from_le_bytes(field(bytes, 6));
        if bytes[4] != VERSION || flags & !KNOWN != 0 {
            return Err("the frame's header says what this millstream does not know");
        }
        let sparse = (flags & SPARSE != 0).then(|| Sparse {
            end_offset: u64::from_le_bytes(field(bytes, 32)),
            offsets_len: u32::from_le_bytes(field(bytes, 40)),
            horizon: i64::from_le_bytes(field(bytes, 48)),
        });
        let appended = sparse.is_none();
        let if_set = |flag: u16, at: usize| (flags & flag != 0).then(|| i64::from_le_bytes(field(bytes, at)));
        let header = Header {
            codec: Codec::from_code(bytes[5]).ok_or("the frame's compression is unknown")?,
            body_len: u32::from_le_bytes(field(bytes, 8)),
            body_crc: u32::from_le_bytes(field(bytes, 16)),
            rows: u32::from_le_bytes(field(bytes, 20)),
            base_offset: u64::from_le_bytes(field(bytes, 24)),
            producer: if appended { u128::from_le_bytes(field(bytes, 32)) } else { 0 },
            step: if appended { u64::from_le_bytes(field(bytes, 48)) } else { 0 },
            watermark: if_set(HAS_WATERMARK, 56),
            timestamps: if_set(HAS_TIMES, 64).zip(if_set(HAS_TIMES, 72)),
            append_time: i64::from_le_bytes(field(bytes, 80)),
            epoch: u32::from_le_bytes(field(bytes, 88)),
            marks_len: (flags & HAS_MARKS != 0).then(|| u32::from_le_bytes(field(bytes, 92))),
            continues: flags & CONTINUES != 0,
            sparse,
            has_checks: flags & HAS_CHECKS != 0,
        };
        let behind = header.marks_len.unwrap_or_default().checked_add(sparse.map_or(0, |s| s.offsets_len));
        if u64::from(header.body_len) > MAX_BODY || behind.is_none_or(|behind| behind > header.body_len) {
            return Err("the frame's lengths make no sense");
        }
        // A sparse frame has at most as many rows as offsets.
        let all = header.base_offset.checked_add(u64::from(header.rows));
        if all.is_none_or(|end| end > header.next_offset()) || (sparse.is_some() && header.continues) {
            return Err("the frame's offsets make no sense");
        }
        Ok(header)
    }
}

/// The `N` bytes at `at`, which lie inside `bytes`.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

fn header_crc(bytes: &[u8; HEADER_LEN]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers() -> impl Strategy<Value = Header> {
        let numbers =
            (0..=MAX_BODY as u32, any::<u32>(), any::<u32>(), any::<u64>(), any::<u128>(), any::<u64>());
        let times = (any::<Option<i64>>(), any::<Option<(i64, i64)>>(), any::<i64>(), any::<u32>());
        let more = (any::<bool>(), any::<Option<(u32, i64)>>(), any::<bool>());
        (numbers, times, 0..3u8, any::<bool>(), more).prop_map(
            |(
                (body_len, body_crc, rows, base, producer, step),
                (watermark, timestamps, time, epoch),
                code,
                marks,
                (continues, sparse, has_checks),
            )| {
                let base = base.min(u64::MAX - 2 * u64::from(u32::MAX));
                let sparse = sparse.map(|(span, horizon)| Sparse {
                    end_offset: base + u64::from(rows) + u64::from(span),
                    offsets_len: body_len / 3,
                    horizon,
                });
                Header {
                    codec: Codec::from_code(code).unwrap(),
                    body_len,
                    body_crc,
                    rows,
                    base_offset: base,
                    producer: if sparse.is_none() { producer } else { 0 },
                    step: if sparse.is_none() { step } else { 0 },
                    watermark,
                    timestamps,
                    append_time: time,
                    epoch,
                    marks_len: marks.then_some(body_len / 2),
                    continues: continues && sparse.is_none(),
                    sparse,
                    has_checks,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_header_reads_back_and_no_flipped_bit_goes_unseen(header in headers(), bit in 0..HEADER_LEN * 8) {
            let mut bytes = header.bytes();
            prop_assert_eq!(Header::read(&bytes), Ok(header));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Header::read(&bytes).is_err());
        }
    }

    #[test]
    fn version_1_stays_as_it_is() {
        let header = Header {
            codec: Codec::Zstd,
            body_len: 32,
            rows: 3,
            base_offset: 7,
            producer: 9,
            step: 11,
            watermark: Some(-1),
            epoch: 2,
            marks_len: Some(16),
            ..Header::default()
        };
        let hex: String = header.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, FIXTURE);
    }

    const FIXTURE: &str = concat!(
        "4d5346520102050020000000aebf517200000000030000000700000000000000",
        "090000000000000000000000000000000b00000000000000ffffffffffffffff",
        "0000000000000000000000000000000000000000000000000200000010000000",
    );
}
