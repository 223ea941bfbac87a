-- The relations whose rows count. A partitioned table that was asked for is read as a whole;
-- in the whole database its partitions are read one by one, and inheritance parents alone.
SELECT CASE WHEN $1::bigint[] IS NULL THEN 'ONLY ' ELSE '' END
    || quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, COLUMNS_OF_C, BYTES_OF_C
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE CASE WHEN $1::bigint[] IS NULL
    THEN c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relispopulated
        AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $2)
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND d.deptype = 'e')
    ELSE c.oid = ANY ($1::bigint[]) END
ORDER BY 1
