-- Loads an extraction into PostgreSQL. Written by sqlextract VERSION.
--
-- Run it with psql 11 or newer, with sqlextract in the PATH:
--
--   psql -X -v ON_ERROR_STOP=1 -f FILE
--
-- It is one transaction: all of it or nothing. A second run changes nothing and says so.
--
-- job: "orders-0123abcd"
-- finished: "2026-01-02T03:05:05Z"
-- manifest: "/srv/lake/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- mode: append
-- table: "s'; --.t\"$check$ \\! touch x" from "s'; --.\"t\"\"$check$ \\! touch x\"", rows: 2, chunks: 1

\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
BEGIN;
SELECT pg_advisory_xact_lock(32494332694525042) IS NULL AS sqlextract_alone \gset

-- ==== "s'; --.t\"$check$ \\! touch x"

-- Schema, ledger, table.
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 's''; --') AS sqlextract_new \gset
\if :sqlextract_new
CREATE SCHEMA "s'; --";
\endif
CREATE TABLE IF NOT EXISTS "s'; --"."sqlextract_loads" (
  job text NOT NULL,
  table_name text NOT NULL,
  rows bigint NOT NULL,
  loaded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job, table_name)
);
CREATE TABLE IF NOT EXISTS "s'; --"."t""$check$ \! touch x" (
  "a""; DROP TABLE x; --" text,
  "it's" text,
  "$check$" text,
  "back\slash" text,
  ":id :'id' :""id""" text,
  "), (" text,
  "select" text,
  "naïve 😀" text
);

-- Stops where the table is not what the extraction needs.
DO $check1$
DECLARE
  differences text;
BEGIN
  SELECT string_agg(difference, '; ' ORDER BY difference) INTO differences FROM (
  SELECT column_name || CASE column_name
    WHEN 'a"; DROP TABLE x; --' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN 'it''s' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN '$check$' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN 'back\slash' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN ':id :''id'' :"id"' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN '), (' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN 'select' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN 'naïve 😀' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    ELSE ' is not in the extraction' END AS difference
  FROM information_schema.columns WHERE table_schema = 's''; --' AND table_name = 't"$check$ \! touch x'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'a"; DROP TABLE x; --' AS column_name UNION ALL SELECT 'it''s' UNION ALL SELECT '$check$' UNION ALL SELECT 'back\slash' UNION ALL SELECT ':id :''id'' :"id"' UNION ALL SELECT '), (' UNION ALL SELECT 'select' UNION ALL SELECT 'naïve 😀') AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM information_schema.columns WHERE table_schema = 's''; --' AND table_name = 't"$check$ \! touch x')
) AS found
  WHERE difference IS NOT NULL;
  IF differences IS NOT NULL THEN
    RAISE EXCEPTION '% does not fit: %', 's''; --.t"$check$ \! touch x', differences;
  END IF;
END
$check1$;

-- What follows happens once per job.
WITH claim AS (
  INSERT INTO "s'; --"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 't"$check$ \! touch x', 2)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh

-- Load.
\copy "s'; --"."t""$check$ \! touch x" ("a""; DROP TABLE x; --", "it's", "$check$", "back\slash", ":id :'id' :""id""", "), (", "select", "naïve 😀") FROM '/srv/lake/orders-0123abcd/data/s%27%3B%20--.t%22%24check%24%20%5C%21%20touch%20x/g0001/batch-0000000-00000000000000aa-00.csv' WITH (FORMAT csv, HEADER true, NULL '', ENCODING 'UTF8')
SELECT (CASE :ROW_COUNT WHEN 2 THEN '2' ELSE 'data/s%27%3B%20--.t%22%24check%24%20%5C%21%20touch%20x/g0001/batch-0000000-00000000000000aa-00.csv: ' || :ROW_COUNT || ' rows were loaded, the manifest says 2' END)::bigint AS sqlextract_rows \gset

-- What happened; every chunk's rows were counted.
SELECT 's''; --.t"$check$ \! touch x: 2 rows loaded' AS sqlextract_said \gset
\else
SELECT 's''; --.t"$check$ \! touch x: nothing changed, sqlextract_loads says that 2 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "s'; --"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 't"$check$ \! touch x' \gset
\endif
\echo :sqlextract_said

COMMIT;
--
-- To take it back:
--   "s'; --.t\"$check$ \\! touch x"
--     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
--     TRUNCATE TABLE "s'; --"."t""$check$ \! touch x";
--     and delete this job's row from "s'; --"."sqlextract_loads", so that it can be loaded again.
