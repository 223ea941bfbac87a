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

/// The packed rows of the largest table in a dump of the custom format. Where they begin depends on
/// the server's version, the names, and what else is in the database; what stands between two
/// tables is left out: a bit more in the mark at a table's end changes nothing that anybody reads.
pub fn packed_rows(dump: &[u8]) -> Range<usize> {
    const OWNER: &[u8] = b"postgres";
    // The last word of the table of contents.
    let owner = dump.windows(OWNER.len()).rposition(|word| word == OWNER).expect("an owner");
    let (mut at, mut largest) = (owner + OWNER.len(), 0..0);
    while at < dump.len() {
        let Some(end) = end_of_table(dump, at) else {
            at += 1;
            continue;
        };
        if end - at > largest.len() {
            largest = at..end;
        }
        at = end;
    }
    assert!(largest.len() > 4096, "the rows of {largest:?} are too few to be harmed");
    largest.start + 64..largest.end - 64
}

/// Where the rows end that begin here, if some do: a 1, the number of a table, then pieces with their
/// lengths up to one of length 0. The first piece begins as zlib's data do.
fn end_of_table(dump: &[u8], at: usize) -> Option<usize> {
    let number = |at: usize| {
        let bytes = dump.get(at..at + 5).filter(|bytes| bytes[0] == 0)?;
        Some(u32::from_le_bytes(bytes[1..].try_into().ok()?) as usize)
    };
    number(at + 1).filter(|_| dump[at] == 1 && dump.get(at + 11) == Some(&0x78))?;
    let mut end = at + 6;
    loop {
        match number(end)? {
            0 => return Some(end + 5),
            length => end += 5 + length,
        }
    }
}

/// So many hundredths on the way through a range.
pub fn at(range: &Range<usize>, hundredths: usize) -> usize {
    range.start + range.len() * hundredths / 100
}
