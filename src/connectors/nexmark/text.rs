//! Columns of random text, written into one buffer each.

use super::random::{Draw, Draws};
use super::words::{CITIES, FIRST_NAMES, LAST_NAMES, STATES};
use arrow::array::StringArray;
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::error::ArrowError;

/// The shortest random word.
const SHORTEST: u64 = 3;

/// A text column in the making.
pub(super) struct Texts {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
    begun: usize,
}

impl Texts {
    pub(super) fn with_capacity(rows: usize, bytes: usize) -> Self {
        Texts { bytes: Vec::with_capacity(rows * bytes), lengths: Vec::with_capacity(rows), begun: 0 }
    }

    /// Adds to the row's text.
    pub(super) fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Adds the digits of a number, at least `width` of them.
    pub(super) fn push_number(&mut self, mut number: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        while number > 0 || digits.len() - at < width.max(1) {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.bytes.extend_from_slice(&digits[at..]);
    }

    /// Adds a word of `length` small letters, among them, but not at its ends, `other` about once in 13.
    pub(super) fn push_word(&mut self, length: u64, other: u8, draw: &mut Draw) {
        let (mut bits, mut left) = (0, 0);
        for i in 0..length {
            if left == 0 {
                (bits, left) = (draw.bits(), 8);
            }
            let byte = bits & 255;
            let inside = i > 0 && i + 1 < length;
            self.bytes.push(if inside && byte < 20 { other } else { b'a' + (byte * 26 / 256) as u8 });
            bits >>= 8;
            left -= 1;
        }
    }

    /// Adds `length` small letters.
    pub(super) fn push_letters(&mut self, length: u64, draw: &mut Draw) {
        let (mut bits, mut left) = (0, 0);
        for _ in 0..length {
            if left == 0 {
                (bits, left) = (draw.bits(), 12);
            }
            self.bytes.push(b'a' + ((bits & 31) * 26 / 32) as u8);
            bits >>= 5;
            left -= 1;
        }
    }

    /// The row's text is whole.
    pub(super) fn end_row(&mut self) {
        self.lengths.push(self.bytes.len() - self.begun);
        self.begun = self.bytes.len();
    }

    pub(super) fn finish(self) -> Result<StringArray, ArrowError> {
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        StringArray::try_new(offsets, Buffer::from_vec(self.bytes), None)
    }
}

/// How long a random word is that has less than `most` letters.
pub(super) fn word_length(draw: &mut Draw, most: u64) -> u64 {
    SHORTEST + draw.below(most - SHORTEST)
}

/// How much filler brings a row of `size` bytes near to the average size of its kind.
pub(super) fn filler_length(draw: &mut Draw, size: u64, average: u64) -> u64 {
    let missing = average.saturating_sub(size);
    let spread = (missing + 2) / 5;
    missing - spread + draw.below(2 * spread)
}

/// How many channels there are besides the four that everybody uses.
const CHANNELS: u64 = 10_000;
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// Where a bid came from: one of four in half of the cases, else one of very many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel(u64);

impl Channel {
    pub(super) fn draw(mut draw: Draw) -> Self {
        Channel(if draw.below(2) > 0 { CHANNELS + draw.below(4) } else { draw.below(CHANNELS) })
    }

    fn hot(self) -> Option<&'static str> {
        HOT_CHANNELS.get(self.0.checked_sub(CHANNELS)? as usize).copied()
    }

    pub(super) fn push_name(self, to: &mut Texts) {
        match self.hot() {
            Some(name) => to.push(name),
            None => {
                to.push("channel-");
                to.push_number(self.0, 1);
            }
        }
    }

    /// A channel's url is always the same; nine of ten that are not hot have an id in it.
    pub(super) fn push_url(self, urls: Draws, to: &mut Texts) {
        let mut draw = urls.of(self.0);
        to.push("https://www.nexmark.com");
        for _ in 0..3 {
            to.push("/");
            let length = word_length(&mut draw, 5);
            to.push_word(length, b'_', &mut draw);
        }
        to.push("/item.htm?query=1");
        if self.hot().is_none() && draw.below(10) > 0 {
            to.push("&channel_id=");
            to.push_number(u64::from((self.0 as i32).reverse_bits().unsigned_abs()), 1);
        }
    }
}

/// An e-mail address: the lengths of its two words, and the draws for their letters.
pub(super) fn email(draw: &mut Draw) -> (u64, u64) {
    (word_length(draw, 7), word_length(draw, 5))
}

fn one(of: &[&'static str], draw: &mut Draw) -> &'static str {
    of[draw.below(of.len() as u64) as usize]
}

/// First and last name.
pub(super) fn name(mut draw: Draw) -> (&'static str, &'static str) {
    (one(&FIRST_NAMES, &mut draw), one(&LAST_NAMES, &mut draw))
}

pub(super) fn city(mut draw: Draw) -> &'static str {
    one(&CITIES, &mut draw)
}

pub(super) fn state(mut draw: Draw) -> &'static str {
    one(&STATES, &mut draw)
}

#[cfg(test)]
mod tests {
    use super::super::random::Lane;
    use super::*;

    fn draw(event: u64) -> Draw {
        Draws::new(3, Lane::Extra).of(event)
    }

    #[test]
    fn texts_are_rows_of_pieces() {
        let mut texts = Texts::with_capacity(3, 8);
        texts.push("a");
        texts.push_number(7, 4);
        texts.end_row();
        texts.end_row();
        texts.push_number(0, 1);
        texts.push_number(u64::MAX, 1);
        texts.end_row();
        assert_eq!(texts.finish().unwrap(), StringArray::from(vec!["a0007", "", "018446744073709551615"]));
    }

    #[test]
    fn words_have_the_other_letter_inside_only() {
        let mut texts = Texts::with_capacity(1, 100_000);
        for event in 0..5_000 {
            texts.push_word(event % 20, b'_', &mut draw(event));
            texts.end_row();
        }
        let texts = texts.finish().unwrap();
        let mut others = 0;
        for (i, text) in texts.iter().flatten().enumerate() {
            assert_eq!(text.len(), i % 20);
            assert!(!text.starts_with('_') && !text.ends_with('_'), "{text}");
            others += text.matches('_').count();
        }
        assert!((2_800..4_000).contains(&others), "{others}");
    }

    #[test]
    fn fillers_are_near_what_is_missing() {
        let mut sum = 0;
        for event in 0..10_000 {
            let length = filler_length(&mut draw(event), 32, 100);
            assert!((54..82).contains(&length), "{length}");
            sum += length;
        }
        assert!((67..69).contains(&(sum / 10_000)), "{sum}");
        assert_eq!(filler_length(&mut draw(0), 101, 100), 0);
    }

    #[test]
    fn a_channel_keeps_its_url() {
        let urls = Draws::new(1, Lane::Url);
        let texts = |url: bool| {
            let mut texts = Texts::with_capacity(0, 0);
            for event in 0..2_000 {
                let channel = Channel::draw(draw(event % 1_000));
                if url {
                    channel.push_url(urls, &mut texts)
                } else {
                    channel.push_name(&mut texts)
                }
                texts.end_row();
            }
            texts.finish().unwrap()
        };
        let (names, all) = (texts(false), texts(true));
        assert_eq!(all.slice(0, 1000), all.slice(1000, 1000));
        let hot = names.iter().flatten().filter(|name| !name.starts_with("channel-")).count();
        assert!((900..1100).contains(&hot), "{hot}");
        for (name, url) in names.iter().flatten().zip(all.iter().flatten()) {
            assert!(url.starts_with("https://www.nexmark.com/") && url.matches('/').count() == 6, "{url}");
            assert!(name.starts_with("channel-") || url.ends_with("?query=1"), "{name} {url}");
        }
        let with_id = all.iter().flatten().filter(|url| url.contains("&channel_id=")).count();
        assert!((820..980).contains(&with_id), "{with_id}");
    }
}
