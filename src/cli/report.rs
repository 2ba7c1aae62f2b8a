//! Shows a mistake in SQL as compilers do: the message, the line, a caret, what to write instead.
//!
//! ```text
//! error: there is no column "orgin"
//!  --> board.sql:3:8
//!   |
//! 3 | SELECT orgin FROM departures;
//!   |        ^^^^^ not in departures
//!   |
//!   = help: did you mean "origin"?
//! ```

use crate::cli::terminal::Screen;
use crate::engine::EngineError;
use crate::sql::Diagnostic;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// Renders `diagnostic` against the text it is about, which came from `name` (a file, or what stands
/// for one). Ends in a newline. A span that does not fit the text is moved to where it does.
pub fn render(diagnostic: &Diagnostic, name: &str, source: &str, screen: Screen) -> String {
    leveled(Level::ERROR, diagnostic, name, source, screen)
}

/// The same for what is done, but may not be what was meant.
pub fn warning(diagnostic: &Diagnostic, name: &str, source: &str, screen: Screen) -> String {
    leveled(Level::WARNING, diagnostic, name, source, screen)
}

fn leveled(
    level: Level<'static>,
    diagnostic: &Diagnostic,
    name: &str,
    source: &str,
    screen: Screen,
) -> String {
    let title = level.primary_title(diagnostic.message.as_str());
    let mut group = Group::with_title(match diagnostic.code {
        Some(code) => title.id(code.id()),
        None => title,
    });
    if let Some(span) = &diagnostic.span {
        let mark = AnnotationKind::Primary.span(within(source, span)).label(diagnostic.label.as_deref());
        group = group.element(Snippet::source(source).path(name).annotation(mark));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    if let Some(note) = &diagnostic.note {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    let renderer = if screen.colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = match screen.width {
        Some(width) => renderer.term_width(width),
        None => renderer,
    };
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

/// A failure that is not about SQL: `error: …`, in the same look.
pub fn failure(message: &str, screen: Screen) -> String {
    render(&Diagnostic::new(message), "", "", screen)
}

/// A failure of what ran, with its code and its place in the text, which came from `name`.
pub fn error(error: &EngineError, name: &str, screen: Screen) -> String {
    render(&error.told(), name, error.text().unwrap_or_default(), screen)
}

/// The part of `span` that lies in `source`, on whole characters.
fn within(source: &str, span: &Range<usize>) -> Range<usize> {
    let mut start = span.start.min(source.len());
    while !source.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, source.len());
    while !source.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(diagnostic: &Diagnostic, source: &str) -> String {
        render(diagnostic, "board.sql", source, Screen::default())
    }

    fn at(source: &str, word: &str) -> Range<usize> {
        let start = source.find(word).unwrap();
        start..start + word.len()
    }

    #[test]
    fn a_whole_report() {
        let source = "-- the board\nSELECT orgin\nFROM departures;\n";
        let diagnostic = Diagnostic::new("there is no column \"orgin\"")
            .at(at(source, "orgin"))
            .label("not in departures")
            .help("did you mean \"origin\"?")
            .note("departures has the columns event_time, origin");
        let expected = "\
error: there is no column \"orgin\"
 --> board.sql:2:8
  |
2 | SELECT orgin
  |        ^^^^^ not in departures
  |
  = help: did you mean \"origin\"?
  = note: departures has the columns event_time, origin
";
        assert_eq!(plain(&diagnostic, source), expected);
    }

    #[test]
    fn places_in_difficult_text() {
        for (source, word, expected) in [
            // The caret stands below the character, however many bytes lie before it.
            (
                "SELECT 'Zürich 東京', x",
                "x",
                " --> board.sql:1:21\n  |\n1 | SELECT 'Zürich 東京', x\n  |                       ^\n",
            ),
            ("\tSELECT x", "x", " --> board.sql:1:9\n  |\n1 |     SELECT x\n  |            ^\n"),
            ("SELECT 1;\r\nSELECT x\r\n", "x", " --> board.sql:2:8\n  |\n2 | SELECT x\n  |        ^\n"),
        ] {
            let text = plain(&Diagnostic::new("no").at(at(source, word)), source);
            assert_eq!(text, format!("error: no\n{expected}"), "{source:?}");
        }
    }

    #[test]
    fn the_end_of_the_text_has_a_caret_too() {
        let source = "SELECT 1 +";
        let text = plain(&Diagnostic::new("the statement ends here").at(10..10), source);
        assert_eq!(
            text,
            "error: the statement ends here\n --> board.sql:1:11\n  |\n1 | SELECT 1 +\n  |           ^\n"
        );
        let text = plain(&Diagnostic::new("nothing to run").at(0..0), "");
        assert_eq!(text, "error: nothing to run\n --> board.sql:1:1\n  |\n1 |\n  | ^\n");
        // Behind the text, or within a character: moved to where a caret can stand.
        assert_eq!(within("é", &(1..1)), 0..2);
        assert_eq!(within("ab", &(7..9)), 2..2);
    }

    #[test]
    fn without_a_place_there_is_only_the_message() {
        assert_eq!(
            plain(&Diagnostic::new("disk full").help("free some space"), "SELECT 1"),
            "error: disk full\n |\n = help: free some space\n"
        );
        assert_eq!(failure("disk full", Screen::default()), "error: disk full\n");
        let full = Diagnostic::new("disk nearly full");
        assert_eq!(warning(&full, "", "SELECT 1", Screen::default()), "warning: disk nearly full\n");
    }

    #[test]
    fn colour_only_where_it_is_welcome() {
        let diagnostic = Diagnostic::new("no").at(0..1);
        let coloured = render(&diagnostic, "f", "x", Screen { width: Some(80), colour: true });
        assert!(coloured.contains('\u{1b}'));
        assert!(!plain(&diagnostic, "x").contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn no_span_in_no_text_panics(source in "[a-zé東\t\r\n ']{0,40}", start in 0usize..60, length in 0usize..60) {
            for screen in [Screen::default(), Screen { width: Some(20), colour: true }] {
                let diagnostic = Diagnostic::new("no").at(start..start + length).label("here");
                let text = render(&diagnostic, "f.sql", &source, screen);
                prop_assert!(text.contains("no"));
            }
        }
    }
}
