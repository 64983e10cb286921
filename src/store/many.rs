//! One statement for many rows, in few shapes, so that few are prepared.

use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{StoreError, pool::Statement, tx::Tx};

/// Rows of one statement. The widest table has some thirty columns; SQLite takes 32,766 values.
const SHAPES: [usize; 3] = [64, 8, 1];

/// A statement in three pieces, all of them our own words: the row is repeated.
#[derive(Clone, Copy)]
pub(super) struct Many {
    pub(super) head: &'static str,
    pub(super) row: &'static str,
    pub(super) tail: &'static str,
}

impl Many {
    fn text(&self, rows: usize) -> AssertSqlSafe<String> {
        let row = self.row.len().saturating_add(2).saturating_mul(rows);
        let ends = self.head.len().saturating_add(self.tail.len());
        let mut text = String::with_capacity(ends.saturating_add(row));
        text.push_str(self.head);
        for place in 0..rows {
            if place > 0 {
                text.push_str(", ");
            }
            text.push_str(self.row);
        }
        text.push_str(self.tail);
        AssertSqlSafe(text)
    }
}

/// `items` in runs as long as [`SHAPES`].
fn runs<T>(mut items: &[T]) -> Vec<&[T]> {
    let mut runs = Vec::new();
    for shape in SHAPES {
        while let Some((run, rest)) = items.split_at_checked(shape) {
            runs.push(run);
            items = rest;
            if items.is_empty() {
                return runs;
            }
        }
    }
    runs
}

impl Tx {
    /// Runs a changing statement over all items: `first` binds what stands before the rows, `bind` each row's
    /// values. How many rows were matched.
    pub(super) async fn run_many<T>(
        &mut self,
        many: Many,
        items: &[T],
        first: impl for<'q> Fn(Statement<'q>) -> Statement<'q>,
        bind: impl for<'q> Fn(Statement<'q>, &'q T) -> Statement<'q>,
    ) -> Result<u64, StoreError> {
        let mut matched = 0_u64;
        for run in runs(items) {
            let query = first(sqlx::query(many.text(run.len())));
            let query = run.iter().fold(query, &bind);
            matched = matched.saturating_add(self.run(query).await?);
        }
        Ok(matched)
    }

    /// As [`Self::run_many`], with the rows of the answers. A statement that changes something says so in
    /// `changes`.
    pub(super) async fn all_many<T>(
        &mut self,
        many: Many,
        changes: bool,
        items: &[T],
        first: impl for<'q> Fn(Statement<'q>) -> Statement<'q>,
        bind: impl for<'q> Fn(Statement<'q>, &'q T) -> Statement<'q>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut rows = Vec::new();
        for run in runs(items) {
            let query = first(sqlx::query(many.text(run.len())));
            let query = run.iter().fold(query, &bind);
            rows.extend(self.all(query).await?);
            self.wrote |= changes;
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_taken_once_each_in_order_in_few_shapes() {
        for count in [0_usize, 1, 7, 8, 9, 63, 64, 65, 200, 1_000] {
            let items: Vec<usize> = (0..count).collect();
            let runs = runs(&items);
            assert_eq!(runs.concat(), items);
            assert!(runs.iter().all(|run| SHAPES.contains(&run.len())));
        }
        let many = Many {
            head: "INSERT INTO t (a) VALUES ",
            row: "(?)",
            tail: " x",
        };
        assert_eq!(many.text(2).0, "INSERT INTO t (a) VALUES (?), (?) x");
    }
}
