//! Random scalar expressions and aggregate calls, as SQL text, none of which can fail on the data.

use super::draw::Draw;

/// The type of a column or expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Int,
    Float,
    Text,
    Bool,
    Time,
    Decimal,
    Date,
    List,
    /// A float whose last bits depend on the order of addition: it may be shown, but nothing may hang on it.
    Rough,
}

use Type::{Bool, Date, Decimal, Float, Int, List, Rough, Text, Time};

/// The types that an expression may be asked for.
pub(super) const TYPES: [Type; 8] = [Int, Float, Text, Bool, Time, Decimal, Date, List];

/// A named column.
pub(super) type Col = (String, Type);

fn column(d: &mut Draw, cols: &[Col], t: Type) -> Option<String> {
    let of: Vec<&Col> = cols.iter().filter(|c| c.1 == t).collect();
    (!of.is_empty()).then(|| d.one(&of).0.clone())
}

fn literal(d: &mut Draw, t: Type) -> String {
    match t {
        Int => d.range(-9, 20).to_string(),
        Float | Rough => format!("CAST({} AS DOUBLE)", d.range(-40, 40) as f64 * 0.25),
        Text => format!("'{}'", d.pick(&["", "a", "b", "ab", "Z z", "ß"])),
        Bool => d.pick(&["true", "false"]).into(),
        Time => format!("TIMESTAMP '2024-01-01T00:0{}:{}'", d.below(5), 10 + d.below(50)),
        Decimal => format!("CAST({} AS DECIMAL(10, 2))", d.range(-999, 999) as f64 * 0.01),
        Date => format!("DATE '2022-01-1{}'", d.below(10)),
        List => d.pick(&["make_array(1, 2)", "make_array(3, NULL)"]).into(),
    }
}

/// A random expression of type `t` over `cols`; its depth is at most `depth` calls.
pub(super) fn expr(d: &mut Draw, cols: &[Col], t: Type, depth: usize) -> String {
    if depth == 0 || d.chance(25) {
        let literals = d.chance(15);
        return column(d, cols, t).filter(|_| !literals).unwrap_or_else(|| literal(d, t));
    }
    // What every type has.
    match d.below(10) {
        0 => {
            let (c, a, b) = (expr(d, cols, Bool, depth - 1), expr(d, cols, t, depth - 1), {
                expr(d, cols, t, depth - 1)
            });
            return if d.chance(60) {
                format!("CASE WHEN {c} THEN {a} ELSE {b} END")
            } else {
                format!("CASE WHEN {c} THEN {a} END")
            };
        }
        1 => {
            let (a, b) = (expr(d, cols, t, depth - 1), expr(d, cols, t, 0));
            return format!("coalesce({a}, {b})");
        }
        2 if t != List => {
            let (a, b) = (expr(d, cols, t, depth - 1), expr(d, cols, t, 0));
            return format!("nullif({a}, {b})");
        }
        _ => {}
    }
    match t {
        Int => int(d, cols, depth - 1),
        Float | Rough => float(d, cols, depth - 1),
        Text => text(d, cols, depth - 1),
        Bool => condition(d, cols, depth - 1),
        Time => time(d, cols, depth - 1),
        Decimal => decimal(d, cols, depth - 1),
        Date => date(d, cols, depth - 1),
        List => list(d, cols, depth - 1),
    }
}

fn int(d: &mut Draw, cols: &[Col], n: usize) -> String {
    let a = expr(d, cols, Int, n);
    match d.below(18) {
        0 => format!("({a} + {})", expr(d, cols, Int, n)),
        1 => format!("({a} - {})", expr(d, cols, Int, n)),
        2 => format!("({a} * {})", d.range(-4, 7)),
        3 => format!("({a} / {})", d.range(2, 7)),
        4 => format!("({a} % {})", d.range(2, 9)),
        5 => format!("abs({a})"),
        6 => format!("(-({a}))"),
        7 => format!("character_length({})", expr(d, cols, Text, n)),
        8 => format!("strpos({}, 'b')", expr(d, cols, Text, n)),
        9 => format!("CAST({} AS BIGINT)", expr(d, cols, Float, n)),
        10 => format!("CAST({} AS BIGINT)", expr(d, cols, Bool, n)),
        11 => {
            let part = d.pick(&["minute", "second", "hour", "epoch"]);
            format!("CAST(date_part('{part}', {}) AS BIGINT)", expr(d, cols, Time, n))
        }
        12 => format!("greatest({a}, {})", expr(d, cols, Int, 0)),
        13 => format!("least({a}, {})", expr(d, cols, Int, 0)),
        14 => format!("CAST(array_length({}) AS BIGINT)", expr(d, cols, List, n)),
        15 => format!("({a} & {})", d.range(1, 15)),
        16 => format!("ascii({})", expr(d, cols, Text, n)),
        _ => format!("array_element({}, {})", expr(d, cols, List, n), d.range(1, 3)),
    }
}

fn float(d: &mut Draw, cols: &[Col], n: usize) -> String {
    let a = expr(d, cols, Float, n);
    match d.below(11) {
        0 => format!("({a} + {})", expr(d, cols, Float, n)),
        1 => format!("({a} - {})", expr(d, cols, Int, n)),
        2 => format!("({a} * {})", d.range(-3, 3) as f64 * 0.5),
        3 => format!("round({a}, 1)"),
        4 => format!("sqrt(abs({a}))"),
        5 => format!("ln(abs({a}) + 1.0)"),
        6 => format!("floor({a})"),
        7 => format!("ceil({a} / 3.0)"),
        8 => format!("CAST({} AS DOUBLE)", expr(d, cols, Int, n)),
        9 => format!("CAST({} AS DOUBLE)", expr(d, cols, Decimal, n)),
        _ => format!("power(abs({a}), 0.5)"),
    }
}

fn text(d: &mut Draw, cols: &[Col], n: usize) -> String {
    let a = expr(d, cols, Text, n);
    match d.below(16) {
        0 => format!("({a} || {})", expr(d, cols, Text, n)),
        1 => format!("concat({a}, '-', {})", expr(d, cols, Int, n)),
        2 => format!("upper({a})"),
        3 => format!("lower({a})"),
        4 => format!("substr({a}, {}, {})", d.range(1, 3), d.range(0, 4)),
        5 => format!("replace({a}, 'b', 'xy')"),
        6 => format!("trim({a})"),
        7 => format!("CAST({} AS TEXT)", expr(d, cols, Int, n)),
        8 => format!("lpad({a}, 5, '*')"),
        9 => format!("reverse({a})"),
        10 => format!("left({a}, {})", d.range(-1, 3)),
        11 => format!("split_part({a}, ' ', {})", d.range(1, 2)),
        12 => format!("md5({a})"),
        13 => format!("regexp_replace({a}, '[a-c]+', '_')"),
        14 => format!("initcap({a})"),
        _ => format!("CAST({} AS TEXT)", expr(d, cols, Date, n)),
    }
}

/// A condition.
pub(super) fn condition(d: &mut Draw, cols: &[Col], n: usize) -> String {
    let sub = n.saturating_sub(1);
    match d.below(16) {
        0 => format!("({} AND {})", expr(d, cols, Bool, n), expr(d, cols, Bool, sub)),
        1 => format!("({} OR {})", expr(d, cols, Bool, n), expr(d, cols, Bool, sub)),
        2 => format!("(NOT {})", expr(d, cols, Bool, n)),
        3..=6 => {
            let t = d.one(&[Int, Float, Text, Time, Decimal, Date]);
            let op = d.pick(&["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]);
            format!("({} {op} {})", expr(d, cols, t, n), expr(d, cols, t, sub))
        }
        7 => {
            let pattern = d.pick(&["%a%", "_", "a%", "%b", "%\\%%"]);
            let not = d.pick(&["", "NOT "]);
            format!("({} {not}LIKE '{pattern}')", expr(d, cols, Text, n))
        }
        8 => format!("({} IN (1, 2, 3, {}))", expr(d, cols, Int, n), d.range(-5, 9)),
        9 => format!("({} NOT IN ('a', 'b'))", expr(d, cols, Text, n)),
        10 => {
            let low = d.range(-20, 5);
            format!("({} BETWEEN {low} AND {})", expr(d, cols, Int, n), low + d.range(0, 30))
        }
        11 => {
            let t = d.one(&TYPES);
            format!("({} IS {}NULL)", expr(d, cols, t, n), d.pick(&["", "NOT "]))
        }
        12 => format!("starts_with({}, 'a')", expr(d, cols, Text, n)),
        13 => format!("array_has({}, {})", expr(d, cols, List, n), d.range(-3, 6)),
        14 => format!("regexp_like({}, '^[ab]')", expr(d, cols, Text, n)),
        _ => format!("({} % 2 = {})", expr(d, cols, Int, n), d.below(2)),
    }
}

fn time(d: &mut Draw, cols: &[Col], n: usize) -> String {
    let a = expr(d, cols, Time, n);
    match d.below(4) {
        0 => format!("date_trunc('minute', {a})"),
        1 => format!("({a} + INTERVAL '{} seconds')", d.range(-90, 90)),
        2 => format!("date_bin(INTERVAL '{} seconds', {a})", d.range(1, 90)),
        _ => format!("to_timestamp({})", expr(d, cols, Int, n)),
    }
}

fn decimal(d: &mut Draw, cols: &[Col], n: usize) -> String {
    match d.below(4) {
        0 => format!("CAST({} AS DECIMAL(16, 2))", expr(d, cols, Int, n)),
        1 => format!("CAST({} + {} AS DECIMAL(18, 2))", expr(d, cols, Decimal, n), expr(d, cols, Decimal, 0)),
        2 => format!("CAST({} * 2 AS DECIMAL(18, 2))", expr(d, cols, Decimal, n)),
        _ => format!("abs({})", expr(d, cols, Decimal, n)),
    }
}

fn date(d: &mut Draw, cols: &[Col], n: usize) -> String {
    match d.below(2) {
        0 => format!("CAST({} AS DATE)", expr(d, cols, Time, n)),
        _ => {
            format!("CAST({} + INTERVAL '{} days' AS DATE)", expr(d, cols, Date, n), d.range(-3, 30))
        }
    }
}

fn list(d: &mut Draw, cols: &[Col], n: usize) -> String {
    let a = expr(d, cols, List, n);
    match d.below(5) {
        0 => format!("make_array({}, {})", expr(d, cols, Int, n), expr(d, cols, Int, 0)),
        1 => format!("array_append({a}, {})", expr(d, cols, Int, n)),
        2 => format!("array_sort({a})"),
        3 => format!("array_concat({a}, make_array(7))"),
        _ => format!("array_reverse({a})"),
    }
}

/// What an aggregate call may be made of.
pub(super) struct Calls<'a> {
    pub(super) cols: &'a [Col],
    /// An ORDER BY that leaves no choice but between equal rows.
    pub(super) order: Option<&'a str>,
    /// No result whose last bits depend on the order of addition.
    pub(super) exact: bool,
}

/// A random aggregate call and the type of its result. While it is made, `@` stands where a FILTER may go.
pub(super) fn aggregate(d: &mut Draw, calls: &Calls) -> (String, Type) {
    let cols = calls.cols;
    // Bounds of windows tell rows apart that are otherwise equal: not where an order has to.
    let own: Vec<Col> = cols.iter().filter(|c| !c.0.starts_with("window_")).cloned().collect();
    let (call, t) = match d.below(18) {
        0..=2 => ("count(*)@".into(), Int),
        3 => (format!("count({})@", any(d, cols).0), Int),
        4 => (different(d, cols), Int),
        5 => sum(d, cols, calls.exact),
        6 => average(d, cols, calls.exact),
        7..=9 => {
            let (e, t) = any(d, cols);
            (format!("{}({e})@", d.pick(&["min", "max"])), t)
        }
        10 => (format!("{}({})@", d.pick(&["bool_and", "bool_or"]), expr(d, cols, Bool, 1)), Bool),
        11 => {
            let function = d.pick(&["bit_and(", "bit_or(", "bit_xor("]);
            (format!("{function}{})@", expr(d, cols, Int, 1)), Int)
        }
        12 if !calls.exact => rough(d, cols),
        13 => (format!("median({})@", expr(d, cols, Int, 1)), Int),
        14 => (format!("sum(DISTINCT {})@", expr(d, cols, Int, 1)), Int),
        15 => {
            let t = d.one(&[Int, Int, Int, Text]);
            let distinct = d.pick(&["", "DISTINCT "]);
            let agg = format!("array_sort(array_agg({distinct}{})@)", expr(d, cols, t, 1));
            if t == Int { (agg, List) } else { (format!("array_to_string({agg}, ';', '~')"), Text) }
        }
        _ => match calls.order {
            Some(order) => (ordered(d, &own, order), Text),
            None => (format!("count({})@", any(d, cols).0), Int),
        },
    };
    let filter =
        if d.chance(25) { format!(" FILTER (WHERE {})", condition(d, cols, 1)) } else { String::new() };
    (call.replace('@', &filter), t)
}

/// A count of different values, or of one value two, which share what is kept for them.
fn different(d: &mut Draw, cols: &[Col]) -> String {
    let value = any(d, cols).0;
    let count = format!("count(DISTINCT {value})");
    match d.chance(50) {
        true => format!("({count}@ + 1000 * {count} FILTER (WHERE {}))", condition(d, cols, 1)),
        false => format!("{count}@"),
    }
}

/// An expression of any type with an order.
fn any(d: &mut Draw, cols: &[Col]) -> (String, Type) {
    let t = d.one(&[Int, Int, Float, Text, Bool, Time, Decimal, Date]);
    let depth = d.one(&[0, 1, 2]);
    (expr(d, cols, t, depth), t)
}

/// Floats whose sums are exact: quarters.
fn quarters(d: &mut Draw, cols: &[Col], exact: bool) -> String {
    let plain = cols.iter().any(|c| c.0 == "f");
    if plain && (exact || d.chance(50)) { "f".into() } else { expr(d, cols, Float, 1) }
}

fn sum(d: &mut Draw, cols: &[Col], exact: bool) -> (String, Type) {
    match d.below(4) {
        0 if !exact => (format!("sum({})@", quarters(d, cols, exact)), Rough),
        1 => (format!("CAST(sum({})@ AS DECIMAL(30, 2))", expr(d, cols, Decimal, 1)), Rough),
        _ => (format!("sum({})@", expr(d, cols, Int, 2)), Int),
    }
}

fn average(d: &mut Draw, cols: &[Col], exact: bool) -> (String, Type) {
    match d.below(3) {
        0 if !exact => (format!("avg({})@", quarters(d, cols, exact)), Rough),
        1 => (format!("avg({})@", expr(d, cols, Decimal, 1)), Rough),
        _ => (format!("avg({})@", expr(d, cols, Int, 1)), Rough),
    }
}

/// Statistics over plain columns, whose sums are exact: constants have a variance of 0 in any order.
fn rough(d: &mut Draw, cols: &[Col]) -> (String, Type) {
    let mut plain = |name: &str| {
        let there = cols.iter().any(|c| c.0 == name);
        if there { name.to_string() } else { column(d, cols, Int).unwrap_or_else(|| "3".into()) }
    };
    let (y, x) = (plain("f"), plain("x"));
    // The reference's corr subtracts sums of squares, of which little is left where numbers are large beside their
    // distances (ids are); ours does not where a group's state was merged, and is nearer to the truth.
    let near = format!("{x} % 64");
    let two = [
        "corr",
        "covar_samp",
        "covar_pop",
        "regr_slope",
        "regr_intercept",
        "regr_count",
        "regr_avgx",
        "regr_avgy",
        "regr_sxx",
        "regr_syy",
        "regr_sxy",
        "regr_r2",
    ];
    let call = if d.chance(50) {
        let call = d.pick(&two);
        let x = if call == "corr" { near } else { x };
        format!("{call}({y}, {x})@")
    } else {
        format!("{}({y})@", d.pick(&["stddev", "stddev_pop", "var", "var_pop", "median"]))
    };
    (format!("CAST({call} AS DOUBLE)"), Rough)
}

/// Functions that see an order, shown as text.
fn ordered(d: &mut Draw, cols: &[Col], order: &str) -> String {
    let t = d.one(&[Int, Text, Date]);
    let e = expr(d, cols, t, 1);
    match d.below(5) {
        0 => format!("array_to_string(array_agg({e} ORDER BY {order})@, ',', '~')"),
        1 => format!("string_agg(CAST({e} AS TEXT), '/' ORDER BY {order})@"),
        2 => format!("CAST(first_value({e} ORDER BY {order})@ AS TEXT)"),
        3 => format!("CAST(last_value({e} ORDER BY {order})@ AS TEXT)"),
        _ => format!("CAST(nth_value({e}, {} ORDER BY {order})@ AS TEXT)", d.range(1, 3)),
    }
}
