//! The eight tables at a hundredth of the usual size, as `queries/tpch/tables.sql` declares them.

use crate::fed::{Table, plain};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use millstream::plan::Planner;
use millstream::sql::{self, Statement};
use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen::text::TextPool;
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

/// Share of the usual size.
const SCALE: f64 = 0.01;
/// The texts that comments are cut from: far fewer than usual, which takes a minute to make without optimisation.
static TEXTS: LazyLock<TextPool> = LazyLock::new(|| TextPool::new(2 << 20, Distributions::static_default()));

/// A declared table: its name, columns and primary key.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) schema: Schema,
    pub(super) key: Vec<String>,
}

/// What `tables.sql` declares.
pub(super) fn declared(planner: &Planner) -> Vec<Declared> {
    let text = std::fs::read_to_string("queries/tpch/tables.sql").unwrap();
    let statements = sql::parse(&text).unwrap();
    let tables = statements.into_iter().map(|statement| {
        let Statement::CreateStream(create) = statement.statement else { panic!("not a table") };
        let columns = planner.columns(&create.columns).unwrap();
        let fields = columns.iter().map(|c| Field::new(&c.name, c.data_type.clone(), c.nullable));
        let key = create.primary_key.unwrap().columns.into_iter().map(|name| name.value);
        let schema = Schema::new(fields.collect::<Vec<_>>());
        Declared { name: create.name.value, schema, key: key.collect() }
    });
    tables.collect()
}

fn all(rows: impl Iterator<Item = Result<RecordBatch, ArrowError>>) -> RecordBatch {
    plain(&rows.map(Result::unwrap).collect::<Vec<_>>())
}

/// The rows of a table.
fn generated(name: &str) -> RecordBatch {
    let (lists, texts) = (Distributions::static_default(), &*TEXTS);
    match name {
        "region" => {
            all(RegionArrow::new(RegionGenerator::new_with_distributions_and_text_pool(lists, texts)))
        }
        "nation" => {
            all(NationArrow::new(NationGenerator::new_with_distributions_and_text_pool(lists, texts)))
        }
        "supplier" => all(SupplierArrow::new(SupplierGenerator::new_with_distributions_and_text_pool(
            SCALE, 1, 1, lists, texts,
        ))),
        "customer" => all(CustomerArrow::new(CustomerGenerator::new_with_distributions_and_text_pool(
            SCALE, 1, 1, lists, texts,
        ))),
        "part" => all(PartArrow::new(PartGenerator::new_with_distributions_and_text_pool(
            SCALE, 1, 1, lists, texts,
        ))),
        "partsupp" => all(PartSuppArrow::new(PartSuppGenerator::new_with_text_pool(SCALE, 1, 1, texts))),
        "orders" => all(OrderArrow::new(OrderGenerator::new_with_distributions_and_text_pool(
            SCALE, 1, 1, lists, texts,
        ))),
        "lineitem" => all(LineItemArrow::new(LineItemGenerator::new_with_distributions_and_text_pool(
            SCALE, 1, 1, lists, texts,
        ))),
        other => panic!("there is no table {other}"),
    }
}

/// The tables with their rows.
pub(super) fn tables(declared: &[Declared]) -> Vec<Table> {
    let table = |declared: &Declared| {
        let rows = generated(&declared.name);
        let schema = Arc::new(declared.schema.clone());
        assert_eq!(rows.schema(), schema, "{} is declared otherwise than it is", declared.name);
        assert_unique(declared, &rows);
        Table { name: declared.name.clone(), rows, key: Some(declared.key.clone()) }
    };
    declared.iter().map(table).collect()
}

fn assert_unique(declared: &Declared, rows: &RecordBatch) {
    let columns: Vec<_> = declared.key.iter().map(|k| rows.column_by_name(k).unwrap().clone()).collect();
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let keys = RowConverter::new(fields).unwrap().convert_columns(&columns).unwrap();
    let keys: HashSet<_> = keys.iter().map(|k| k.owned()).collect();
    assert_eq!(keys.len(), rows.num_rows(), "the key of {} is not unique", declared.name);
}
