//! The queries that the documentation shows.

use mosaico_wire::query::Query;

#[test]
fn documented_queries_are_understood() {
    let page = include_str!("../../../docs/queries.md");
    let blocks: Vec<&str> =
        page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert!(blocks.len() >= 5, "{} examples", blocks.len());
    for block in blocks {
        Query::parse(block.as_bytes()).unwrap_or_else(|e| panic!("{block}: {e}"));
    }
}
