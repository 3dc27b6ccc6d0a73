use super::*;

#[test]
fn the_page_about_types_is_the_one_that_the_code_writes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/TYPES.md");
    let written = type_table_markdown();
    if std::env::var_os("SQLEXTRACT_WRITE_TYPES").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        committed, written,
        "run the test once with SQLEXTRACT_WRITE_TYPES=1 and commit TYPES.md"
    );
}
