//! Words: comparing them as SQL does, and finding the one that was probably meant.

use super::statement::Name;
use sqlparser::ast::Ident;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use std::ops::Range;

/// The clause words of a query: what a misspelt word after a complete expression may have been.
pub(super) const CLAUSES: &[&str] = &[
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "CROSS",
    "WINDOW",
    "QUALIFY",
    "SELECT",
    "VALUES",
    "USING",
    "EMIT",
];

/// The nearest of some words to a word that is none of them, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    among
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance > 0 && *distance <= allowed(&word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// One slip in three letters: any more and the guess would be noise.
fn allowed(word: &str, candidate: &str) -> usize {
    let shorter = word.chars().count().min(candidate.chars().count());
    (shorter / 3).max(usize::from(shorter > 1))
}

/// "did you mean X?" for the nearest word.
pub(super) fn did_you_mean<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, among).map(|candidate| format!("did you mean {candidate}?"))
}

/// Whether a token is this word, unquoted, in any case.
pub(super) fn is_word(token: &Token, word: &str) -> bool {
    unquoted(token).is_some_and(|value| value.eq_ignore_ascii_case(word))
}

/// The text of an unquoted word.
pub(super) fn unquoted(token: &Token) -> Option<&str> {
    match token {
        Token::Word(Word { value, quote_style: None, .. }) => Some(value),
        _ => None,
    }
}

/// Whether the tokens from `at` on begin with these unquoted words.
pub(super) fn words_at(tokens: &[TokenWithSpan], at: usize, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(i, word)| tokens.get(at + i).is_some_and(|t| is_word(&t.token, word)))
}

/// An identifier's value, folded as in Postgres.
pub fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// Whether an identifier is this (lower-case) name.
pub(super) fn names(ident: &Ident, name: &str) -> bool {
    match ident.quote_style {
        Some(_) => ident.value == name,
        None => ident.value.eq_ignore_ascii_case(name),
    }
}

/// An identifier as a name with its place.
pub(super) fn name(ident: &Ident, span: Range<usize>) -> Name {
    Name { value: folded(ident), span }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(nearest("FORM", CLAUSES.iter().copied()), Some("FROM"));
        assert_eq!(nearest("emits", CLAUSES.iter().copied()), Some("EMIT"));
        assert_eq!(nearest("GRUOP", CLAUSES.iter().copied()), Some("GROUP"));
        assert_eq!(nearest("FROM", CLAUSES.iter().copied()), None, "the word itself is no suggestion");
        assert_eq!(nearest("banana", CLAUSES.iter().copied()), None);
        assert_eq!(nearest("", CLAUSES.iter().copied()), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
