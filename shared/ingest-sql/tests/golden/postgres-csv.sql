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
-- table: "shop.orders" from "shop.orders", rows: 5, chunks: 2
-- table: "shop.empty" from "shop.empty", rows: 0, chunks: 0

\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
BEGIN;
SELECT pg_advisory_xact_lock(32494332694525042) IS NULL AS sqlextract_alone \gset

-- ==== "shop.orders"

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
CREATE TABLE IF NOT EXISTS "shop"."orders" (
  "id" bigint NOT NULL,
  "ok" boolean,
  "small" smallint,
  "int" integer,
  "real" real,
  "double" double precision,
  "price" numeric(10,2),
  "uuid" uuid,
  "json" json,
  "jsonb" jsonb,
  "array" jsonb,
  "bytes" bytea,
  "day" date,
  "moment" timestamp(6),
  "instant" timestamptz(6),
  "text" text,
  "numeric" numeric,
  "interval" interval,
  "inet" inet,
  "int4range" int4range,
  "mood" text,
  "hstore" text
);

-- Stops where the table is not what the extraction needs.
DO $check$
DECLARE
  differences text;
BEGIN
  SELECT string_agg(difference, '; ' ORDER BY difference) INTO differences FROM (
  SELECT column_name || CASE column_name
    WHEN 'id' THEN CASE WHEN NOT (data_type IN ('bigint')) THEN ' is ' || data_type || ', which cannot hold bigint' END
    WHEN 'ok' THEN CASE WHEN NOT (data_type IN ('boolean')) THEN ' is ' || data_type || ', which cannot hold boolean' END
    WHEN 'small' THEN CASE WHEN NOT (data_type IN ('smallint', 'integer', 'bigint')) THEN ' is ' || data_type || ', which cannot hold smallint' END
    WHEN 'int' THEN CASE WHEN NOT (data_type IN ('integer', 'bigint')) THEN ' is ' || data_type || ', which cannot hold integer' END
    WHEN 'real' THEN CASE WHEN NOT (data_type IN ('real', 'double precision')) THEN ' is ' || data_type || ', which cannot hold real' END
    WHEN 'double' THEN CASE WHEN NOT (data_type IN ('double precision')) THEN ' is ' || data_type || ', which cannot hold double precision' END
    WHEN 'price' THEN CASE WHEN NOT (data_type = 'numeric' AND (numeric_precision IS NULL OR (numeric_scale >= 2 AND numeric_precision - numeric_scale >= 8))) THEN ' is ' || data_type || ', which cannot hold numeric(10,2)' END
    WHEN 'uuid' THEN CASE WHEN NOT (data_type IN ('uuid')) THEN ' is ' || data_type || ', which cannot hold uuid' END
    WHEN 'json' THEN CASE WHEN NOT (data_type IN ('json', 'text')) THEN ' is ' || data_type || ', which cannot hold json' END
    WHEN 'jsonb' THEN CASE WHEN NOT (data_type IN ('jsonb')) THEN ' is ' || data_type || ', which cannot hold jsonb' END
    WHEN 'array' THEN CASE WHEN NOT (data_type IN ('jsonb')) THEN ' is ' || data_type || ', which cannot hold jsonb' END
    WHEN 'bytes' THEN CASE WHEN NOT (data_type IN ('bytea')) THEN ' is ' || data_type || ', which cannot hold bytea' END
    WHEN 'day' THEN CASE WHEN NOT (data_type IN ('date')) THEN ' is ' || data_type || ', which cannot hold date' END
    WHEN 'moment' THEN CASE WHEN NOT (data_type = 'timestamp without time zone' AND coalesce(datetime_precision, 6) >= 6) THEN ' is ' || data_type || ', which cannot hold timestamp(6)' END
    WHEN 'instant' THEN CASE WHEN NOT (data_type = 'timestamp with time zone' AND coalesce(datetime_precision, 6) >= 6) THEN ' is ' || data_type || ', which cannot hold timestamptz(6)' END
    WHEN 'text' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN 'numeric' THEN CASE WHEN NOT (data_type = 'numeric' AND numeric_precision IS NULL) THEN ' is ' || data_type || ', which cannot hold numeric' END
    WHEN 'interval' THEN CASE WHEN NOT (data_type = 'interval' AND coalesce(datetime_precision, 6) >= 6) THEN ' is ' || data_type || ', which cannot hold interval' END
    WHEN 'inet' THEN CASE WHEN NOT (data_type IN ('inet')) THEN ' is ' || data_type || ', which cannot hold inet' END
    WHEN 'int4range' THEN CASE WHEN NOT (data_type IN ('int4range')) THEN ' is ' || data_type || ', which cannot hold int4range' END
    WHEN 'mood' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    WHEN 'hstore' THEN CASE WHEN NOT (data_type = 'text' OR data_type = 'character varying' AND character_maximum_length IS NULL) THEN ' is ' || data_type || ', which cannot hold text' END
    ELSE ' is not in the extraction' END AS difference
  FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'orders'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name UNION ALL SELECT 'ok' UNION ALL SELECT 'small' UNION ALL SELECT 'int' UNION ALL SELECT 'real' UNION ALL SELECT 'double' UNION ALL SELECT 'price' UNION ALL SELECT 'uuid' UNION ALL SELECT 'json' UNION ALL SELECT 'jsonb' UNION ALL SELECT 'array' UNION ALL SELECT 'bytes' UNION ALL SELECT 'day' UNION ALL SELECT 'moment' UNION ALL SELECT 'instant' UNION ALL SELECT 'text' UNION ALL SELECT 'numeric' UNION ALL SELECT 'interval' UNION ALL SELECT 'inet' UNION ALL SELECT 'int4range' UNION ALL SELECT 'mood' UNION ALL SELECT 'hstore') AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'orders')
) AS found
  WHERE difference IS NOT NULL;
  IF differences IS NOT NULL THEN
    RAISE EXCEPTION '% does not fit: %', 'shop.orders', differences;
  END IF;
END
$check$;

-- What follows happens once per job.
WITH claim AS (
  INSERT INTO "shop"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 'orders', 5)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh

-- Load, 1 of 2.
\copy "shop"."orders" ("id", "ok", "small", "int", "real", "double", "price", "uuid", "json", "jsonb", "array", "bytes", "day", "moment", "instant", "text", "numeric", "interval", "inet", "int4range", "mood", "hstore") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''s3://lake/exports/orders-0123abcd/manifest.json'' --chunk ''data/shop.orders/g0001/batch-0000000-00000000000000aa-00.csv''' WITH (FORMAT text, ENCODING 'UTF8')
SELECT (CASE :ROW_COUNT WHEN 2 THEN '2' ELSE 'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.csv: ' || :ROW_COUNT || ' rows were loaded, the manifest says 2' END)::bigint AS sqlextract_rows \gset

-- Load, 2 of 2.
\copy "shop"."orders" ("id", "ok", "small", "int", "real", "double", "price", "uuid", "json", "jsonb", "array", "bytes", "day", "moment", "instant", "text", "numeric", "interval", "inet", "int4range", "mood", "hstore") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''s3://lake/exports/orders-0123abcd/manifest.json'' --chunk ''data/shop.orders/g0001/batch-0000001-00000000000000aa-00.csv''' WITH (FORMAT text, ENCODING 'UTF8')
SELECT (CASE :ROW_COUNT WHEN 3 THEN '3' ELSE 'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.csv: ' || :ROW_COUNT || ' rows were loaded, the manifest says 3' END)::bigint AS sqlextract_rows \gset

-- What happened; every chunk's rows were counted.
SELECT 'shop.orders: 5 rows loaded' AS sqlextract_said \gset
\else
SELECT 'shop.orders: nothing changed, sqlextract_loads says that 5 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "shop"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 'orders' \gset
\endif
\echo :sqlextract_said

-- ==== "shop.empty"

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
CREATE TABLE IF NOT EXISTS "shop"."empty" (
  "id" integer
);

-- Stops where the table is not what the extraction needs.
DO $check$
DECLARE
  differences text;
BEGIN
  SELECT string_agg(difference, '; ' ORDER BY difference) INTO differences FROM (
  SELECT column_name || CASE column_name
    WHEN 'id' THEN CASE WHEN NOT (data_type IN ('integer', 'bigint')) THEN ' is ' || data_type || ', which cannot hold integer' END
    ELSE ' is not in the extraction' END AS difference
  FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'empty'
  UNION ALL
  SELECT w.column_name || ' is missing' FROM (SELECT 'id' AS column_name) AS w
  WHERE w.column_name NOT IN (SELECT column_name FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'empty')
) AS found
  WHERE difference IS NOT NULL;
  IF differences IS NOT NULL THEN
    RAISE EXCEPTION '% does not fit: %', 'shop.empty', differences;
  END IF;
END
$check$;

-- What follows happens once per job.
WITH claim AS (
  INSERT INTO "shop"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 'empty', 0)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh

-- What happened; every chunk's rows were counted.
SELECT 'shop.empty: 0 rows loaded' AS sqlextract_said \gset
\else
SELECT 'shop.empty: nothing changed, sqlextract_loads says that 0 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "shop"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 'empty' \gset
\endif
\echo :sqlextract_said

COMMIT;
--
-- To take it back:
--   "shop.orders"
--     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
--     TRUNCATE TABLE "shop"."orders";
--     and delete this job's row from "shop"."sqlextract_loads", so that it can be loaded again.
--   "shop.empty"
--     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
--     TRUNCATE TABLE "shop"."empty";
--     and delete this job's row from "shop"."sqlextract_loads", so that it can be loaded again.
