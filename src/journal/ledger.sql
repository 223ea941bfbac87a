-- The ledger: what has been applied to this data. It goes back with a restore, and rightly so.
-- Steps and intents name their run without a foreign key: its check would be a tenth of a small step.
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.lease (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL,
    run text,
    holder text,
    backend_pid integer,
    backend_start timestamptz,
    system_identifier text,
    timeline integer,
    since timestamptz
);
CREATE TABLE IF NOT EXISTS {schema}.run (
    run text PRIMARY KEY,
    playbook text NOT NULL,
    title text NOT NULL,
    file text NOT NULL,
    state text NOT NULL,
    inputs jsonb NOT NULL,
    started_by text NOT NULL,
    environment text,
    version text NOT NULL,
    epoch bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    head text NOT NULL DEFAULT '',
    report json,
    -- The order of runs; clocks go back.
    seq bigint GENERATED ALWAYS AS IDENTITY
);
-- Keys are compared byte by byte: no other version of the system's collations can break the index.
CREATE TABLE IF NOT EXISTS {schema}.step (
    run text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    title text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    value jsonb NOT NULL,
    before jsonb NOT NULL,
    inputs jsonb NOT NULL,
    effects jsonb NOT NULL,
    epoch bigint NOT NULL,
    xid text,
    took_ms bigint NOT NULL,
    head text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, key)
);
CREATE TABLE IF NOT EXISTS {schema}.intent (
    run text NOT NULL,
    key text NOT NULL,
    ordinal integer NOT NULL,
    action jsonb NOT NULL,
    state text NOT NULL,
    value jsonb NOT NULL DEFAULT 'null',
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, key, ordinal)
);
INSERT INTO {schema}.lease (epoch) VALUES (0) ON CONFLICT DO NOTHING;
-- FOR SHARE is the heart of the fence: it locks the table in ROW SHARE mode, and whoever raises the
-- epoch takes it in EXCLUSIVE mode, which waits for this transaction. Afterwards the absence of a
-- step's row is final.
CREATE OR REPLACE FUNCTION {schema}.fence(mine bigint) RETURNS text LANGUAGE plpgsql AS $fence$
BEGIN
    PERFORM 1 FROM {schema}.lease WHERE epoch = mine FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced: the lease no longer has epoch %', mine USING ERRCODE = 'RSF01';
    END IF;
    RETURN pg_catalog.pg_current_xact_id()::text;
END $fence$;
-- The tables that the present transaction changed or locked, oid to name: those on which it holds a
-- lock that writers or DDL take. A DO block over ten thousand partitions must not fill the ledger.
CREATE OR REPLACE FUNCTION {schema}.touched() RETURNS jsonb LANGUAGE plpgsql AS $touched$
DECLARE
    found jsonb;
BEGIN
    SELECT coalesce(pg_catalog.jsonb_object_agg(t.oid, t.name), '{}') INTO found FROM (
        SELECT DISTINCT c.oid::text AS oid,
            pg_catalog.format('%s.%I', c.relnamespace::pg_catalog.regnamespace, c.relname) AS name
        FROM pg_catalog.pg_lock_status() l JOIN pg_catalog.pg_class c ON c.oid = l.relation
        -- What is shared by all databases has database 0; schemas below 16384 are the server's own,
        -- but for "public".
        WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
            AND l.database <> 0 AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
            AND c.relkind = 'r' AND c.relpersistence <> 't'
            AND (c.relnamespace >= 16384 OR c.relnamespace = 2200)
            AND c.relnamespace <> '{schema}'::pg_catalog.regnamespace
        LIMIT 1000) AS t;
    RETURN found;
END $touched$;
-- What a step leaves beside its row: its snapshot and the tables that it touched.
CREATE OR REPLACE FUNCTION {schema}.since() RETURNS jsonb LANGUAGE plpgsql AS $since$
BEGIN
    RETURN pg_catalog.jsonb_build_object('since', pg_catalog.jsonb_build_object(
        'snapshot', pg_catalog.pg_current_snapshot()::text, 'tables', {schema}.touched()));
END $since$;
-- The last statement of a step's transaction: its row. The transaction holds the lease's table since
-- its begin, so the epoch that is read here stays until it ends. A file that ended our transaction
-- and began one of its own has another transaction id. Made last: where it is, everything is.
CREATE OR REPLACE FUNCTION {schema}.record(
    begun text, of_run text, its_key text, its_number integer, its_title text, its_kind text,
    its_state text, its_value jsonb, reads jsonb, used jsonb, verbs jsonb, mine bigint,
    took bigint, last_line text
) RETURNS text LANGUAGE plpgsql AS $record$
DECLARE
    own text := pg_catalog.pg_current_xact_id()::text;
BEGIN
    IF begun <> own THEN
        RAISE EXCEPTION 'the step left its transaction %', begun USING ERRCODE = 'RSF02';
    END IF;
    -- A step that says done must survive the server's crash, whatever its own SQL has set.
    IF pg_catalog.current_setting('synchronous_commit') = 'off' THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO {schema}.step (run, key, number, title, kind, state, value, before, inputs, effects,
        epoch, xid, took_ms, head)
    SELECT of_run, its_key, its_number, its_title, its_kind, its_state, its_value, reads, used, verbs,
        mine, own, took, last_line FROM {schema}.lease WHERE epoch = mine;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced: the lease no longer has epoch %', mine USING ERRCODE = 'RSF01';
    END IF;
    RETURN own;
END $record$;
