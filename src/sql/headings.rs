//! What a column of a result is called that has no name: the text of its expression, where the planner's name for it is
//! in the planner's own words.

use super::compare::normalized;
use super::items::select_items;
use std::ops::Range;

/// Words that stand in the planner's names and in nobody's SQL.
const WORDS: [&str; 16] = [
    "Int8(",
    "Int16(",
    "Int32(",
    "Int64(",
    "UInt64(",
    "Float32(",
    "Float64(",
    "Boolean(",
    "Utf8(",
    "Utf8View(",
    "Date32(",
    "Decimal128(",
    "IntervalMonthDayNano(",
    "TimestampNanosecond(",
    "NULL)",
    " BETWEEN UNBOUNDED PRECEDING AND ",
];

/// The heads of the columns that a query, which stands at `query` in `source`, has the names `names` for.
pub fn headings(source: &str, query: &Range<usize>, names: &[&str]) -> Vec<String> {
    let items = select_items(source, query);
    // What a star stands for is not told by the text.
    let each = items.len() == names.len() && !items.iter().any(|item| source[item.clone()].ends_with('*'));
    let head = |(at, name): (usize, &&str)| match items.get(at) {
        Some(item) if each && WORDS.iter().any(|word| name.contains(word)) => {
            normalized(&source[item.clone()])
        }
        _ => name.to_string(),
    };
    names.iter().enumerate().map(head).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_called_as_it_is_written() {
        let sql = "SELECT a, a  + 1, upper(k), 'x' || k AS y, count(*) FROM s";
        let names = ["a", "s.a + Int64(1)", "upper(s.k)", "y", "count(*)"];
        assert_eq!(headings(sql, &(0..sql.len()), &names), ["a", "a + 1", "upper(s.k)", "y", "count(*)"]);
        let sql = "SELECT *, a + 1 FROM s";
        assert_eq!(headings(sql, &(0..sql.len()), &["a", "s.a + Int64(1)"]), ["a", "s.a + Int64(1)"]);
    }
}
