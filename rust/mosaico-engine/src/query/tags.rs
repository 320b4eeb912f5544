//! The topics that a condition on values concerns. Each key names a tag; conditions on one tag concern single
//! rows, those on several tags are split until each part concerns one tag.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use mosaico_select::FieldTest;
use mosaico_storage::error::{Error, Result};
use mosaico_wire::query::{Expr, ValueCondition};

/// A condition with more alternatives than this is refused.
const MAX_ALTERNATIVES: usize = 64;

/// One way to satisfy a condition: in a sequence that has matching rows for each of the tags, the topics with
/// such rows match.
pub(super) type Alternative = BTreeMap<String, Expr<FieldTest>>;

/// The tags that a key may begin with: a tag may contain dots itself.
pub(super) fn prefixes(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('.').map(|(dot, _)| &key[..dot]).filter(|tag| !tag.is_empty())
}

/// Every way to satisfy a condition.
pub(super) fn alternatives(
    values: &Expr<ValueCondition>,
    in_use: &HashSet<String>,
) -> Result<Vec<Alternative>> {
    let mut keys = BTreeSet::new();
    values.leaves(&mut |condition| keys.extend([condition.key.clone()]));
    let mut readings: Vec<BTreeMap<String, String>> = vec![BTreeMap::new()];
    for key in keys {
        let mut tags: Vec<&str> = prefixes(&key).filter(|tag| in_use.contains(*tag)).collect();
        if tags.is_empty() {
            // No topic has this tag, whichever prefix is meant.
            tags.extend(prefixes(&key).next());
        }
        let with = |reading: &BTreeMap<String, String>, tag: &str| {
            let mut reading = reading.clone();
            reading.insert(key.clone(), tag.to_owned());
            reading
        };
        readings = readings.iter().flat_map(|reading| tags.iter().map(|tag| with(reading, tag))).collect();
        limit(readings.len())?;
    }
    let mut found = Vec::new();
    for reading in &readings {
        found.extend(apart(&tagged(values, reading))?);
        limit(found.len())?;
    }
    Ok(found)
}

fn limit(count: usize) -> Result<()> {
    if count <= MAX_ALTERNATIVES {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the section `ontology` can be satisfied in more than {MAX_ALTERNATIVES} ways by rows of different tags; ask \
         for less at once"
    )))
}

type Tagged = Expr<(String, FieldTest)>;

fn tagged(values: &Expr<ValueCondition>, tags: &BTreeMap<String, String>) -> Tagged {
    values.map(&mut |ValueCondition { key, test }| {
        let tag = tags.get(key).cloned().unwrap_or_default();
        let path = key.get(tag.len() + 1..).unwrap_or_default().to_owned();
        (tag, FieldTest { path, test: test.clone() })
    })
}

/// The only tag of an expression, with the conditions on its fields.
fn single(expr: &Tagged) -> Option<(String, Expr<FieldTest>)> {
    let mut tags = BTreeSet::new();
    expr.leaves(&mut |(tag, _)| tags.extend([tag.clone()]));
    let tag = tags.pop_first().filter(|_| tags.is_empty())?;
    Some((tag, expr.map(&mut |(_, test)| test.clone())))
}

/// The disjunctive normal form, as far as several tags require it.
fn apart(expr: &Tagged) -> Result<Vec<Alternative>> {
    if let Some((tag, fields)) = single(expr) {
        return Ok(vec![BTreeMap::from([(tag, fields)])]);
    }
    match expr {
        Expr::Is(_) => Ok(Vec::new()),
        Expr::Not(child) => {
            let negated = |children: &[Tagged]| {
                children.iter().map(|child| Expr::Not(Box::new(child.clone()))).collect::<Vec<_>>()
            };
            match child.as_ref() {
                Expr::Not(inner) => apart(inner),
                Expr::All(children) => apart(&Expr::Any(negated(children))),
                Expr::Any(children) => apart(&Expr::All(negated(children))),
                Expr::Is(_) => Ok(Vec::new()),
            }
        }
        Expr::Any(children) => {
            let (by_tag, rest) = sorted(children);
            let one = |(tag, all): (String, Vec<Expr<FieldTest>>)| BTreeMap::from([(tag, Expr::Any(all))]);
            let mut found: Vec<Alternative> = by_tag.into_iter().map(one).collect();
            for child in rest {
                found.extend(apart(child)?);
                limit(found.len())?;
            }
            Ok(found)
        }
        Expr::All(children) => {
            let (by_tag, rest) = sorted(children);
            let mut found: Vec<Alternative> =
                vec![by_tag.into_iter().map(|(tag, all)| (tag, Expr::All(all))).collect()];
            for child in rest {
                let others = apart(child)?;
                limit(found.len().saturating_mul(others.len()))?;
                found = found.iter().flat_map(|one| others.iter().map(|other| both(one, other))).collect();
            }
            Ok(found)
        }
    }
}

type ByTag = BTreeMap<String, Vec<Expr<FieldTest>>>;

/// Children that concern one tag, grouped by it, and the others.
fn sorted(children: &[Tagged]) -> (ByTag, Vec<&Tagged>) {
    let mut by_tag = ByTag::new();
    let mut rest = Vec::new();
    for child in children {
        match single(child) {
            Some((tag, fields)) => by_tag.entry(tag).or_default().push(fields),
            None => rest.push(child),
        }
    }
    (by_tag, rest)
}

fn both(one: &Alternative, other: &Alternative) -> Alternative {
    let mut found = one.clone();
    for (tag, fields) in other {
        let fields = fields.clone();
        let joined = match found.remove(tag) {
            Some(before) => Expr::All(vec![before, fields]),
            None => fields,
        };
        found.insert(tag.clone(), joined);
    }
    found
}

#[cfg(test)]
mod tests {
    use mosaico_wire::query::{Query, Sections};
    use serde_json::{Value, json};

    use super::*;

    fn found(section: Value, in_use: &[&str]) -> Result<Vec<Vec<(String, String)>>> {
        let body = json!({"ontology": section}).to_string();
        let Expr::Is(Sections { values: Some(values), .. }) = Query::parse(body.as_bytes()).unwrap().select
        else {
            panic!("no values in {body}")
        };
        let in_use = in_use.iter().map(|tag| (*tag).to_owned()).collect();
        let paths = |(tag, fields): (String, Expr<FieldTest>)| {
            let mut paths = Vec::new();
            fields.leaves(&mut |test: &FieldTest| paths.push(test.path.clone()));
            (tag, paths.join(" "))
        };
        let found = alternatives(&values, &in_use)?;
        Ok(found.into_iter().map(|one| one.into_iter().map(paths).collect()).collect())
    }

    fn pairs(all: &[&[(&str, &str)]]) -> Vec<Vec<(String, String)>> {
        all.iter().map(|one| one.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect()).collect()
    }

    #[test]
    fn one_tag_stays_whole() {
        let c = json!({"$gt": 0});
        let section = json!({"a.x": c, "$or": [{"a.y": c}, {"$not": {"a.z": c}}]});
        assert_eq!(found(section, &["a"]).unwrap(), pairs(&[&[("a", "y z x")]]));
    }

    #[test]
    fn several_tags_are_taken_apart() {
        let c = json!({"$gt": 0});
        let and = json!({"a.x": c, "b.x": c, "a.y": c});
        assert_eq!(found(and, &["a", "b"]).unwrap(), pairs(&[&[("a", "x y"), ("b", "x")]]));
        let or = json!({"$or": [{"a.x": c}, {"b.x": c}, {"a.y": c}]});
        assert_eq!(found(or, &["a", "b"]).unwrap(), pairs(&[&[("a", "x y")], &[("b", "x")]]));
        let mixed = json!({"a.z": c, "$or": [{"a.x": c}, {"b.x": c}]});
        assert_eq!(found(mixed, &["a", "b"]).unwrap(), pairs(&[&[("a", "z x")], &[("a", "z"), ("b", "x")]]));
        let not = json!({"$not": {"a.x": c, "b.x": c}});
        assert_eq!(found(not, &["a", "b"]).unwrap(), pairs(&[&[("a", "x")], &[("b", "x")]]));
    }

    #[test]
    fn tags_may_contain_dots() {
        let c = json!({"$gt": 0});
        assert_eq!(found(json!({"my.tag.x.y": c}), &["my.tag"]).unwrap(), pairs(&[&[("my.tag", "x.y")]]));
        let both = found(json!({"my.tag.x": c}), &["my", "my.tag"]).unwrap();
        assert_eq!(both, pairs(&[&[("my", "tag.x")], &[("my.tag", "x")]]), "either may be meant");
        assert_eq!(found(json!({"zz.x": c}), &[]).unwrap(), pairs(&[&[("zz", "x")]]));
    }

    #[test]
    fn the_number_of_ways_is_bounded() {
        let c = json!({"$gt": 0});
        let either = json!({"$or": [{"a.x": c}, {"b.x": c}]});
        let many = json!({"$and": vec![either; 7]});
        assert!(found(many, &["a", "b"]).unwrap_err().to_string().contains("64 ways"));
    }
}
