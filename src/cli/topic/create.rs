//! `millstream topic create`: a CREATE STREAM without the SQL around it.

use super::Failure;
use crate::cli::run::tell;
use crate::cli::terminal::Screen;
use crate::config::Settings;
use crate::engine::{Engine, EngineError, Outcome, Session, parse_all};

/// Makes a topic.
pub(super) fn create(
    engine: &Engine,
    name: &str,
    columns: &str,
    options: Vec<(String, String)>,
) -> Result<(), Failure> {
    let sql = statement(name, columns, &options);
    let mistake = |mistake| Failure::Sql(Box::new(mistake), "topic create", sql.clone());
    let (statements, wrong) = parse_all(&sql);
    if let Some(wrong) = wrong {
        return Err(mistake(wrong));
    }
    let mut session = Session::new(engine, Settings::default(), None, true);
    for statement in &statements {
        match session.execute(&sql, statement) {
            Ok(Outcome::Notice(notice)) if Screen::stderr().is_terminal() => tell(&notice),
            Ok(_) => {}
            Err(EngineError::Sql(wrong)) => return Err(mistake(wrong)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn statement(name: &str, columns: &str, options: &[(String, String)]) -> String {
    // Quoted, so that the topic is called as it was typed.
    let mut sql = format!("CREATE STREAM \"{}\" ({columns})", name.replace('"', "\"\""));
    if !options.is_empty() {
        let options = options.iter().map(|(name, value)| format!("{name} = '{}'", value.replace('\'', "''")));
        sql.push_str(&format!(" WITH ({})", options.collect::<Vec<_>>().join(", ")));
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_says_what_was_typed() {
        let options = [("codec".to_string(), "it's".to_string()), ("key".to_string(), "a".to_string())];
        assert_eq!(
            statement("My.Topic", "a BIGINT", &options),
            "CREATE STREAM \"My.Topic\" (a BIGINT) WITH (codec = 'it''s', key = 'a')"
        );
        assert_eq!(statement("t", "a INT", &[]), "CREATE STREAM \"t\" (a INT)");
    }
}
