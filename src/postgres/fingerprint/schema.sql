-- Kind, name and everything that counts of each object, as text.
WITH own_schema AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $2)),
rel AS (
    SELECT c.*, n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE CASE WHEN $1::bigint[] IS NOT NULL THEN c.oid = ANY ($1::bigint[])
        ELSE c.relnamespace IN (SELECT oid FROM own_schema) AND c.relpersistence <> 't'
            AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                AND d.objid = c.oid AND d.deptype = 'e') END),
whole AS (SELECT oid, nspname FROM own_schema WHERE $1::bigint[] IS NULL)
SELECT 'relation' AS kind, r.name, json_build_array(r.relkind, r.relpersistence, r.reloptions,
    r.relrowsecurity, r.relforcerowsecurity, r.relreplident, pg_get_expr(r.relpartbound, r.oid),
    CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
    CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END,
    (SELECT json_agg(i.inhparent::regclass::text ORDER BY i.inhseqno)
        FROM pg_inherits i WHERE i.inhrelid = r.oid),
    (SELECT json_agg(a::text ORDER BY a::text) FROM unnest(coalesce(r.relacl,
        acldefault(CASE WHEN r.relkind = 'S' THEN 's'::"char" ELSE 'r'::"char" END, r.relowner))) a),
    obj_description(r.oid, 'pg_class'))::text AS body
FROM rel r
UNION ALL
SELECT 'column', r.name || '.' || quote_ident(a.attname), json_build_array(
    row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
    format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
    pg_get_expr(d.adbin, d.adrelid), a.attstorage, to_jsonb(a) ->> 'attcompression', a.attislocal,
    (SELECT c.collname FROM pg_collation c WHERE c.oid = a.attcollation),
    (SELECT json_agg(x::text ORDER BY x::text) FROM unnest(a.attacl) x),
    col_description(r.oid, a.attnum))::text
FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL
SELECT 'constraint', coalesce(r.name, t.typname) || '.' || quote_ident(c.conname),
    json_build_array(pg_get_constraintdef(c.oid), c.convalidated, obj_description(c.oid, 'pg_constraint'))::text
FROM pg_constraint c LEFT JOIN rel r ON r.oid = c.conrelid
LEFT JOIN pg_type t ON t.oid = c.contypid AND t.typnamespace IN (SELECT oid FROM whole)
WHERE r.oid IS NOT NULL OR t.oid IS NOT NULL
UNION ALL
SELECT 'index', i.indexrelid::regclass::text, json_build_array(pg_get_indexdef(i.indexrelid),
    i.indisvalid, i.indisclustered, i.indisreplident, x.reloptions, obj_description(x.oid, 'pg_class'))::text
FROM pg_index i JOIN rel r ON r.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
UNION ALL
SELECT 'trigger', r.name || '.' || quote_ident(t.tgname), json_build_array(pg_get_triggerdef(t.oid),
    t.tgenabled, obj_description(t.oid, 'pg_trigger'))::text
FROM pg_trigger t JOIN rel r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'rule', r.name || '.' || quote_ident(w.rulename),
    json_build_array(pg_get_ruledef(w.oid), w.ev_enabled)::text
FROM pg_rewrite w JOIN rel r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', r.name || '.' || quote_ident(p.polname), json_build_array(p.polcmd, p.polpermissive,
    (SELECT json_agg(CASE WHEN o = 0 THEN 'public' ELSE pg_get_userbyid(o) END ORDER BY o)
        FROM unnest(p.polroles) o),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))::text
FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
UNION ALL
SELECT 'sequence', r.name, json_build_array(format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement,
    s.seqmax, s.seqmin, s.seqcache, s.seqcycle)::text
FROM pg_sequence s JOIN rel r ON r.oid = s.seqrelid
UNION ALL
SELECT 'schema', quote_ident(s.nspname), json_build_array(
    (SELECT json_agg(a::text ORDER BY a::text)
        FROM unnest(coalesce(s.nspacl, acldefault('n', s.nspowner))) a),
    obj_description(s.oid, 'pg_namespace'))::text
FROM own_schema s WHERE $1::bigint[] IS NULL
UNION ALL
SELECT 'function', p.oid::regprocedure::text, json_build_array(p.prokind,
    CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid)
        ELSE (SELECT row_to_json(a)::text FROM pg_aggregate a WHERE a.aggfnoid = p.oid) END,
    (SELECT json_agg(a::text ORDER BY a::text)
        FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a),
    obj_description(p.oid, 'pg_proc'))::text
FROM pg_proc p JOIN whole w ON w.oid = p.pronamespace
WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
    AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT 'type', format_type(t.oid, NULL), json_build_array(t.typtype, t.typnotnull, t.typdefault,
    CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
    (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
    (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g WHERE g.rngtypid = t.oid),
    (SELECT json_agg(a::text ORDER BY a::text)
        FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) a),
    obj_description(t.oid, 'pg_type'))::text
FROM pg_type t JOIN whole w ON w.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r') AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
UNION ALL
SELECT 'extension', quote_ident(e.extname), json_build_array(e.extversion)::text
FROM pg_extension e WHERE $1::bigint[] IS NULL
UNION ALL
SELECT 'default grants', '', json_build_array(d.defaclobjtype, n.nspname,
    pg_get_userbyid(d.defaclrole),
    (SELECT json_agg(a::text ORDER BY a::text) FROM unnest(d.defaclacl) a))::text
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
WHERE $1::bigint[] IS NULL
