//! Statements that are looked at and not run: all that is wrong with them, and what is to be warned of.

use super::change::{self, Change, changed_table};
use super::define::{self, Defined, create_stream, forgets};
use super::insert::target;
use super::planning::Stage;
use super::session::{STDIN, check_append_only};
use super::table::{check_inserted, result_key};
use super::{Engine, EngineError, Result, Session};
use crate::catalog::{Definitions, StreamDef};
use crate::plan::Dataflow;
use crate::sql::Code;
use crate::sql::{self, CreateKind, Diagnostic, EmitQuery, Insert, Statement};
use datafusion::logical_expr::LogicalPlan;
use std::sync::Arc;

impl Engine {
    /// Takes over what another directory has defined, without its rows: statements can then be looked at as if here was there.
    pub fn define_as(&self, other: &Engine) -> Result<()> {
        let there = other.definitions()?;
        self.0.catalog.change(|all| *all = there)?;
        Ok(())
    }
}

impl Session {
    /// Looks at a statement as if it was run behind those that were looked at before, and takes over what it defines. Rows
    /// are neither read nor written, and no job starts. To be called over a directory that is thrown away.
    pub fn check_statement(&mut self, source: &str, statement: &Statement) -> Result<()> {
        match statement {
            Statement::CreateStream(create) => {
                let Some(query) = &create.query else {
                    create_stream(&self.engine, source, create, None)?;
                    return Ok(());
                };
                let Some(definitions) = self.known(query)? else { return Ok(()) };
                let (flow, unique) = self.flow(&definitions, source, query)?;
                let key = match create.kind {
                    CreateKind::Stream => {
                        check_append_only(&flow, query, forgets(create))?;
                        None
                    }
                    _ => Some(result_key(create, &flow, &unique, &query.span)?),
                };
                if let Defined::Changed(changed) =
                    create_stream(&self.engine, source, create, Some((&flow, key)))?
                {
                    return Err(changed.refusal(create.name.span.clone()).into());
                }
                self.warn_of_growth(source, &flow, query);
                Ok(())
            }
            Statement::CreateView(create) => define::create_view(&self.engine, source, create).map(drop),
            Statement::Insert(insert) => self.check_insert(source, insert),
            Statement::Update(update) => self.check_change(source, Change::Update(update)),
            Statement::Delete(delete) => self.check_change(source, Change::Delete(delete)),
            Statement::Query(query) => {
                let Some(definitions) = self.known(query)? else { return Ok(()) };
                if query.emit.is_none() {
                    return self.bounded_plan(&definitions, source, query).map(drop);
                }
                let (flow, _) = self.flow(&definitions, source, query)?;
                self.warn_of_growth(source, &flow, query);
                Ok(())
            }
            Statement::Explain(query) => match self.known(query)? {
                Some(definitions) => self.flow(&definitions, source, query).map(drop),
                None => Ok(()),
            },
            Statement::Drop { kind, name, if_exists } => {
                if define::is_there(&self.engine, *kind, name, *if_exists)? {
                    self.engine.0.catalog.change(|all| {
                        all.streams.remove(&name.value);
                        all.views.remove(&name.value);
                    })?;
                }
                Ok(())
            }
            Statement::Describe(name) => super::describe::describe(&self.engine, name).map(drop),
            Statement::ShowSetting(name) => {
                super::describe::show_settings(&self.settings, name.as_ref()).map(drop)
            }
            Statement::Set { .. } | Statement::Reset(_) => {
                let statement = sql::ParsedStatement { statement: statement.clone(), span: 0..source.len() };
                self.execute(source, &statement).map(drop)
            }
            // Which jobs there will be is not known.
            Statement::Show { .. }
            | Statement::ShowJobs
            | Statement::DescribeJob(_)
            | Statement::ExplainWaiting(_)
            | Statement::Job { .. } => Ok(()),
        }
    }

    /// What is defined; nothing if the query reads standard input, whose columns are not known before it is read.
    fn known(&self, query: &EmitQuery) -> Result<Option<Definitions>> {
        let definitions = self.engine.definitions()?;
        let reads = !definitions.streams.contains_key(STDIN) && sql::reads(&query.query, STDIN);
        Ok((!reads).then_some(definitions))
    }

    /// The dataflow of an INSERT's query into `stream`, if that may take its rows.
    pub(super) fn inserted_flow(
        &self,
        definitions: &Definitions,
        source: &str,
        insert: &Insert,
        stream: &StreamDef,
        plan: LogicalPlan,
    ) -> Result<Arc<Dataflow>> {
        let (flow, unique) = self.dataflow(definitions, source, &insert.query, plan)?;
        if stream.is_table() {
            check_inserted(stream, &flow, &unique, &insert.query.span)?;
        } else {
            check_append_only(&flow, &insert.query, stream.connector == "blackhole")?;
        }
        check_other_input(&flow, stream, insert)?;
        Ok(flow)
    }

    fn check_insert(&mut self, source: &str, insert: &Insert) -> Result<()> {
        let Some(definitions) = self.known(&insert.query)? else { return Ok(()) };
        let stream = target(&definitions, &insert.table, "stream")?.clone();
        let plan = self.inserted_plan(&definitions, source, insert, &stream)?;
        if insert.is_values {
            return self
                .check_values(&stream, plan)
                .map_err(|error| self.placed_value(&definitions, source, insert, &stream, error));
        }
        let flow = self.inserted_flow(&definitions, source, insert, &stream, plan)?;
        self.warn_of_growth(source, &flow, &insert.query);
        Ok(())
    }

    fn check_change(&mut self, source: &str, change: Change) -> Result<()> {
        let definitions = self.engine.definitions()?;
        let table = changed_table(&definitions, change)?;
        let plan = change::plan(&self.engine, &definitions, source, table, change)?;
        let typed = self.engine.0.planner.check_types(&plan);
        Ok(typed.map_err(|d| self.placed(&definitions, source, change.query(), Stage::Bounded, d))?)
    }
}

/// Fails for a job that would read what it writes.
fn check_other_input(flow: &Dataflow, stream: &StreamDef, insert: &Insert) -> Result<(), EngineError> {
    if flow.sources.iter().any(|s| s.stream.name == stream.name) {
        let d = Diagnostic::coded(
            Code::NotWritten,
            format!("the query reads \"{}\", the stream that it writes", stream.name),
        );
        return Err(d
            .at(insert.table.span.clone())
            .help("it would read its own rows without end: write to another stream")
            .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::engine::parse_each;

    /// What is wrong with each statement, and what is warned of.
    fn checked(sql: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open_dir(dir.path()).unwrap();
        let mut session = Session::new(&engine, Settings::default(), Some("file"), false);
        let mut told = Vec::new();
        for statement in parse_each(sql) {
            let done =
                statement.map_err(EngineError::from).and_then(|s| session.check_statement(sql, &s.statement));
            told.extend(done.err().map(|e| e.to_string()));
            told.extend(session.take_warnings().iter().map(|w| format!("warning: {w}")));
        }
        assert!(session.jobs().is_empty());
        told
    }

    #[test]
    fn values_and_conditions_are_looked_at_too() {
        let told = checked(
            "CREATE STREAM s (at TIMESTAMP, a SMALLINT NOT NULL, b DECIMAL(5, 2));
            CREATE TABLE k (a BIGINT, c TEXT, PRIMARY KEY (a));
            INSERT INTO s VALUES ('2026-01-31 12:00:00', 1, 99.99);
            INSERT INTO s VALUES ('2026-01-31 12:00:00', 1, 1), ('soon', 1, 1);
            INSERT INTO s (a) VALUES (1), (70000);
            INSERT INTO s (a) VALUES ('x');
            INSERT INTO s (a) VALUES (NULL);
            INSERT INTO s (a, b) VALUES (1, 12345.5);
            INSERT INTO s (a, d) VALUES (1, 2);
            INSERT INTO s VALUES (1);
            INSERT INTO s (a) VALUES ((SELECT max(a) FROM k));
            INSERT INTO s (a) VALUES (e);
            DELETE FROM k WHERE d = 1;
            DELETE FROM k WHERE a + c > 1;
            DELETE FROM k WHERE c LIKE 'x%';
            UPDATE k SET d = 1;
            UPDATE k SET a = 'x' WHERE a = 1;",
        );
        let begins = [
            "'soon' is not a value of type TIMESTAMP",
            "70000 is not a value of type SMALLINT",
            "column \"a\" is SMALLINT, but the value for it is VARCHAR",
            "column \"a\" is NOT NULL, but the value for it is null",
            "12345.50 is too large to store in a DECIMAL of precision 5",
            "stream \"s\" has no column \"d\"",
            "the row has 1 value where 3 are needed",
            "there is no column \"e\"",
            "there is no column \"d\"",
            "+ does not take BIGINT and VARCHAR",
            "table \"k\" has no column \"d\"",
            "column \"a\" is BIGINT, but the query gives VARCHAR",
        ];
        assert_eq!(told.len(), begins.len(), "{told:#?}");
        for (message, begin) in told.iter().zip(begins) {
            assert!(message.starts_with(begin), "{message} does not begin with {begin}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_found_and_nothing_is_run() {
        let sql = "CREATE STREAM s (a BIGINT, b TEXT);
            CREATE STREAM t AS SELECT a FROM s WHERE a > 1;
            INSERT INTO s SELECT a, a > 1 AS c FROM t;
            SELECT nothing FROM s EMIT CHANGES;
            SELEC 1;
            INSERT INTO t VALUES (1);
            CREATE TABLE k (a BIGINT, c BIGINT, PRIMARY KEY (a));
            UPDATE k SET c = d WHERE a = 1;
            DELETE FROM s WHERE a = 1;
            SELECT x.a, y.a AS b FROM s x JOIN s y ON x.a = y.a EMIT CHANGES;
            SET worker = 3;
            DROP STREAM nowhere;
            SELECT count(*) FROM t, k WHERE t.a = k.a;";
        let told = checked(sql);
        let begins = [
            "column \"b\" is",
            "there is no column \"nothing\"",
            "expected a statement",
            "stream \"t\" is written by its own query",
            "there is no column \"d\"",
            "\"s\" is a stream",
            "warning:",
            "there is no setting \"worker\"",
            "there is no stream \"nowhere\"",
        ];
        assert_eq!(told.len(), begins.len(), "{told:#?}");
        for (message, begin) in told.iter().zip(begins) {
            assert!(message.starts_with(begin), "{message} does not begin with {begin}");
        }
    }
}
