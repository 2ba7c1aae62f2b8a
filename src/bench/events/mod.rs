//! The events: people who register, auctions that they open, and bids on these, as JSON lines.
//!
//! Proportions, skew and sizes follow the Nexmark generator: of 50 events one is a person, three are auctions and 46 bids; half
//! of the bids go to the hot auction, three quarters come from the hot bidder, three quarters of the auctions are of
//! the hot seller; 100 auctions are in flight and 1000 people active; records have 200, 500 and 100 bytes on average
//! through their last column. Event *i* happens `i / rate` seconds after the base; some are then moved back by up to
//! `late_ms`, so that they come out of order. The records of one kind are dealt round to [`PARTS`] files, each of
//! which thus spans the whole time and is in the order of arrival.
//!
//! An event hangs on the seed and its own number alone: the same bytes on every machine, and more events begin with the
//! same ones.

mod draw;
mod text;

use super::{BenchError, Observer, Result};
use crate::connectors::nexmark::words::{CITIES, FIRST_NAMES, LAST_NAMES, STATES};
use draw::Draw;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use text::{Instants, number, padded};

/// How many files there are of each kind.
pub const PARTS: usize = 2;

const FIRST_ID: u64 = 1000;
/// Of so many events that follow each other, the first are people, the next auctions, the rest bids.
const TURN: u64 = 50;
const PEOPLE: u64 = 1;
const AUCTIONS: u64 = 3;
/// What is hot stays so for so many.
const HOT: u64 = 100;
const IN_FLIGHT: u64 = 100;
const ACTIVE_PEOPLE: u64 = 1000;
/// By how many an id may be ahead of what there is.
const LEAD: u64 = 10;
const CHANNELS: u32 = 10_000;
/// How often it is looked whether to go on.
const LOOK: u64 = 50_000;

const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody registers.
    Person,
    /// Somebody opens an auction.
    Auction,
    /// Somebody bids on one.
    Bid,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Person, Kind::Auction, Kind::Bid];

    /// What event `i` is.
    pub fn of(i: u64) -> Self {
        match i % TURN {
            turn if turn < PEOPLE => Kind::Person,
            turn if turn < PEOPLE + AUCTIONS => Kind::Auction,
            _ => Kind::Bid,
        }
    }

    /// How many of the first so many events are of this kind.
    pub fn count(self, events: u64) -> u64 {
        let (turns, rest) = (events / TURN, events % TURN);
        let (first, count) = match self {
            Kind::Person => (0, PEOPLE),
            Kind::Auction => (PEOPLE, AUCTIONS),
            Kind::Bid => (PEOPLE + AUCTIONS, TURN - PEOPLE - AUCTIONS),
        };
        turns * count + rest.saturating_sub(first).min(count)
    }

    /// The name of its stream, and of the folder of its files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::Auction => "auction",
            Kind::Bid => "bid",
        }
    }
}

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What all is drawn from.
    pub seed: u64,
    /// Events in a second.
    pub rate: u64,
    /// When the first one happens, in milliseconds since the epoch.
    pub base_ms: i64,
    /// How many of a hundred come too late.
    pub late_percent: u64,
    /// By how much at most.
    pub late_ms: u64,
}

impl Default for Shape {
    /// The day changes after 50 seconds: some queries group by it.
    fn default() -> Self {
        Shape { seed: 42, rate: 10_000, base_ms: 1_767_225_550_000, late_percent: 10, late_ms: 200 }
    }
}

/// Writes events one by one.
pub struct Events {
    shape: Shape,
    hot_urls: Vec<Vec<u8>>,
    /// Name and address of each channel that is not hot.
    channels: Vec<(Vec<u8>, Vec<u8>)>,
    instants: Instants,
    /// The last record, with the end of its line.
    line: Vec<u8>,
}

impl Events {
    /// Events of a shape.
    pub fn new(shape: Shape) -> Self {
        let mut draw = Draw::of(shape.seed, u64::MAX);
        let hot_urls = HOT_CHANNELS.iter().map(|_| url(&mut draw)).collect();
        let channels = (0..CHANNELS).map(|channel| {
            let mut url = url(&mut draw);
            if draw.is_most(10) {
                url.extend_from_slice(b"&channel_id=");
                number(channel.reverse_bits().cast_signed().unsigned_abs().into(), &mut url);
            }
            (format!("channel-{channel}").into_bytes(), url)
        });
        let channels = channels.collect();
        Events { shape, hot_urls, channels, instants: Instants::default(), line: Vec::new() }
    }

    /// What event `i` is, and its record as a JSON line.
    pub fn event(&mut self, i: u64) -> (Kind, &[u8]) {
        let mut draw = Draw::of(self.shape.seed, i);
        let mut at = self.shape.base_ms + (i * 1000 / self.shape.rate).cast_signed();
        if draw.below(100) < self.shape.late_percent {
            at -= draw.below(self.shape.late_ms + 1).cast_signed();
        }
        self.line.clear();
        let kind = Kind::of(i);
        match kind {
            Kind::Person => self.person(i, at, &mut draw),
            Kind::Auction => self.auction(i, at, &mut draw),
            Kind::Bid => self.bid(i, at, &mut draw),
        }
        self.line.extend_from_slice(b"\"}\n");
        (kind, &self.line)
    }

    fn person(&mut self, i: u64, at: i64, draw: &mut Draw) {
        self.number(b"{\"id\":", FIRST_ID + last_person(i));
        let mut size = 8;
        self.put(b",\"name\":\"");
        size += self.measured(|line| {
            line.extend_from_slice(draw.one_of(&FIRST_NAMES).as_bytes());
            line.push(b' ');
            line.extend_from_slice(draw.one_of(&LAST_NAMES).as_bytes());
        });
        self.put(b"\",\"emailAddress\":\"");
        size += self.measured(|line| {
            draw.word(7, b'_', line);
            line.push(b'@');
            draw.word(5, b'_', line);
            line.extend_from_slice(b".com");
        });
        self.put(b"\",\"creditCard\":\"");
        size += self.measured(|line| {
            for group in 0..4 {
                if group > 0 {
                    line.push(b' ');
                }
                padded(draw.below(10_000), 4, line);
            }
        });
        self.put(b"\",\"city\":\"");
        size += self.measured(|line| line.extend_from_slice(draw.one_of(&CITIES).as_bytes()));
        self.put(b"\",\"state\":\"");
        size += self.measured(|line| line.extend_from_slice(draw.one_of(&STATES).as_bytes()));
        self.put(b"\"");
        self.instant(b",\"dateTime\":\"", at);
        self.put(b"\",\"extra\":\"");
        draw.filler(size, 200, &mut self.line);
    }

    fn auction(&mut self, i: u64, at: i64, draw: &mut Draw) {
        let hot = draw.is_most(4);
        let seller = FIRST_ID + if hot { last_person(i) / HOT * HOT } else { some_person(i, draw) };
        let category = 10 + draw.below(5);
        let initial = draw.price();
        // So long as it takes until as many have been opened as are in flight, on average.
        let horizon = (IN_FLIGHT * TURN / AUCTIONS) * 1000 / self.shape.rate;
        let expires = at + 1 + draw.below((horizon * 2).max(1)).cast_signed();
        self.number(b"{\"id\":", FIRST_ID + last_auction(i));
        self.put(b",\"itemName\":\"");
        let mut size = 8 + 40;
        size += self.measured(|line| draw.word(20, b' ', line));
        self.put(b"\",\"description\":\"");
        size += self.measured(|line| draw.word(100, b' ', line));
        let reserve = initial + draw.price();
        self.number(b"\",\"initialBid\":", initial);
        self.number(b",\"reserve\":", reserve);
        self.instant(b",\"dateTime\":\"", at);
        self.instant(b"\",\"expires\":\"", expires);
        self.number(b"\",\"seller\":", seller);
        self.number(b",\"category\":", category);
        self.put(b",\"extra\":\"");
        draw.filler(size, 500, &mut self.line);
    }

    fn bid(&mut self, i: u64, at: i64, draw: &mut Draw) {
        let hot = draw.is_most(2);
        let auction = if hot { last_auction(i) / HOT * HOT } else { some_auction(i, draw) };
        let hot = draw.is_most(4);
        let bidder = if hot { last_person(i) / HOT * HOT + 1 } else { some_person(i, draw) };
        let price = draw.price();
        self.number(b"{\"auction\":", FIRST_ID + auction);
        self.number(b",\"bidder\":", FIRST_ID + bidder);
        self.number(b",\"price\":", price);
        let (channel, url) = if draw.is_most(2) {
            let hot = draw.below(HOT_CHANNELS.len() as u64) as usize;
            (HOT_CHANNELS[hot].as_bytes(), &self.hot_urls[hot])
        } else {
            let (channel, url) = &self.channels[draw.below(CHANNELS.into()) as usize];
            (channel.as_slice(), url)
        };
        let texts: [&[u8]; 4] = [b",\"channel\":\"", channel, b"\",\"url\":\"", url];
        texts.iter().for_each(|text| self.line.extend_from_slice(text));
        self.instant(b"\",\"dateTime\":\"", at);
        self.put(b"\",\"extra\":\"");
        draw.filler(32, 100, &mut self.line);
    }

    fn put(&mut self, text: &[u8]) {
        self.line.extend_from_slice(text);
    }

    fn number(&mut self, before: &[u8], value: u64) {
        self.put(before);
        number(value, &mut self.line);
    }

    fn instant(&mut self, before: &[u8], ms: i64) {
        self.line.extend_from_slice(before);
        self.instants.write(ms, &mut self.line);
    }

    /// How many bytes `write` appends.
    fn measured(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let before = self.line.len();
        write(&mut self.line);
        self.line.len() - before
    }
}

/// The number of the last person that there is at event `i`: each turn begins with one.
fn last_person(i: u64) -> u64 {
    i / TURN
}

/// The number of the last auction.
fn last_auction(i: u64) -> u64 {
    let (turn, of_turn) = (i / TURN, i % TURN);
    match of_turn.checked_sub(PEOPLE) {
        // This turn's auctions are yet to come: it is the last of the turn before.
        None => (turn * AUCTIONS).saturating_sub(1),
        Some(nth) => turn * AUCTIONS + nth.min(AUCTIONS - 1),
    }
}

fn some_person(i: u64, draw: &mut Draw) -> u64 {
    let count = last_person(i) + 1;
    let active = count.min(ACTIVE_PEOPLE);
    count - active + draw.below(active + LEAD)
}

fn some_auction(i: u64, draw: &mut Draw) -> u64 {
    let last = last_auction(i);
    let first = last.saturating_sub(IN_FLIGHT);
    first + draw.below(last - first + 1 + LEAD)
}

fn url(draw: &mut Draw) -> Vec<u8> {
    let mut url = b"https://www.nexmark.com/".to_vec();
    for _ in 0..3 {
        draw.word(5, b'_', &mut url);
        url.push(b'/');
    }
    url.extend_from_slice(b"item.htm?query=1");
    url
}

/// Writes so many events into `dir/{person,auction,bid}/part-{0,1}.json`.
pub fn generate(shape: Shape, events: u64, dir: &Path, observer: &dyn Observer) -> Result<()> {
    let mut files = Vec::with_capacity(Kind::ALL.len());
    for kind in Kind::ALL {
        let folder = dir.join(kind.name());
        fs::create_dir_all(&folder).map_err(BenchError::file("make", &folder))?;
        let mut parts = Vec::with_capacity(PARTS);
        for part in 0..PARTS {
            let path = folder.join(format!("part-{part}.json"));
            let file = File::create(&path).map_err(BenchError::file("write", &path))?;
            parts.push((BufWriter::with_capacity(1 << 18, file), path));
        }
        files.push((0, parts));
    }
    let mut generator = Events::new(shape);
    for i in 0..events {
        if i.is_multiple_of(LOOK) {
            observer.note(&format!("generating events: {} %", i * 100 / events));
            observer.go_on()?;
        }
        let (kind, line) = generator.event(i);
        let (count, parts) = &mut files[kind as usize];
        let (file, path) = &mut parts[*count % PARTS];
        *count += 1;
        file.write_all(line).map_err(BenchError::file("write", path))?;
    }
    for (file, path) in files.iter_mut().flat_map(|(_, parts)| parts) {
        file.flush().map_err(BenchError::file("write", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Unobserved;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn the_events_are_the_same_on_every_machine() {
        let dir = tempfile::tempdir().unwrap();
        generate(Shape::default(), 20_000, dir.path(), &Unobserved).unwrap();
        let sum = |kind: Kind, part: usize| {
            let path = dir.path().join(kind.name()).join(format!("part-{part}.json"));
            xxh3_64(&fs::read(path).unwrap())
        };
        let sums: Vec<[u64; 2]> = Kind::ALL.iter().map(|k| [sum(*k, 0), sum(*k, 1)]).collect();
        assert_eq!(sums, SUMS, "{sums:#x?}");
    }

    /// Of the files with 20,000 events of the default shape.
    const SUMS: [[u64; 2]; 3] = [
        [0x1655_cfc9_333a_adf6, 0x47f6_e0c8_bb21_f6c3],
        [0xd311_4e8e_786f_b0e7, 0xbba7_4aa1_51bf_1739],
        [0x75a1_fe7c_5ee3_3e24, 0xc35e_0683_e73c_c5a7],
    ];

    #[test]
    fn more_events_begin_with_the_same_ones() {
        let mut events = Events::new(Shape::default());
        let first = events.event(777).1.to_vec();
        assert_eq!(Events::new(Shape::default()).event(777).1, first);
        let text = String::from_utf8(first).unwrap();
        assert!(text.starts_with("{\"auction\":10") && text.ends_with("\"}\n"), "{text}");
    }

    #[test]
    fn of_fifty_events_one_is_a_person_and_three_are_auctions() {
        let mut events = Events::new(Shape::default());
        let mut counts = [0; 3];
        for i in 0..5000 {
            assert_eq!(Kind::ALL.map(|kind| kind.count(i)), counts);
            let (kind, line) = events.event(i);
            counts[kind as usize] += 1;
            let record: serde_json::Value = serde_json::from_slice(line).unwrap();
            let id = if kind == Kind::Bid { "auction" } else { "id" };
            assert!(record[id].as_u64().unwrap() >= FIRST_ID, "{record}");
        }
        assert_eq!(counts, [100, 300, 4600]);
    }
}
