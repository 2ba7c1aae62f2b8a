//! Every single bit of a log flipped, one at a time: it is seen, its place is told, and no wrong row is served.
//!
//! `MILLSTREAM_FLIP_BYTES` says how many bytes of segments there are in all (24 KiB; 1 MiB is a matter of a release
//! build).

use super::round_trip::many_columns;
use super::*;
use crate::disk::DiskFile;

const BYTES: u64 = 24 << 10;
const SEGMENT_BYTES: u64 = 4 << 10;
/// Of so many flips one is looked at from further away.
const SAMPLE: usize = 97;

/// A frame as it was written.
struct Written {
    segment: u64,
    position: u64,
    len: u64,
    frame: Frame,
}

/// A log on a disk in memory.
struct Sound {
    disk: Disk,
    clock: Clock,
    syncer: Syncer,
    info: TopicInfo,
    dir: PathBuf,
    frames: Vec<Written>,
    end: u64,
}

impl Sound {
    /// A topic with all kinds of columns, and more than `bytes` of frames.
    fn new(codec: Codec, bytes: u64) -> Self {
        let (disk, _) = Disk::simulated(1);
        let clock = Clock::manual(1_000);
        let log = Log::open("/data", disk.clone(), clock.clone()).unwrap();
        let options = TopicOptions { partitions: 1, codec, settings: settings(SEGMENT_BYTES) };
        let topic = log.create_topic("t", options, many_columns(1).schema()).unwrap();
        let mut writer = topic.writer(0).unwrap();
        for i in 0.. {
            let rows = if i % 7 == 3 { 0 } else { 1 + i % 3 };
            let batch = many_columns(9).slice(i % 3, rows);
            let marks = Int64Array::from_iter_values((0..rows as i64).map(|mark| mark * 1_000 - i as i64));
            let append = Append {
                marks: (i % 2 == 0).then_some(&marks),
                producer: (i % 3) as u128,
                step: i as u64,
                watermark: (i % 4 < 2).then_some(i as i64),
                timestamps: (i % 4 > 0).then_some((-5, i as i64)),
                ..Append::rows(&batch)
            };
            writer.append(append).unwrap();
            let segments = segment::list_segments(&disk, &topic.dir().join("0")).unwrap().len() as u64;
            // The last one is closed with the next append.
            if segments > 2 && (segments - 2) * SEGMENT_BYTES / 2 > bytes {
                break;
            }
        }
        let dir = topic.dir().to_owned();
        let mut sound = Sound {
            disk,
            syncer: Syncer::new(clock.clone()),
            clock,
            info: topic.info().clone(),
            dir,
            frames: vec![],
            end: 0,
        };
        sound.frames = sound.written(bytes);
        sound.end = topic.end_offset(0).unwrap();
        sound
    }

    /// The topic as a process sees it that has not looked at it yet.
    fn topic(&self) -> Arc<Topic> {
        let (disk, syncer) = (&self.disk, self.syncer.handle());
        let watched = watch::Watched::new(disk.clone());
        Arc::new(Topic::new(self.info.clone(), self.dir.clone(), disk, &self.clock, syncer, watched))
    }

    /// Its frames, in the first segments that have `bytes`.
    fn written(&self, bytes: u64) -> Vec<Written> {
        let dir = self.dir.join("0");
        let mut frames = Vec::new();
        let mut reader = self.topic().reader(0, 0, None).unwrap();
        let mut size = 0;
        for segment in segment::list_segments(&self.disk, &dir).unwrap() {
            let mut file = segment::Segment::open(&self.disk, &dir, segment).unwrap();
            let (mut position, end) = (0, file.len().unwrap());
            while position < end {
                let len = file.header(position, end).unwrap().frame_len();
                let frame = reader.next().unwrap().unwrap();
                if size < bytes {
                    frames.push(Written { segment, position, len, frame });
                }
                (position, size) = (position + len, size + len);
            }
        }
        assert!(reader.next().unwrap().is_none());
        frames
    }

    /// Does `look` with every bit of `file` between `from` and `to` flipped.
    fn flip(&self, file: &DiskFile, from: u64, to: u64, mut look: impl FnMut(usize)) {
        for at in from..to {
            let mut byte = [0];
            file.read_at(&mut byte, at).unwrap();
            for bit in 0..8 {
                file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
                look(at as usize * 8 + bit);
            }
            file.write_all_at(&byte, at).unwrap();
            // The simulation remembers what is not synced.
            if at % 256 == 0 {
                file.sync_data().unwrap();
            }
        }
    }

    fn open(&self, name: &str) -> DiskFile {
        self.disk.open(&self.dir.join(name), Open::Write).unwrap()
    }

    /// Whether all frames are read from the start on, as they were written. Gives the error if not; what is read before
    /// it must be right.
    fn reads_all(&self, topic: &Arc<Topic>) -> Option<LogError> {
        let mut reader = match topic.reader(0, 0, None) {
            Ok(reader) => reader,
            Err(e) => return Some(e),
        };
        for written in &self.frames {
            match reader.next() {
                Ok(frame) => same(&frame.expect("a frame is missing, and nobody says so"), &written.frame),
                Err(e) => return Some(e),
            }
        }
        None
    }
}

fn same(found: &Frame, written: &Frame) {
    assert_eq!(
        (found.base_offset, found.next_offset, found.producer, found.step, found.append_time),
        (written.base_offset, written.next_offset, written.producer, written.step, written.append_time)
    );
    assert_eq!((found.watermark, found.timestamps), (written.watermark, written.timestamps));
    assert_eq!((&found.batch, &found.marks), (&written.batch, &written.marks));
}

fn bytes() -> u64 {
    std::env::var("MILLSTREAM_FLIP_BYTES").map_or(BYTES, |text| text.parse().unwrap())
}

fn no_bit_of_the_segments_flips_unseen(codec: Codec) {
    let sound = Sound::new(codec, bytes() / 3);
    let frames = &sound.frames;
    assert!(frames.len() > 3 && frames.last().unwrap().segment > 0, "several segments");
    for (i, written) in frames.iter().enumerate() {
        let path = segment::segment_path(Path::new("0"), written.segment);
        let file = sound.open(path.to_str().unwrap());
        let mut of_segment = frames.iter().filter(|frame| frame.segment == written.segment);
        let first = of_segment.next().unwrap();
        sound.flip(&file, written.position, written.position + written.len, |bit| {
            let topic = sound.topic();
            let told = topic.reader(0, written.frame.base_offset, None).and_then(|mut reader| {
                // Frames without rows that stand before it are sound.
                while reader.next()?.is_some() {}
                Ok(())
            });
            let Err(LogError::Corrupt(told)) = told else { panic!("{codec:?}, bit {bit}: {told:?}") };
            let place = (told.position, told.first_lost, told.segment.file_name());
            let expected = (written.position, written.frame.base_offset, path.file_name());
            assert_eq!(place, expected, "{codec:?}, bit {bit}");
            if bit % SAMPLE != 0 {
                return;
            }
            // What lies before it in the segment, and in the segments behind it, is read as ever.
            let mut reader = match sound.topic().reader(0, first.frame.base_offset, None) {
                Err(LogError::Corrupt(_)) if written.position == 0 => return,
                reader => reader.unwrap(),
            };
            let before =
                frames.iter().filter(|f| f.segment == written.segment && f.position < written.position);
            let mut before = before.peekable();
            loop {
                match reader.next() {
                    // Those without rows at the end of the segment before have the same offset.
                    Ok(Some(f))
                        if f.batch.num_rows() == 0
                            && before.peek().is_none_or(|b| b.frame.step != f.step) => {}
                    Ok(Some(frame)) => same(&frame, &before.next().unwrap().frame),
                    told => {
                        assert!(matches!(told, Err(LogError::Corrupt(_))), "{codec:?}, bit {bit}: {told:?}");
                        break;
                    }
                }
            }
            assert!(before.next().is_none(), "{codec:?}, bit {bit}");
            if let Some(behind) = frames[i..].iter().find(|frame| frame.segment > written.segment) {
                let mut reader = sound.topic().reader(0, behind.segment + 1, None).unwrap();
                assert!(reader.next().unwrap().is_some());
            }
        });
    }
    assert!(sound.reads_all(&sound.topic()).is_none(), "all as it was");
}

#[test]
fn no_bit_of_uncompressed_segments_flips_unseen() {
    no_bit_of_the_segments_flips_unseen(Codec::None);
}

#[test]
fn no_bit_of_lz4_segments_flips_unseen() {
    no_bit_of_the_segments_flips_unseen(Codec::Lz4);
}

#[test]
fn no_bit_of_zstd_segments_flips_unseen() {
    no_bit_of_the_segments_flips_unseen(Codec::Zstd);
}

#[test]
fn no_bit_flipped_in_the_files_beside_the_segments_changes_what_is_read() {
    let sound = Sound::new(Codec::None, 8 << 10);
    let last_steps = |topic: &Arc<Topic>| {
        let writer = topic.writer(0)?;
        Ok::<_, LogError>((writer.last_step(1)?, writer.last_step(2)?, writer.last_step(3)?))
    };
    let steps = last_steps(&sound.topic()).unwrap();
    let dir = sound.dir.join("0");
    let mut kinds = std::collections::BTreeSet::new();
    for name in sound.disk.list(&dir).unwrap() {
        let path = dir.join(&name);
        let bytes = sound.disk.read(&path).unwrap();
        if name.ends_with(".log") || bytes.is_empty() {
            continue;
        }
        kinds.insert(name.rsplit('.').next().unwrap().to_owned());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            sound.disk.write_atomically(&path, &flipped).unwrap();
            let topic = sound.topic();
            let told = if bit % 2 == 0 { sound.reads_all(&topic) } else { None };
            assert!(told.is_none(), "{name}, bit {bit}: {}", told.unwrap());
            assert_eq!(topic.end_offset(0).unwrap(), sound.end, "{name}, bit {bit}");
            if bit % 3 == 0 {
                assert_eq!(last_steps(&topic).unwrap(), steps, "{name}, bit {bit}");
                let middle = sound.frames[sound.frames.len() / 2].frame.base_offset;
                let frame = topic.reader(0, middle, None).unwrap().next().unwrap().unwrap();
                assert_eq!(frame.base_offset, middle, "{name}, bit {bit}");
            }
        }
        sound.disk.write_atomically(&path, &bytes).unwrap();
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["index", "producers", "tail"]);
}

#[test]
fn no_bit_flipped_in_a_description_or_the_format_file_is_taken_for_another() {
    let sound = Sound::new(Codec::Lz4, 1);
    let open = || Log::open("/data", sound.disk.clone(), sound.clock.clone());
    for path in [PathBuf::from("/data/FORMAT"), sound.dir.join("topic.json")] {
        let bytes = sound.disk.read(&path).unwrap();
        let mut seen = 0;
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            sound.disk.write_atomically(&path, &flipped).unwrap();
            match open().and_then(|log| log.topic("t")) {
                Ok(topic) => assert_eq!((topic.info(), topic.dir()), (&sound.info, &*sound.dir), "bit {bit}"),
                Err(e) => {
                    seen += 1;
                    let named = e.to_string().contains(&path.display().to_string());
                    assert!(named, "bit {bit} of {}: {e}", path.display());
                }
            }
        }
        assert!(seen > bytes.len() * 7, "{} of {} bits of {}", seen, bytes.len() * 8, path.display());
        sound.disk.write_atomically(&path, &bytes).unwrap();
        assert!(open().unwrap().topic_exists("t").unwrap());
    }
}
