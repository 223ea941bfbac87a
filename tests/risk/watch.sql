CREATE SCHEMA watch;
CREATE TABLE watch.before AS
    SELECT c.oid, c.oid::regclass::text AS name, c.relkind::text AS kind, c.relfilenode
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 's') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'i', 'I', 'S');
CREATE FUNCTION watch.found() RETURNS TABLE (what text, name text, kind text, value text)
LANGUAGE sql AS $$
    SELECT 'lock', b.name, b.kind, l.mode
    FROM pg_locks l JOIN watch.before b ON b.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
        AND l.mode <> 'AccessShareLock'
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL
    SELECT 'file', b.name, b.kind, c.relfilenode::text
    FROM pg_class c JOIN watch.before b ON b.oid = c.oid
    WHERE c.relfilenode <> b.relfilenode
$$;
CREATE FUNCTION watch.digest() RETURNS text LANGUAGE sql AS $$
    WITH mine AS (
        SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'watch')
            AND n.nspname NOT LIKE 'pg_toast%' AND n.nspname NOT LIKE 'pg_temp%'
    ), lines (line) AS (
        SELECT concat_ws(' ', 'relation', c.oid::regclass, c.relkind, c.relpersistence,
            c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.reloptions::text,
            c.reloftype, c.reltablespace, c.relispartition, c.relowner,
            coalesce(c.relacl, acldefault('r', c.relowner))::text,
            pg_get_expr(c.relpartbound, c.oid), obj_description(c.oid, 'pg_class'))
        FROM mine c
        UNION ALL
        SELECT concat_ws(' ', 'column', c.oid::regclass, a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
            CASE WHEN a.attstattarget >= 0 THEN a.attstattarget END, a.attstorage,
            to_jsonb(a) ->> 'attcompression',
            a.attoptions::text, a.attcollation, pg_get_expr(d.adbin, d.adrelid),
            col_description(c.oid, a.attnum))
        FROM mine c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
            AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        UNION ALL
        SELECT concat_ws(' ', 'constraint', conrelid::regclass, contypid::regtype, conname,
            replace(pg_get_constraintdef(oid), ' NOT VALID', ''))
        FROM pg_constraint WHERE conrelid IN (SELECT oid FROM mine) OR contypid <> 0
            AND connamespace <> 'pg_catalog'::regnamespace
            AND connamespace <> 'information_schema'::regnamespace
        UNION ALL
        SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisclustered,
            i.indisreplident, i.indisvalid)
        FROM pg_index i JOIN mine c ON c.oid = i.indexrelid
        UNION ALL
        SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(oid), tgenabled)
        FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT concat_ws(' ', 'rule', pg_get_ruledef(r.oid), r.ev_enabled)
        FROM pg_rewrite r JOIN mine c ON c.oid = r.ev_class
        UNION ALL
        SELECT concat_ws(' ', 'policy', polrelid::regclass, polname, pg_get_expr(polqual, polrelid))
        FROM pg_policy
        UNION ALL
        SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('public', 's')
        UNION ALL
        SELECT concat_ws(' ', 'type', t.oid::regtype, t.typtype,
            (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum
                WHERE enumtypid = t.oid))
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE n.nspname IN ('public', 's') AND t.typtype IN ('e', 'd', 'c')
        UNION ALL
        SELECT concat_ws(' ', 'child', inhrelid::regclass, inhparent::regclass) FROM pg_inherits
        UNION ALL
        SELECT concat_ws(' ', 'schema', nspname) FROM pg_namespace
        WHERE nspname NOT LIKE 'pg_%'
        UNION ALL
        SELECT concat_ws(' ', 'statistics', pg_get_statisticsobjdef(oid)) FROM pg_statistic_ext
        UNION ALL
        SELECT concat_ws(' ', 'sequence', seqrelid::regclass, seqtypid::regtype, seqstart,
            seqincrement, seqcycle)
        FROM pg_sequence
        UNION ALL
        SELECT concat_ws(' ', 'publication', p.pubname, r.prrelid::regclass)
        FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid
        UNION ALL
        SELECT concat_ws(' ', 'role', rolname) FROM pg_roles WHERE rolname NOT LIKE 'pg_%'
    )
    SELECT string_agg(line, E'\n' ORDER BY line) FROM lines
$$;
