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
-- manifest: "s3://lake/exports/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- mode: append
-- table: "shop.notes" from "shop.notes", rows: 2, chunks: 1

\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
BEGIN;
SELECT pg_advisory_xact_lock(32494332694525042) IS NULL AS sqlextract_alone \gset

-- ==== "shop.notes"

-- Schema, ledger, table.
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'shop') AS sqlextract_new \gset
\if :sqlextract_new
CREATE SCHEMA "shop";
\endif
CREATE TABLE IF NOT EXISTS "shop"."sqlextract_loads" (
  job text NOT NULL,
  table_name text NOT NULL,
  rows bigint NOT NULL,
  loaded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job, table_name)
);
CREATE TABLE IF NOT EXISTS "shop"."notes" (
  "id" bigint,
  "note" text,
  "photo" bytea
);

-- Columns that the table does not have yet.
ALTER TABLE "shop"."notes" ADD COLUMN IF NOT EXISTS "id" bigint;
ALTER TABLE "shop"."notes" ADD COLUMN IF NOT EXISTS "note" text;
ALTER TABLE "shop"."notes" ADD COLUMN IF NOT EXISTS "photo" bytea;

-- Stops where the table is not what the extraction needs.
DO $check$
DECLARE
  differences text;
BEGIN
  SELECT string_agg(difference, '; ' ORDER BY difference) INTO differences FROM (
  SELECT column_name || CASE column_name
    WHEN 'id' THEN CASE WHEN NOT (data_type IN ('bigint')) THEN ' is ' || data_type || ', which cannot hold bigint' END
    WHEN 'note' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN 'photo' THEN CASE WHEN NOT (data_type IN ('bytea')) THEN ' is ' || data_type || ', which cannot hold bytea' END
    ELSE ' is not in the extraction' END AS difference
  FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'notes'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name UNION ALL SELECT 'note' UNION ALL SELECT 'photo') AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'notes')
) AS found
  WHERE difference IS NOT NULL;
  IF differences IS NOT NULL THEN
    RAISE EXCEPTION '% does not fit: %', 'shop.notes', differences;
  END IF;
END
$check$;

-- What follows happens once per job.
WITH claim AS (
  INSERT INTO "shop"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 'notes', 2)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh

-- Load.
\copy "shop"."notes" ("id", "note", "photo") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''s3://lake/exports/orders-0123abcd/manifest.json'' --chunk ''data/shop.notes/g0001/batch-0000000-00000000000000aa-00.csv''' WITH (FORMAT text, ENCODING 'UTF8')
SELECT (CASE :ROW_COUNT WHEN 2 THEN '2' ELSE 'data/shop.notes/g0001/batch-0000000-00000000000000aa-00.csv: ' || :ROW_COUNT || ' rows were loaded, the manifest says 2' END)::bigint AS sqlextract_rows \gset

-- What happened; every chunk's rows were counted.
SELECT 'shop.notes: 2 rows loaded' AS sqlextract_said \gset
\else
SELECT 'shop.notes: nothing changed, sqlextract_loads says that 2 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "shop"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 'notes' \gset
\endif
\echo :sqlextract_said

COMMIT;
--
-- To take it back:
--   "shop.notes"
--     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
--     TRUNCATE TABLE "shop"."notes";
--     and delete this job's row from "shop"."sqlextract_loads", so that it can be loaded again.
