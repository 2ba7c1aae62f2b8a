//! INSERT … VALUES into DECIMAL columns: the digits as they are written.
//!
//! The planner reads a number with a point as a double, which holds 15 to 17 digits. A value that goes straight into
//! a decimal column is therefore handed over as text, and cast: `12.50` becomes `CAST('12.50' AS DECIMAL(10, 2))`.

use sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Query, SelectItem, SetExpr, UnaryOperator, Value,
    ValueWithSpan,
};

/// Makes the numbers in the columns of a VALUES list exact. `columns` gives for each column of the list precision and
/// scale if it is a decimal. Anything but plain numbers is left as it is, and so is a query without VALUES.
pub fn exact_values(query: &mut Query, columns: &[Option<(u8, i8)>]) {
    let SetExpr::Values(values) = query.body.as_mut() else { return };
    for row in &mut values.rows {
        for (expr, column) in row.content.iter_mut().zip(columns) {
            if let (Some((precision, scale)), Some(number)) = (column, number(expr)) {
                *expr = decimal(number, *precision, *scale);
            }
        }
    }
}

/// The same for the first columns of a SELECT.
pub fn exact_items(query: &mut Query, columns: &[Option<(u8, i8)>]) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    for (item, column) in select.projection.iter_mut().zip(columns) {
        let (SelectItem::ExprWithAlias { expr, .. }, Some((precision, scale))) = (item, column) else {
            continue;
        };
        if let Some(number) = number(expr) {
            *expr = decimal(number, *precision, *scale);
        }
    }
}

/// A number that is written with a point or an exponent, with its sign.
fn number(expr: &Expr) -> Option<ValueWithSpan> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), span }) => {
            let text = digits.replace('_', "");
            let whole = text.bytes().all(|b| b.is_ascii_digit()) && text.len() < 19;
            (!whole).then_some(ValueWithSpan { value: Value::SingleQuotedString(text), span: *span })
        }
        Expr::Nested(inner) => number(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            let ValueWithSpan { value: Value::SingleQuotedString(text), span } = number(expr)? else {
                return None;
            };
            let negated = text.strip_prefix('-').map_or_else(|| format!("-{text}"), String::from);
            Some(ValueWithSpan { value: Value::SingleQuotedString(negated), span })
        }
        _ => None,
    }
}

fn decimal(number: ValueWithSpan, precision: u8, scale: i8) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(number)),
        data_type: DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision.into(), scale.into())),
        array: false,
        format: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statement, parse};

    #[test]
    fn plain_numbers_in_decimal_columns_keep_their_digits() {
        let parsed = parse("INSERT INTO s VALUES (1.5, -0.1, 7), (-(2.50), 1e3, 1 + 0.5)").unwrap();
        let Statement::Insert(insert) = &parsed[0].statement else { unreachable!() };
        let mut query = insert.query.query.as_ref().clone();
        exact_values(&mut query, &[Some((10, 2)), Some((4, 1)), Some((4, 1))]);
        assert_eq!(
            query.to_string(),
            "VALUES (CAST('1.5' AS DECIMAL(10,2)), CAST('-0.1' AS DECIMAL(4,1)), 7), \
             (CAST('-2.50' AS DECIMAL(10,2)), CAST('1e3' AS DECIMAL(4,1)), 1 + 0.5)"
        );
        let before = query.to_string();
        exact_values(&mut query, &[None]);
        assert_eq!(query.to_string(), before);
    }
}
