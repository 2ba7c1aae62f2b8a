//! A place in JSON text, and how it moves: RFC 8259 to the letter, within one line.
//!
//! A record never spans lines, so a newline is an error everywhere here, and what a broken line
//! does to the next is: nothing.

use std::borrow::Cow;

/// Values nested deeper than this are refused.
const MAX_DEPTH: usize = 128;

/// What is wrong with a record, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The byte of the text that it is about.
    pub(super) at: usize,
    /// What is wrong, in words for the user.
    pub(super) reason: String,
}

/// A number as it is written.
pub(super) struct Number<'a> {
    pub(super) text: &'a str,
    /// Its value, if it is written without fraction and exponent and fits.
    pub(super) whole: Option<i64>,
}

/// A place in a text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Cursor { text, at }
    }

    /// Another cursor over the same text.
    pub(super) fn moved(&self, at: usize) -> Cursor<'a> {
        Cursor { text: self.text, at }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over blanks of a line.
    #[inline]
    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    /// Steps over `text` if it comes next.
    #[inline]
    pub(super) fn take_all(&mut self, text: &[u8]) -> bool {
        let here = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(text));
        self.at += if here { text.len() } else { 0 };
        here
    }

    /// The text from `start` to here; both are at ASCII characters.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A fault at this place.
    #[cold]
    pub(super) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault { at: self.at, reason: reason.into() }
    }

    /// "expected …, found …" at this place.
    #[cold]
    pub(super) fn expected(&self, what: &str) -> Fault {
        self.fault(format!("expected {what}, found {}", self.found()))
    }

    /// The next character in words.
    fn found(&self) -> String {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None | Some('\n') => "the end of the line".into(),
            Some(c) if c.is_control() => format!("the control character U+{:04X}", u32::from(c)),
            Some(c) => format!("'{c}'"),
        }
    }

    /// `:` after a key, and the blanks around it.
    #[inline]
    pub(super) fn colon(&mut self) -> Result<(), Fault> {
        self.space();
        if !self.take(b':') {
            return Err(self.expected("':' after the key"));
        }
        self.space();
        Ok(())
    }

    /// After a value in an object or list: true = `,` and another follows, false = `close`.
    #[inline]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Fault> {
        self.space();
        if self.take(b',') {
            self.space();
            return Ok(true);
        }
        if self.take(close) {
            return Ok(false);
        }
        Err(self.expected(if close == b'}' {
            "',' or '}' after a value"
        } else {
            "',' or ']' after a value"
        }))
    }

    /// `true`, `false` or `null`.
    pub(super) fn literal(&mut self, word: &'static str) -> Result<(), Fault> {
        if self.take_all(word.as_bytes()) { Ok(()) } else { Err(self.expected("a value")) }
    }

    /// The number that starts here.
    #[inline]
    pub(super) fn number(&mut self) -> Result<Number<'a>, Fault> {
        let start = self.at;
        let negative = self.take(b'-');
        let first = self.at;
        let mut value = 0i64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 {
            return Err(self.expected("a digit"));
        }
        if digits > 1 && self.text.as_bytes().get(first) == Some(&b'0') {
            self.at = first;
            return Err(self.fault("a number may not begin with 0"));
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            self.fraction()?;
            return Ok(Number { text: self.since(start), whole: None });
        }
        let text = self.since(start);
        // 18 digits cannot have wrapped.
        let whole =
            if digits <= 18 { Some(if negative { -value } else { value }) } else { text.parse().ok() };
        Ok(Number { text, whole })
    }

    fn fraction(&mut self) -> Result<(), Fault> {
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// Appends the string that starts here (at its `"`) to `out`, escapes resolved.
    #[inline]
    pub(super) fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = self.at + 1;
        self.at = special(self.text.as_bytes(), start);
        if self.peek() == Some(b'"') {
            out.extend_from_slice(self.text.as_bytes().get(start..self.at).unwrap_or_default());
            self.at += 1;
            return Ok(());
        }
        self.escaped_into(start, out)
    }

    /// The same for a string whose first special byte (here) is not its end.
    #[cold]
    fn escaped_into(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut plain = start;
        loop {
            out.extend_from_slice(self.text.as_bytes().get(plain..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let mut utf8 = [0; 4];
                    out.extend_from_slice(self.escape()?.encode_utf8(&mut utf8).as_bytes());
                }
                None | Some(b'\n') => {
                    self.at = start - 1;
                    return Err(self.fault("the string that begins here is not closed"));
                }
                Some(_) => {
                    return Err(self.fault(format!("{} must be escaped in a string", self.found())));
                }
            }
            plain = self.at;
            self.at = special(self.text.as_bytes(), plain);
        }
    }

    /// The character that the escape here stands for.
    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        self.at += 1;
        let escaped = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let high = self.hex()?;
                let low =
                    if matches!(high, 0xD800..0xDC00) && self.take_all(b"\\u") { self.hex()? } else { 0 };
                let code = match (high, low) {
                    (0xD800..0xDC00, 0xDC00..0xE000) => 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00),
                    _ => high,
                };
                return char::from_u32(code).ok_or_else(|| Fault {
                    at: start,
                    reason: format!("\\u{high:04x} is half of a pair of escapes, the other half is missing"),
                });
            }
            _ => return Err(self.expected("an escape such as \\n or \\u00e9")),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            value = value * 16 + digit.ok_or_else(|| self.expected("four hexadecimal digits after \\u"))?;
            self.at += 1;
        }
        Ok(value)
    }

    /// The string that starts here (at its `"`).
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at + 1;
        self.at = special(self.text.as_bytes(), start);
        if self.peek() == Some(b'"') {
            let text = self.since(start);
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut out = Vec::new();
        self.escaped_into(start, &mut out)?;
        String::from_utf8(out).map(Cow::Owned).map_err(|_| self.fault("the string is not UTF-8"))
    }

    /// Steps over the value that starts here, whatever it is, and gives its text.
    pub(super) fn value(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        self.skip(0)?;
        Ok(self.since(start))
    }

    fn skip(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'{' | b'[') if depth == MAX_DEPTH => {
                Err(self.fault(format!("values are nested more than {MAX_DEPTH} deep")))
            }
            Some(b'{') => self.skip_object(depth),
            Some(b'[') => {
                self.at += 1;
                self.space();
                let mut more = !self.take(b']');
                while more {
                    self.skip(depth + 1)?;
                    more = self.more(b']')?;
                }
                Ok(())
            }
            _ => Err(self.expected("a value")),
        }
    }

    fn skip_object(&mut self, depth: usize) -> Result<(), Fault> {
        self.at += 1;
        self.space();
        let mut more = !self.take(b'}');
        while more {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in double quotes"));
            }
            self.skip_string()?;
            self.colon()?;
            self.skip(depth + 1)?;
            more = self.more(b'}')?;
        }
        Ok(())
    }

    fn skip_string(&mut self) -> Result<(), Fault> {
        let start = self.at + 1;
        self.at = special(self.text.as_bytes(), start);
        if self.take(b'"') {
            return Ok(());
        }
        // Rare: the copy is thrown away, its checks are not.
        self.escaped_into(start, &mut Vec::new())
    }
}

/// Where the first `"`, `\` or control character at or after `at` is, eight bytes at a time, and in long texts 32.
#[inline]
fn special(text: &[u8], mut at: usize) -> usize {
    // Without a way out of the loop over the bytes, the compiler makes a few vector instructions of it.
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
        let marks = chunk.iter().fold(false, |found, b| found | (*b == b'"') | (*b == b'\\') | (*b < 0x20));
        if marks {
            break;
        }
        at += 32;
    }
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // In `(word - c) & !word & HIGH` the lowest marked byte is exact: borrows only run upwards.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = zero(word ^ (ONES * 0x22));
        let escape = zero(word ^ (ONES * 0x5C));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let marks = quote | escape | control;
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn special_finds_the_first(text in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), Just(0x1f), Just(b'!'), Just(b' '), Just(0x7f), any::<u8>()], 0..40), at in 0usize..8) {
            let at = at.min(text.len());
            let slow = text[at..].iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).map_or(text.len(), |p| at + p);
            prop_assert_eq!(special(&text, at), slow);
        }

        #[test]
        fn a_value_is_accepted_exactly_when_a_json_parser_accepts_it(text in "[-0-9.eE+\\[\\]{}:,\"a\\\\utrfnlse \\x01]{0,12}") {
            let mut cursor = Cursor::new(&text, 0);
            let ours = cursor.value().is_ok() && { cursor.space(); cursor.at == text.len() };
            let trimmed = text.trim_start();
            // The other parser turns numbers beyond a double's range down; they are valid JSON.
            if trimmed.len() == text.len() && !text.contains(['e', 'E']) {
                prop_assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn strings_come_back(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let mut cursor = Cursor::new(&json, 0);
            let read = cursor.string().unwrap();
            prop_assert_eq!(read.as_ref(), text.as_str());
            let mut bytes = Vec::new();
            Cursor::new(&json, 0).string_into(&mut bytes).unwrap();
            prop_assert_eq!(bytes, text.into_bytes());
            prop_assert_eq!(Cursor::new(&json, 0).value().unwrap(), json.as_str());
        }
    }

    #[test]
    fn faults_name_the_place() {
        for (text, at, reason) in [
            ("", 0, "expected a value, found the end of the line"),
            ("[1 2]", 3, "expected ',' or ']' after a value, found '2'"),
            ("[1,]", 3, "expected a value, found ']'"),
            ("{\"a\" 1}", 5, "expected ':' after the key, found '1'"),
            ("{a:1}", 1, "expected a key in double quotes, found 'a'"),
            ("\"abc", 0, "the string that begins here is not closed"),
            ("\"ab\nc\"", 0, "the string that begins here is not closed"),
            ("\"a\tb\"", 2, "the control character U+0009 must be escaped in a string"),
            ("\"\\ud800x\"", 1, "\\ud800 is half of a pair of escapes, the other half is missing"),
            ("\"\\x\"", 2, "expected an escape such as \\n or \\u00e9, found 'x'"),
            ("01", 0, "a number may not begin with 0"),
            ("1.", 2, "expected a digit, found the end of the line"),
            ("-a", 1, "expected a digit, found 'a'"),
            ("nul", 0, "expected a value, found 'n'"),
        ] {
            let fault = Cursor::new(text, 0).value().unwrap_err();
            assert_eq!((fault.at, fault.reason.as_str()), (at, reason), "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert_eq!(Cursor::new(&deep, 0).value().unwrap_err().at, MAX_DEPTH);
    }
}
