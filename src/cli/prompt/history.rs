//! Where the statements that were typed are kept, and what of them is not.

use crate::engine::{PieceKind, lex};
use std::path::PathBuf;

/// The variable that names the file of the history; set and empty: none is kept.
const VARIABLE: &str = "MILLSTREAM_HISTORY";
/// Statements kept.
pub(super) const MOST: usize = 10_000;
/// Words in the names of options whose values are nobody's business.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
];
/// What stands in their place.
const MASK: &str = "'***'";

/// The file of the history, if one is kept.
pub(super) fn file() -> Option<PathBuf> {
    match std::env::var_os(VARIABLE) {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(path.into()),
        None => std::env::home_dir().map(|home| home.join(".millstream_history")),
    }
}

/// A statement as it is kept: the values of options that are secret are left out, and passwords in addresses.
pub(super) fn kept(text: &str) -> String {
    let pieces = lex(text).pieces;
    let mut kept = String::with_capacity(text.len());
    let mut done = 0;
    for (at, piece) in pieces.iter().enumerate().filter(|(_, p)| p.kind == PieceKind::Text) {
        let value = &text[piece.span.clone()];
        let masked = match at.checked_sub(2).map(|name| (&pieces[name], &pieces[at - 1])) {
            Some((name, sign)) if &text[sign.span.clone()] == "=" && is_secret(&text[name.span.clone()]) => {
                Some(MASK.to_string())
            }
            _ => without_password(value),
        };
        if let Some(masked) = masked {
            kept.push_str(&text[done..piece.span.start]);
            kept.push_str(&masked);
            done = piece.span.end;
        }
    }
    kept.push_str(&text[done..]);
    kept
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|word| name.contains(word))
}

/// `scheme://user:password@host` without the password; `None` = it has none.
fn without_password(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rfind('@')?;
    let colon = rest[..host].find(':')?;
    Some(format!("{scheme}://{}:***{}", &rest[..colon], &rest[host..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        for (text, expected) in [
            ("SELECT 'password' FROM t;", "SELECT 'password' FROM t;"),
            ("WITH (sasl_password = 'x''y', path = 'z')", "WITH (sasl_password = '***', path = 'z')"),
            ("SET api_token='x';", "SET api_token='***';"),
            ("WITH (\"Client_Secret\" = 'x')", "WITH (\"Client_Secret\" = '***')"),
            ("url = 'http://me:pw@host:80/a:b@c'", "url = 'http://me:***@host:80/a:b@c'"),
            ("url = 'http://me@host/'", "url = 'http://me@host/'"),
            ("password = 'not finis", "password = '***'"),
        ] {
            assert_eq!(kept(text), expected);
        }
    }
}
