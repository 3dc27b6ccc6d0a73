#!/usr/bin/env bash
# Loads an extraction into PostgreSQL. Written by sqlextract VERSION.
#
# Run it with bash, with psql 11 or newer and sqlextract in the PATH; psql's own variables say where to:
#
#   PGHOST=… PGDATABASE=… bash FILE
#
# Sessions load chunk by chunk beside the target and try again what may pass; only then one transaction
# publishes: all of it or nothing. A second run loads only what is missing, or says that nothing is to do.
#
# Note:
#   8 loads at once were asked for, and there are 2 files: extract with a smaller `--chunk-size` or `--batch-size` for more.
#
# job: "orders-0123abcd"
# finished: "2026-01-02T03:05:05Z"
# manifest: "/srv/lake/orders-0123abcd/manifest.json"
# manifest sha256: 05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f
# mode: append
# table: "shop.orders" from "shop.orders", rows: 5, chunks: 2
# table: "shop.empty" from "shop.empty", rows: 0, chunks: 0
#
# To take it back:
#   "shop.orders"
#     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
#     TRUNCATE TABLE "shop"."orders";
#     and delete this job's row from "shop"."sqlextract_loads", so that it can be loaded again.
#   "shop.empty"
#     Before its COMMIT nothing has changed. Afterwards restore a backup; where the table was empty before:
#     TRUNCATE TABLE "shop"."empty";
#     and delete this job's row from "shop"."sqlextract_loads", so that it can be loaded again.

set -euo pipefail
sessions=${SQLEXTRACT_SESSIONS:-8}
tries=${SQLEXTRACT_TRIES:-5}
log=${SQLEXTRACT_LOG:-sqlextract-orders-0123abcd.log}

client() { psql -X -q -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -f "$1"; }

# Whether trying again cannot help, by what the client said.
lasts() { grep -Eq ': +[0-9A-Z]{5}: ' "$1" && ! grep -Eq ': +((08|40|53|57)[0-9A-Z]{3}|55P03): ' "$1"; }

# What a step loads, for the log.
about() {
  case $1 in
    1) echo 'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.parquet' ;;
    2) echo 'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.parquet' ;;
    *) echo 'all tables' ;;
  esac
}

# The statements of a step.
statements() {
  case $1 in
    prologue)
      cat <<'SQLEXTRACT_END_OF_STEP'
\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
BEGIN;
SELECT pg_advisory_xact_lock(32494332694525042) IS NULL AS sqlextract_alone \gset

-- ==== "shop.orders"

-- Schema and ledgers.
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
CREATE TABLE IF NOT EXISTS "shop"."sqlextract_chunks" (
  job text NOT NULL,
  table_name text NOT NULL,
  chunk text NOT NULL,
  rows bigint NOT NULL,
  loaded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job, chunk)
);

-- Staging table, beside a target that fits or is still missing.
SELECT EXISTS (SELECT FROM "shop"."sqlextract_loads" WHERE job = 'orders-0123abcd' AND table_name = 'orders') AS sqlextract_loaded \gset
\if :sqlextract_loaded
\echo sqlextract: loaded before
\else
SELECT to_regclass('"shop"."orders"') IS NULL AS sqlextract_missing \gset
\if :sqlextract_missing
CREATE TABLE IF NOT EXISTS "shop"."orders__sqlextract_27067f5c" (
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
\else
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
CREATE UNLOGGED TABLE IF NOT EXISTS "shop"."orders__sqlextract_27067f5c" (
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
\endif
SELECT (SELECT count(*) FROM "shop"."orders__sqlextract_27067f5c") <> (SELECT coalesce(sum(rows), 0) FROM "shop"."sqlextract_chunks" WHERE job = 'orders-0123abcd' AND table_name = 'orders') AS sqlextract_stale \gset
\if :sqlextract_stale
TRUNCATE TABLE "shop"."orders__sqlextract_27067f5c";
DELETE FROM "shop"."sqlextract_chunks" WHERE job = 'orders-0123abcd' AND table_name = 'orders';
\endif
\endif

-- ==== "shop.empty"

-- Schema and ledgers.
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
CREATE TABLE IF NOT EXISTS "shop"."sqlextract_chunks" (
  job text NOT NULL,
  table_name text NOT NULL,
  chunk text NOT NULL,
  rows bigint NOT NULL,
  loaded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job, chunk)
);

-- Staging table, beside a target that fits or is still missing.
SELECT EXISTS (SELECT FROM "shop"."sqlextract_loads" WHERE job = 'orders-0123abcd' AND table_name = 'empty') AS sqlextract_loaded \gset
\if :sqlextract_loaded
\echo sqlextract: loaded before
\else
SELECT to_regclass('"shop"."empty"') IS NULL AS sqlextract_missing \gset
\if :sqlextract_missing
CREATE TABLE IF NOT EXISTS "shop"."empty__sqlextract_fb715385" (
  "id" integer
);
\else
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
CREATE UNLOGGED TABLE IF NOT EXISTS "shop"."empty__sqlextract_fb715385" (
  "id" integer
);
\endif
SELECT (SELECT count(*) FROM "shop"."empty__sqlextract_fb715385") <> (SELECT coalesce(sum(rows), 0) FROM "shop"."sqlextract_chunks" WHERE job = 'orders-0123abcd' AND table_name = 'empty') AS sqlextract_stale \gset
\if :sqlextract_stale
TRUNCATE TABLE "shop"."empty__sqlextract_fb715385";
DELETE FROM "shop"."sqlextract_chunks" WHERE job = 'orders-0123abcd' AND table_name = 'empty';
\endif
\endif
COMMIT;
SQLEXTRACT_END_OF_STEP
      ;;
    1)
      cat <<'SQLEXTRACT_END_OF_STEP'
\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
SELECT EXISTS (SELECT FROM "shop"."sqlextract_loads" WHERE job = 'orders-0123abcd' AND table_name = 'orders') AS sqlextract_loaded \gset
\if :sqlextract_loaded
\q
\endif
BEGIN;
WITH claim AS (
  INSERT INTO "shop"."sqlextract_chunks" (job, table_name, chunk, rows) VALUES ('orders-0123abcd', 'orders', 'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.parquet', 2)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh
\copy "shop"."orders__sqlextract_27067f5c" ("id", "ok", "small", "int", "real", "double", "price", "uuid", "json", "jsonb", "array", "bytes", "day", "moment", "instant", "text", "numeric", "interval", "inet", "int4range", "mood", "hstore") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''/srv/lake/orders-0123abcd/manifest.json'' --chunk ''data/shop.orders/g0001/batch-0000000-00000000000000aa-00.parquet''' WITH (FORMAT text, ENCODING 'UTF8')
SELECT (CASE :ROW_COUNT WHEN 2 THEN '2' ELSE 'data/shop.orders/g0001/batch-0000000-00000000000000aa-00.parquet: ' || :ROW_COUNT || ' rows were loaded, the manifest says 2' END)::bigint AS sqlextract_rows \gset
\endif
COMMIT;
SQLEXTRACT_END_OF_STEP
      ;;
    2)
      cat <<'SQLEXTRACT_END_OF_STEP'
\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
SELECT EXISTS (SELECT FROM "shop"."sqlextract_loads" WHERE job = 'orders-0123abcd' AND table_name = 'orders') AS sqlextract_loaded \gset
\if :sqlextract_loaded
\q
\endif
BEGIN;
WITH claim AS (
  INSERT INTO "shop"."sqlextract_chunks" (job, table_name, chunk, rows) VALUES ('orders-0123abcd', 'orders', 'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.parquet', 3)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh
\copy "shop"."orders__sqlextract_27067f5c" ("id", "ok", "small", "int", "real", "double", "price", "uuid", "json", "jsonb", "array", "bytes", "day", "moment", "instant", "text", "numeric", "interval", "inet", "int4range", "mood", "hstore") FROM PROGRAM 'sqlextract cat --as pg-text --manifest ''/srv/lake/orders-0123abcd/manifest.json'' --chunk ''data/shop.orders/g0001/batch-0000001-00000000000000aa-00.parquet''' WITH (FORMAT text, ENCODING 'UTF8')
SELECT (CASE :ROW_COUNT WHEN 3 THEN '3' ELSE 'data/shop.orders/g0001/batch-0000001-00000000000000aa-00.parquet: ' || :ROW_COUNT || ' rows were loaded, the manifest says 3' END)::bigint AS sqlextract_rows \gset
\endif
COMMIT;
SQLEXTRACT_END_OF_STEP
      ;;
    epilogue)
      cat <<'SQLEXTRACT_END_OF_STEP'
\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET client_min_messages = warning;
SET datestyle = 'ISO, YMD';
BEGIN;
SELECT pg_advisory_xact_lock(32494332694525042) IS NULL AS sqlextract_alone \gset

-- ==== "shop.orders"

-- What follows happens once per job.
WITH claim AS (
  INSERT INTO "shop"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 'orders', 5)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh

-- Check: rows in all; every chunk's rows were counted.
DO $check$
DECLARE
  staged bigint;
  parts bigint;
BEGIN
  SELECT count(*) INTO staged FROM "shop"."orders__sqlextract_27067f5c";
  SELECT count(*) INTO parts FROM "shop"."sqlextract_chunks" WHERE job = 'orders-0123abcd' AND table_name = 'orders';
  IF staged <> 5 OR parts <> 2 THEN
    RAISE EXCEPTION '%: % rows of % chunks are staged, the manifest says 5 of 2', 'shop.orders', staged, parts;
  END IF;
END
$check$;

-- Publish.
SELECT to_regclass('"shop"."orders"') IS NULL AS sqlextract_missing \gset
\if :sqlextract_missing
ALTER TABLE "shop"."orders__sqlextract_27067f5c" SET LOGGED;
ALTER TABLE "shop"."orders__sqlextract_27067f5c" RENAME TO "orders";
\else
INSERT INTO "shop"."orders" ("id", "ok", "small", "int", "real", "double", "price", "uuid", "json", "jsonb", "array", "bytes", "day", "moment", "instant", "text", "numeric", "interval", "inet", "int4range", "mood", "hstore")
SELECT "id", "ok", "small", "int", "real", "double", "price", "uuid", "json", "jsonb", "array", "bytes", "day", "moment", "instant", "text", "numeric", "interval", "inet", "int4range", "mood", "hstore" FROM "shop"."orders__sqlextract_27067f5c";
\endif

-- Clean up.
DROP TABLE IF EXISTS "shop"."orders__sqlextract_27067f5c";
DELETE FROM "shop"."sqlextract_chunks" WHERE job = 'orders-0123abcd' AND table_name = 'orders';

-- What happened.
SELECT 'shop.orders: 5 rows loaded' AS sqlextract_said \gset
\else
SELECT 'shop.orders: nothing changed, sqlextract_loads says that 5 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "shop"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 'orders' \gset
\endif
\echo :sqlextract_said

-- ==== "shop.empty"

-- What follows happens once per job.
WITH claim AS (
  INSERT INTO "shop"."sqlextract_loads" (job, table_name, rows) VALUES ('orders-0123abcd', 'empty', 0)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) = 1 AS sqlextract_fresh FROM claim \gset
\if :sqlextract_fresh

-- Check: rows in all; every chunk's rows were counted.
DO $check$
DECLARE
  staged bigint;
  parts bigint;
BEGIN
  SELECT count(*) INTO staged FROM "shop"."empty__sqlextract_fb715385";
  SELECT count(*) INTO parts FROM "shop"."sqlextract_chunks" WHERE job = 'orders-0123abcd' AND table_name = 'empty';
  IF staged <> 0 OR parts <> 0 THEN
    RAISE EXCEPTION '%: % rows of % chunks are staged, the manifest says 0 of 0', 'shop.empty', staged, parts;
  END IF;
END
$check$;

-- Publish.
SELECT to_regclass('"shop"."empty"') IS NULL AS sqlextract_missing \gset
\if :sqlextract_missing
ALTER TABLE "shop"."empty__sqlextract_fb715385" SET LOGGED;
ALTER TABLE "shop"."empty__sqlextract_fb715385" RENAME TO "empty";
\else
INSERT INTO "shop"."empty" ("id")
SELECT "id" FROM "shop"."empty__sqlextract_fb715385";
\endif

-- Clean up.
DROP TABLE IF EXISTS "shop"."empty__sqlextract_fb715385";
DELETE FROM "shop"."sqlextract_chunks" WHERE job = 'orders-0123abcd' AND table_name = 'empty';

-- What happened.
SELECT 'shop.empty: 0 rows loaded' AS sqlextract_said \gset
\else
SELECT 'shop.empty: nothing changed, sqlextract_loads says that 0 rows of this job were loaded at ' || min(loaded_at) AS sqlextract_said FROM "shop"."sqlextract_loads"
  WHERE job = 'orders-0123abcd' AND table_name = 'empty' \gset
\endif
\echo :sqlextract_said
COMMIT;
SQLEXTRACT_END_OF_STEP
      ;;
  esac
}

say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" | tee -a "$log" >&2; }

attempt() {
  local step=$1 try=1 pause=1
  statements "$step" >"$work/$step.sql"
  until client "$work/$step.sql" >"$work/$step.out" 2>&1; do
    say "step $step, $(about "$step"), try $try failed: $(tr '\n' ' ' <"$work/$step.out" | cut -c 1-2000)"
    if lasts "$work/$step.out" || [ "$try" -ge "$tries" ]; then
      sed "s/^/step $step: /" "$work/$step.sql" >>"$log"
      return 1
    fi
    sleep "$pause"
    try=$((try + 1)) pause=$((pause * 2))
  done
}

if [ "${1:-}" = step ]; then
  work=$SQLEXTRACT_WORK
  attempt "$2"
  exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SQLEXTRACT_WORK=$work SQLEXTRACT_LOG=$log SQLEXTRACT_TRIES=$tries
attempt prologue
cat "$work/prologue.out"
if [ "$(grep -c 'sqlextract: loaded before' "$work/prologue.out")" = 2 ]; then exit 0; fi
if ! seq 2 | xargs -P "$sessions" -n 1 bash "$0" step; then
  say "some chunks were not loaded, and nothing was published; run it again: it loads only what is missing"
  exit 1
fi
attempt epilogue
cat "$work/epilogue.out"
