//! Rows that no packing makes small, and where they stand in a dump.

use std::ops::Range;

use super::Cluster;

/// Makes the table `noise`. Each row has 32 bytes that cannot be foretold (as 64 hexadecimal
/// digits): so many at least are in a dump, whatever packs it.
pub fn make(cluster: &Cluster, database: &str, rows: u32) {
    cluster.sql(
        database,
        &format!(
            "CREATE TABLE noise AS SELECT md5(n::text) || md5((-n)::text) AS a \
             FROM generate_series(1, {rows}) n"
        ),
    );
}

/// The packed rows in a dump of the custom format: behind the table of contents, whose last word is
/// an owner, and without the last tenth, where the end marks are. How long the table of contents
/// is depends on the server's version, the names, and what else is in the database.
pub fn packed_rows(dump: &[u8]) -> Range<usize> {
    const OWNER: &[u8] = b"postgres";
    let owner = dump.windows(OWNER.len()).rposition(|word| word == OWNER).expect("an owner");
    // What the last entry needs, and where the first block begins.
    let begin = owner + OWNER.len() + 256;
    let end = dump.len() - dump.len() / 10;
    assert!(begin + 4096 < end, "more than {begin} bytes of {} are no rows", dump.len());
    begin..end
}

/// So many hundredths on the way through a range.
pub fn at(range: &Range<usize>, hundredths: usize) -> usize {
    range.start + range.len() * hundredths / 100
}
