//! "Did you mean": the existing table whose name is nearest to a misspelt one.

use sqlextract_model::TableName;

/// The nearest name, if it is near enough to be meant: the same name elsewhere or in other case, or a few letters off.
pub(super) fn closest<'a>(wanted: &TableName, existing: &'a [TableName]) -> Option<&'a TableName> {
    let distance = |name: &TableName| {
        let names = letters(&wanted.name.to_lowercase(), &name.name.to_lowercase());
        2 * names + usize::from(wanted.schema != name.schema)
    };
    let allowed = 2 * (wanted.name.chars().count() / 3).max(1) + 1;
    existing
        .iter()
        .map(|name| (distance(name), name))
        .filter(|(d, _)| *d <= allowed)
        .min_by_key(|(d, _)| *d)
        .map(|(_, n)| n)
}

/// Letters to insert, delete or replace.
fn letters(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_no_far_one() {
        let existing = [("public", "orders"), ("sales", "customers"), ("public", "Users")];
        let existing: Vec<_> = existing.iter().map(|(s, n)| TableName::new(*s, *n)).collect();
        let cases = [
            (("public", "order"), Some("public.orders")),
            (("public", "users"), Some("public.Users")),
            (("public", "customers"), Some("sales.customers")),
            (("public", "lineitem"), None),
        ];
        for ((schema, name), expected) in cases {
            let near = closest(&TableName::new(schema, name), &existing).map(ToString::to_string);
            assert_eq!(near.as_deref(), expected, "{name}");
        }
    }
}
