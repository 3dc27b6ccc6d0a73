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
-- manifest: "s3://lake/exports/orders-0123abcd/manifest.json"
-- manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
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

-- "shop.orders"
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
  "at" time(6),
  "character varying(40)" varchar(40),
  "character(10)" char(10),
  "kept as text" text,
  "text" text,
  "numeric" numeric,
  "numeric(50,10)" numeric,
  "interval" interval,
  "interval day to second(3)" interval,
  "inet" inet,
  "time(3) without time zone" time,
  "time(3) with time zone" timetz,
  "bit(8)" bit(8),
  "bit varying(8)" varbit,
  "int4range" int4range,
  "mood" text,
  """in""""et""" text,
  "hstore" text
);
WITH claim AS (
  INSERT INTO "shop"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 'orders', 5)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh
\copy "shop"."orders" ("id", "ok", "small", "int", "real", "double", "price", "uuid", "json", "jsonb", "array", "bytes", "day", "moment", "instant", "at", "character varying(40)", "character(10)", "kept as text", "text", "numeric", "numeric(50,10)", "interval", "interval day to second(3)", "inet", "time(3) without time zone", "time(3) with time zone", "bit(8)", "bit varying(8)", "int4range", "mood", """in""""et""", "hstore") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''s3://lake/exports/orders-0123abcd/manifest.json'' --chunk ''data/shop.orders/g0001/batch-0000000-00000000000000aa-00.parquet''' WITH (FORMAT text, ENCODING 'UTF8')
\copy "shop"."orders" ("id", "ok", "small", "int", "real", "double", "price", "uuid", "json", "jsonb", "array", "bytes", "day", "moment", "instant", "at", "character varying(40)", "character(10)", "kept as text", "text", "numeric", "numeric(50,10)", "interval", "interval day to second(3)", "inet", "time(3) without time zone", "time(3) with time zone", "bit(8)", "bit varying(8)", "int4range", "mood", """in""""et""", "hstore") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''s3://lake/exports/orders-0123abcd/manifest.json'' --chunk ''data/shop.orders/g0001/batch-0000001-00000000000000aa-00.parquet''' WITH (FORMAT text, ENCODING 'UTF8')
DO $check$
DECLARE
  loaded bigint;
BEGIN
  SELECT count(*) INTO loaded FROM "shop"."orders"
    WHERE xmin::text = (txid_current() % 4294967296)::text;
  IF loaded <> 5 THEN
    RAISE EXCEPTION '% rows were loaded into %, the manifest says 5', loaded, 'shop.orders';
  END IF;
END
$check$;
SELECT 'shop.orders: 5 rows loaded' AS sqlextract_said \gset
\else
SELECT 'shop.orders: nothing changed, sqlextract_loads says that 5 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "shop"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 'orders' \gset
\endif
\echo :sqlextract_said

-- "shop.empty"
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
WITH claim AS (
  INSERT INTO "shop"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 'empty', 0)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh
DO $check$
DECLARE
  loaded bigint;
BEGIN
  SELECT count(*) INTO loaded FROM "shop"."empty"
    WHERE xmin::text = (txid_current() % 4294967296)::text;
  IF loaded <> 0 THEN
    RAISE EXCEPTION '% rows were loaded into %, the manifest says 0', loaded, 'shop.empty';
  END IF;
END
$check$;
SELECT 'shop.empty: 0 rows loaded' AS sqlextract_said \gset
\else
SELECT 'shop.empty: nothing changed, sqlextract_loads says that 0 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "shop"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 'empty' \gset
\endif
\echo :sqlextract_said

COMMIT;
