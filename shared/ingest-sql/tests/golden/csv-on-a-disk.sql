-- Loads an extraction into PostgreSQL. Written by sqlextract VERSION.
--
-- Run it with psql 10 or newer, with sqlextract in the PATH:
--
--   psql -X -v ON_ERROR_STOP=1 -f FILE
--
-- It is one transaction: all of it or nothing. A second run changes nothing and says so.
--
-- job: "orders-0123abcd"
-- finished: "2026-01-02T03:05:05Z"
-- manifest: "/srv/it's here/lake/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
-- table: "public.notes" from "main.notes", rows: 8, chunks: 4

\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
BEGIN;
SELECT pg_advisory_xact_lock(32494332694525042) IS NULL AS sqlextract_alone \gset

-- "public.notes"
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public') AS sqlextract_new \gset
\if :sqlextract_new
CREATE SCHEMA "public";
\endif
CREATE TABLE IF NOT EXISTS "public"."sqlextract_loads" (
  job text NOT NULL,
  table_name text NOT NULL,
  rows bigint NOT NULL,
  loaded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job, table_name)
);
CREATE TABLE IF NOT EXISTS "public"."notes" (
  "id" bigint,
  "note" text,
  "day" date
);
WITH claim AS (
  INSERT INTO "public"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 'notes', 8)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh
\copy "public"."notes" ("id", "note", "day") FROM '/srv/it''s here/lake/orders-0123abcd/data/main.notes/g0001/batch-0000000-00000000000000aa-00.csv' WITH (FORMAT csv, HEADER true, NULL '', ENCODING 'UTF8')
\copy "public"."notes" ("id", "note", "day") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''/srv/it''\''''s here/lake/orders-0123abcd/manifest.json'' --chunk ''data/main.notes/g0001/batch-0000001-00000000000000aa-00.csv''' WITH (FORMAT text, ENCODING 'UTF8')
\copy "public"."notes" ("id", "note", "day") FROM '/srv/it''s here/lake/orders-0123abcd/data/main.notes/g0001/batch-0000002-00000000000000aa-00.csv' WITH (FORMAT csv, HEADER true, NULL '', ENCODING 'UTF8')
\copy "public"."notes" ("id", "note", "day") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''/srv/it''\''''s here/lake/orders-0123abcd/manifest.json'' --chunk ''data/main.notes/g0001/batch-0000003-00000000000000aa-00.csv''' WITH (FORMAT text, ENCODING 'UTF8')
DO $check$
DECLARE
  loaded bigint;
BEGIN
  SELECT count(*) INTO loaded FROM "public"."notes"
    WHERE xmin::text = (txid_current() % 4294967296)::text;
  IF loaded <> 8 THEN
    RAISE EXCEPTION '% rows were loaded into %, the manifest says 8', loaded, 'public.notes';
  END IF;
END
$check$;
SELECT 'public.notes: 8 rows loaded' AS sqlextract_said \gset
\else
SELECT 'public.notes: nothing changed, sqlextract_loads says that 8 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "public"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 'notes' \gset
\endif
\echo :sqlextract_said

COMMIT;
