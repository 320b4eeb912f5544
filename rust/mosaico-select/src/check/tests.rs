use mosaico_wire::query::{Expr, Query, QueryError, ScalarRef, Sections};
use proptest::prelude::*;

use super::*;

fn no_text(_: &str) -> Option<i128> {
    None
}

fn test(json: &str) -> Result<Test, QueryError> {
    let query = Query::parse(format!(r#"{{"ontology": {{"t.v": {json}}}}}"#).as_bytes())?;
    match query.select {
        Expr::Is(Sections { values: Some(Expr::Is(value)), .. }) => Ok(value.test),
        other => panic!("{other:?}"),
    }
}

/// The reference semantics of a test, for a value that is not NaN.
fn accepts(test: &Test, value: Number) -> bool {
    let value = ScalarRef::Number(value);
    let order = |constant: &Scalar| value.compare(&constant.view());
    match test {
        Test::Within(low, high) => {
            (match low {
                Bound::Unbounded => true,
                Bound::Included(c) => order(c).is_some_and(Ordering::is_ge),
                Bound::Excluded(c) => order(c).is_some_and(Ordering::is_gt),
            }) && match high {
                Bound::Unbounded => true,
                Bound::Included(c) => order(c).is_some_and(Ordering::is_le),
                Bound::Excluded(c) => order(c).is_some_and(Ordering::is_lt),
            }
        }
        Test::Differs(c) => order(c).is_some_and(Ordering::is_ne),
        Test::OneOf(all) => all.iter().any(|c| order(c) == Some(Ordering::Equal)),
        Test::Exists => true,
        Test::Contains(_) | Test::Missing => false,
    }
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        (-3i64..4).prop_map(|v| v.to_string()),
        (-6i64..7).prop_map(|v| format!("{:?}", v as f64 / 2.0)),
        prop_oneof![Just(i64::MIN), Just(i64::MAX), Just((1 << 53) + 1), Just(1_700_000_000_000_000_001)]
            .prop_map(|v| v.to_string()),
        Just(u64::MAX.to_string()),
        Just("1.7e18".to_owned()),
        Just("9223372036854775808.0".to_owned()),
        Just("-1e300".to_owned()),
        Just("\"text\"".to_owned()),
    ]
}

fn any_test() -> impl Strategy<Value = Test> {
    let single = proptest::sample::select(vec!["$eq", "$neq", "$lt", "$leq", "$gt", "$geq"]);
    let json = prop_oneof![
        (single, number()).prop_map(|(operator, value)| format!("{{\"{operator}\": {value}}}")),
        proptest::collection::vec(number(), 1..4).prop_map(|v| format!("{{\"$in\": [{}]}}", v.join(","))),
        (number(), number()).prop_map(|(a, b)| format!("{{\"$between\": [{a}, {b}]}}")),
    ];
    json.prop_filter_map("an empty range", |json| test(&json).ok())
}

fn int() -> impl Strategy<Value = i128> {
    prop_oneof![
        -4i128..5,
        Just(i128::from(i64::MIN)),
        Just(i128::from(i64::MAX)),
        Just(i128::from(u64::MAX)),
        Just((1 << 53) + 1),
        1_700_000_000_000_000_000i128..1_700_000_000_000_000_003,
    ]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-8i32..9).prop_map(|v| f64::from(v) / 2.0),
        proptest::sample::select(vec![
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            9_007_199_254_740_992.0,
            9_223_372_036_854_775_808.0,
            1.7e18,
            f64::MIN_POSITIVE,
        ]),
    ]
}

fn verdict_is_true<T: PartialOrd>(check: &Check<T>, values: &[T]) -> Result<(), TestCaseError> {
    let low = values.iter().min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap();
    let high = values.iter().max_by(|a, b| a.partial_cmp(b).unwrap()).unwrap();
    let matching = values.iter().filter(|value| check.accepts(*value)).count();
    for (verdict, attained) in
        [(check.verdict(low, high, true), true), (check.verdict(low, high, false), false)]
    {
        match verdict {
            Verdict::None => prop_assert_eq!(matching, 0),
            Verdict::All => prop_assert_eq!(matching, values.len()),
            Verdict::Some => prop_assert!(attained && matching > 0),
            Verdict::Maybe => {}
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn integers_are_exact(test in any_test(), values in proptest::collection::vec(int(), 1..5)) {
        let check = ints(&test, &no_text);
        for value in &values {
            prop_assert_eq!(check.accepts(value), accepts(&test, Number::Int(*value)), "{} {:?}", value, check);
        }
        verdict_is_true(&check, &values)?;
    }

    #[test]
    fn floats_are_exact(test in any_test(), values in proptest::collection::vec(float(), 1..5)) {
        let check = floats(&test);
        for value in &values {
            prop_assert_eq!(check.accepts(value), accepts(&test, Number::Float(*value)), "{} {:?}", value, check);
        }
        let has_number = !matches!(check, Check::Never);
        prop_assert_eq!(check.accepts(&f64::NAN), matches!(test, Test::Differs(_)) && has_number);
        verdict_is_true(&check, &values)?;
    }

    #[test]
    fn verdicts_combine_like_rows(rows in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..4)) {
        let verdict = |found: Vec<bool>| match found.iter().filter(|found| **found).count() {
            0 => Verdict::None,
            n if n == found.len() => Verdict::All,
            _ => Verdict::Some,
        };
        let (a, b): (Vec<bool>, Vec<bool>) = rows.iter().copied().unzip();
        let both = verdict(rows.iter().map(|(a, b)| *a && *b).collect());
        let either = verdict(rows.iter().map(|(a, b)| *a || *b).collect());
        let not = verdict(a.iter().map(|a| !*a).collect());
        let (a, b) = (verdict(a), verdict(b));
        let agrees = |found: Verdict, truth: Verdict| match found {
            Verdict::Maybe => true,
            Verdict::Some => truth != Verdict::None,
            found => found == truth,
        };
        prop_assert!(agrees(a.and(b), both) && agrees(b.and(a), both), "{a:?} and {b:?}");
        prop_assert!(agrees(a.or(b), either) && agrees(b.or(a), either), "{a:?} or {b:?}");
        prop_assert!(agrees(a.negated(), not));
    }
}

#[test]
fn texts_and_flags() {
    let greater = texts(&test(r#"{"$gt": "s3"}"#).unwrap());
    assert!(greater.accepts("s4") && !greater.accepts("s3"));
    assert_eq!(greater.verdict("a", "s3", true), Verdict::None);
    assert_eq!(greater.verdict("a", "z", true), Verdict::Some);
    assert_eq!(greater.verdict("a", "z", false), Verdict::Maybe);
    assert_eq!(texts(&test(r#"{"$eq": 1}"#).unwrap()), Check::Never);
    let yes = bools(&test(r#"{"$eq": true}"#).unwrap());
    assert_eq!(yes.verdict(&false, &true, true), Verdict::Some);
    assert_eq!(yes.verdict(&false, &false, true), Verdict::None);
    assert_eq!(bools(&test(r#"{"$neq": 1}"#).unwrap()), Check::Never);
}

#[test]
fn a_refused_query_is_an_invalid_argument() {
    let error = test(r#"{"$gt": true}"#).unwrap_err();
    assert!(error.to_string().contains("ontology.t.v.$gt: true has no order"), "{error}");
}
