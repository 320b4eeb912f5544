use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Query {
    Query::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refused(text: &str) -> String {
    Query::parse(text.as_bytes()).expect_err(text).to_string()
}

fn int(value: i128) -> Scalar {
    Scalar::Number(Number::Int(value))
}

#[test]
fn sections_become_a_tree() {
    let query = parsed(
        r#"{"sequence": {"name": {"$eq": "a"}, "user_metadata": {"x.y": {"$gt": 18446744073709551615}}},
            "topic": null, "ontology": {"qa.v": {"$neq": 0.1}, "include_timestamp_range": true}}"#,
    );
    let a = || Bound::Included(Scalar::Text("a".into()));
    let name = Condition { field: Field::Name, test: Test::Within(a(), a()) };
    let above = Bound::Excluded(int(u64::MAX.into()));
    let path =
        Condition { field: Field::Metadata("x.y".into()), test: Test::Within(above, Bound::Unbounded) };
    let value =
        ValueCondition { key: "qa.v".into(), test: Test::Differs(Scalar::Number(Number::Float(0.1))) };
    let expected = Sections {
        sequence: Some(Expr::All(vec![Expr::Is(name), Expr::Is(path)])),
        topic: None,
        values: Some(Expr::Is(value)),
        ranges: true,
    };
    assert_eq!(query.select, Expr::Is(expected));
    assert_eq!((query.limit, query.cursor, query.explain), (None, None, false));
}

#[test]
fn nothing_to_filter_by_finds_nothing() {
    for text in [
        "{}",
        r#"{"sequence": {}}"#,
        r#"{"topic": {"user_metadata": {}}}"#,
        r#"{"ontology": {}}"#,
        r#"{"ontology": {"include_timestamp_range": true}}"#,
        r#"{"sequence": null, "limit": 1}"#,
    ] {
        assert_eq!(parsed(text).select, Expr::Any(vec![]), "{text}");
    }
}

#[test]
fn ranges_are_kept_beside_other_sections() {
    let query =
        parsed(r#"{"topic": {"name": {"$ex": null}}, "ontology": {"include_timestamp_range": true}}"#);
    let Expr::Is(sections) = query.select else { panic!("{query:?}") };
    assert!(sections.ranges && sections.values.is_none() && sections.topic.is_some());
}

#[test]
fn connectives_nest_on_every_level() {
    let query = parsed(
        r#"{"$or": [{"topic": {"$not": {"name": {"$ex": null}}}},
                    {"sequence": {"user_metadata": {"$and": [{"a": {"$ex": null}}, {"b": {"$nex": null}}]}}}],
            "$not": {"ontology": {"$or": [{"a.x": {"$in": [2, 1]}}, {"b.x": {"$match": "t"}}]}}}"#,
    );
    let Expr::All(parts) = query.select else { panic!("{query:?}") };
    assert!(matches!(&parts[..], [Expr::Any(or), Expr::Not(_)] if or.len() == 2));
    let mut leaves = 0;
    Expr::All(parts).leaves(&mut |_| leaves += 1);
    assert_eq!(leaves, 3);
}

#[test]
fn what_is_not_understood_is_named() {
    for (text, expected) in [
        ("", "malformed"),
        ("[]", "not an object"),
        (r#"{"foo": 1}"#, "foo: there is no section"),
        (r#"{"sequences": {"name": {"$eq": "a"}}}"#, "`sequence`, `topic`, `ontology`"),
        (r#"{"topic": {"foo": {"$eq": 1}}}"#, "topic.foo: topics have `name`"),
        (r#"{"sequence": {"ontology_tag": {"$eq": "x"}}}"#, "sequences have `name`"),
        (r#"{"sequence": {"name": "a"}}"#, r#"sequence.name: "a" is not a condition; write {"$eq": "a"}"#),
        (r#"{"sequence": {"name": {"$regex": "x"}}}"#, "sequence.name.$regex: there is no operator"),
        (r#"{"sequence": {"name": {"$eq": "a", "$neq": "b"}}}"#, "exactly one operator"),
        (r#"{"sequence": {"name": {}}}"#, "exactly one operator"),
        (r#"{"sequence": {"name": {"$eq": 5}}}"#, "compare it with texts"),
        (r#"{"sequence": {"name": {"$in": []}}}"#, "at least one value"),
        (r#"{"sequence": {"created_timestamp": {"$gt": 1.5}}}"#, "compare it with integers"),
        (r#"{"sequence": {"created_timestamp": {"$match": "1"}}}"#, "`$match` is for texts"),
        (r#"{"sequence": {"created_timestamp": {"$between": [5, 1]}}}"#, "the range is empty"),
        (r#"{"ontology": {"q.v": {"$between": [5, "a"]}}}"#, "different types"),
        (r#"{"ontology": {"q.v": {"$between": [5]}}}"#, "two bounds are needed, not 1"),
        (r#"{"ontology": {"q.v": {"$gt": true}}}"#, "true has no order"),
        (r#"{"ontology": {"q.v": {"$eq": null}}}"#, "use `$ex` or `$nex`"),
        (r#"{"ontology": {"q.v": {"$eq": [1]}}}"#, "a list of 1 is neither"),
        (r#"{"ontology": {"q.v": {"$ex": true}}}"#, "true is not null"),
        (r#"{"ontology": {"qa": {"$gt": 0}}}"#, "write `<tag>.<field>`"),
        (r#"{"ontology": {"$xor": []}}"#, "`$and`, `$or`, `$not`"),
        (r#"{"ontology": {"$not": {}}}"#, "an empty filter"),
        (r#"{"ontology": {"$not": {"include_timestamp_range": true}}}"#, "the top of the section"),
        (r#"{"ontology": {"include_timestamp_range": 1}}"#, "neither true nor false"),
        (r#"{"sequence": {"user_metadata": {"n": {"city": {"$eq": "M"}}}}}"#, "write the path as `n.city`"),
        (r#"{"sequence": {"user_metadata": {"$eq": 1}}}"#, "does not join filters"),
        (r#"{"$and": []}"#, "at least one"),
        (r#"{"$not": {"limit": 1}}"#, "the top of the query"),
        (r#"{"limit": 0}"#, "limit: 0 is not"),
        (r#"{"limit": 1.5}"#, "limit: 1.5 is not"),
        (r#"{"cursor": "x"}"#, "needs a `limit`"),
        (r#"{"cursor": 1, "limit": 1}"#, "1 is not a text"),
        (r#"{"order": {"by": "sequence.name"}}"#, "not a list"),
        (r#"{"order": [{"by": "topic.name"}]}"#, "cannot order by `topic.name`"),
        (r#"{"order": [{"desc": true}]}"#, "`by` is missing"),
        (r#"{"order": [{"by": "sequence.name", "asc": true}]}"#, "no key `asc`"),
        (r#"{"explain": "yes"}"#, r#""yes" is neither true nor false"#),
        (r#"{"topic": {"name": {"$eq": "a"}, "name": {"$eq": "b"}}}"#, "`name` occurs twice"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let long = format!(r#"{{"{}": 1}}"#, "x".repeat(10_000));
    assert!(refused(&long).len() < 300);
    let deep = format!("{}{}{}", r#"{"$not":"#.repeat(5000), "{}", "}".repeat(5000));
    assert!(refused(&deep).contains("recursion"));
}

#[test]
fn topic_names_may_begin_with_a_slash() {
    let one_of = |text: &str| match parsed(text).select {
        Expr::Is(Sections { topic: Some(Expr::Is(condition)), .. }) => condition.test,
        other => panic!("{other:?}"),
    };
    let texts = |all: &[&str]| Test::OneOf(all.iter().map(|text| Scalar::Text((*text).into())).collect());
    assert_eq!(one_of(r#"{"topic": {"name": {"$in": ["b", "/a/b", "//c"]}}}"#), texts(&["/c", "a/b", "b"]));
    assert_eq!(one_of(r#"{"topic": {"name": {"$match": "/a"}}}"#), Test::Contains("/a".into()));
}

#[test]
fn orders_and_pages() {
    let query = parsed(
        r#"{"order": [{"by": "sequence.user_metadata.a.b", "desc": true}, {"by": "sequence.name"}],
            "limit": 5, "cursor": "abc", "explain": true}"#,
    );
    let first = OrderBy { field: Field::Metadata("a.b".into()), descending: true };
    assert_eq!(query.order, [first, OrderBy { field: Field::Name, descending: false }]);
    assert_eq!((query.limit, query.cursor.as_deref()), (NonZeroUsize::new(5), Some("abc")));
    assert!(query.explain);
}

#[test]
fn numbers_are_read_exactly() {
    let query = parsed(r#"{"ontology": {"q.v": {"$in": [9007199254740993, 0.30000000000000004, 1e3, -5]}}}"#);
    let Expr::Is(Sections { values: Some(Expr::Is(value)), .. }) = query.select else { panic!() };
    let float = |value| Scalar::Number(Number::Float(value));
    let expected = vec![int(-5), float(0.30000000000000004), float(1000.0), int(9_007_199_254_740_993)];
    assert_eq!(value.test, Test::OneOf(expected));
}

fn json() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("sequence"),
        Just("topic"),
        Just("ontology"),
        Just("$and"),
        Just("$or"),
        Just("$not"),
        Just("$eq"),
        Just("$in"),
        Just("$between"),
        Just("name"),
        Just("user_metadata"),
        Just("q.v"),
        Just("order"),
        Just("limit"),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|v| v.to_string()),
        any::<i64>().prop_map(|v| v.to_string()),
        any::<f64>().prop_map(|v| if v.is_finite() { format!("{v:?}") } else { "0".into() }),
        "[a-z.$/]{0,6}".prop_map(|v| format!("{v:?}")),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            proptest::collection::vec((key.clone(), inner), 0..4).prop_map(|v| {
                let entries: Vec<_> = v.into_iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn anything_is_parsed_or_refused_with_a_reason(text in json()) {
        if let Err(error) = Query::parse(text.as_bytes()) {
            prop_assert!(!error.problem.is_empty() && error.place.chars().count() <= 61, "{error}");
        }
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Query::parse(&bytes);
    }
}
