//! Lines for people, broken between words where the screen ends.

use unicode_width::UnicodeWidthStr;

/// A line as lines that are at most `width` wide, each with its line feed; those behind the first begin with `indent`
/// blanks. The line's own blanks stay; a word that is wider than the screen is left to the terminal.
pub(in crate::cli) fn wrapped(line: &str, width: usize, indent: usize) -> String {
    let mut text = String::new();
    let (mut wide, mut begun) = (0, false);
    for word in line.split_inclusive(' ') {
        let bare = word.trim_end_matches(' ');
        if begun && wide + bare.width() > width && !bare.is_empty() {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            wide = indent;
        }
        text.push_str(word);
        wide += word.width();
        begun |= !bare.is_empty();
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 80, 2), "one two three\n");
        assert_eq!(wrapped("one two three", 8, 2), "one two\n  three\n");
        assert_eq!(wrapped("  a   does it all", 12, 6), "  a   does\n      it all\n");
        assert_eq!(wrapped("a verylongword b", 6, 0), "a\nverylongword\nb\n");
        assert_eq!(wrapped("", 6, 0), "\n");
    }
}
