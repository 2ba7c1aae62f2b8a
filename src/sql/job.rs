//! Statements about jobs: `SHOW JOBS`, `DESCRIBE JOB j`, `PAUSE | RESUME | STOP | RESTART | CHECKPOINT JOB j`, `EXPLAIN WAITING j`.
//!
//! A job's name may be written with its dots, `PAUSE JOB board.hourly`, or in quotes of either kind.

use super::cursor::Cursor;
use super::diagnostic::Diagnostic;
use super::statement::{JobVerb, Name, Statement};
use super::words::unquoted;
use sqlparser::tokenizer::Token;

/// The verbs, by the words that they are written with.
const VERBS: [(&str, JobVerb); 5] = [
    ("PAUSE", JobVerb::Pause),
    ("RESUME", JobVerb::Resume),
    ("STOP", JobVerb::Stop),
    ("RESTART", JobVerb::Restart),
    ("CHECKPOINT", JobVerb::Checkpoint),
];

/// A statement that tells a job something.
pub(super) fn told(cursor: &mut Cursor<'_>) -> Result<Statement, Diagnostic> {
    let word = unquoted(&cursor.peek().token).map(str::to_ascii_uppercase);
    let verb = VERBS.iter().find(|(verb, _)| Some(*verb) == word.as_deref());
    let Some((_, verb)) = verb else { return Err(cursor.expected("a statement")) };
    cursor.parser.advance_token();
    if !cursor.eat(&["JOB"]) {
        let mistake = cursor.expected("JOB");
        let word = word.unwrap_or_default();
        let named = matches!(cursor.peek().token, Token::Word(_) | Token::SingleQuotedString(_));
        let name = if named { cursor.shown() } else { "name".into() };
        return Err(mistake.help(format!("write {word} JOB {name}")));
    }
    Ok(Statement::Job { verb: *verb, name: name(cursor)? })
}

/// Whether a job's name follows these words.
pub(super) fn follows(cursor: &Cursor<'_>, words: &[&str]) -> bool {
    let named = |token: &Token| matches!(token, Token::Word(_) | Token::SingleQuotedString(_));
    cursor.sees_all(words) && named(&cursor.parser.peek_nth_token_ref(words.len()).token)
}

/// A job's name.
pub(super) fn name(cursor: &mut Cursor<'_>) -> Result<Name, Diagnostic> {
    let place = cursor.here();
    let mut value = String::new();
    loop {
        match &cursor.peek().token {
            Token::Word(word) if word.quote_style.is_some() => value.push_str(&word.value),
            Token::Word(word) => value.push_str(&word.value.to_ascii_lowercase()),
            Token::SingleQuotedString(text) => value.push_str(text),
            _ => return Err(cursor.expected("a job")),
        }
        cursor.parser.advance_token();
        // The second of several jobs into one stream is numbered: board.hourly.2
        if let Token::Number(number, _) = &cursor.peek().token
            && number.starts_with('.')
        {
            value.push_str(number);
            cursor.parser.advance_token();
        }
        if !cursor.parser.consume_token(&Token::Period) {
            return Ok(Name { value, span: place.start..cursor.last_end() });
        }
        value.push('.');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse;

    fn one(sql: &str) -> Statement {
        parse(sql).unwrap().remove(0).statement
    }

    #[test]
    fn jobs_are_named_with_dots_or_in_quotes() {
        for (sql, expected) in [
            ("PAUSE JOB board.hourly", "board.hourly"),
            ("PAUSE JOB Board.Hourly.2;", "board.hourly.2"),
            ("PAUSE JOB \"Board.x-y\"", "Board.x-y"),
            ("PAUSE JOB 'my file.t'", "my file.t"),
            ("pause job \"My\".t", "My.t"),
        ] {
            let Statement::Job { verb: JobVerb::Pause, name } = one(sql) else { panic!("{sql}") };
            assert_eq!((name.value.as_str(), name.span.start), (expected, 10), "{sql}");
        }
        for (sql, verb) in [
            ("RESUME JOB j", JobVerb::Resume),
            ("STOP JOB j", JobVerb::Stop),
            ("RESTART JOB j", JobVerb::Restart),
            ("CHECKPOINT JOB j", JobVerb::Checkpoint),
        ] {
            assert!(matches!(one(sql), Statement::Job { verb: v, .. } if v == verb), "{sql}");
        }
    }

    #[test]
    fn streams_may_have_the_names_of_such_words() {
        assert!(matches!(one("DESCRIBE job"), Statement::Describe(name) if name.value == "job"));
        assert!(matches!(one("DESCRIBE JOB job"), Statement::DescribeJob(name) if name.value == "job"));
        assert!(matches!(one("EXPLAIN WAITING w.j"), Statement::ExplainWaiting(name) if name.value == "w.j"));
        assert!(matches!(one("SHOW JOBS"), Statement::ShowJobs));
        assert!(parse("PAUSE j").is_err() && parse("PAUSE JOB").is_err() && parse("PAUSE JOB a.").is_err());
    }
}
