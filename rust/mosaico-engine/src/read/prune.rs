//! Row-group and page pruning: the parts of a Parquet file that a condition requires.

use std::cell::Cell;
use std::ops::Range;

use arrow::datatypes::Field;
use mosaico_select::{Column, LeafCheck, RowExpr, RowTest, Verdict, is_list, verdict};
use mosaico_wire::query::{Counts, Expr};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::errors::Result;

use super::column_bounds::PieceBounds;

/// The parts of a file that remain.
#[derive(Debug)]
pub struct Plan {
    /// Whether statistics prove that some row matches.
    pub proven: bool,
    /// Row groups to read.
    pub groups: Vec<usize>,
    /// Rows to read in these groups, one group after the other.
    pub rows: RowSelection,
    pub group_counts: Counts,
    pub page_counts: Counts,
}

/// Judges the row groups, and the pages of those that remain.
pub fn plan(footer: &ArrowReaderMetadata, expr: &RowExpr) -> Result<Plan> {
    let metadata = footer.metadata();
    let mut plan = Plan {
        proven: false,
        groups: Vec::new(),
        rows: RowSelection::default(),
        group_counts: Counts::default(),
        page_counts: Counts::default(),
    };
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut total = 0;
    for group in 0..metadata.num_row_groups() {
        plan.group_counts.candidates += 1;
        let rows = group_rows(footer, group);
        let judged = verdict(expr, &|column, check| {
            group_bounds(footer, group, column)
                .map_or(Verdict::Maybe, |bounds| bounds.judge(0, rows as u64, column, check))
        });
        plan.proven |= matches!(judged, Verdict::Some | Verdict::All);
        if judged == Verdict::None {
            plan.group_counts.pruned_by_statistics += 1;
            continue;
        }
        let selected = may_match(footer, group, expr, false)?;
        let (pages, wanted) = count_pages(footer, group, expr, &selected);
        plan.page_counts.candidates += pages;
        plan.page_counts.pruned_by_statistics += pages - wanted;
        if !selected.selects_any() {
            plan.group_counts.pruned_by_statistics += 1;
            continue;
        }
        plan.page_counts.read += wanted;
        plan.group_counts.read += 1;
        plan.groups.push(group);
        ranges.extend(selected_ranges(&selected).map(|range| total + range.start..total + range.end));
        total += rows;
    }
    plan.rows = RowSelection::from_consecutive_ranges(ranges.into_iter(), total);
    Ok(plan)
}

/// The rows of a row group that may match, in order.
pub fn candidate_rows(
    footer: &ArrowReaderMetadata,
    group: usize,
    expr: &RowExpr,
) -> Result<Vec<Range<usize>>> {
    Ok(selected_ranges(&may_match(footer, group, expr, false)?).collect())
}

fn group_rows(footer: &ArrowReaderMetadata, group: usize) -> usize {
    usize::try_from(footer.metadata().row_group(group).num_rows()).unwrap_or(0)
}

/// The leaf column whose statistics describe a column; `None` if no single one does.
fn leaf(column: &Column) -> Option<(usize, Field)> {
    let value = column.value_type();
    let single = column.leaves.len() == 1 && !value.is_nested();
    single.then(|| (column.leaves.start, Field::new("value", value.clone(), true)))
}

fn group_bounds(footer: &ArrowReaderMetadata, group: usize, column: &Column) -> Option<PieceBounds> {
    let (leaf, field) = leaf(column)?;
    let converter = StatisticsConverter::from_column_index(leaf, &field, footer.parquet_schema()).ok()?;
    let group = || std::iter::once(footer.metadata().row_group(group));
    Some(PieceBounds {
        low: converter.row_group_mins(group()).ok()?,
        high: converter.row_group_maxes(group()).ok()?,
        nulls: converter.row_group_null_counts(group()).ok()?,
    })
}

/// The rows of a column's pages, in order; empty without a page index.
fn pages(footer: &ArrowReaderMetadata, group: usize, leaf: usize) -> Vec<Range<usize>> {
    let rows = group_rows(footer, group);
    let index = footer.metadata().offset_index().and_then(|groups| groups.get(group)?.get(leaf));
    let Some(index) = index else { return Vec::new() };
    let starts =
        index.page_locations().iter().map(|page| usize::try_from(page.first_row_index).unwrap_or(rows));
    let starts: Vec<usize> = starts.chain(std::iter::once(rows)).collect();
    starts.windows(2).map(|bounds| bounds[0]..bounds[1]).collect()
}

fn page_bounds(footer: &ArrowReaderMetadata, group: usize, column: &Column) -> Option<PieceBounds> {
    let (leaf, field) = leaf(column)?;
    let metadata = footer.metadata();
    let (index, places) = (metadata.column_index()?, metadata.offset_index()?);
    let converter = StatisticsConverter::from_column_index(leaf, &field, footer.parquet_schema()).ok()?;
    Some(PieceBounds {
        low: converter.data_page_mins(index, places, [&group]).ok()?,
        high: converter.data_page_maxes(index, places, [&group]).ok()?,
        nulls: converter.data_page_null_counts(index, places, [&group]).ok()?,
    })
}

/// The rows that may match; with `negated`, those that may fail to.
fn may_match(
    footer: &ArrowReaderMetadata,
    group: usize,
    expr: &RowExpr,
    negated: bool,
) -> Result<RowSelection> {
    let rows = group_rows(footer, group);
    let constant = |all: bool| {
        RowSelection::from_consecutive_ranges(std::iter::once(0..if all { rows } else { 0 }), rows)
    };
    Ok(match expr {
        Expr::Not(child) => may_match(footer, group, child, !negated)?,
        Expr::All(children) | Expr::Any(children) => {
            let both = matches!(expr, Expr::All(_)) != negated;
            let mut found = constant(both);
            for child in children {
                let child = may_match(footer, group, child, negated)?;
                found = if both { found.intersection(&child) } else { found.union(&child) };
            }
            found
        }
        Expr::Is(RowTest { column: None, .. } | RowTest { check: LeafCheck::Never, .. }) => constant(negated),
        Expr::Is(RowTest { column: Some(column), check }) => {
            let simple = !column.repeated && !is_list(&column.data_type);
            let bounds = if simple { page_bounds(footer, group, column) } else { None };
            let pages = pages(footer, group, column.leaves.start);
            match bounds {
                Some(bounds) if !pages.is_empty() => {
                    let wanted = |(page, range): &(usize, Range<usize>)| {
                        let judged = bounds.judge(*page, range.len() as u64, column, check);
                        judged != if negated { Verdict::All } else { Verdict::None }
                    };
                    let wanted = pages.into_iter().enumerate().filter(wanted).map(|(_, range)| range);
                    RowSelection::from_consecutive_ranges(wanted, rows)
                }
                _ => constant(true),
            }
        }
    })
}

fn selected_ranges(selection: &RowSelection) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    selection.iter().filter_map(move |selector| {
        let from = at;
        at += selector.row_count;
        (!selector.skip && selector.row_count > 0).then_some(from..at)
    })
}

/// All pages of the columns in use, and those that contain selected rows.
fn count_pages(
    footer: &ArrowReaderMetadata,
    group: usize,
    expr: &RowExpr,
    selected: &RowSelection,
) -> (u64, u64) {
    let chosen: Vec<Range<usize>> = selected_ranges(selected).collect();
    let (all, wanted) = (Cell::new(0), Cell::new(0));
    expr.leaves(&mut |test: &RowTest| {
        let leaves = test.column.iter().flat_map(|column| column.leaves.clone());
        for page in leaves.flat_map(|leaf| pages(footer, group, leaf)) {
            all.set(all.get() + 1);
            let first = chosen.partition_point(|range| range.end <= page.start);
            let hit = chosen.get(first).is_some_and(|range| range.start < page.end);
            wanted.set(wanted.get() + u64::from(hit));
        }
    });
    (all.get(), wanted.get())
}

#[cfg(test)]
mod tests;
